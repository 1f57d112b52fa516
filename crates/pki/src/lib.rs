//! Certificate authority, certificates and TLS settings.
//!
//! Every connection of a pool is TLS. At its first start a pool makes its own certificate
//! authority; clients pin that authority, and nodes prove who they are with short-lived
//! certificates that it signs. Start at [`Authority`] for what the pool does, at [`Trust`] and
//! [`client_config`] for the other side.
//!
//! Invariant: a private key never leaves the folder it was made in, and no file of one is
//! readable by others. No address is resolved and no socket is opened here.

mod authority;
mod error;
mod files;
mod node;
mod pin;
mod tls;

pub use authority::{Authority, SERVER_LIFE};
pub use error::PkiError;
pub use files::write_private;
pub use node::{NODE_LIFE, NodeIdentity, NodeKey, end_of, node_of, validity};
pub use tls::{RotatingCert, Trust, client_config, refusal_of, server_config};

use rustls::crypto::CryptoProvider;
use sha2::{Digest, Sha256};
use std::sync::{Arc, LazyLock};

/// SHA-256 of a CA certificate's DER: what a join token carries.
pub type CaHash = [u8; 32];

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));

/// Makes aws-lc-rs the process's default for TLS. Safe to call more than once.
///
/// The settings made here name their provider themselves; this is for libraries that ask for
/// the process's default.
pub fn install_provider() {
    // An error says that a default is set already, which is what is wanted.
    let _already_set = CryptoProvider::install_default(PROVIDER.as_ref().clone());
}

fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

fn hash_of(der: &[u8]) -> CaHash {
    Sha256::digest(der).into()
}

#[cfg(test)]
mod tests;
