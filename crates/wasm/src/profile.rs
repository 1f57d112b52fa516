//! What makes results equal: the numbers that every machine shares.
//!
//! A change here changes results; [`NAME`] goes up with it.
//!
//! Invariant: nothing here depends on the machine.

/// Names everything that decides what a module does, beside the module.
pub const NAME: &str = "hivemind-wasm-1 wasmtime-48";
/// What a module finds as its own name.
pub const PROGRAM_NAME: &str = "module.wasm";
/// Fuel of a nanosecond. One is used for about each instruction, so this is about what the fastest machines do.
pub const FUEL_PER_NANO: u64 = 4;
/// What the clock shows at the start: the first second of 2020, in nanoseconds since 1970.
pub const START_NANOS: u64 = 1_577_836_800 * 1_000_000_000;
/// Bytes of a module's stack of calls on this machine, beside what it keeps in its own memory.
pub const STACK_BYTES: usize = 2 << 20;
/// Largest module, in bytes.
pub const MOST_MODULE_BYTES: u64 = 64 << 20;
/// Most functions of a module.
pub const MOST_FUNCTIONS: u32 = 200_000;
/// The exit code of a module that did what none may, such as a division by zero.
pub const TRAP_CODE: i32 = 134;

/// The fuel of so many milliseconds.
#[must_use]
pub const fn fuel_of(millis: u64) -> u64 {
    millis.saturating_mul(1_000_000).saturating_mul(FUEL_PER_NANO)
}
