//! The addresses of this machine, and the networks that it is in.
//!
//! Its neighbours may have public addresses: of IPv6 every machine of a house has.
//!
//! Invariant: they are read anew for each connection: what was added a moment ago counts.

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
use std::io;
use std::net::IpAddr;

/// A shorter prefix is no network with neighbours: some tunnels say so and lead everywhere.
const SHORTEST: [u32; 2] = [8, 32];

/// An address of this machine, and how many of its first bits all neighbours on that interface share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own {
    address: IpAddr,
    bits: u32,
}

impl Own {
    /// `bits`: of the network's prefix.
    #[must_use]
    pub fn new(address: IpAddr, bits: u32) -> Self {
        Self { address, bits }
    }

    /// True of the address itself.
    pub(crate) fn is(&self, other: IpAddr) -> bool {
        self.address == other
    }

    /// True of all addresses in the network that it is in.
    pub(crate) fn is_near(&self, other: IpAddr) -> bool {
        let (shared, shortest) = match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => ((own.to_bits() ^ other.to_bits()).leading_zeros(), SHORTEST[0]),
            (IpAddr::V6(own), IpAddr::V6(other)) => ((own.to_bits() ^ other.to_bits()).leading_zeros(), SHORTEST[1]),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        self.bits >= shortest && shared >= self.bits
    }
}

/// Those of every interface, up or down.
///
/// # Errors
/// Where the kernel does not list them.
pub(crate) fn addresses() -> io::Result<Vec<Own>> {
    let listed = getifaddrs()?.filter_map(|interface| {
        let address = ip(&interface.address?)?;
        // Without a mask it has no neighbours.
        let bits = interface.netmask.as_ref().and_then(ip).map_or(u32::MAX, |mask| match mask {
            IpAddr::V4(mask) => mask.to_bits().leading_ones(),
            IpAddr::V6(mask) => mask.to_bits().leading_ones(),
        });
        Some(Own { address, bits })
    });
    Ok(listed.collect())
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let short = address.as_sockaddr_in().map(|one| IpAddr::from(one.ip()));
    short.or_else(|| address.as_sockaddr_in6().map(|one| IpAddr::from(one.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_among_them() {
        assert!(addresses().expect("listed").contains(&Own::new(IpAddr::from([127, 0, 0, 1]), 8)));
    }

    #[test]
    fn neighbours_share_the_prefix() {
        let own = |text: &str, bits| Own::new(text.parse().expect(text), bits);
        for (own, other, is_near) in [
            (own("2a01:4f8:1:2::7", 64), "2a01:4f8:1:2:dead::1", true),
            (own("2a01:4f8:1:2::7", 64), "2a01:4f8:1:3::1", false),
            (own("2a01:4f8:1:2::7", 128), "2a01:4f8:1:2::8", false),
            (own("81.2.3.4", 24), "81.2.3.200", true),
            (own("81.2.3.4", 24), "81.2.4.1", false),
            (own("81.2.3.4", 32), "81.2.3.5", false),
            (own("81.2.3.4", 0), "93.184.215.14", false),
            (own("2a01::7", 0), "2606:4700::1111", false),
            (own("2a01::7", 64), "81.2.3.4", false),
        ] {
            assert_eq!(own.is_near(other.parse().expect(other)), is_near, "{own:?} {other}");
        }
    }
}
