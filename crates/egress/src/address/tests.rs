use super::*;

/// Why `text` is not reached, by itself or by what it carries.
fn why(text: &str) -> Option<&'static str> {
    let address: IpAddr = text.parse().expect(text);
    meanings(address).into_iter().find_map(forbidden)
}

#[test]
fn each_range_ends_where_it_ends() {
    for (text, expected) in [
        ("0.0.0.0", Some("an address of this machine itself")),
        ("0.255.255.255", Some("an address of this machine itself")),
        ("1.0.0.0", None),
        ("9.255.255.255", None),
        ("10.0.0.0", Some("a private address")),
        ("10.255.255.255", Some("a private address")),
        ("11.0.0.0", None),
        ("100.63.255.255", None),
        ("100.64.0.0", Some("an address within a carrier's network")),
        ("100.127.255.255", Some("an address within a carrier's network")),
        ("100.128.0.0", None),
        ("126.255.255.255", None),
        ("127.0.0.0", Some("a loopback address")),
        ("127.0.0.1", Some("a loopback address")),
        ("127.64.0.1", Some("a loopback address")),
        ("127.255.255.255", Some("a loopback address")),
        ("128.0.0.0", None),
        ("169.253.255.255", None),
        ("169.254.0.0", Some("a link-local address")),
        ("169.254.169.254", Some("a link-local address")),
        ("169.254.255.255", Some("a link-local address")),
        ("169.255.0.0", None),
        ("172.15.255.255", None),
        ("172.16.0.0", Some("a private address")),
        ("172.17.0.1", Some("a private address")),
        ("172.31.255.255", Some("a private address")),
        ("172.32.0.0", None),
        ("191.255.255.255", None),
        ("192.0.0.0", Some("an address for protocols")),
        ("192.0.0.192", Some("an address for protocols")),
        ("192.0.1.0", None),
        ("192.0.2.0", Some("an address for documentation")),
        ("192.0.2.255", Some("an address for documentation")),
        ("192.0.3.0", None),
        ("192.88.98.255", None),
        ("192.88.99.1", Some("an address of relays")),
        ("192.88.100.0", None),
        ("192.167.255.255", None),
        ("192.168.0.0", Some("a private address")),
        ("192.168.255.255", Some("a private address")),
        ("192.169.0.0", None),
        ("198.17.255.255", None),
        ("198.18.0.0", Some("an address for benchmarks")),
        ("198.19.255.255", Some("an address for benchmarks")),
        ("198.20.0.0", None),
        ("198.51.100.1", Some("an address for documentation")),
        ("198.51.101.0", None),
        ("203.0.112.255", None),
        ("203.0.113.77", Some("an address for documentation")),
        ("203.0.114.0", None),
        ("223.255.255.255", None),
        ("224.0.0.0", Some("a multicast address")),
        ("239.255.255.255", Some("a multicast address")),
        ("240.0.0.0", Some("a reserved address")),
        ("255.255.255.254", Some("a reserved address")),
        ("255.255.255.255", Some("the broadcast address")),
        ("8.8.8.8", None),
        ("93.184.215.14", None),
    ] {
        assert_eq!(why(text), expected, "{text}");
    }
}

#[test]
fn of_ipv6_only_what_is_known_to_be_public_is_reached() {
    for (text, expected) in [
        ("::", Some("an address of this machine itself")),
        ("::1", Some("a loopback address")),
        ("::2", Some("an IPv4 address in an old form")),
        ("1::1", Some("no public address")),
        ("100::1", Some("an address that leads nowhere")),
        ("100:0:0:1::1", Some("no public address")),
        ("1fff:ffff::1", Some("no public address")),
        ("2000::1", None),
        ("2001:1::1", Some("an address for protocols")),
        ("2001:2::1", Some("an address for protocols")),
        ("2001:10::1", Some("an address for protocols")),
        ("2001:20::1", Some("an address for protocols")),
        ("2001:1ff:ffff::1", Some("an address for protocols")),
        ("2001:200::1", None),
        ("2001:db7:ffff::1", None),
        ("2001:db8::1", Some("an address for documentation")),
        ("2001:db8:ffff::1", Some("an address for documentation")),
        ("2001:db9::1", None),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", None),
        ("3ffe::1", None),
        ("3fff::1", Some("an address for documentation")),
        ("3fff:fff::1", Some("an address for documentation")),
        ("3fff:1000::1", None),
        ("4000::1", Some("no public address")),
        ("5f00::1", Some("no public address")),
        ("fbff::1", Some("no public address")),
        ("fc00::1", Some("a private address")),
        ("fd00:ec2::254", Some("a private address")),
        ("fdff::1", Some("a private address")),
        ("fe00::1", Some("no public address")),
        ("fe80::1", Some("a link-local address")),
        ("febf::1", Some("a link-local address")),
        ("fec0::1", Some("a site-local address")),
        ("feff::1", Some("a site-local address")),
        ("ff02::1", Some("a multicast address")),
    ] {
        assert_eq!(why(text), expected, "{text}");
    }
}

#[test]
fn the_ipv4_address_within_decides() {
    let loopback = Some("a loopback address");
    for (text, expected) in [
        ("::ffff:127.0.0.1", loopback),
        ("::ffff:169.254.169.254", Some("a link-local address")),
        ("::ffff:10.1.2.3", Some("a private address")),
        ("::ffff:8.8.8.8", None),
        ("::127.0.0.1", Some("an IPv4 address in an old form")),
        ("::8.8.8.8", Some("an IPv4 address in an old form")),
        ("::ffff:0:127.0.0.1", Some("no public address")),
        ("64:ff9b::127.0.0.1", loopback),
        ("64:ff9b::a9fe:a9fe", Some("a link-local address")),
        ("64:ff9b::8.8.8.8", None),
        ("64:ff9b:0:0:0:1:808:808", Some("no public address")),
        ("64:ff9b:1::8.8.8.8", Some("an address that the local network translates")),
        ("64:ff9b:1:ffff::1", Some("an address that the local network translates")),
        ("2002:7f00:1::1", loopback),
        ("2002:a00:1::1", Some("a private address")),
        ("2002:808:808::1", None),
        // Teredo: the server, then the client with every bit turned over.
        ("2001:0:7f00:1::f7f7:f7f7", loopback),
        ("2001:0:808:808::80ff:fffe", loopback),
        ("2001:0:808:808::f7f7:f7f7", None),
        ("2001:200::5efe:10.0.0.1", Some("a private address")),
        ("2001:200::200:5efe:127.0.0.1", loopback),
        ("2001:200::200:5efe:8.8.8.8", None),
    ] {
        assert_eq!(why(text), expected, "{text}");
    }
}

#[test]
fn both_forms_of_an_address_mean_the_same() {
    let mapped: IpAddr = "::ffff:1.2.3.4".parse().expect("an address");
    assert_eq!(meanings(mapped), [IpAddr::from([1, 2, 3, 4])]);
}
