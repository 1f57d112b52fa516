//! Passwords: how they are kept, how they are checked, and how often one may try.
//!
//! Argon2id, off the async threads, at most as many at once as there are cores. A wrong password
//! and an unknown user cost the same work and get the same answer. Start at [`Auth::verify`].
//!
//! Invariant: a password is never logged, never stored, and wiped after use.

use crate::lately::Lately;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use hivemind_limit::{Limiter, TooMany};
use hivemind_model::{Code, Rejection, network_of};
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

/// Shortest and longest password, in bytes.
pub(crate) const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=1024;
/// Callers who may wait for a hash.
const MOST_WAITING: usize = 512;
/// Memory of one hash in KiB, passes, lanes: the least that is advised for Argon2id today.
const ARGON2: (u32, u32, u32) = (19_456, 2, 1);

/// Takes one of `what`, or refuses it.
fn take<K: Hash + Eq + Clone>(limiter: &Limiter<K>, key: &K, what: &str) -> Result<(), Rejection> {
    limiter.take(key).map(drop).map_err(too_many(what))
}

/// The refusal of one too many of `what`.
fn too_many(what: &str) -> impl FnOnce(TooMany) -> Rejection {
    move |refused| {
        let seconds = refused.wait.as_millis().div_ceil(1000).max(1);
        Rejection::new(Code::Busy, format!("too many {what}; try again in {seconds} s"))
    }
}

/// How often a caller may try.
#[derive(Debug, Clone)]
pub struct Rates {
    /// Logins of one account from one address in a minute.
    pub logins_per_account: NonZeroU32,
    /// Wrong logins of one account from all addresses together in a minute; whoever has logged in from where they are
    /// is not held up by it.
    pub wrong_logins_per_account: NonZeroU32,
    /// Logins from one address in a minute.
    pub logins_per_address: NonZeroU32,
    /// Registrations from one address in a minute.
    pub registrations_per_address: NonZeroU32,
    /// Wrong API keys and refresh tokens from one address in a minute.
    pub wrong_secrets_per_address: NonZeroU32,
    /// Looks at what everybody may know from one address in a minute.
    pub looks_per_address: NonZeroU32,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            logins_per_account: NonZeroU32::MIN.saturating_add(19),
            wrong_logins_per_account: NonZeroU32::MIN.saturating_add(199),
            logins_per_address: NonZeroU32::MIN.saturating_add(119),
            registrations_per_address: NonZeroU32::MIN.saturating_add(599),
            wrong_secrets_per_address: NonZeroU32::MIN.saturating_add(59),
            looks_per_address: NonZeroU32::MIN.saturating_add(599),
        }
    }
}

/// See the module.
pub(crate) struct Auth {
    hashing: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// Checked in the place of an unknown user's.
    decoy: String,
    by_account: Limiter<(String, IpAddr)>,
    wrong_logins: Limiter<String>,
    /// Who has logged in from where.
    at_home: Lately<(String, IpAddr)>,
    by_address: Limiter<IpAddr>,
    registrations: Limiter<IpAddr>,
    wrong_secrets: Limiter<IpAddr>,
    looks: Limiter<IpAddr>,
}

