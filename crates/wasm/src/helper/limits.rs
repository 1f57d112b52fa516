//! How much memory a module has.
//!
//! Invariant: whether it grows is decided by what it asked for and has, never by what this machine has
//! left; where the machine cannot give what is allowed, the module ends and it is the machine's failure.

use super::errno::Halt;
use wasmtime::ResourceLimiter;

/// Bytes that an element of a table counts for.
const ELEMENT_BYTES: usize = 16;
/// The largest memory that a module of 32 bits can have.
const LARGEST: usize = 1 << 32;
const MOST_TABLES: usize = 100;
const MOST_MEMORIES: usize = 16;

/// What it has, and may have.
#[derive(Debug)]
pub(crate) struct Limits {
    most: usize,
    used: usize,
    /// True once it was told that there is no more.
    pub(crate) was_refused: bool,
}

impl Limits {
    /// Nothing yet of `most` bytes.
    pub(crate) fn new(most: u64) -> Self {
        Self { most: usize::try_from(most).unwrap_or(usize::MAX), used: 0, was_refused: false }
    }

    fn grow(&mut self, current: usize, desired: usize, maximum: Option<usize>, unit: usize) -> bool {
        let more = desired.saturating_sub(current).saturating_mul(unit);
        let used = self.used.saturating_add(more);
        if used > self.most || desired.saturating_mul(unit) > LARGEST {
            self.was_refused = true;
            return false;
        }
        // Its own bound, which it knows.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return false;
        }
        self.used = used;
        true
    }
}

fn failed(error: &wasmtime::Error) -> wasmtime::Error {
    wasmtime::Error::new(Halt::Fault(format!("this machine could not give the module its memory: {error}")))
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(current, desired, maximum, 1))
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // More than 32 bits can count: nobody was asked, and no machine could.
        if error.to_string().contains("type's limits") {
            self.was_refused = true;
            return Ok(());
        }
        Err(failed(&error))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(current, desired, maximum, ELEMENT_BYTES))
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(failed(&error))
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        MOST_TABLES
    }

    fn memories(&self) -> usize {
        MOST_MEMORIES
    }
}
