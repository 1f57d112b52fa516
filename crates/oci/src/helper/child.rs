//! The container's first process, from its making to the command.
//!
//! Start at [`run`]. The order matters: namespaces; mounts, while it may still mount; then what it may do is
//! taken from it, step by step, until only the command is left.
//!
//! Invariant: after [`confine`] this process can do no more than the command can.

use super::spec::{Failure, Fault, Spec};
use super::{ONLY_USER, mounts, seccomp, sys};
use rustix::fs::{Access, AtFlags, Gid, Mode, Uid, accessat};
use rustix::process::{Resource, Rlimit, Signal, geteuid, set_parent_process_death_signal, setrlimit, setsid, umask};
use rustix::thread::{
    CapabilitySet, CapabilitySets, UnshareFlags, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};
use std::ffi::CString;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Open files of one process.
const OPEN_FILES: u64 = 4096;
/// Where programs are looked for when the environment does not say.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Capabilities that a set can hold.
const CAPABILITIES: u32 = 64;
/// The exit code of a first process that did not become the command; nobody is told of it.
const NOT_BEGUN: i32 = 125;

/// First of the users who own the user namespaces of containers; a block that no program or person is given.
const FIRST_OWNER: u32 = 0x6000_0000;

/// The user outside who owns the user namespace of this helper's container, and of no other.
///
/// What the kernel counts for users of a namespace (watches of files, queued signals, locked memory) it counts for its owner,
/// too. Were that root, one task could use up what the machine's own programs have.
pub(super) fn owner() -> Uid {
    Uid::from_raw(FIRST_OWNER.saturating_add(std::process::id()))
}

/// Makes a user namespace that `owner` owns; in it this process may do everything.
fn own_user_namespace(owner: Uid) -> io::Result<()> {
    if geteuid().is_root() {
        let CapabilitySets { permitted, inheritable, effective: _ } = capabilities(None)?;
        set_thread_res_uid(Uid::ROOT, owner, Uid::ROOT)?;
        // A change of user takes them; some systems let only the mighty make a namespace.
        set_capabilities(None, CapabilitySets { effective: permitted, permitted, inheritable })?;
    }
    sys::unshare(UnshareFlags::NEWUSER)
}

/// Becomes the command, or says why not.
pub(super) fn run(spec: &Spec, owner: Uid, disk: OwnedFd, mut word: PipeWriter, mut go: PipeReader) -> ! {
    let Err(failure) = begin(spec, owner, disk, &mut word, &mut go);
    // Where the helper is gone, there is nobody to be told.
    let _ = say(&mut word, &Err(failure));
    std::process::exit(NOT_BEGUN)
}

/// The helper's trial: as far as a user namespace goes.
pub(super) fn try_user_namespace(mut tell: PipeWriter, mut hear: PipeReader) -> io::Result<()> {
    own_user_namespace(owner())?;
    tell.write_all(b"u")?;
    hear.read_exact(&mut [0])?;
    become_nobody()
}

fn begin(
    spec: &Spec,
    owner: Uid,
    disk: OwnedFd,
    word: &mut PipeWriter,
    go: &mut PipeReader,
) -> Result<std::convert::Infallible, Failure> {
    let at = |what: &'static str| move |error: io::Error| Failure::machine(what, error);
    await_word(go)?;
    let apart = UnshareFlags::NEWNS
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWCGROUP;
    sys::unshare(apart).map_err(at("namespaces could not be made"))?;
    streams(spec.speaks).map_err(at("its streams could not be made"))?;
    setsid().map_err(|error| at("a session could not be made")(error.into()))?;
    // The agent may be spared when memory is short; what it runs is not.
    std::fs::write("/proc/self/oom_score_adj", "0").map_err(at("its weight could not be set"))?;
    rustix::system::sethostname(b"task").map_err(|error| at("its name could not be set")(error.into()))?;
    rustix::system::setdomainname(b"").map_err(|error| at("its name could not be set")(error.into()))?;
    sys::loopback_up().map_err(at("its loopback could not be brought up"))?;
    mounts::root(spec, disk)?;
    confine(spec, owner, word, go)?;
    say(word, &Ok("ready")).map_err(at("the helper is gone"))?;
    await_word(go)?;
    Err(become_command(spec))
}

fn say(word: &mut PipeWriter, what: &Result<&str, Failure>) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    word.write_all(&line)
}

/// Waits for the helper's next word. Where there is none any more, nothing more is to be done.
fn await_word(go: &mut PipeReader) -> Result<(), Failure> {
    go.read_exact(&mut [0]).map_err(|error| Failure::machine("the helper is gone", error))
}

