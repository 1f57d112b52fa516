//! TLS settings of both sides.
//!
//! Start at [`server_config`] and [`client_config`].
//!
//! Invariant: sessions are never resumed. A resumed session would keep the certificate of its
//! first handshake, also after that has expired.

use crate::authority::{Authority, certificates};
use crate::pin::PinnedCa;
use crate::{CaHash, NodeIdentity, PkiError, provider};
use arc_swap::ArcSwap;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, RootCertStore, ServerConfig};
use std::fmt;
use std::sync::Arc;

/// The server's certificate; what replaces it is used from the next connection on.
pub struct RotatingCert {
    current: ArcSwap<CertifiedKey>,
}

impl fmt::Debug for RotatingCert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RotatingCert")
    }
}

impl RotatingCert {
    /// Begins with `certificate`.
    #[must_use]
    pub fn new(certificate: CertifiedKey) -> Self {
        Self { current: ArcSwap::from_pointee(certificate) }
    }

    /// Goes on with `certificate`; connections that are open keep theirs.
    pub fn replace(&self, certificate: CertifiedKey) {
        self.current.store(Arc::new(certificate));
    }
}

impl ResolvesServerCert for RotatingCert {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// Settings of the pool's server: TLS 1.3 and 1.2, HTTP/2. A client may present a certificate;
/// one that an authority did not sign for clients, or that has expired, ends the handshake.
///
/// # Errors
/// [`PkiError::Tls`] or [`PkiError::Malformed`] where an authority's certificate is not usable.
pub fn server_config(authority: &Authority, cert: Arc<RotatingCert>) -> Result<Arc<ServerConfig>, PkiError> {
    let roots = Arc::new(root_store(authority.trusted())?);
    let clients = WebPkiClientVerifier::builder_with_provider(roots, provider())
        .allow_unauthenticated()
        .build()
        .map_err(|why| PkiError::malformed("the certificate authority", why))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(cert);
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// Whom a client believes.
#[derive(Clone, PartialEq, Eq)]
pub enum Trust {
    /// Servers whose certificate one of these authorities signed.
    CaPem(String),
    /// Servers that present an authority's certificate with this hash, and one of their own that
    /// this authority signed: for a client that has only a join token.
    CaHash(CaHash),
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CaPem(_) => f.write_str("CaPem"),
            Self::CaHash(hash) => write!(f, "CaHash({})", hex::encode(hash)),
        }
    }
}

/// Settings of a client: TLS 1.3 and 1.2, HTTP/2, the server's name and time checked, and
/// `identity` presented where there is one.
///
/// # Errors
/// [`PkiError::Malformed`] where a PEM text holds no usable certificate or key;
/// [`PkiError::Tls`] where key and certificate do not belong together.
pub fn client_config(trust: &Trust, identity: Option<&NodeIdentity>) -> Result<Arc<ClientConfig>, PkiError> {
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13, &TLS12])?;
    let builder = match trust {
        Trust::CaPem(pem) => {
            builder.with_root_certificates(root_store(&certificates(pem, "the pool's CA certificate")?)?)
        }
        Trust::CaHash(hash) => builder.dangerous().with_custom_certificate_verifier(Arc::new(PinnedCa::new(*hash))),
    };
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = certificates(&identity.chain_pem, "the node's certificate")?;
            let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())
                .map_err(|why| PkiError::malformed("the node's key", why))?;
            builder.with_client_auth_cert(chain, key)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Why the peer's certificate was refused, for people; `None` where the error is of another kind.
#[must_use]
pub fn refusal_of(error: &std::io::Error) -> Option<String> {
    let tls = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::InvalidCertificate(why) = tls else { return None };
    Some(match why {
        CertificateError::Other(own) => own.to_string(),
        CertificateError::UnknownIssuer => {
            "its certificate was signed by another certificate authority than the one that is trusted".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate was made for another purpose".to_owned()
        }
        other => other.to_string(),
    })
}

fn root_store(authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, PkiError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(|why| PkiError::malformed("the CA certificate", why))?;
    }
    Ok(roots)
}
