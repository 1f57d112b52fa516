//! The helper: one process for one container, with one thread.
//!
//! Start at [`helper_main`]. The helper makes the control group and the container's first process, lets it
//! start on the agent's word, waits for its end, tells how it was, and removes the group. It ends the
//! container when the agent is gone: the end of the socket is the agent's end, however it came. The container
//! ends when the helper does, because the kernel kills it then.
//!
//! Invariant: the helper never starts a thread, and reads nothing that the container wrote but its end.

mod child;
mod mounts;
mod seccomp;
pub(crate) mod spec;
mod sys;

use crate::cgroup::Group;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid};
use rustix::thread::UnshareFlags;
use spec::{End, Failure, MOST_LINE_BYTES, Order, Report, Spec};
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Instant;

/// The word that makes an executable a helper.
pub const HELPER_WORD: &str = "container-helper";
/// The further word that only asks whether this machine has user namespaces.
pub(crate) const PROBE_WORD: &str = "probe";
/// The user namespace's only user and only group.
const ONLY_USER: u32 = hivemind_runtime::volume::USER_ID;

/// What a program does whose first argument is [`HELPER_WORD`]; `args` are its arguments, with or without
/// that word. It has to be called before anything else in `main`, while there is one thread.
///
/// Failure where the agent was not there to be told.
pub fn helper_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    // What is made here is the container's own, whatever the agent's owner hides of theirs.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let mut args = args.into_iter().filter(|arg| arg != HELPER_WORD);
    let done = match args.next() {
        None => serve(),
        Some(word) if word == PROBE_WORD => probe(),
        Some(other) => Err(io::Error::other(format!("unknown argument `{}`", other.to_string_lossy()))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where nobody listens any more there is nobody to be told either.
            let _ = writeln!(io::stderr(), "hivemind container helper: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tries whether a user namespace with one user can be made.
fn probe() -> io::Result<()> {
    let (mut told, tell) = io::pipe()?;
    let (hear, mut answer) = io::pipe()?;
    let Some(child) = sys::fork()? else {
        drop((told, answer));
        std::process::exit(i32::from(child::try_user_namespace(tell, hear).is_err()));
    };
    drop((tell, hear));
    let mapped = told.read_exact(&mut [0]).and_then(|()| map_only_user(child)).and_then(|()| answer.write_all(b"m"));
    drop(answer);
    let status = waitpid(Some(child), WaitOptions::empty())?;
    mapped?;
    match status.and_then(|(_, status)| status.exit_status()) {
        Some(0) => Ok(()),
        _ => Err(io::Error::other("a user namespace cannot be entered")),
    }
}

/// Makes the container that the agent wants, and stays until its end.
fn serve() -> io::Result<()> {
    let mut agent = UnixStream::from(rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?);
    let mut line = String::new();
    let mut orders = BufReader::new(agent.try_clone()?);
    orders.by_ref().take(MOST_LINE_BYTES).read_line(&mut line)?;
    let spec: Spec = serde_json::from_str(&line)?;
    let last = match contain(&spec, &mut agent, &mut orders) {
        Ok(end) => Report::Ended(end),
        Err(failure) => Report::Failed(failure),
    };
    let told = tell(&mut agent, &last);
    // The agent knows that nothing runs; it waits for the end of this process before it says so.
    spec.group.remove()?;
    told
}

fn tell(agent: &mut UnixStream, report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    agent.write_all(&line)
}

/// The container's first process, seen from here.
struct Child {
    pid: Pid,
    /// What it says while it is being made; ends when the command begins.
    words: BufReader<PipeReader>,
    go: PipeWriter,
}

fn contain(spec: &Spec, agent: &mut UnixStream, orders: &mut BufReader<UnixStream>) -> Result<End, Failure> {
    let at = |what: &'static str| move |error: io::Error| Failure::machine(what, error);
    spec.group.create(&spec.limits).map_err(|error| Failure::machine("its control group could not be made", error))?;
    let disk = mounts::disk(&spec.device).map_err(at("the disk for /task could not be mounted"))?;
    sys::unshare(UnshareFlags::NEWPID).map_err(at("a namespace of processes could not be made"))?;
    let owner = child::owner();
    let (words, word) = io::pipe().map_err(at("no pipe could be made"))?;
    let (gone, go) = io::pipe().map_err(at("no pipe could be made"))?;
    let Some(pid) = sys::fork().map_err(at("no process could be made"))? else {
        drop((words, go));
        child::run(spec, owner, disk, word, gone);
    };
    drop((word, gone, disk));
    silence().map_err(at("the container's streams could not be left"))?;
    let mut child = Child { pid, words: BufReader::new(words), go };
    let made = make(spec, &mut child).and_then(|()| {
        tell(agent, &Report::Created { pid: child.pid.as_raw_nonzero().get() })
            .map_err(at("the agent could not be told"))
    });
    if let Err(failure) = made {
        return Err(abandon(spec, &mut child, failure));
    }
    let order = next_order(orders).map_err(at("the agent's word could not be read"))?;
    match order {
        Order::Start => {}
        Order::Kill => {
            let failure = Failure::machine("the container was not started", "the agent said so");
            return Err(abandon(spec, &mut child, failure));
        }
    }
    let started = Instant::now();
    if let Err(failure) = start(&mut child) {
        return Err(abandon(spec, &mut child, failure));
    }
    let told = tell(agent, &Report::Started);
    let followed = told.and_then(|()| follow(&spec.group, &child, orders));
    if let Err(error) = followed {
        return Err(abandon(spec, &mut child, Failure::machine("the command could not be watched", error)));
    }
    let had_own_limit = has_cpu_limit(child.pid);
    let (code, signal) = reap(&child).map_err(at("the command's end could not be read"))?;
    let wall_micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    Ok(End { code, signal, had_own_limit, wall_micros, usage: spec.group.usage() })
}

/// Lets the first process enter its group and, where wanted, its user namespace, and waits until it is ready.
fn make(spec: &Spec, child: &mut Child) -> Result<(), Failure> {
    spec.group
        .join(child.pid)
        .map_err(|error| Failure::machine("the container could not be put into its control group", error))?;
    send(child, b"g")?;
    if spec.user_namespace {
        expect(child, "unshared")?;
        map_only_user(child.pid).map_err(|error| Failure::machine("its user could not be mapped", error))?;
        send(child, b"m")?;
    }
    expect(child, "ready")
}

fn start(child: &mut Child) -> Result<(), Failure> {
    send(child, b"s")?;
    match listen(child)? {
        None => Ok(()),
        Some(word) => Err(Failure::machine("the container said something unexpected", word)),
    }
}

fn send(child: &mut Child, word: &[u8]) -> Result<(), Failure> {
    child.go.write_all(word).map_err(|error| Failure::machine("the container's first process is gone", error))
}

fn expect(child: &mut Child, wanted: &str) -> Result<(), Failure> {
    match listen(child)? {
        Some(word) if word == wanted => Ok(()),
        Some(word) => Err(Failure::machine("the container said something unexpected", word)),
        None => Err(Failure::machine("the container could not be made", "its first process ended")),
    }
}

/// The next word of the first process; `None` at the end of its words.
fn listen(child: &mut Child) -> Result<Option<String>, Failure> {
    let mut line = String::new();
    let read = child.words.by_ref().take(MOST_LINE_BYTES).read_line(&mut line);
    read.map_err(|error| Failure::machine("the container's first process cannot be heard", error))?;
    if line.is_empty() {
        return Ok(None);
    }
    let word: Result<String, Failure> = serde_json::from_str(&line)
        .map_err(|error| Failure::machine("the container's first process is not understood", error))?;
    word.map(Some)
}

/// Ends what did not get as far as its command. Where memory was too short even for that, this is why.
fn abandon(spec: &Spec, child: &mut Child, failure: Failure) -> Failure {
    kill(&spec.group, child.pid);
    match reap(child) {
        Ok(_) if spec.group.usage().ooms > 0 => {
            Failure { fault: spec::Fault::Command, reason: crate::OUT_OF_MEMORY.into() }
        }
        Ok(_) => failure,
        Err(error) => Failure { reason: format!("{}; and its end cannot be read: {error}", failure.reason), ..failure },
    }
}

/// Returns once the command has ended; ends it on the agent's word.
fn follow(group: &Group, child: &Child, orders: &mut BufReader<UnixStream>) -> io::Result<()> {
    let process = pidfd_open(child.pid, PidfdFlags::empty())?;
    let mut listening = true;
    loop {
        let (ended, spoken) = if listening && !orders.buffer().is_empty() {
            // What came together with an earlier word is not on the socket any more.
            (false, true)
        } else {
            let mut watched = vec![PollFd::new(&process, PollFlags::IN)];
            if listening {
                watched.push(PollFd::from_borrowed_fd(orders.get_ref().as_fd(), PollFlags::IN));
            }
            match poll(&mut watched, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let ready = |at: usize| watched.get(at).is_some_and(|fd| !fd.revents().is_empty());
            (ready(0), ready(1))
        };
        if ended {
            return Ok(());
        }
        if spoken {
            match next_order(orders).unwrap_or(Order::Kill) {
                Order::Start => {}
                Order::Kill => {
                    listening = false;
                    // Gone already is as good.
                    let _ = pidfd_send_signal(&process, Signal::KILL);
                    group.kill();
                }
            }
        }
    }
}

fn next_order(orders: &mut BufReader<UnixStream>) -> io::Result<Order> {
    let mut line = String::new();
    orders.by_ref().take(MOST_LINE_BYTES).read_line(&mut line)?;
    if line.is_empty() {
        return Ok(Order::Kill);
    }
    Ok(serde_json::from_str(&line)?)
}

fn kill(group: &Group, pid: Pid) {
    // Gone already is as good.
    let _ = rustix::process::kill_process(pid, Signal::KILL);
    group.kill();
}

/// Whether a process that has ended, and was not waited for yet, had a limit of processor time. The runtime sets none.
fn has_cpu_limit(pid: Pid) -> bool {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", pid.as_raw_nonzero())).unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max cpu time"));
    line.and_then(|line| line.split_whitespace().nth(1)).is_some_and(|hard| hard != "unlimited")
}

/// Waits for the first process; with it, every other one of its namespace has ended.
fn reap(child: &Child) -> io::Result<(i32, Option<i32>)> {
    loop {
        match waitpid(Some(child.pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => {
                if let Some(code) = status.exit_status() {
                    return Ok((code, None));
                }
                if let Some(signal) = status.terminating_signal() {
                    return Ok((128 + signal, Some(signal)));
                }
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Leaves the container's streams to the container, so that they end with it.
fn silence() -> io::Result<()> {
    let nothing = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::stdio::dup2_stderr(&nothing)?;
    Ok(())
}

/// Gives the user namespace of `pid` its only user, who is nobody outside, too.
fn map_only_user(pid: Pid) -> io::Result<()> {
    let folder = format!("/proc/{}", pid.as_raw_nonzero());
    let map = format!("{ONLY_USER} {ONLY_USER} 1\n");
    std::fs::write(format!("{folder}/setgroups"), "deny")?;
    std::fs::write(format!("{folder}/uid_map"), &map)?;
    std::fs::write(format!("{folder}/gid_map"), &map)
}
