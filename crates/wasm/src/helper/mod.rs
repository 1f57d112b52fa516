//! The process in which one module is compiled or run, and which then ends.
//!
//! Start at [`helper_main`]. The order is: the process enters the control groups that it was given; a compiler and an
//! interface are made ready; the process locks itself up ([`lockdown`]); it says so, and waits; it gets its order, does it, and
//! waits to be ended.
//!
//! Invariant: nothing of a stranger is looked at before the process is locked up; no second order is heard.

use crate::wire::{Order, Ready, Tell, Voice};
use rustix::fd::AsFd;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

mod compile;
mod engine;
mod errno;
mod limits;
mod lockdown;
mod outputs;
mod probe;
mod random;
mod run;
mod seccomp;
mod vfs;
mod wasi;

/// The life of a helper: called first thing in a program's `main` with what stands behind the word
/// [`HELPER_WORD`](crate::HELPER_WORD), before any thread was started: the agent's process id, then the folders of control
/// groups to enter.
///
/// The agent starts it with a socket as standard input; whoever else does gets a sentence and exit code 2.
#[must_use]
pub fn helper_main(arguments: &[OsString]) -> ExitCode {
    let agent = arguments.first().and_then(|pid| pid.to_str()).and_then(|pid| pid.parse::<i32>().ok());
    let socket = std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from);
    let (Some(agent), Ok(socket)) = (agent, socket) else {
        eprintln!("this is a part of the worker, which starts it by itself");
        return ExitCode::from(2);
    };
    if socket.local_addr().is_err() {
        eprintln!("this is a part of the worker, which starts it with a socket as its standard input");
        return ExitCode::from(2);
    }
    let voice = Voice::new(socket);
    match serve(&voice, agent, arguments.get(1..).unwrap_or_default()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The agent may be gone, which is why.
            let _ = voice.say(Tell::Failed, error.to_string().as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn serve(voice: &Voice, agent: i32, groups: &[OsString]) -> io::Result<()> {
    groups.iter().try_for_each(|group| enter(Path::new(group)))?;
    let tools =
        engine::Tools::new().map_err(|error| io::Error::other(format!("no compiler can be made: {error:#}")))?;
    let locked = lockdown::lock_up(agent)?;
    voice.say_json(Tell::Ready, &Ready { config: tools.config.clone(), locks: locked.locks.clone() })?;
    let Some(order) = voice.hear()? else { return Ok(()) };
    match order {
        Order::Compile => compile::compile(voice, &tools, &locked)?,
        Order::Run(job) => run::run(voice, &tools, &locked, *job)?,
        Order::Try => voice.say_json(Tell::Tried, &probe::try_all(agent))?,
    }
    voice.until_left();
    Ok(())
}

/// Puts this process into a control group, of either version of the kernel's.
fn enter(group: &Path) -> io::Result<()> {
    let path = group.join("cgroup.procs");
    // Zero is whoever writes it.
    let entered = std::fs::OpenOptions::new().write(true).open(&path).and_then(|mut file| file.write_all(b"0"));
    entered
        .map_err(|error| io::Error::other(format!("the control group {} cannot be entered: {error}", path.display())))
}
