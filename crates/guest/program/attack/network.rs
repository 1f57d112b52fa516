//! Ways to any other machine, and to this one by its addresses.
//!
//! The outside listens on every address of the machine while this runs, so that a connection that is not
//! refused succeeds.
//!
//! Invariant: nothing is sent but the opening of connections.

use super::{Options, Report};
use crate::sys;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixStream};
use std::time::Duration;

const NETWORK: &str = "network";
/// Longest wait for an answer: whoever drops packets silently costs this once per address.
const PATIENCE: Duration = Duration::from_millis(200);
/// Most addresses of the machine that are tried.
const MOST_ADDRESSES: usize = 16;
/// The place where clouds tell their machines' secrets, and two that answer everybody.
const ELSEWHERE: [([u8; 4], u16); 3] = [([169, 254, 169, 254], 80), ([1, 1, 1, 1], 53), ([8, 8, 8, 8], 53)];

/// Tries them all.
pub fn run(report: &mut Report, options: &Options<'_>) {
    interfaces(report);
    connections(report, options);
    for (what, domain, kind, protocol) in
        [("opened a raw socket", sys::INET, sys::RAW, 1), ("opened a socket for frames", sys::PACKET, sys::RAW, 0)]
    {
        report.refused(NETWORK, what, sys::try_socket(domain, kind, protocol));
    }
    report.refused(NETWORK, "changed a network interface", sys::set_loopback(1));
    let name = options.text("abstract");
    if !name.is_empty() {
        let reached = UnixAddr::from_abstract_name(name).and_then(|address| UnixStream::connect_addr(&address));
        report.refused(NETWORK, "reached an abstract socket of the machine", reached);
    }
}

fn interfaces(report: &mut Report) {
    let table = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let names: Vec<&str> = table.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    report.check(NETWORK, format!("has the interfaces {names:?}"), names.iter().all(|name| is_dead(name)));
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    report.check(NETWORK, "has routes", routes.lines().skip(1).all(|line| line.trim().is_empty()));
    let routes = std::fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    let away = routes.lines().find(|line| line.split_whitespace().last().is_some_and(|name| !is_dead(name)));
    report.check(NETWORK, format!("has the route {}", away.unwrap_or_default()), away.is_none());
}

/// Interfaces that every new network namespace has: they lead nowhere.
fn is_dead(name: &str) -> bool {
    let tunnels = ["tunl0", "sit0", "ip6tnl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6gre0"];
    name == "lo" || tunnels.contains(&name)
}

fn connections(report: &mut Report, options: &Options<'_>) {
    let port = u16::try_from(options.number("port")).unwrap_or(0);
    let machine = options.text("addresses").split(',').filter_map(|text| text.parse::<IpAddr>().ok());
    let machine = machine.take(MOST_ADDRESSES).map(|address| SocketAddr::new(address, port));
    let elsewhere = ELSEWHERE.map(|(address, port)| SocketAddr::from((address, port)));
    for place in machine.chain(elsewhere) {
        report.refused(NETWORK, format!("connected to {place}"), TcpStream::connect_timeout(&place, PATIENCE));
        report.refused(NETWORK, format!("has a way to {place}"), way_to(place));
    }
}

/// Asks the kernel for a route; no packet leaves.
fn way_to(place: SocketAddr) -> io::Result<()> {
    // To itself a container may talk.
    if place.ip().is_loopback() {
        return Err(io::ErrorKind::HostUnreachable.into());
    }
    let own: SocketAddr = if place.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    UdpSocket::bind(own)?.connect(place)
}

/// Asks a socket of the file system for anything.
pub fn asks(path: &str) -> io::Result<()> {
    let mut stream = UnixStream::connect(path)?;
    stream.write_all(b"GET /version HTTP/1.0\r\n\r\n")
}
