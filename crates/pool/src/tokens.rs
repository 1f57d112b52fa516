//! User tokens and join tokens: JSON web tokens signed with the pool's own Ed25519 key.
//!
//! One fixed algorithm; issuer, audience, type, begin and end are checked against the pool's
//! clock; a token of one type is never taken for the other. Start at [`Tokens::user`].
//!
//! Invariant: the key never leaves its file, and no token appears in a log or an error.

use crate::clock::Clock;
use anyhow::Context;
use hivemind_model::rows::{Role, UserRow};
use hivemind_model::{Millis, Scopes, SessionId, Timestamp, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use parking_lot::Mutex;
use rcgen::{KeyPair, PKCS_ED25519};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

const ISSUER: &str = "hivemind";
const USER_AUDIENCE: &str = "hivemind:user";
const JOIN_AUDIENCE: &str = "hivemind:join";
/// How long a user token lives.
const USER_LIFE: Millis = Millis::from_secs(24 * 3600);
/// How long an access token of a session lives.
const ACCESS_LIFE: Millis = Millis::from_secs(15 * 60);
/// Longest life of a join token, in seconds.
pub(crate) const MAX_JOIN_SECONDS: u32 = 900;
/// Longest token that is looked at.
const MAX_TOKEN_BYTES: usize = 4096;
/// Verified user tokens that are remembered, so that a busy client costs one signature check.
const REMEMBERED: usize = 8192;

/// Why a token was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadToken {
    /// Not signed by this pool, of another type, or not a token at all.
    #[error("the token is not one of this pool for this use; log in again")]
    Invalid,
    /// Past its time.
    #[error("the token has expired; log in again")]
    Expired,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Their id.
    pub(crate) id: UserId,
    /// Their name.
    pub(crate) name: String,
    /// What they may do.
    pub(crate) role: Role,
    /// When their token expires.
    pub(crate) expires_at: Timestamp,
    /// What their token may be used for.
    pub(crate) scopes: Scopes,
    /// The session or key that it is of; `None` for a login.
    pub(crate) session: Option<SessionId>,
}

/// What a join token allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Join {
    /// Whose the machine will be.
    pub(crate) owner: UserId,
    /// The token's own id: it works once.
    pub(crate) id: String,
    /// When it expires.
    pub(crate) expires_at: Timestamp,
}

