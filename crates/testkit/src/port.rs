//! Addresses for servers that start again on the same one.

use rand::RngExt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// Below this are the ports of well-known services; from [`FIRST_GIVEN`] on the kernel gives ports to whoever asks for any, and
/// to every connection that goes out (Linux' `net.ipv4.ip_local_port_range`, and RFC 6335's dynamic ports above).
const FIRST: u16 = 16_384;
/// The first port of Linux' default range.
const FIRST_GIVEN: u16 = 32_768;
/// Tries until a port is found that is free.
const TRIES: usize = 100;

/// A loopback address that is free, and that the kernel gives to nobody while its server is away. With port 0 it could go to
/// any connection of another test in that time.
///
/// # Panics
/// Where none is found: something holds nearly all ports.
pub fn steady_address() -> SocketAddr {
    let mut random = rand::rng();
    let any = || SocketAddr::from((Ipv4Addr::LOCALHOST, random.random_range(FIRST..FIRST_GIVEN)));
    std::iter::repeat_with(any)
        .take(TRIES)
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("a free port: see `ss --listening --tcp`")
}
