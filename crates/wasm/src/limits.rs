//! What compiling may take; known to the helper, which keeps it, and to the agent, which tells of it.
//!
//! Invariant: numbers only.

/// Processor time, in seconds.
pub(crate) const COMPILE_CPU_SECONDS: u64 = 120;
/// Bytes of memory.
pub(crate) const COMPILE_MEMORY: u64 = 1 << 30;
/// Bytes of code.
pub(crate) const COMPILE_CODE: u64 = 512 << 20;
