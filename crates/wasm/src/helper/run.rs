//! Runs one module to its end.
//!
//! Invariant: what a module did decides how it ended, and nothing else; only a failure of this machine is
//! told as one.

use super::engine::Tools;
use super::errno::{Fail, Halt};
use super::limits::Limits;
use super::lockdown::Locked;
use super::outputs;
use super::random::Random;
use super::vfs::Vfs;
use super::wasi::State;
use super::wasi::fds::Fds;
use crate::profile::PROGRAM_NAME;
use crate::wire::{Ending, Run, Tell, Voice};
use std::fs::File;
use std::io::{self, Read, Seek};
use wasmtime::{Module, Store, Trap};

/// Memory that a helper may take beside what its module may.
const OWN_MEMORY: u64 = 512 << 20;
/// By how much what is written may be larger than the disk: it is counted in whole blocks.
const DISK_SLACK: u64 = 1 << 20;

/// Takes the files of `job`, runs it, and tells how it ended and what it left.
pub(super) fn run(voice: &Voice, tools: &Tools, locked: &Locked, job: Run) -> io::Result<()> {
    let mut files = voice.take_files(2 + job.inputs.len())?.into_iter();
    let (Some(code), Some(backing)) = (files.next(), files.next()) else {
        return Err(io::Error::other("files are missing"));
    };
    let size = code.metadata()?.len();
    locked.limit_memory(job.memory.saturating_add(OWN_MEMORY).saturating_add(size))?;
    locked.limit_files(job.disk.saturating_add(DISK_SLACK))?;
    let module = load(tools, code)
        .map_err(|error| io::Error::other(format!("the module's code cannot be loaded here: {error:#}")))?;
    let mut vfs = Vfs::new(backing, job.disk);
    for ((path, size), file) in job.inputs.iter().zip(files) {
        match vfs.add_input(path, *size, file) {
            Ok(()) => {}
            Err(Fail::Errno(_)) => return end(voice, &vfs, &job, &Ending::NoRoom),
            Err(Fail::Halt(halt)) => return Err(io::Error::other(halt)),
        }
    }
    let words = std::iter::once(PROGRAM_NAME.to_owned()).chain(job.words.iter().cloned()).collect();
    let state = State {
        vfs,
        fds: Fds::new(),
        words,
        environment: job.environment.clone(),
        random: Random::new(&job.element),
        fuel: job.fuel,
        limits: Limits::new(job.memory),
        voice: voice.clone(),
        progress: None,
    };
    let mut store = Store::new(&tools.engine, state);
    store.limiter(|state| &mut state.limits);
    store.set_fuel(job.fuel).map_err(|error| io::Error::other(format!("{error:#}")))?;
    voice.say(Tell::Started, &[])?;
    let ran = start(tools, &mut store, &module);
    let ending = ending(ran, store.data().limits.was_refused);
    end(voice, &store.data().vfs, &job, &ending)
}

fn end(voice: &Voice, vfs: &Vfs, job: &Run, ending: &Ending) -> io::Result<()> {
    voice.say_json(Tell::Ended, ending)?;
    outputs::send(voice, vfs, &job.outputs)
}

/// Maps the code; where this machine does not allow that of files, it is read.
fn load(tools: &Tools, mut code: File) -> wasmtime::Result<Module> {
    let mapped = code.try_clone()?;
    // SAFETY: the file was written by a helper of the same agent from this module, and the agent has compared
    // its digest; it is open for reading only, in a folder of the agent alone. Were it bad all the same, it
    // would do so in this process, which holds nothing but the job of that module.
    #[allow(unsafe_code, reason = "code that was made before can only be loaded so")]
    let module = unsafe { Module::deserialize_open_file(&tools.engine, mapped) };
    if let Ok(module) = module {
        return Ok(module);
    }
    let mut bytes = Vec::new();
    code.rewind()?;
    code.read_to_end(&mut bytes)?;
    // SAFETY: as above.
    #[allow(unsafe_code, reason = "code that was made before can only be loaded so")]
    unsafe {
        Module::deserialize(&tools.engine, &bytes)
    }
}

fn start(tools: &Tools, store: &mut Store<State>, module: &Module) -> wasmtime::Result<()> {
    let instance = tools.linker.instantiate(&mut *store, module)?;
    instance.get_typed_func::<(), ()>(&mut *store, "_start")?.call(store, ())
}

fn ending(ran: wasmtime::Result<()>, was_refused: bool) -> Ending {
    let Err(error) = ran else { return Ending::Exited(0) };
    if let Some(halt) = error.downcast_ref::<Halt>() {
        return match halt {
            Halt::Exit(code) => Ending::Exited(code.cast_signed()),
            Halt::OutOfFuel => Ending::OutOfFuel,
            Halt::Fault(reason) => Ending::Fault(reason.clone()),
        };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Ending::OutOfFuel,
        Some(_) if was_refused => Ending::OutOfMemory,
        Some(trap) => Ending::Trapped(trap.to_string()),
        // Its first memory was more than it may have.
        None if was_refused => Ending::OutOfMemory,
        None => Ending::Fault(format!("the module could not be begun: {error:#}")),
    }
}
