//! The way to a pool: TCP, TLS, HTTP/2.
//!
//! Start at [`connect`]. The channel reconnects by itself when it is used after a loss.
//!
//! Invariant: no byte of a request leaves before the other side has proved who it is.

use crate::ClientError;
use crate::error::{find_connect_fault, reason_of};
use futures::future::BoxFuture;
use hivemind_pki::{NodeIdentity, Trust};
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use tower::Service;

/// Bound on TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence after which the connection is probed, also while no call is open.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(10);
/// Silence after a probe after which the connection is given up.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// Which pool, whom to believe, and who we are.
#[derive(Debug, Clone)]
pub struct Target {
    /// `https://host:port`.
    pub server: String,
    /// Whom to believe.
    pub trust: Trust,
    /// A node's certificate; `None` for everyone else.
    pub identity: Option<NodeIdentity>,
}

/// Opens a channel to a pool.
///
/// # Errors
/// [`ClientError::Invalid`] where the address is not `https://host:port` or the certificates are
/// not usable; [`ClientError::Unreachable`] where nobody answers within 5 s;
/// [`ClientError::Untrusted`] where somebody else does.
pub async fn connect(target: &Target) -> Result<Channel, ClientError> {
    let uri = parse_server(&target.server)?;
    let tls = hivemind_pki::client_config(&target.trust, target.identity.as_ref());
    let tls = tls.map_err(|why| ClientError::invalid("the TLS identity", why))?;
    let endpoint = Endpoint::from(uri)
        .http2_keep_alive_interval(KEEP_ALIVE_EVERY)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .user_agent(concat!("hivemind/", env!("CARGO_PKG_VERSION")))
        .map_err(|why| ClientError::invalid("the user agent", why))?;
    let connector = Connector { server: target.server.as_str().into(), tls: TlsConnector::from(tls) };
    endpoint.connect_with_connector(connector).await.map_err(|error| match find_connect_fault(&error) {
        Some(fault) => fault.clone(),
        None => ClientError::unreachable(&target.server, reason_of(&error)),
    })
}

/// Checks the address of a pool.
///
/// # Errors
/// [`ClientError::Invalid`] where it is not `https://host:port` and nothing more.
pub fn parse_server(server: &str) -> Result<Uri, ClientError> {
    let bad = |why: &str| ClientError::invalid(format!("the server address `{server}`"), why);
    let uri: Uri = server.parse().map_err(|_| bad("it is not of the form https://host:port"))?;
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") => return Err(bad("TLS is always on; write https:// in place of http://")),
        _ => return Err(bad("it is not of the form https://host:port")),
    }
    let with_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if uri.host().is_none_or(str::is_empty) || with_user || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(bad("it must be https://host:port and nothing more"));
    }
    Ok(uri)
}

/// Makes TLS connections for the channel.
#[derive(Clone)]
struct Connector {
    server: Arc<str>,
    tls: TlsConnector,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = ClientError;
    type Future = BoxFuture<'static, Result<Self::Response, ClientError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let opened = tokio::time::timeout(CONNECT_TIMEOUT, this.open(&uri)).await;
            let late =
                |_| ClientError::unreachable(&this.server, format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()));
            opened.map_err(late)?.map(TokioIo::new)
        })
    }
}

impl Connector {
    async fn open(&self, uri: &Uri) -> Result<TlsStream<TcpStream>, ClientError> {
        const HTTPS: u16 = 443;
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| {
            ClientError::invalid(
                format!("the server address `{}`", self.server),
                "its host is neither a DNS name nor an IP address",
            )
        })?;
        let lost = |error: std::io::Error| ClientError::unreachable(&self.server, error.to_string());
        let tcp = TcpStream::connect((host, uri.port_u16().unwrap_or(HTTPS))).await.map_err(lost)?;
        tcp.set_nodelay(true).map_err(lost)?;
        self.tls.connect(name, tcp).await.map_err(|error| self.judge(error))
    }

    /// Tells a server that is not trusted from one that is lost.
    fn judge(&self, error: std::io::Error) -> ClientError {
        if let Some(why) = hivemind_pki::refusal_of(&error) {
            return ClientError::Untrusted { server: self.server.to_string(), why };
        }
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::InvalidMessage(_)) => {
                ClientError::unreachable(&self.server, "what answers there does not speak TLS")
            }
            _ => ClientError::unreachable(&self.server, error.to_string()),
        }
    }
}