/// Nothing to read, unless it `speaks` through the socket that it writes to; output that the command's user may open
/// again by its name in /proc, where it is a pipe.
fn streams(speaks: bool) -> io::Result<()> {
    if speaks {
        rustix::stdio::dup2_stdin(io::stdout())?;
    } else {
        rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    }
    let (user, group) = (Some(Uid::from_raw(ONLY_USER)), Some(Gid::from_raw(ONLY_USER)));
    rustix::fs::fchown(io::stdout(), user, group)?;
    rustix::fs::fchown(io::stderr(), user, group)?;
    Ok(())
}

/// Takes away what the command may not have.
fn confine(spec: &Spec, owner: Uid, word: &mut PipeWriter, go: &mut PipeReader) -> Result<(), Failure> {
    let at = |what: &'static str| move |error: io::Error| Failure::machine(what, error);
    let limit = |most| Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(Resource::Nofile, limit(OPEN_FILES)).map_err(|error| at("its limits could not be set")(error.into()))?;
    setrlimit(Resource::Core, limit(0)).map_err(|error| at("its limits could not be set")(error.into()))?;
    umask(Mode::from_raw_mode(0o022));
    let filters = seccomp::filters().map_err(|error| Failure::machine("the filter of system calls", error))?;
    // While it may: within a user namespace that denies it, the groups of before would stay.
    set_thread_groups(&[]).map_err(|error| at("its groups could not be left")(error.into()))?;
    if spec.user_namespace {
        own_user_namespace(owner).map_err(at("a user namespace could not be made"))?;
        say(word, &Ok("unshared")).map_err(at("the helper is gone"))?;
        await_word(go)?;
    }
    become_nobody().map_err(at("its user could not be taken on"))?;
    // After the user: a change of user clears it.
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| at("its end could not be bound to the helper's")(error.into()))?;
    sys::reset_signals();
    sys::close_on_exec_from(3).map_err(at("open files could not be closed (Linux 5.11 is needed)"))?;
    set_no_new_privs(true).map_err(|error| at("new privileges could not be ruled out")(error.into()))?;
    seccomp::apply(&filters).map_err(|error| Failure::machine("the filter of system calls", error))
}

/// Drops every capability and becomes the user who owns nothing.
fn become_nobody() -> io::Result<()> {
    for number in 0..CAPABILITIES {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Ok(()) => {}
            // Beyond the kernel's last one.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    clear_ambient_capability_set()?;
    let (user, group) = (Uid::from_raw(ONLY_USER), Gid::from_raw(ONLY_USER));
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(())
}

/// Looks for the program and becomes it; gives why that failed.
fn become_command(spec: &Spec) -> Failure {
    let [program, ..] = &spec.argv[..] else {
        return Failure { fault: Fault::Command, reason: "the image has no command of its own; give one".into() };
    };
    let refused = |why: &str| {
        let shown: String = program.chars().filter(|c| !c.is_control()).take(200).collect();
        Failure { fault: Fault::Command, reason: format!("exec: \"{shown}\": {why}") }
    };
    let texts = |list: &[String]| list.iter().map(|text| CString::new(text.as_str())).collect::<Result<Vec<_>, _>>();
    let (Ok(argv), Ok(envp)) = (texts(&spec.argv), texts(&spec.env)) else {
        return refused("it, an argument or a variable has a zero byte in it");
    };
    let path = match find(program, &spec.env) {
        Ok(path) => path,
        Err(why) => return refused(why),
    };
    let error = sys::execve(&path, &argv, &envp);
    match error.raw_os_error() {
        Some(libc::ENOENT) => refused("no such file or directory, or its interpreter is not in the image"),
        Some(libc::EACCES | libc::EPERM | libc::EISDIR) => refused("permission denied"),
        Some(libc::ENOEXEC) => refused("exec format error"),
        Some(libc::E2BIG) => refused("argument list too long"),
        Some(libc::ENOTDIR | libc::ELOOP | libc::ENAMETOOLONG | libc::ETXTBSY | libc::EINVAL) => {
            refused(&error.to_string())
        }
        _ => Failure::machine("the command could not be started", error),
    }
}

/// The program's path: as given where it has a slash, else the first in PATH that may be executed.
fn find(program: &str, env: &[String]) -> Result<CString, &'static str> {
    let zero = |_| "it has a zero byte in it";
    if program.contains('/') {
        if Path::new(program).is_dir() {
            return Err("is a directory");
        }
        return CString::new(program).map_err(zero);
    }
    let places = env.iter().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(USUAL_PATH);
    let mut why = "executable file not found in $PATH";
    for place in places.split(':').filter(|place| place.starts_with('/')) {
        let path = Path::new(place).join(program);
        if !path.is_file() {
            continue;
        }
        if accessat(rustix::fs::CWD, &path, Access::EXEC_OK, AtFlags::EACCESS).is_ok() {
            return CString::new(path.into_os_string().into_encoded_bytes()).map_err(zero);
        }
        why = "permission denied";
    }
    Err(why)
}