impl Auth {
    /// Makes the decoy, which takes one hash.
    pub(crate) fn new(rates: &Rates) -> anyhow::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self {
            hashing: Arc::new(Semaphore::new(cores)),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            decoy: hash_now("a password that nobody has")?,
            by_account: Limiter::per_minute(rates.logins_per_account),
            wrong_logins: Limiter::per_minute(rates.wrong_logins_per_account),
            at_home: Lately::default(),
            by_address: Limiter::per_minute(rates.logins_per_address),
            registrations: Limiter::per_minute(rates.registrations_per_address),
            wrong_secrets: Limiter::per_minute(rates.wrong_secrets_per_address),
            looks: Limiter::per_minute(rates.looks_per_address),
        })
    }

    /// Whether another login may be tried. What strangers try elsewhere holds up nobody who has logged in from there before.
    pub(crate) fn may_log_in(&self, username: &str, from: IpAddr) -> Result<(), Rejection> {
        let from = network_of(from);
        take(&self.by_address, &from, "logins from your address")?;
        let tried = (account(username), from);
        take(&self.by_account, &tried, "logins of this account from your address")?;
        if self.at_home.has(&tried) {
            return Ok(());
        }
        self.wrong_logins.look(&tried.0).map_err(too_many("wrong logins of this account"))
    }

    /// Notes what came of a login that was tried.
    pub(crate) fn tried(&self, username: &str, from: IpAddr, right: bool) {
        let account = account(username);
        if right {
            self.at_home.note((account, network_of(from)));
        } else {
            // With the last of them the next one waits; this one was tried.
            let _one_too_many = self.wrong_logins.take(&account);
        }
    }

    /// Whether another account may be made.
    pub(crate) fn may_register(&self, from: IpAddr) -> Result<(), Rejection> {
        take(&self.registrations, &network_of(from), "registrations from your address")
    }

    /// Counts a wrong API key or refresh token. Right ones are never refused for it: nobody can lock others out.
    pub(crate) fn wrong_secret(&self, from: IpAddr) -> Result<(), Rejection> {
        take(&self.wrong_secrets, &network_of(from), "wrong keys or tokens from your address")
    }

    /// Whether a stranger may look at what everybody may know.
    pub(crate) fn may_look(&self, from: IpAddr) -> Result<(), Rejection> {
        take(&self.looks, &network_of(from), "looks at the pool from your address")
    }

    /// The PHC form of a new password.
    ///
    /// # Errors
    /// A password of a wrong length; too many callers at once.
    pub(crate) async fn hash(&self, password: Zeroizing<String>) -> Result<String, Rejection> {
        if !PASSWORD_BYTES.contains(&password.len()) {
            return Err(Rejection::invalid(
                "password",
                format!(
                    "has {} bytes; it must have {} to {}",
                    password.len(),
                    PASSWORD_BYTES.start(),
                    PASSWORD_BYTES.end()
                ),
            ));
        }
        let turn = self.turn().await?;
        let hashed = tokio::task::spawn_blocking(move || turn.take(|| hash_now(&password))).await;
        hashed.map_err(anyhow::Error::from).and_then(|hash| hash).map_err(|error| fault(&error))
    }

    /// Whether the password is the one behind `hash`; for an unknown user `hash` is `None`, and
    /// the answer is no after the same work.
    pub(crate) async fn verify(&self, password: Zeroizing<String>, hash: Option<String>) -> Result<bool, Rejection> {
        if password.len() > *PASSWORD_BYTES.end() {
            return Ok(false);
        }
        let turn = self.turn().await?;
        let (known, hash) = (hash.is_some(), hash.unwrap_or_else(|| self.decoy.clone()));
        let right = tokio::task::spawn_blocking(move || {
            turn.take(|| Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok())
        })
        .await;
        right.map(|right| right && known).map_err(|error| fault(&error.into()))
    }

    async fn turn(&self) -> Result<Turn, Rejection> {
        let busy = |_| Rejection::new(Code::Busy, "too many logins at once; try again");
        let waiting = self.waiting.clone().try_acquire_owned().map_err(busy)?;
        let hashing = self
            .hashing
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Rejection::new(Code::Busy, "the pool is stopping; try again later"))?;
        Ok(Turn { _waiting: waiting, _hashing: hashing })
    }
}

/// The right to one hash. It goes where the work goes: a caller who hangs up stops waiting, but the
/// hash goes on, and has to be counted until it is done.
struct Turn {
    _waiting: OwnedSemaphorePermit,
    _hashing: OwnedSemaphorePermit,
}

impl Turn {
    fn take<T>(self, work: impl FnOnce() -> T) -> T {
        work()
    }
}

/// The account that a name is counted as. Names longer than any real one are one here: they must not fill the memory.
fn account(username: &str) -> String {
    if username.len() > 64 { String::new() } else { username.to_ascii_lowercase() }
}

