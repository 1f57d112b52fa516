//! Chance that is the same for every copy of an element: SHA-256 of a seed and a counter.
//!
//! It is for programs that need some chance, not for secrets: whoever knows the task knows it.
//!
//! Invariant: the number of the attempt is not in the seed.

use sha2::{Digest, Sha256};

/// A stream of bytes.
#[derive(Debug)]
pub(crate) struct Random {
    seed: [u8; 32],
    next: u64,
    held: [u8; 32],
    used: usize,
}

impl Random {
    /// The stream of the element that is called so.
    pub(crate) fn new(element: &str) -> Self {
        let seed = Sha256::new().chain_update(b"hivemind wasm random 1\n").chain_update(element).finalize();
        Self { seed: seed.into(), next: 0, held: [0; 32], used: 32 }
    }

    /// Fills `into` with what comes next.
    pub(crate) fn fill(&mut self, into: &mut [u8]) {
        for byte in into {
            if self.used == self.held.len() {
                let block = Sha256::new().chain_update(self.seed).chain_update(self.next.to_le_bytes()).finalize();
                self.held = block.into();
                self.next += 1;
                self.used = 0;
            }
            *byte = self.held[self.used];
            self.used += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stream_however_it_is_cut() {
        let mut whole = [0; 100];
        Random::new("task_7.3").fill(&mut whole);
        let mut parts = [0; 100];
        let mut random = Random::new("task_7.3");
        for part in parts.chunks_mut(7) {
            random.fill(part);
        }
        assert_eq!(whole, parts);
        let mut other = [0; 100];
        Random::new("task_7.4").fill(&mut other);
        assert_ne!(whole, other);
    }
}
