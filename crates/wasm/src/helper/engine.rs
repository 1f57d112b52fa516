//! The compiler's settings.
//!
//! Code is made for the least processor of a kind that all our machines are, not for this one: so a module's
//! calls take as much stack everywhere, and end it at the same depth.
//!
//! Invariant: no setting is taken from the machine or its environment.

use super::wasi::{self, State};
use crate::profile::{NAME, STACK_BYTES};
use sha2::{Digest, Sha256};
use std::hash::{Hash, Hasher};
use wasmtime::{Config, Engine, Linker};

/// What every order needs, made before it comes.
pub(super) struct Tools {
    pub(super) engine: Engine,
    pub(super) linker: Linker<State>,
    /// Names the settings and the compiler; code made under one name runs under the same only.
    pub(super) config: String,
}

/// What processors of this kind have had since 2009; nothing on kinds that began later.
#[cfg(target_arch = "x86_64")]
const FEATURES: [&str; 5] = ["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt"];
#[cfg(not(target_arch = "x86_64"))]
const FEATURES: [&str; 0] = [];

#[cfg(target_arch = "x86_64")]
const TARGET: &str = "x86_64-unknown-linux-gnu";
#[cfg(target_arch = "aarch64")]
const TARGET: &str = "aarch64-unknown-linux-gnu";
#[cfg(target_arch = "riscv64")]
const TARGET: &str = "riscv64gc-unknown-linux-gnu";

fn config() -> wasmtime::Result<Config> {
    let mut config = Config::new();
    config.target(TARGET)?;
    for feature in FEATURES {
        // SAFETY: these only allow instructions; an engine whose processor lacks one of them refuses to load
        // code that was made so.
        #[allow(unsafe_code, reason = "processor features can only be named so")]
        unsafe {
            config.cranelift_flag_enable(feature);
        }
    }
    config
        .consume_fuel(true)
        .cranelift_nan_canonicalization(true)
        .max_wasm_stack(STACK_BYTES)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_custom_page_sizes(false)
        .wasm_multi_memory(true)
        .wasm_tail_call(true);
    Ok(config)
}

/// Collects what the compiler tells of itself, so that it can be digested.
#[derive(Default)]
struct Collected(Vec<u8>);

impl Hasher for Collected {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

impl Tools {
    pub(super) fn new() -> wasmtime::Result<Self> {
        let engine = Engine::new(&config()?)?;
        let mut linker = Linker::new(&engine);
        wasi::link(&mut linker)?;
        let mut collected = Collected(NAME.as_bytes().to_vec());
        engine.precompile_compatibility_hash().hash(&mut collected);
        let digest = Sha256::digest(&collected.0);
        Ok(Self { engine, linker, config: hex::encode(&digest[..8]) })
    }
}
