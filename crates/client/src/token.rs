//! A look into a join token.
//!
//! A machine that joins has nothing but the token: it finds the pool's address in it, and the
//! hash by which it knows the pool's CA.
//!
//! Invariant: what is read here is verified by nobody; it serves to find and pin the pool, which
//! verifies the token itself.

use crate::ClientError;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use hivemind_model::Timestamp;
use hivemind_pki::CaHash;
use serde::Deserialize;

/// Longest token that is read, in bytes.
const MAX_TOKEN_BYTES: usize = 8 << 10;

/// What a join token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinClaims {
    /// The pool's address, `https://host:port`.
    pub server: String,
    /// The hash of its CA's certificate.
    pub ca_hash: CaHash,
    /// When the token ends.
    pub expires_at: Timestamp,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    typ: String,
    exp: i64,
    #[serde(default)]
    srv: String,
    #[serde(default)]
    ca: String,
}

/// Reads a join token without verifying it.
///
/// # Errors
/// [`ClientError::Invalid`] where it is no join token.
pub fn join_token_peek(token: &str) -> Result<JoinClaims, ClientError> {
    let bad = |why: &str| {
        ClientError::invalid(
            "the join token",
            format!("{why}; ask the pool's operator for a new one and copy all of it"),
        )
    };
    let token = token.trim();
    if token.len() > MAX_TOKEN_BYTES {
        return Err(bad("it is longer than any"));
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [_, payload, _] = parts.as_slice() else {
        return Err(bad("it has not the three parts of a token"));
    };
    let json = BASE64_URL_SAFE_NO_PAD.decode(payload).map_err(|_| bad("its content cannot be decoded"))?;
    let payload: Payload = serde_json::from_slice(&json).map_err(|_| bad("its content cannot be read"))?;
    if payload.typ != "join" {
        return Err(bad("it is a token of another kind"));
    }
    if !payload.srv.starts_with("https://") {
        return Err(bad("it names no pool"));
    }
    let mut ca_hash = CaHash::default();
    hex::decode_to_slice(&payload.ca, &mut ca_hash).map_err(|_| bad("it carries no hash of a CA"))?;
    Ok(JoinClaims { server: payload.srv, ca_hash, expires_at: Timestamp(payload.exp.saturating_mul(1000)) })
}
