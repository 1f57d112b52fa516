//! The pool's own certificate authority.
//!
//! Two files: `ca.pem`, which everyone may have, and `keys/ca.key`, which nobody may. The key's
//! file also holds the certificate that was made with it, so that one rename founds the
//! authority, and a crash before `ca.pem` is written loses nothing.
//!
//! `ca.pem` may hold further certificates behind the current one: authorities that were
//! current before. They are trusted and sign nothing, so that an authority can be replaced
//! without cutting off the nodes that it signed.
//!
//! Invariant: an authority that was there once is never silently replaced by another.

use crate::files::{PUBLIC, private_folder, read_private, read_text, write_durably, write_private};
use crate::node::{request_key, to_pem};
use crate::{CaHash, PkiError, hash_of, provider, validity};
use hivemind_model::units::Millis;
use hivemind_model::{NodeId, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, DnsName, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

const DAY: Millis = Millis::from_secs(24 * 3600);
const CA_LIFE: Millis = Millis(3650 * DAY.0);
/// How long a server certificate is valid: 90 days.
pub const SERVER_LIFE: Millis = Millis(90 * DAY.0);
/// A certificate is valid from a little before it is made: clocks differ.
const CLOCK_SKEW: Millis = Millis::from_secs(60);
const MAX_CA_BYTES: u64 = 256 << 10;
const MAX_CAS: usize = 8;
const MAX_NAMES: usize = 100;

/// A certificate authority with its key.
pub struct Authority {
    pem: String,
    trusted: Vec<CertificateDer<'static>>,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("ca", &hex::encode(self.ca_hash())).finish_non_exhaustive()
    }
}

impl Authority {
    /// Opens the authority whose files lie in `dir`, or founds one where there is none.
    ///
    /// # Errors
    /// [`PkiError::Incomplete`] and [`PkiError::Mismatch`] where the files are not a pair,
    /// [`PkiError::Exposed`] where others may read the key, [`PkiError::Malformed`] where a file
    /// holds something else, [`PkiError::Io`] where the disk refuses.
    pub fn open(dir: &Path, now: Timestamp) -> Result<Self, PkiError> {
        let (certificate, key) = (dir.join("ca.pem"), dir.join("keys").join("ca.key"));
        let pem = read_text(&certificate, MAX_CA_BYTES)?;
        let secret = read_private(&key, MAX_CA_BYTES)?;
        match (pem, secret) {
            (Some(pem), Some(secret)) => Self::from_files(&pem, &secret, &certificate, &key, now),
            (Some(_), None) => Err(PkiError::Incomplete { present: certificate, missing: key }),
            (None, Some(secret)) if secret.contains("BEGIN CERTIFICATE") => {
                let pem = first_certificate(&secret, &key)?;
                tracing::warn!(file = %certificate.display(), "the CA's certificate was missing and is restored from beside its key");
                let authority = Self::from_files(&pem, &secret, &certificate, &key, now)?;
                write_durably(&certificate, pem.as_bytes(), PUBLIC)?;
                Ok(authority)
            }
            (None, Some(_)) => Err(PkiError::Incomplete { present: key, missing: certificate }),
            (None, None) => Self::found(dir, &certificate, &key, now),
        }
    }

    fn found(dir: &Path, certificate: &Path, key: &Path, now: Timestamp) -> Result<Self, PkiError> {
        private_folder(&dir.join("keys"))?;
        let pair = KeyPair::generate()?;
        let mut params = params(now, CA_LIFE)?;
        let id: String = params.key_identifier(&pair).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        params.distinguished_name.push(DnType::CommonName, format!("HiveMind pool CA {id}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = false;
        let pem = params.self_signed(&pair)?.pem();
        write_private(key, format!("{}{pem}", pair.serialize_pem()).as_bytes())?;
        write_durably(certificate, pem.as_bytes(), PUBLIC)?;
        Self::from_files(&pem, &pair.serialize_pem(), certificate, key, now)
    }

    fn from_files(pem: &str, secret: &str, certificate: &Path, key: &Path, now: Timestamp) -> Result<Self, PkiError> {
        let trusted = certificates(pem, &certificate.display().to_string())?;
        if trusted.len() > MAX_CAS {
            return Err(PkiError::malformed(
                certificate.display().to_string(),
                format!("{} certificates; at most {MAX_CAS} are trusted at a time", trusted.len()),
            ));
        }
        let unusable = |why: &dyn fmt::Display| {
            PkiError::malformed(key.display().to_string(), format!("no private key can be read from it ({why})"))
        };
        let der = PrivateKeyDer::from_pem_slice(secret.as_bytes()).map_err(|why| unusable(&why))?;
        let pair = KeyPair::try_from(&der).map_err(|why| unusable(&why))?;
        for authority in &trusted {
            check_authority(authority, certificate)?;
        }
        if public_key(&trusted[0], certificate)? != pair.subject_public_key_info() {
            return Err(PkiError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned() });
        }
        let issuer = Issuer::from_ca_cert_der(&trusted[0], pair)?;
        warn_of_age(pem, now)?;
        Ok(Self { pem: pem.to_owned(), trusted, issuer })
    }

    /// The trusted authorities' certificates, the current one first.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.pem
    }

    /// The hash of the current authority's certificate.
    #[must_use]
    pub fn ca_hash(&self) -> CaHash {
        hash_of(self.current())
    }

    pub(crate) fn trusted(&self) -> &[CertificateDer<'static>] {
        &self.trusted
    }

