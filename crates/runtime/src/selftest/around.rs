//! What the self-test puts around the attackers on the machine: a file to find, doors to knock at, and a look at
//! what runs.
//!
//! Invariant: everything here ends with the value that holds it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use tempfile::NamedTempFile;

/// Most addresses that are told to an attacker.
const MOST_ADDRESSES: usize = 16;

/// Things of the machine that no container may reach.
pub(super) struct Around {
    /// A file that everybody on the machine may read.
    pub(super) bait: NamedTempFile,
    /// Open on every address of the machine; nobody answers, but a connection is made.
    pub(super) port: u16,
    /// The abstract name of a socket that is open.
    pub(super) name: String,
    _doors: (TcpListener, UnixListener),
}

impl Around {
    pub(super) fn open(nonce: &str) -> io::Result<Self> {
        let bait = tempfile::Builder::new().prefix(nonce).tempfile()?;
        bait.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        // The sixth version's door is as a rule open to the fourth as well.
        let door =
            TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)))?;
        let name = format!("{nonce}-door");
        let unix = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        Ok(Self { bait, port: door.local_addr()?.port(), name, _doors: (door, unix) })
    }
}

/// The addresses of this machine, separated by commas.
pub(super) fn addresses() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let found = of_version_four(&read("/proc/net/fib_trie")).into_iter().map(IpAddr::from);
    let found = found.chain(of_version_six(&read("/proc/net/if_inet6")).into_iter().map(IpAddr::from));
    let found: Vec<String> = found.take(MOST_ADDRESSES).map(|address| address.to_string()).collect();
    found.join(",")
}

/// From the kernel's routing tree: the addresses that are the machine's own, each once.
fn of_version_four(table: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut last = None;
    for line in table.lines().map(str::trim) {
        if let Some(leaf) = line.strip_prefix("|-- ") {
            last = leaf.parse().ok();
        } else if line.starts_with("/32 host LOCAL")
            && let Some(address) = last
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

fn of_version_six(table: &str) -> Vec<Ipv6Addr> {
    let address = |line: &str| u128::from_str_radix(line.split(' ').next()?, 16).ok().map(Ipv6Addr::from);
    table.lines().filter_map(address).collect()
}

/// The processes of this machine whose command line has `word` in it; `None` where they cannot be listed.
pub(super) fn running(word: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        // One that ends meanwhile, or that this user may not look at, is none of the attackers'.
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&words).contains(word) {
            found.push(name);
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_s_own_addresses_are_read_from_the_kernel_s_tables() {
        let tree = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 10.0.0.7\n        /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\nLocal:\n     |-- 10.0.0.7\n        /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        assert_eq!(of_version_four(tree), [Ipv4Addr::new(10, 0, 0, 7), Ipv4Addr::LOCALHOST]);
        let table = "00000000000000000000000000000001 01 80 10 80       lo\ngarbage\n";
        assert_eq!(of_version_six(table), [Ipv6Addr::LOCALHOST]);
    }

    #[test]
    fn this_process_is_found_by_its_own_words() {
        let own = std::env::args().next().expect("a name");
        let found = running(&own).expect("listed");
        assert!(found.contains(&std::process::id().to_string()), "{found:?}");
        assert_eq!(running("no process has these words \u{1f41d}\u{0}"), Some(Vec::new()));
    }
}
