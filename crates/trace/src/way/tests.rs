//! A collector behind TLS, as far as the first bytes that it gets.

use super::*;
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::path::PathBuf;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

const DEADLINE: Duration = Duration::from_secs(60);
/// How HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it did not come in time")
}

struct Scene {
    data: tempfile::TempDir,
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Scene {
    async fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join("it.pem"), made.cert.pem()).unwrap();
        let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(data.path().join("another.pem"), other.cert.pem()).unwrap();
        std::fs::write(data.path().join("none.pem"), "nothing").unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config =
            config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key.into()).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        Self { data, listener, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    fn believing(&self, file: &str) -> Settings {
        let port = self.listener.local_addr().unwrap().port();
        let file: PathBuf = self.data.path().join(file);
        Settings {
            endpoint: format!("https://localhost:{port}").parse().unwrap(),
            named_by: "OTEL_EXPORTER_OTLP_ENDPOINT",
            timeout: DEADLINE,
            authorities: Some(("OTEL_EXPORTER_OTLP_CERTIFICATE", file)),
        }
    }

    /// What a collector reads first of somebody who sends with `settings`.
    async fn read_first(&self, settings: &Settings) -> io::Result<Vec<u8>> {
        let channel = channel(settings).unwrap();
        let request = http::Request::builder().uri("/").body(tonic::body::Body::empty()).unwrap();
        let sending = tokio::spawn(channel.oneshot(request));
        let (tcp, _) = within(self.listener.accept()).await?;
        let mut tls = within(self.acceptor.accept(tcp)).await?;
        let mut first = vec![0; PREFACE.len()];
        within(tls.read_exact(&mut first)).await?;
        sending.abort();
        Ok(first)
    }
}

#[tokio::test]
async fn spans_go_to_whom_the_named_certificates_prove() {
    let scene = Scene::start().await;
    assert_eq!(scene.read_first(&scene.believing("it.pem")).await.unwrap(), PREFACE);
}

#[tokio::test]
async fn nobody_else_reads_anything() {
    let scene = Scene::start().await;
    assert!(scene.read_first(&scene.believing("another.pem")).await.is_err());
}

#[tokio::test]
async fn certificates_that_are_none_are_refused_by_their_variable() {
    let scene = Scene::start().await;
    for file in ["none.pem", "not there.pem"] {
        let refused = channel(&scene.believing(file)).unwrap_err();
        assert_eq!(refused.variable, "OTEL_EXPORTER_OTLP_CERTIFICATE", "{refused}");
    }
}
