//! What a node holds: its key, its request, its certificate.
//!
//! Start at [`NodeKey`]. The pool turns the request into a [`NodeIdentity`] and reads it back
//! with [`node_of`].
//!
//! Invariant: no name that a node chose for itself reaches a certificate.

use crate::PkiError;
use hivemind_model::units::Millis;
use hivemind_model::{NodeId, Timestamp};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SubjectPublicKeyInfo,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use std::fmt;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// How long a node's certificate is valid: 24 hours.
pub const NODE_LIFE: Millis = Millis::from_secs(24 * 3600);
/// Longest certificate request that is read, in bytes of PEM.
const MAX_REQUEST_BYTES: usize = 16 << 10;
const URI_PREFIX: &str = "hivemind:node:";

/// A node's private key, ECDSA P-256.
pub struct NodeKey {
    pair: KeyPair,
    pem: String,
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeKey(hidden)")
    }
}

impl NodeKey {
    /// A new key.
    ///
    /// # Errors
    /// [`PkiError::Make`] where the system gives no random bytes.
    pub fn generate() -> Result<Self, PkiError> {
        let pair = KeyPair::generate()?;
        let pem = pair.serialize_pem();
        Ok(Self { pair, pem })
    }

    /// Reads what [`NodeKey::pem`] gave.
    ///
    /// # Errors
    /// [`PkiError::Malformed`] where it is not such a key.
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> {
        let pair = KeyPair::from_pem(pem).map_err(|why| PkiError::malformed("the node's key", why))?;
        if pair.algorithm() != &PKCS_ECDSA_P256_SHA256 {
            return Err(PkiError::malformed("the node's key", "it is not an ECDSA P-256 key"));
        }
        Ok(Self { pair, pem: pem.to_owned() })
    }

    /// The key in PKCS #8 PEM, for [`crate::write_private`] and nothing else.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate request signed with this key.
    ///
    /// # Errors
    /// [`PkiError::Make`] where signing fails.
    pub fn csr_pem(&self) -> Result<String, PkiError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "HiveMind node");
        Ok(params.serialize_request(&self.pair)?.pem()?)
    }
}

/// What a node proves its identity with.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeIdentity {
    /// Its certificate, then the authority's.
    pub chain_pem: String,
    /// Its private key.
    pub key_pem: String,
}

impl fmt::Debug for NodeIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeIdentity").field("chain_pem", &self.chain_pem).finish_non_exhaustive()
    }
}

/// Which node a certificate names; `None` where it names none, or not exactly one.
///
/// Only for the first certificate of a peer whose chain TLS has verified: nothing is verified here.
#[must_use]
pub fn node_of(cert: &CertificateDer<'_>) -> Option<NodeId> {
    let (_, parsed) = x509_parser::parse_x509_certificate(cert).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    let [GeneralName::URI(uri)] = names.value.general_names.as_slice() else { return None };
    let digits = uri.strip_prefix(URI_PREFIX)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let node = NodeId(digits.parse().ok()?);
    (uri_of(node) == *uri).then_some(node)
}

/// When a certificate ends, in whole seconds; `None` where it cannot be read.
#[must_use]
pub fn end_of(cert: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, parsed) = x509_parser::parse_x509_certificate(cert).ok()?;
    Some(Timestamp(parsed.validity().not_after.timestamp().saturating_mul(1000)))
}

pub(crate) fn uri_of(node: NodeId) -> String {
    format!("{URI_PREFIX}{}", node.0)
}

/// From when until when the first certificate in `cert_pem` is valid, in whole seconds.
///
/// # Errors
/// [`PkiError::Malformed`] where there is no certificate in it.
pub fn validity(cert_pem: &str) -> Result<(Timestamp, Timestamp), PkiError> {
    let what = "the certificate";
    let der = CertificateDer::from_pem_slice(cert_pem.as_bytes()).map_err(|why| PkiError::malformed(what, why))?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|why| PkiError::malformed(what, why))?;
    let span = parsed.validity();
    let millis = |seconds: i64| Timestamp(seconds.saturating_mul(1000));
    Ok((millis(span.not_before.timestamp()), millis(span.not_after.timestamp())))
}

/// The public key of a request that is signed with the private half of it.
pub(crate) fn request_key(csr_pem: &str) -> Result<SubjectPublicKeyInfo, PkiError> {
    let bad = |why: &str| PkiError::BadRequest { why: why.to_owned() };
    if csr_pem.len() > MAX_REQUEST_BYTES {
        return Err(bad("it is longer than 16 KiB"));
    }
    let der = CertificateSigningRequestDer::from_pem_slice(csr_pem.as_bytes())
        .map_err(|_| bad("it is not a PEM `CERTIFICATE REQUEST`"))?;
    let (rest, request) = X509CertificationRequest::from_der(&der).map_err(|_| bad("its content cannot be read"))?;
    if !rest.is_empty() {
        return Err(bad("something follows its content"));
    }
    request.verify_signature().map_err(|_| bad("it is not signed with its own key"))?;
    let key = SubjectPublicKeyInfo::from_der(request.certification_request_info.subject_pki.raw);
    let key = key.map_err(|_| bad("its key is of an unknown kind"))?;
    // An uncompressed point: RFC 5480, 2.2.
    if key.algorithm() != &PKCS_ECDSA_P256_SHA256 || key.der_bytes().len() != 65 {
        return Err(bad("its key is not an ECDSA P-256 key"));
    }
    Ok(key)
}

/// One certificate as PEM.
pub(crate) fn to_pem(certificate: &CertificateDer<'_>) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    const LINE: usize = 64;
    let text = BASE64_STANDARD.encode(certificate);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
