//! Whom limits count.
//!
//! Start at [`network_of`].
//!
//! Invariant: nothing is looked up here.

use std::net::IpAddr;

/// Who is at an address, for limits that count people: an IPv4 address by itself, of an IPv6 address its /64, as whoever has one has
/// at least that many (RFC 6177, section 2).
#[must_use]
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << 64)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_with_many_addresses_is_one() {
        let network = |text: &str| network_of(text.parse().expect(text)).to_string();
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