fn fault(error: &anyhow::Error) -> Rejection {
    tracing::error!(%error, "a password could not be hashed");
    Rejection::new(Code::Busy, "the pool could not check the password now; try again")
}

fn hash_now(password: &str) -> anyhow::Result<String> {
    let (memory, passes, lanes) = ARGON2;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(memory, passes, lanes, None)?);
    Ok(argon2.hash_password(password.as_bytes())?.to_string())
}

/// A random password for the operator: 120 bits, easy to read aloud.
pub(crate) fn random_password() -> Arc<str> {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let bytes: [u8; 24] = rand::random();
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_passes() {
        let auth = Auth::new(&Rates::default()).unwrap();
        let hash = auth.hash(secret("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(auth.verify(secret("correct horse"), Some(hash.clone())).await, Ok(true));
        assert_eq!(auth.verify(secret("wrong horse"), Some(hash)).await, Ok(false));
        assert_eq!(auth.verify(secret("a password that nobody has"), None).await, Ok(false));
    }

    #[tokio::test]
    async fn passwords_out_of_bounds_are_refused_by_name() {
        let auth = Auth::new(&Rates::default()).unwrap();
        for password in ["short", &"x".repeat(1025)] {
            assert_eq!(auth.hash(secret(password)).await.unwrap_err().field, "password");
        }
    }

    #[test]
    fn a_caller_who_hangs_up_is_counted_until_the_hash_is_done() {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let auth = Auth::new(&Rates::default()).unwrap();
            let cores = auth.hashing.available_permits();
            // Nothing is hashed while the only thread for it is taken.
            let (release, taken) = std::sync::mpsc::channel::<()>();
            let thread = tokio::task::spawn_blocking(move || taken.recv());
            let mut call = Box::pin(auth.hash(secret("correct horse")));
            assert!(futures::poll!(&mut call).is_pending());
            drop(call);
            assert_eq!(auth.hashing.available_permits(), cores - 1);
            release.send(()).unwrap();
            thread.await.unwrap().unwrap();
            auth.hash(secret("correct horse")).await.unwrap();
            assert_eq!(auth.hashing.available_permits(), cores);
        });
    }

    #[test]
    fn one_account_cannot_be_tried_without_end() {
        let auth = Auth::new(&Rates { logins_per_account: NonZeroU32::MIN, ..Rates::default() }).unwrap();
        let from = IpAddr::from([127, 0, 0, 1]);
        assert!(auth.may_log_in("Ada", from).is_ok());
        assert_eq!(auth.may_log_in("ada", from).unwrap_err().code, Code::Busy);
        assert!(auth.may_log_in("bob", from).is_ok());
    }

    #[test]
    fn nobody_is_locked_out_by_what_strangers_try() {
        let wrong = NonZeroU32::new(50).unwrap();
        let auth = Auth::new(&Rates { wrong_logins_per_account: wrong, ..Rates::default() }).unwrap();
        let at = |last: u8| IpAddr::from([192, 0, 2, last]);
        let guess = |last: u8| auth.may_log_in("ada", at(last)).map(|()| auth.tried("ada", at(last), false)).is_ok();
        auth.may_log_in("ada", at(1)).unwrap();
        auth.tried("ada", at(1), true);
        assert_eq!((0..99).filter(|_| guess(9)).count(), 20, "of one account from one address");
        // Somebody who was never seen can still log in, and be right.
        auth.may_log_in("ada", at(2)).unwrap();
        auth.tried("ada", at(2), true);
        // From many addresses they go on to the bound of all together.
        assert_eq!((10..99).filter(|last| guess(*last)).count(), 30);
        assert_eq!(auth.may_log_in("ada", at(3)).unwrap_err().code, Code::Busy);
        assert!(auth.may_log_in("ADA", at(1)).is_ok() && auth.may_log_in("ada", at(2)).is_ok());
        assert!(auth.may_log_in("bob", at(3)).is_ok());
    }
}
