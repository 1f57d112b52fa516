//! The addresses of this machine.
//!
//! Invariant: they are read anew for each connection: what was added a moment ago counts.

use nix::ifaddrs::getifaddrs;
use std::io;
use std::net::IpAddr;

/// Those of every interface, up or down.
///
/// # Errors
/// Where the kernel does not list them.
pub(crate) fn addresses() -> io::Result<Vec<IpAddr>> {
    let listed = getifaddrs()?.filter_map(|interface| {
        let address = interface.address?;
        let short = address.as_sockaddr_in().map(|one| IpAddr::from(one.ip()));
        short.or_else(|| address.as_sockaddr_in6().map(|one| IpAddr::from(one.ip())))
    });
    Ok(listed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_among_them() {
        assert!(addresses().expect("listed").contains(&IpAddr::from([127, 0, 0, 1])));
    }
}
