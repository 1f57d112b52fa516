//! What can go wrong with keys and certificates.
//!
//! Invariant: no text here holds any part of a private key.

use std::path::PathBuf;

/// Why a key, a certificate or a TLS setting could not be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// The file system refused.
    #[error("cannot {action} {}; check that the disk has room and that the folder is this user's", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Only one of the CA's two files is there.
    #[error("{} is there but {} is missing: the certificate authority is incomplete and is not made anew, because every node and client trusts the old one; restore the missing file from a backup, or move both away to found a new authority", .present.display(), .missing.display())]
    Incomplete {
        /// What is there.
        present: PathBuf,
        /// What is not.
        missing: PathBuf,
    },
    /// The CA's certificate was not made for its key.
    #[error("the first certificate in {} does not belong to the key in {}; restore both from the same backup", .certificate.display(), .key.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// A private key can be read by others.
    #[error("{} can be read by others (mode {mode:o}); if nobody else had access, run `chmod go-rwx` on it", .path.display())]
    Exposed {
        /// The key's file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A text that should hold a key or certificate does not.
    #[error("{what} is not usable: {why}")]
    Malformed {
        /// Whose text it is.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A name that cannot stand in a server certificate.
    #[error("`{name}` cannot stand in a server certificate: it is neither a DNS name nor an IP address")]
    BadName {
        /// The name.
        name: String,
    },
    /// A certificate request that is not taken.
    #[error("the certificate request is refused: {why}")]
    BadRequest {
        /// Why.
        why: String,
    },
    /// A moment outside what a certificate can say.
    #[error("the clock shows a time outside the years 1970 to 9000; set the system clock")]
    BadTime,
    /// Making or signing a certificate failed.
    #[error("a key or certificate could not be made")]
    Make(#[from] rcgen::Error),
    /// The TLS library refused the settings.
    #[error("the TLS settings are not accepted")]
    Tls(#[from] rustls::Error),
}

impl PkiError {
    pub(crate) fn malformed(what: impl Into<String>, why: impl ToString) -> Self {
        Self::Malformed { what: what.into(), why: why.to_string() }
    }
}
