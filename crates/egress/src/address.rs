//! Which addresses are public.
//!
//! Start at [`forbidden`]. An address of IPv6 can carry one of IPv4 that a translator on the way would take out of it:
//! [`meanings`] lists all that one leads to, and each is looked at.
//!
//! The ranges are those of the registries of special addresses (RFC 6890 and what came after it).
//!
//! Invariant: no I/O; of IPv6, what is not known to be public is forbidden.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// First address, length of the prefix, what it is.
type Range4 = (Ipv4Addr, u32, &'static str);
type Range6 = (Ipv6Addr, u32, &'static str);

const V4: &[Range4] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, "an address of this machine itself"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "a private address"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "an address within a carrier's network"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "a loopback address"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "a link-local address"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "a private address"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "an address for protocols"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "an address for documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "an address of relays"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "a private address"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "an address for benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "an address for documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "an address for documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "a multicast address"),
    (Ipv4Addr::new(255, 255, 255, 255), 32, "the broadcast address"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "a reserved address"),
];

const fn v6(a: u16, b: u16, c: u16) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)
}

/// Addresses that carry one of IPv4, which decides: translated by the operator of a network that has no IPv4.
const TRANSLATED: Range6 = (v6(0x64, 0xff9b, 0), 96, "");
/// Tunnels through a relay.
const TEREDO: Range6 = (v6(0x2001, 0, 0), 32, "");
/// Tunnels to the IPv4 address within.
const SIX_TO_FOUR: Range6 = (v6(0x2002, 0, 0), 16, "");
/// All that is public is within it.
const PUBLIC: Range6 = (v6(0x2000, 0, 0), 3, "");

const V6: &[Range6] = &[
    (Ipv6Addr::UNSPECIFIED, 128, "an address of this machine itself"),
    (Ipv6Addr::LOCALHOST, 128, "a loopback address"),
    (Ipv6Addr::UNSPECIFIED, 96, "an IPv4 address in an old form"),
    (v6(0x64, 0xff9b, 1), 48, "an address that the local network translates"),
    (v6(0x100, 0, 0), 64, "an address that leads nowhere"),
    (v6(0x2001, 0, 0), 23, "an address for protocols"),
    (v6(0x2001, 0xdb8, 0), 32, "an address for documentation"),
    (v6(0x3fff, 0, 0), 20, "an address for documentation"),
    (v6(0xfc00, 0, 0), 7, "a private address"),
    (v6(0xfe80, 0, 0), 10, "a link-local address"),
    (v6(0xfec0, 0, 0), 10, "a site-local address"),
    (v6(0xff00, 0, 0), 8, "a multicast address"),
];

fn in4(address: Ipv4Addr, (first, bits, _): Range4) -> bool {
    (address.to_bits() ^ first.to_bits()).leading_zeros() >= bits
}

fn in6(address: Ipv6Addr, (first, bits, _): Range6) -> bool {
    (address.to_bits() ^ first.to_bits()).leading_zeros() >= bits
}

/// Why no task reaches `address` itself, as words after `is`; `None` where it is public. What it may carry
/// within is another address: see [`meanings`].
#[must_use]
pub fn forbidden(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(address) => V4.iter().find(|range| in4(address, **range)).map(|range| range.2),
        IpAddr::V6(address) if in6(address, TRANSLATED) || in6(address, TEREDO) => None,
        IpAddr::V6(address) => match V6.iter().find(|range| in6(address, **range)) {
            Some(range) => Some(range.2),
            None if in6(address, PUBLIC) => None,
            None => Some("no public address"),
        },
    }
}

/// `address` in its usual form, and the addresses of IPv4 within it.
#[must_use]
pub fn meanings(address: IpAddr) -> Vec<IpAddr> {
    let usual = address.to_canonical();
    let IpAddr::V6(long) = usual else { return vec![usual] };
    let bytes = long.octets();
    let at = |from: usize| Ipv4Addr::new(bytes[from], bytes[from + 1], bytes[from + 2], bytes[from + 3]);
    let mut all = vec![usual];
    if in6(long, TRANSLATED) || in6(long, (Ipv6Addr::UNSPECIFIED, 96, "")) {
        all.push(at(12).into());
    }
    if in6(long, SIX_TO_FOUR) {
        all.push(at(2).into());
    }
    if in6(long, TEREDO) {
        // The server, and the client's address with every bit turned over.
        all.push(at(4).into());
        all.push(Ipv4Addr::from_bits(!at(12).to_bits()).into());
    }
    // ISATAP: a tunnel within a site, under any prefix.
    if matches!(bytes[8..12], [0 | 2, 0, 0x5e, 0xfe]) {
        all.push(at(12).into());
    }
    all
}

#[cfg(test)]
mod tests;
