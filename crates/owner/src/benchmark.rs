//! A piece of work whose time tells how fast one core is.
//!
//! SHA-256 of a seed, then of each digest before: a chain that cannot be cut in parts, and whose end the pool knows. Start
//! at [`run`].
//!
//! Invariant: nothing here measures time; the one who asked does.

use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most rounds: some ten seconds of a core that has instructions for it.
pub const MAX_ROUNDS: u32 = 50_000_000;
/// Longest seed, in bytes.
pub const MAX_SEED_BYTES: usize = 1024;
/// Rounds between two looks at whether it is still wanted.
const LOOK_EVERY: u32 = 16_384;

/// Why there is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoDigest {
    /// More, or less, is asked for than any pool may.
    #[error(
        "a benchmark of {rounds} rounds over {seed} bytes is refused; 1 to {MAX_ROUNDS} over at most {MAX_SEED_BYTES} are done"
    )]
    TooMuch {
        /// How many were asked for.
        rounds: u32,
        /// How long the seed is.
        seed: usize,
    },
    /// It is not wanted any more.
    #[error("the benchmark was stopped")]
    Stopped,
}

/// The digest after `rounds` hashes: the first of `seed`, each other of the digest before it. Ends early once `stop` is set.
///
/// # Errors
/// [`NoDigest`].
pub fn chain(seed: &[u8], rounds: u32, stop: &AtomicBool) -> Result<[u8; 32], NoDigest> {
    if rounds == 0 || rounds > MAX_ROUNDS || seed.len() > MAX_SEED_BYTES {
        return Err(NoDigest::TooMuch { rounds, seed: seed.len() });
    }
    let mut digest: [u8; 32] = Sha256::digest(seed).into();
    for round in 1..rounds {
        if round.is_multiple_of(LOOK_EVERY) && stop.load(Ordering::Relaxed) {
            return Err(NoDigest::Stopped);
        }
        digest = Sha256::digest(digest).into();
    }
    Ok(digest)
}

/// Sets the flag when it is dropped.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// [`chain`] on a thread where that may take its time. Dropping the future ends it within a few milliseconds.
///
/// # Errors
/// [`NoDigest`].
pub async fn run(seed: Vec<u8>, rounds: u32) -> Result<[u8; 32], NoDigest> {
    let stop = StopOnDrop(Arc::default());
    let flag = Arc::clone(&stop.0);
    let done = tokio::task::spawn_blocking(move || chain(&seed, rounds, &flag)).await;
    // It ends so only where the runtime does.
    done.unwrap_or(Err(NoDigest::Stopped))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex_of(seed: &[u8], rounds: u32) -> String {
        hex::encode(chain(seed, rounds, &AtomicBool::new(false)).unwrap())
    }

    #[test]
    fn it_is_the_chain_that_anybody_can_make() {
        // printf '' | sha256sum; then of the 32 bytes of that.
        assert_eq!(hex_of(b"", 1), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hex_of(b"", 2), "5df6e0e2761359d30a8275058e299fcc0381534545f55cf43e41983f5d4c9456");
        assert_eq!(hex_of(b"abc", 1), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn too_much_is_refused_and_what_is_stopped_ends() {
        let go = AtomicBool::new(false);
        for (seed, rounds) in [(0, 0), (0, MAX_ROUNDS + 1), (0, u32::MAX), (MAX_SEED_BYTES + 1, 1)] {
            let refused = chain(&vec![0; seed], rounds, &go);
            assert_eq!(refused, Err(NoDigest::TooMuch { rounds, seed }));
        }
        assert_eq!(chain(b"", MAX_ROUNDS, &AtomicBool::new(true)), Err(NoDigest::Stopped));
    }

    #[tokio::test]
    async fn it_runs_beside_others_and_ends_with_its_future() {
        assert_eq!(run(b"seed".to_vec(), 1000).await, chain(b"seed", 1000, &AtomicBool::new(false)));
        let mut running = Box::pin(run(Vec::new(), MAX_ROUNDS));
        tokio::select! {
            biased;
            _ = &mut running => panic!("that many rounds take longer than a turn"),
            () = tokio::task::yield_now() => {}
        }
        // The runtime of this test ends only when its threads have: the one of the benchmark, too.
        drop(running);
    }
}
