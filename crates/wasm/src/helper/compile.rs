//! Makes code of a module, which may have been written to harm the compiler.
//!
//! Invariant: only a module that can be run here becomes code.

use super::engine::Tools;
use super::lockdown::Locked;
use super::wasi::MODULE;
use crate::limits::{COMPILE_CODE, COMPILE_CPU_SECONDS, COMPILE_MEMORY};
use crate::profile::{MOST_FUNCTIONS, MOST_MODULE_BYTES};
use crate::wire::{Tell, Voice};
use std::io::{self, Read, Write};
use wasmtime::{ExternType, Module};

/// How modules and components begin.
const MODULE_MAGIC: &[u8] = b"\0asm\x01\0\0\0";
const ANY_MAGIC: &[u8] = b"\0asm";
/// The section in which a module's functions are counted.
const FUNCTION_SECTION: u8 = 3;
/// Longest reason that is told, in characters.
const MOST_REASON: usize = 500;

/// Reads the module from the first file and writes its code into the second.
pub(super) fn compile(voice: &Voice, tools: &Tools, locked: &Locked) -> io::Result<()> {
    let mut files = voice.take_files(2)?.into_iter();
    let (Some(module), Some(mut out)) = (files.next(), files.next()) else {
        return Err(io::Error::other("files are missing"));
    };
    locked.limit_work(COMPILE_CPU_SECONDS, COMPILE_MEMORY, COMPILE_CODE)?;
    let mut bytes = Vec::new();
    module.take(MOST_MODULE_BYTES + 1).read_to_end(&mut bytes)?;
    let code = code_of(&bytes, tools);
    let result: Result<(), String> = match code {
        Ok(code) => out.write_all(&code).map_err(|error| format!("its code cannot be kept: {error}")),
        Err(reason) => Err(reason.chars().filter(|c| !c.is_control()).take(MOST_REASON).collect()),
    };
    voice.say_json(Tell::Compiled, &result)
}

fn code_of(bytes: &[u8], tools: &Tools) -> Result<Vec<u8>, String> {
    if bytes.len() as u64 > MOST_MODULE_BYTES {
        return Err(format!("the module is larger than {} MiB", MOST_MODULE_BYTES >> 20));
    }
    if !bytes.starts_with(MODULE_MAGIC) {
        return Err(if bytes.starts_with(ANY_MAGIC) {
            "it is a component (WASI preview 2), which is not run here; build it as a module for WASI preview 1, such as with the target wasm32-wasip1".into()
        } else {
            "it is no WebAssembly module".into()
        });
    }
    if functions(bytes).is_some_and(|count| count > MOST_FUNCTIONS) {
        return Err(format!("it has more than {MOST_FUNCTIONS} functions"));
    }
    let module = Module::new(&tools.engine, bytes).map_err(|error| format!("it is not valid here: {error:#}"))?;
    check_exports(&module)?;
    for import in module.imports() {
        if import.module() != MODULE {
            return Err(format!(
                "it imports `{}` from `{}`; only `{MODULE}` is there (build it for WASI preview 1)",
                import.name(),
                import.module()
            ));
        }
    }
    tools.linker.instantiate_pre(&module).map_err(|error| format!("its imports cannot be had: {error:#}"))?;
    module.serialize().map_err(|error| format!("its code cannot be kept: {error:#}"))
}

fn check_exports(module: &Module) -> Result<(), String> {
    match module.get_export("_start") {
        Some(ExternType::Func(start)) if start.params().len() == 0 && start.results().len() == 0 => {}
        Some(_) => return Err("its `_start` is no function without parameters and results".into()),
        None if module.get_export("_initialize").is_some() => {
            return Err("it is a library (`_initialize`), not a command; build a program with a `main`".into());
        }
        None => return Err("it has no `_start`; build a program with a `main` for WASI preview 1".into()),
    }
    match module.get_export("memory") {
        Some(ExternType::Memory(_)) => Ok(()),
        Some(_) | None => Err("it exports no `memory`, which WASI commands do".into()),
    }
}

/// How many functions the module says that it has; `None` where its sections make no sense, which the
/// compiler then says better.
fn functions(bytes: &[u8]) -> Option<u32> {
    let mut rest = bytes.get(MODULE_MAGIC.len()..)?;
    while let Some((id, after)) = rest.split_first() {
        let (length, content) = number(after)?;
        if *id == FUNCTION_SECTION {
            return number(content).map(|(count, _)| count);
        }
        rest = content.get(length as usize..)?;
    }
    None
}

/// A number of seven bits to the byte, and what follows it.
fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0u32;
    for (place, byte) in bytes.iter().take(5).enumerate() {
        value |= u32::from(byte & 0x7F).checked_shl(u32::try_from(place * 7).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((value, &bytes[place + 1..]));
        }
    }
    None
}
