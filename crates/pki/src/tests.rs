//! Authorities on disk, certificates, and real handshakes over memory.

mod files;
mod handshakes;
mod nodes;

use crate::{Authority, NodeIdentity, NodeKey, RotatingCert, refusal_of, server_config};
use hivemind_model::{NodeId, Timestamp};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ServerConfig};
use std::sync::Arc;
use std::time::SystemTime;
use tempfile::TempDir;
use tokio_rustls::{TlsAcceptor, TlsConnector};

const HOUR_MS: i64 = 3_600_000;

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock after 1970");
    Timestamp(i64::try_from(since.as_millis()).expect("a clock before the year 9000"))
}

fn authority() -> (TempDir, Authority) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let authority = Authority::open(dir.path(), now()).expect("a new authority");
    (dir, authority)
}

fn names() -> Vec<String> {
    vec!["localhost".to_owned(), "127.0.0.1".to_owned()]
}

fn server_of(authority: &Authority) -> Arc<ServerConfig> {
    let cert = authority.issue_server(&names(), now()).expect("a server certificate");
    server_config(authority, Arc::new(RotatingCert::new(cert))).expect("server settings")
}

fn node_identity(authority: &Authority, node: NodeId, at: Timestamp) -> NodeIdentity {
    let key = NodeKey::generate().expect("a key");
    let chain_pem = authority.sign_node(&key.csr_pem().expect("a request"), node, at).expect("a certificate");
    NodeIdentity { chain_pem, key_pem: key.pem().to_owned() }
}

/// What each side saw of the other, or why it ended the handshake.
struct Met {
    client: Result<Vec<CertificateDer<'static>>, String>,
    server: Result<Vec<CertificateDer<'static>>, String>,
}

async fn meet(server: Arc<ServerConfig>, client: Arc<ClientConfig>, name: &'static str) -> Met {
    let (near, far) = tokio::io::duplex(64 << 10);
    let name = ServerName::try_from(name).expect("a name");
    let connect = async { TlsConnector::from(client).connect(name, near).await };
    let accept = async { TlsAcceptor::from(server).accept(far).await };
    let (connected, accepted) = tokio::join!(connect, accept);
    let owned = |chain: Option<&[CertificateDer<'static>]>| chain.map(<[_]>::to_vec).unwrap_or_default();
    let told = |why: std::io::Error| refusal_of(&why).unwrap_or_else(|| why.to_string());
    Met {
        client: connected.map(|stream| owned(stream.get_ref().1.peer_certificates())).map_err(told),
        server: accepted.map(|stream| owned(stream.get_ref().1.peer_certificates())).map_err(told),
    }
}