    fn current(&self) -> &CertificateDer<'static> {
        // `certificates` refuses an empty list.
        &self.trusted[0]
    }

    /// Makes a new key and a certificate for a server that is reached under `names` (DNS names
    /// and IP addresses), valid for [`SERVER_LIFE`]. The chain ends in the authority, for
    /// clients that know only its hash.
    ///
    /// # Errors
    /// [`PkiError::BadName`] of the first name that is neither; [`PkiError::Malformed`] where
    /// there is no name, or there are more than 100.
    pub fn issue_server(&self, names: &[String], now: Timestamp) -> Result<CertifiedKey, PkiError> {
        let mut alternatives = Vec::new();
        for name in names {
            let name = alternative(name)?;
            if !alternatives.contains(&name) {
                alternatives.push(name);
            }
        }
        if alternatives.is_empty() || alternatives.len() > MAX_NAMES {
            return Err(PkiError::malformed(
                "the list of server names",
                format!("it has {} names; give 1 to {MAX_NAMES}", alternatives.len()),
            ));
        }
        let pair = KeyPair::generate()?;
        let mut params = params(now, SERVER_LIFE)?;
        params.distinguished_name.push(DnType::CommonName, "HiveMind pool");
        params.subject_alt_names = alternatives;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&pair, &self.issuer)?;
        let chain = vec![leaf.der().clone(), self.current().clone()];
        Ok(CertifiedKey::from_der(chain, pair.into(), &provider())?)
    }

    /// Signs the key of a node: a certificate for [`crate::NODE_LIFE`] that names `node`, then the
    /// authority's. Only the key of the request is taken; its names and extensions are not read.
    ///
    /// # Errors
    /// [`PkiError::BadRequest`] where the request is too large, cannot be read, is not signed
    /// with its own key, or has a key that is not ECDSA P-256.
    pub fn sign_node(&self, csr_pem: &str, node: NodeId, now: Timestamp) -> Result<String, PkiError> {
        let key = request_key(csr_pem)?;
        let mut params = params(now, crate::NODE_LIFE)?;
        params.distinguished_name.push(DnType::CommonName, node.to_string());
        params.subject_alt_names = vec![SanType::URI(crate::node::uri_of(node).try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = params.signed_by(&key, &self.issuer)?;
        Ok(format!("{}{}", leaf.pem(), to_pem(self.current())))
    }
}

/// What every certificate has in common.
fn params(now: Timestamp, life: Millis) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_epoch(Timestamp(now.0.saturating_sub_unsigned(CLOCK_SKEW.0)))?;
    params.not_after = epoch + since_epoch(now.after(life))?;
    params.serial_number = Some(serial()?);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn serial() -> Result<SerialNumber, PkiError> {
    let mut bytes = [0u8; 16];
    let filled = provider().secure_random.fill(&mut bytes);
    filled.map_err(|_| rustls::Error::FailedToGetRandomBytes)?;
    // A serial number is positive and not zero: RFC 5280, 4.1.2.2.
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// Whole seconds since 1970, within what a certificate can say.
fn since_epoch(at: Timestamp) -> Result<Duration, PkiError> {
    const YEAR_9000: u64 = 221_845_392_000;
    let seconds = u64::try_from(at.0.div_euclid(1000)).ok().filter(|seconds| *seconds < YEAR_9000);
    Ok(Duration::from_secs(seconds.ok_or(PkiError::BadTime)?))
}

fn alternative(name: &str) -> Result<SanType, PkiError> {
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let bad = || PkiError::BadName { name: name.chars().take(253).collect() };
    let checked = DnsName::try_from(name).map_err(|_| bad())?;
    Ok(SanType::DnsName(checked.as_ref().to_ascii_lowercase().try_into().map_err(|_| bad())?))
}

/// Every certificate in `pem`, at least one.
pub(crate) fn certificates(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let list = read.map_err(|why| PkiError::malformed(what, why))?;
    if list.is_empty() {
        return Err(PkiError::malformed(
            what,
            "it holds no certificate; a PEM text begins with `-----BEGIN CERTIFICATE-----`",
        ));
    }
    Ok(list)
}

fn first_certificate(pem: &str, path: &Path) -> Result<String, PkiError> {
    let list = certificates(pem, &path.display().to_string())?;
    Ok(to_pem(&list[0]))
}

fn check_authority(certificate: &CertificateDer<'_>, path: &Path) -> Result<(), PkiError> {
    let bad = |why: &str| PkiError::malformed(path.display().to_string(), why);
    let (_, parsed) =
        x509_parser::parse_x509_certificate(certificate).map_err(|_| bad("a certificate in it cannot be read"))?;
    if parsed.is_ca() { Ok(()) } else { Err(bad("a certificate in it is not an authority's")) }
}

fn public_key(certificate: &CertificateDer<'_>, path: &Path) -> Result<Vec<u8>, PkiError> {
    let parsed = x509_parser::parse_x509_certificate(certificate);
    let (_, parsed) = parsed.map_err(|why| PkiError::malformed(path.display().to_string(), why))?;
    Ok(parsed.public_key().raw.to_vec())
}

fn warn_of_age(pem: &str, now: Timestamp) -> Result<(), PkiError> {
    let (_, until) = validity(pem)?;
    let left = until.since(now).secs() / DAY.secs();
    if left < 180 {
        tracing::warn!(days = left, "the certificate authority is near its end; put a new one before it in ca.pem");
    }
    Ok(())
}
