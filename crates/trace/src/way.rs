//! The connection to a collector: TCP, TLS where its address is `https`, HTTP/2.
//!
//! It is opened when the first spans leave, and again after a loss. Start at [`channel`].
//!
//! Invariant: to an `https` address no span leaves before the other side has proved who it is, and no try to connect lasts.

use crate::settings::{Refused, Settings};
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::Path;
use std::pin::Pin;
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
const HTTPS: u16 = 443;

/// A connection that is opened when it is used; to be called where tokio runs.
///
/// # Errors
/// Nobody is there who could be believed over TLS.
pub(crate) fn channel(settings: &Settings) -> Result<Channel, Refused> {
    let endpoint = Endpoint::from(settings.endpoint.clone()).timeout(settings.timeout).connect_timeout(CONNECT_TIMEOUT);
    if settings.endpoint.scheme_str() != Some("https") {
        return Ok(endpoint.connect_lazy());
    }
    Ok(endpoint.connect_with_connector_lazy(Connector(TlsConnector::from(tls(settings)?))))
}

fn tls(settings: &Settings) -> Result<Arc<ClientConfig>, Refused> {
    let roots = match &settings.authorities {
        Some((variable, file)) => roots_of(file).map_err(|why| {
            Refused::new(variable, format!("{}: {why}", file.display()), "name a file of certificates in PEM")
        })?,
        None => roots_of_machine().map_err(|why| {
            let fix = "install the package ca-certificates, or name certificates with OTEL_EXPORTER_OTLP_CERTIFICATE";
            Refused::new(settings.named_by, format!("the collector cannot be believed over TLS: {why}"), fix)
        })?,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|why| Refused::new(settings.named_by, why.to_string(), "use an http address"))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

fn roots_of(file: &Path) -> Result<RootCertStore, String> {
    let certificates = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut roots = RootCertStore::empty();
    for certificate in certificates.map_err(|why| why.to_string())? {
        roots.add(certificate).map_err(|why| why.to_string())?;
    }
    if roots.is_empty() { Err("no certificate is in it".to_owned()) } else { Ok(roots) }
}

fn roots_of_machine() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Machines keep certificates that nobody can use any more.
    let _counts = roots.add_parsable_certificates(found.certs);
    match (roots.is_empty(), found.errors.first()) {
        (false, _) => Ok(roots),
        (true, Some(why)) => Err(why.to_string()),
        (true, None) => Err("this machine has no certificates of authorities".to_owned()),
    }
}

/// Makes TLS connections.
#[derive(Clone)]
struct Connector(TlsConnector);

type Opening = Pin<Box<dyn Future<Output = io::Result<TokioIo<TlsStream<TcpStream>>>> + Send>>;

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Opening;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Opening {
        let tls = self.0.clone();
        Box::pin(async move {
            match tokio::time::timeout(CONNECT_TIMEOUT, open(&tls, &uri)).await {
                Ok(opened) => opened.map(TokioIo::new),
                Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
            }
        })
    }
}

async fn open(tls: &TlsConnector, uri: &Uri) -> io::Result<TlsStream<TcpStream>> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let tcp = TcpStream::connect((host, uri.port_u16().unwrap_or(HTTPS))).await?;
    tcp.set_nodelay(true)?;
    tls.connect(name, tcp).await
}

#[cfg(test)]
mod tests;
