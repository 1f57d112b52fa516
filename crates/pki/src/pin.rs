//! Trust in an authority of which only the hash is known.
//!
//! A join token carries the hash of the pool's CA certificate. The server presents that
//! certificate with its own; once found by its hash, it is the only root there is, and the
//! server's own certificate is checked against it as usual.
//!
//! Invariant: no certificate is believed because it was presented.

use crate::{CaHash, hash_of, provider};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use std::sync::Arc;

#[derive(Debug, thiserror::Error)]
#[error("the server presented no certificate authority with the hash that was expected ({}): this is another pool, its authority was replaced, or somebody stands between; ask its operator for a new join token", hex::encode(.expected))]
struct OtherAuthority {
    expected: CaHash,
}

/// Believes servers of the one authority with the given hash.
#[derive(Debug)]
pub(crate) struct PinnedCa {
    expected: CaHash,
}

impl PinnedCa {
    pub(crate) fn new(expected: CaHash) -> Self {
        Self { expected }
    }
}

impl ServerCertVerifier for PinnedCa {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pinned = intermediates.iter().find(|certificate| hash_of(certificate) == self.expected);
        let other = || {
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(OtherAuthority {
                expected: self.expected,
            }))))
        };
        let mut roots = RootCertStore::empty();
        roots.add(pinned.ok_or_else(other)?.clone().into_owned())?;
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let usual = usual.map_err(|why| Error::General(why.to_string()))?;
        usual.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
