//! Listening inside of a container's network.
//!
//! A thread of its own enters the network, opens the sockets, and ends; a socket stays where it was opened,
//! whoever holds it.
//!
//! Invariant: no thread that does anything else ever enters another network.

use rustix::fs::{Mode, OFlags, fstat, open, openat};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{self, Read};
use std::net::{SocketAddrV4, TcpListener};
use std::os::fd::{AsFd, OwnedFd};

/// Longest description of control groups that is read.
const MOST_BYTES: u64 = 64 << 10;

/// The network of process `pid`, which is of the container with the id `container`.
///
/// # Errors
/// Where there is no such process any more, where it belongs to another container (this process and the container's
/// engine do not count processes alike), or where its network is this machine's own.
pub fn of_process(pid: u32, container: &str) -> io::Result<OwnedFd> {
    // Whatever happens to the process, this stays its folder and no successor's.
    let folder = open(format!("/proc/{pid}"), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let network = openat(&folder, "ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let groups = openat(&folder, "cgroup", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = String::new();
    File::from(groups).take(MOST_BYTES).read_to_string(&mut text)?;
    if container.len() < 12 || !text.contains(container) {
        return Err(io::Error::other(format!("process {pid} is not one of the container")));
    }
    let own = fstat(open("/proc/self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)?;
    let its = fstat(&network)?;
    if (own.st_dev, own.st_ino) == (its.st_dev, its.st_ino) {
        return Err(io::Error::other("the container has this machine's own network"));
    }
    Ok(network)
}

/// Why this process may not enter the network of containers, with what to do about it; `None` where it may.
#[must_use]
pub fn cannot_enter() -> Option<String> {
    let enter = || -> io::Result<()> {
        let own = open("/proc/self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        in_network(own, || Ok(()))
    };
    enter().err().map(|error| format!("the agent may not enter its containers' networks ({error}); run it as root"))
}

/// Opens a listening socket for each of `wanted` in `network`. Blocks for a moment.
pub(crate) fn listen(network: OwnedFd, wanted: Vec<SocketAddrV4>) -> io::Result<Vec<TcpListener>> {
    in_network(network, move || {
        let opened = wanted.into_iter().map(|address| {
            let named = |error: io::Error| io::Error::new(error.kind(), format!("{address} in the container: {error}"));
            let listener = TcpListener::bind(address).map_err(named)?;
            listener.set_nonblocking(true).map_err(named)?;
            Ok(listener)
        });
        opened.collect()
    })
}

fn in_network<T: Send + 'static>(
    network: OwnedFd,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let thread = std::thread::Builder::new().name("network".into()).spawn(move || {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        work()
    })?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread in the container's network failed")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_no_container_is_refused() {
        let own = of_process(std::process::id(), &"0".repeat(64)).expect_err("entered");
        assert!(own.to_string().contains("not one of the container"), "{own}");
        assert!(of_process(std::process::id(), "").is_err(), "everything contains nothing");
        assert!(of_process(u32::MAX, "container").is_err());
    }
}