/// A token as text, and its end.
pub(crate) struct Issued {
    /// The token.
    pub(crate) token: String,
    /// When it expires.
    pub(crate) expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct UserClaims {
    iss: String,
    aud: String,
    typ: String,
    sub: String,
    name: String,
    role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<SessionId>,
    iat: i64,
    nbf: i64,
    exp: i64,
}

#[derive(Serialize, Deserialize)]
struct JoinClaims {
    iss: String,
    aud: String,
    typ: String,
    sub: String,
    jti: String,
    srv: String,
    ca: String,
    nbf: i64,
    exp: i64,
}

/// See the module.
pub(crate) struct Tokens {
    signing: EncodingKey,
    verifying: DecodingKey,
    clock: Arc<Clock>,
    remembered: Mutex<HashMap<[u8; 32], Arc<Caller>>>,
}

impl Tokens {
    /// Reads the key from `path`, or makes it at the first start.
    pub(crate) fn open(path: &Path, clock: Arc<Clock>) -> anyhow::Result<Self> {
        let pair = match std::fs::read_to_string(path) {
            Ok(pem) => KeyPair::from_pem(&pem).with_context(|| format!("{} is not an Ed25519 private key; restore it from a backup, or remove it: all users must log in again then", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => make_key(path)?,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        anyhow::ensure!(
            pair.is_compatible(&PKCS_ED25519),
            "{} is not an Ed25519 key; restore it from a backup, or remove it",
            path.display()
        );
        let signing = EncodingKey::from_ed_der(&pair.serialize_der());
        let verifying = DecodingKey::from_ed_der(pair.public_key_raw());
        Ok(Self { signing, verifying, clock, remembered: Mutex::default() })
    }

    /// A token for a user who has proved who they are.
    pub(crate) fn issue_user(&self, user: &UserRow) -> Result<Issued, jsonwebtoken::errors::Error> {
        self.issue(user, None, USER_LIFE)
    }

    /// A short token of a session of that user.
    pub(crate) fn issue_access(
        &self,
        user: &UserRow,
        session: SessionId,
    ) -> Result<Issued, jsonwebtoken::errors::Error> {
        self.issue(user, Some(session), ACCESS_LIFE)
    }

    fn issue(
        &self,
        user: &UserRow,
        sid: Option<SessionId>,
        life: Millis,
    ) -> Result<Issued, jsonwebtoken::errors::Error> {
        let (now, end) = self.span(life);
        let claims = UserClaims {
            iss: ISSUER.into(),
            aud: USER_AUDIENCE.into(),
            typ: "user".into(),
            sub: user.id.0.to_string(),
            name: user.username.clone(),
            role: user.role,
            sid,
            iat: now,
            nbf: now,
            exp: end,
        };
        self.sign(&claims, end)
    }

    /// A one-time token with which a machine joins as `owner`'s.
    pub(crate) fn issue_join(
        &self,
        owner: UserId,
        life: Millis,
        server: &str,
        ca_hash: &[u8; 32],
    ) -> Result<Issued, jsonwebtoken::errors::Error> {
        let (now, end) = self.span(life);
        let claims = JoinClaims {
            iss: ISSUER.into(),
            aud: JOIN_AUDIENCE.into(),
            typ: "join".into(),
            sub: owner.0.to_string(),
            jti: uuid::Uuid::new_v4().to_string(),
            srv: server.to_owned(),
            ca: hex::encode(ca_hash),
            nbf: now,
            exp: end,
        };
        self.sign(&claims, end)
    }

    /// The bearer of a user token. Whether its session still lives is not known here.
    pub(crate) fn user(&self, token: &str) -> Result<Arc<Caller>, BadToken> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(BadToken::Invalid);
        }
        let key: [u8; 32] = Sha256::digest(token).into();
        let known = self.remembered.lock().get(&key).cloned();
        if let Some(caller) = known {
            return if caller.expires_at > self.clock.now() { Ok(caller) } else { Err(BadToken::Expired) };
        }
        let claims: UserClaims = self.verify(token, USER_AUDIENCE)?;
        self.check(&claims.typ, "user", claims.nbf, claims.exp)?;
        let caller = Arc::new(Caller {
            id: user_id(&claims.sub)?,
            name: claims.name,
            role: claims.role,
            expires_at: moment(claims.exp),
            scopes: Scopes::ALL,
            session: claims.sid,
        });
        let mut remembered = self.remembered.lock();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(key, caller.clone());
        Ok(caller)
    }

    /// What a join token allows. Whether it was used before is the engine's to say.
    pub(crate) fn join(&self, token: &str) -> Result<Join, BadToken> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(BadToken::Invalid);
        }
        let claims: JoinClaims = self.verify(token, JOIN_AUDIENCE)?;
        self.check(&claims.typ, "join", claims.nbf, claims.exp)?;
        Ok(Join { owner: user_id(&claims.sub)?, id: claims.jti, expires_at: moment(claims.exp) })
    }

    fn sign(&self, claims: &impl Serialize, end: i64) -> Result<Issued, jsonwebtoken::errors::Error> {
        let token = jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), claims, &self.signing)?;
        Ok(Issued { token, expires_at: moment(end) })
    }

    fn verify<C: DeserializeOwned>(&self, token: &str, audience: &str) -> Result<C, BadToken> {
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_audience(&[audience]);
        rules.set_issuer(&[ISSUER]);
        rules.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        // Times are checked against the pool's clock, which never goes backwards.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        jsonwebtoken::decode(token, &self.verifying, &rules).map(|data| data.claims).map_err(|_| BadToken::Invalid)
    }

    fn check(&self, typ: &str, wanted: &str, not_before: i64, end: i64) -> Result<(), BadToken> {
        let now = self.clock.now();
        if typ != wanted || moment(not_before) > now {
            return Err(BadToken::Invalid);
        }
        if moment(end) <= now {
            return Err(BadToken::Expired);
        }
        Ok(())
    }

    /// Now and the end of a life that begins now, in whole seconds.
    fn span(&self, life: Millis) -> (i64, i64) {
        let now = self.clock.now();
        (now.0.div_euclid(1000), now.after(life).0.div_euclid(1000))
    }
}

fn make_key(path: &Path) -> anyhow::Result<KeyPair> {
    let pair = KeyPair::generate_for(&PKCS_ED25519).context("cannot make a key for tokens")?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    hivemind_pki::write_private(path, pair.serialize_pem().as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(pair)
}

fn user_id(text: &str) -> Result<UserId, BadToken> {
    text.parse().map_err(|_| BadToken::Invalid)
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp(seconds.saturating_mul(1000))
}

#[cfg(test)]
mod tests;
