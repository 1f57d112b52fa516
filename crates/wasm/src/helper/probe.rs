//! A locked-up helper tries what is forbidden, so that `doctor` can show that it is.
//!
//! Invariant: what succeeds here has no effect that lasts.

use crate::wire::Tried;
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketType};
use rustix::process::Pid;

/// Tries each thing once.
pub(super) fn try_all(agent: i32) -> Vec<Tried> {
    let agent = Pid::from_raw(agent);
    let tries: [(&str, bool); 9] = [
        ("open a file", rustix::fs::open("/", OFlags::RDONLY, Mode::empty()).is_ok()),
        ("make a file", rustix::fs::open("/x", OFlags::CREATE | OFlags::WRONLY, Mode::RWXU).is_ok()),
        ("make a socket", rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).is_ok()),
        ("make a local socket", rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).is_ok()),
        ("start a program", std::process::Command::new("/proc/self/exe").arg("version").spawn().is_ok()),
        ("start a thread", std::thread::Builder::new().spawn(|| ()).is_ok()),
        ("signal the agent", agent.is_some_and(|agent| rustix::process::test_kill_process(agent).is_ok())),
        ("become another user", rustix::thread::set_thread_uid(rustix::thread::Uid::ROOT).is_ok()),
        ("raise a limit", raise_a_limit()),
    ];
    tries.map(|(name, succeeded)| Tried { name: name.to_owned(), was_refused: !succeeded }).into()
}

fn raise_a_limit() -> bool {
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::Nproc, Rlimit { current: Some(64), maximum: Some(64) }).is_ok()
}
