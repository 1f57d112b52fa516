//! The texts of API keys and refresh tokens: how they are made, read and known again.
//!
//! A key is `hm_<id>_<secret>`, a refresh token `hmr_<id>_<secret>`; a secret is 32 bytes as hex. The first secret of a session and that of
//! a key are random; every further one of a session follows from the one before and a key that only the pool has, so that
//! somebody who did not get the answer can be given the same one again, and nobody else can tell what comes next.
//! Start at [`make`] and [`Chain::after`].
//!
//! Invariant: a secret is neither stored nor logged, and not shown by `Debug`.

use hivemind_model::SessionId;
use hivemind_model::session::SecretHash;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// How the text of an API key begins.
const KEY: &str = "hm_";
/// How the text of a refresh token begins.
const REFRESH: &str = "hmr_";
/// What the chain is for; another use of the same key would say something else.
const LABEL: &[u8] = b"hivemind refresh token";
/// How far the chain is followed: further than a session goes that is refreshed every quarter of an hour for a month.
const LONGEST_CHAIN: usize = 4096;

/// The bytes of a secret.
pub(crate) type Secret = Zeroizing<[u8; 32]>;

/// Which session or key somebody says to be, and how they prove it.
pub(crate) struct Shown {
    /// Which.
    pub(crate) id: SessionId,
    /// The proof.
    pub(crate) secret: Secret,
}

/// A random secret.
pub(crate) fn make() -> Secret {
    Zeroizing::new(rand::random())
}

/// What is stored of a secret.
pub(crate) fn hash(secret: &Secret) -> SecretHash {
    SecretHash(Sha256::digest(secret.as_slice()).into())
}

/// The text of an API key.
pub(crate) fn key(id: SessionId, secret: &Secret) -> String {
    format!("{KEY}{}_{}", id.0, hex::encode(secret))
}

/// The text of a refresh token.
pub(crate) fn refresh(id: SessionId, secret: &Secret) -> String {
    format!("{REFRESH}{}_{}", id.0, hex::encode(secret))
}

/// Whether a text is meant to be an API key; no JSON web token begins so.
pub(crate) fn is_key(text: &str) -> bool {
    text.starts_with(KEY)
}

/// Reads an API key.
pub(crate) fn read_key(text: &str) -> Option<Shown> {
    read(text, KEY)
}

/// Reads a refresh token.
pub(crate) fn read_refresh(text: &str) -> Option<Shown> {
    read(text, REFRESH)
}

fn read(text: &str, begin: &str) -> Option<Shown> {
    let (id, secret) = text.trim().strip_prefix(begin)?.split_once('_')?;
    let plain = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    let id = id.parse().ok().filter(|_| plain).map(SessionId)?;
    let mut bytes = Secret::default();
    hex::decode_to_slice(secret, bytes.as_mut_slice()).ok()?;
    Some(Shown { id, secret: bytes })
}

/// What follows from what.
pub(crate) struct Chain {
    key: Zeroizing<[u8; 32]>,
}

impl Chain {
    /// The chain of the pool that has this key.
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { key: Zeroizing::new(key) }
    }

    /// The secret that follows `shown`, always the same one.
    pub(crate) fn after(&self, shown: &Shown) -> Secret {
        self.next(shown.id, &shown.secret)
    }

    /// Whether `newest` is the digest of a secret that followed `shown`, however long ago.
    pub(crate) fn is_before(&self, shown: &Shown, newest: SecretHash) -> bool {
        let mut secret = shown.secret.clone();
        (0..LONGEST_CHAIN).any(|_| {
            secret = self.next(shown.id, &secret);
            hash(&secret) == newest
        })
    }

    /// All parts have fixed lengths, and the digest of the digest says nothing about what could be appended.
    fn next(&self, id: SessionId, secret: &Secret) -> Secret {
        let inner =
            Sha256::new().chain_update(self.key.as_slice()).chain_update(LABEL).chain_update(id.0.to_le_bytes());
        let inner: Secret = Zeroizing::new(inner.chain_update(secret.as_slice()).finalize().into());
        Zeroizing::new(Sha256::new().chain_update(self.key.as_slice()).chain_update(inner.as_slice()).finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_read_back_and_never_as_the_other_kind() {
        let secret = make();
        let (key, refresh) = (key(SessionId(12), &secret), refresh(SessionId(12), &secret));
        assert!(key.starts_with("hm_12_") && refresh.starts_with("hmr_12_"), "{key} {refresh}");
        assert!(is_key(&key) && !is_key(&refresh));
        let read = read_key(&key).unwrap();
        assert_eq!((read.id, hash(&read.secret)), (SessionId(12), hash(&secret)));
        assert!(read_refresh(&refresh).is_some_and(|read| hash(&read.secret) == hash(&secret)));
        assert!(read_key(&refresh).is_none() && read_refresh(&key).is_none());
        let hex = "ab".repeat(32);
        for bad in
            ["hm_", "hm_12", "hm__", "hm_12_", "hm_x_", "hm_12_ab", &format!("hm_+1_{hex}"), &format!("hm_1_{hex}0")]
        {
            assert!(read_key(bad).is_none(), "{bad}");
        }
        assert!(read_key(&format!("hm_99999999999999999999_{hex}")).is_none());
        assert_ne!(hash(&make()), hash(&make()));
    }

    #[test]
    fn what_follows_is_the_same_for_one_pool_and_session_only() {
        let shown = |id| Shown { id: SessionId(id), secret: Zeroizing::new([7; 32]) };
        let (chain, other) = (Chain::new([1; 32]), Chain::new([2; 32]));
        let next = chain.after(&shown(1));
        assert_eq!(hash(&chain.after(&shown(1))), hash(&next));
        assert_ne!(hash(&chain.after(&shown(2))), hash(&next));
        assert_ne!(hash(&other.after(&shown(1))), hash(&next));

        let third = chain.after(&Shown { id: SessionId(1), secret: next });
        assert!(chain.is_before(&shown(1), hash(&third)) && !other.is_before(&shown(1), hash(&third)));
        assert!(!chain.is_before(&Shown { id: SessionId(1), secret: third }, hash(&shown(1).secret)));
    }
}
