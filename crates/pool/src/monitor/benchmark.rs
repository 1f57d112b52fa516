//! How fast a machine is: measured by the pool, never told by the machine.
//!
//! A node that joins hashes a chain on one core: SHA-256 of a seed, then of each digest before. The pool knows what comes
//! out, as it made a long chain of its own at the first question and asks for a part of it that it chooses then; and it
//! takes the time on its own clock. A chain has no shortcut and cannot be divided, so nobody seems faster than their
//! fastest core. Start at [`Benchmark::question`].
//!
//! Invariant: one open question for each link; no answer without one.

use sha2::{Digest, Sha256};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::Instant;

/// Rounds of one question: a tenth of a second for most machines of this century.
pub(crate) const ROUNDS: u32 = 1 << 18;
/// Parts of the pool's own chain.
const PARTS: usize = 8;
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

/// The pool's own chain.
#[derive(Debug, Default)]
pub(crate) struct Benchmark {
    marks: OnceLock<Vec<[u8; 32]>>,
}

impl Benchmark {
    /// A question about a part that nobody could know. The first one takes as long as eight answers; to be called where
    /// that is allowed.
    pub(crate) fn question(&self) -> Question {
        let marks = self.marks.get_or_init(|| {
            let mut marks = vec![rand::random::<[u8; 32]>()];
            for part in 0..PARTS {
                marks.push(chain(marks[part], ROUNDS));
            }
            marks
        });
        let part = usize::from(rand::random::<u8>()) % PARTS;
        Question { nonce: rand::random(), seed: marks[part], expected: marks[part + 1], asked: Instant::now() }
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

    #[test]
    fn only_the_right_answer_to_the_question_is_a_measure() {
        let question = Benchmark::default().question();
        let right = chain(question.seed, ROUNDS);
        assert!(question.judge(question.nonce, &right).is_ok_and(|speed| speed > 0.0));
        assert_eq!(question.judge(question.nonce ^ 1, &right), Err(NoMeasure::NotAsked));
        assert_eq!(question.judge(question.nonce, &chain(question.seed, ROUNDS - 1)), Err(NoMeasure::Wrong));
        assert_eq!(question.judge(question.nonce, b""), Err(NoMeasure::Wrong));
    }
}
