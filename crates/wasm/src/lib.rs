//! A runtime for WebAssembly modules whose results are equal on every machine.
//!
//! Start at [`WasmRuntime`]. The agent's side is in `agent`: what code of which module is kept, one job from
//! its start to its end, and the processes that are kept ready. What compiles and runs a module is in
//! `helper`: a process of its own for each, locked up before it sees anything of a stranger. [`profile`]
//! has the numbers that every machine shares.
//!
//! Invariant: the agent never compiles, loads or runs anything of a module itself.

mod agent;
mod helper;
mod limits;
pub mod profile;
mod wire;

pub use agent::{WasmConfig, WasmRuntime};
pub use helper::helper_main;

/// The word behind which a program passes its arguments to [`helper_main`].
pub const HELPER_WORD: &str = "wasm-helper";
