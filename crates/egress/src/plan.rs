//! What a container has to be told about its network before it exists.
//!
//! Invariant: equal wishes give equal plans; no I/O.

use crate::rules::literal;
use hivemind_model::{Egress, Endpoint};
use std::net::{Ipv4Addr, SocketAddrV4};

/// Where the proxy listens in the container. An address of its own, so that `127.0.0.1` is wholly the task's.
const PROXY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 64, 0, 1), 3128);

/// What a task may reach, and where it finds that in its container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// For `/etc/hosts`: each exact name with the address that stands for it.
    pub hosts: Vec<(String, Ipv4Addr)>,
    /// For the environment of the task's command.
    pub env: Vec<(String, String)>,
    /// Who answers name servers' questions in the container: nobody, so that a program hears at once that there is none.
    pub name_server: Ipv4Addr,
    pub(crate) egress: Egress,
    pub(crate) doors: Vec<(SocketAddrV4, Door)>,
}

/// What is behind a listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Door {
    /// This host and port.
    Host(Endpoint),
    /// Whatever a program asks for.
    Proxy,
}

impl Plan {
    pub(crate) fn new(egress: &Egress) -> Self {
        let mut hosts: Vec<(String, Ipv4Addr)> = Vec::new();
        let mut doors = vec![(PROXY, Door::Proxy)];
        for endpoint in egress.as_slice().iter().filter(|endpoint| has_door(endpoint)) {
            let known = hosts.iter().find(|(name, _)| name == endpoint.host()).map(|(_, address)| *address);
            let address = known.unwrap_or_else(|| {
                // At most as many as a task may ask for, which is far fewer than 255.
                let number = u8::try_from(hosts.len() + 1).unwrap_or(u8::MAX);
                let address = Ipv4Addr::new(127, 64, 1, number);
                hosts.push((endpoint.host().to_owned(), address));
                address
            });
            doors.push((SocketAddrV4::new(address, endpoint.port()), Door::Host(endpoint.clone())));
        }
        Self { hosts, env: environment(), name_server: *PROXY.ip(), egress: egress.clone(), doors }
    }
}

/// A name that can stand in `/etc/hosts`. An address or a wildcard cannot, and nobody takes `localhost` from a task.
fn has_door(endpoint: &Endpoint) -> bool {
    let host = endpoint.host();
    let is_own = host == "localhost" || host.ends_with(".localhost");
    !endpoint.is_wildcard() && literal(host).is_none() && !is_own
}

/// HTTP for everything: programs without SOCKS would fail at the mere sight of `socks5h://` in `ALL_PROXY`. What a task
/// serves to itself does not go through the proxy, which would refuse it.
fn environment() -> Vec<(String, String)> {
    let proxy = format!("http://{PROXY}");
    let none = "localhost,127.0.0.1,::1";
    let pairs = [("HTTP_PROXY", &*proxy), ("HTTPS_PROXY", &*proxy), ("ALL_PROXY", &*proxy), ("NO_PROXY", none)];
    pairs
        .iter()
        .flat_map(|(name, value)| {
            [(*name).to_owned(), name.to_ascii_lowercase()].map(|name| (name, (*value).to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(texts: &[&str]) -> Plan {
        Plan::new(&Egress::parse(texts).expect("endpoints"))
    }

    #[test]
    fn each_name_has_one_address_and_each_port_one_door() {
        let plan = plan(&[
            "data.example.net:443",
            "data.example.net:80",
            "a.org:5432",
            "*.example.org:443",
            "1.2.3.4:53",
            "[2001:db8::1]:443",
            "localhost:80",
            "a.localhost:80",
        ]);
        let (first, second) = (Ipv4Addr::new(127, 64, 1, 1), Ipv4Addr::new(127, 64, 1, 2));
        assert_eq!(plan.hosts, [("a.org".to_owned(), first), ("data.example.net".to_owned(), second)]);
        let doors: Vec<String> = plan.doors.iter().map(|(address, _)| address.to_string()).collect();
        assert_eq!(doors, ["127.64.0.1:3128", "127.64.1.1:5432", "127.64.1.2:80", "127.64.1.2:443"]);
    }

    #[test]
    fn both_cases_of_each_variable_are_set() {
        let env = plan(&["a.org:1"]).env;
        assert_eq!(env.len(), 8);
        for (name, value) in &env {
            let is_none = name.eq_ignore_ascii_case("no_proxy");
            assert_eq!(value == "http://127.64.0.1:3128", !is_none, "{name}={value}");
        }
    }
}
