//! How fast a machine is: measured by the pool, never told by the machine.
//!
//! A node that joins hashes a chain on one core: SHA-256 of a seed, then of each digest before. The pool knows what comes
//! out, as it makes the same chain before it asks; and it takes the time on its own clock. A chain has no shortcut and
//! cannot be divided, so nobody seems faster than their fastest core. Start at [`Benchmark::turn`] and
//! [`Benchmark::question`].
//!
//! Invariant: one open question for each link; no answer without one; no question is asked twice, as who heard the first
//! one could answer the second at once.

use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

/// Rounds of one question: a tenth of a second for most machines of this century.
pub(crate) const ROUNDS: u32 = 1 << 18;
/// How much longer than for a question the pool does not make the next one: machines that come again and again and never
/// answer cost it a part of one core.
const REST: u32 = 3;
/// An answer that takes longer tells of a machine that does something else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What is asked, and when.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// Chosen by the pool.
    pub(crate) nonce: u64,
    /// Where the chain begins.
    pub(crate) seed: [u8; 32],
    expected: [u8; 32],
    asked: Instant,
}

/// Why an answer says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoMeasure {
    /// It answers another question.
    #[error("it answers a question that was not asked")]
    NotAsked,
    /// It is wrong.
    #[error("it is wrong: the machine miscounts, or did not do the work")]
    Wrong,
    /// It took longer than [`PATIENCE`].
    #[error("it took longer than two minutes: the machine is busy")]
    TooSlow,
}

/// Makes questions, each as much work as its answer.
#[derive(Debug, Default)]
pub(crate) struct Benchmark {
    one: Arc<Mutex<()>>,
}

/// The right to make a question.
#[derive(Debug)]
pub(crate) struct Turn {
    _one: OwnedMutexGuard<()>,
}

impl Benchmark {
    /// Waits for the right to make a question: one at a time, however many machines join together.
    pub(crate) async fn turn(&self) -> Turn {
        Turn { _one: Arc::clone(&self.one).lock_owned().await }
    }

    /// A question whose answer nobody can know. To be called where work is allowed that takes a
    /// second.
    pub(crate) fn question(turn: Turn) -> Question {
        let (seed, begun) = (rand::random(), Instant::now());
        let expected = chain(seed, ROUNDS);
        let rest = begun.elapsed() * REST;
        tokio::spawn(async move {
            tokio::time::sleep(rest).await;
            drop(turn);
        });
        Question { nonce: rand::random(), seed, expected, asked: Instant::now() }
    }
}

impl Question {
    /// Starts the clock: the question leaves now.
    pub(crate) fn leaves(&mut self) {
        self.asked = Instant::now();
    }

    /// What an answer shows, in rounds per second.
    ///
    /// # Errors
    /// [`NoMeasure`]: why it shows nothing.
    pub(crate) fn judge(&self, nonce: u64, digest: &[u8]) -> Result<f64, NoMeasure> {
        let took = self.asked.elapsed();
        if nonce != self.nonce {
            return Err(NoMeasure::NotAsked);
        }
        if digest != self.expected {
            return Err(NoMeasure::Wrong);
        }
        if took > PATIENCE {
            return Err(NoMeasure::TooSlow);
        }
        Ok(f64::from(ROUNDS) / took.as_secs_f64().max(1e-6))
    }
}

/// SHA-256 of the seed, then of each digest before, `rounds` times.
fn chain(seed: [u8; 32], rounds: u32) -> [u8; 32] {
    (0..rounds).fold(seed, |digest, _| Sha256::digest(digest).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_answer_is_of_use_twice() {
        let benchmark = Benchmark::default();
        let mut known = std::collections::BTreeMap::new();
        for _ in 0..3 {
            let question = Benchmark::question(benchmark.turn().await);
            assert!(known.insert(question.seed, question.expected).is_none(), "asked before");
        }
        // Nor does the answer to one begin another.
        assert!(known.values().all(|digest| !known.contains_key(digest)));
    }

    #[tokio::test]
    async fn only_the_right_answer_to_the_question_is_a_measure() {
        let question = Benchmark::question(Benchmark::default().turn().await);
        let right = chain(question.seed, ROUNDS);
        assert!(question.judge(question.nonce, &right).is_ok_and(|speed| speed > 0.0));
        assert_eq!(question.judge(question.nonce ^ 1, &right), Err(NoMeasure::NotAsked));
        assert_eq!(question.judge(question.nonce, &chain(question.seed, ROUNDS - 1)), Err(NoMeasure::Wrong));
        assert_eq!(question.judge(question.nonce, b""), Err(NoMeasure::Wrong));
    }
}
