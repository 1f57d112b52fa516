//! What a task may reach over the network, and what an owner lets tasks reach.
//!
//! A task asks for names and ports ([`Egress`]); it has no network without asking. The owner of a node
//! allows none, some, or any public ones ([`EgressPolicy`]). What is asked for is a name or a public
//! address: where a name leads is looked at when it is reached, by the node.
//!
//! Invariant: what was parsed prints as it is compared: lower case, without a dot at the end.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

/// Most places that a task asks for, and most that an owner lists.
pub const MAX_ENDPOINTS: usize = 16;
/// Longest host name, in bytes: DNS has no longer ones.
pub const MAX_HOST_BYTES: usize = 253;

/// A host, or all hosts below a domain, and a port: `example.org:443`, `*.example.org:443`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
}

/// A text that is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` cannot be reached: {why}; write HOST:PORT, such as `data.example.net:443` or `*.example.org:443`")]
pub struct BadEndpoint {
    shown: String,
    why: &'static str,
}

impl Endpoint {
    /// A name in lower case, an address in its usual form, or `*.` and a domain.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// 1 to 65535.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// True where it stands for all hosts below a domain.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.host.starts_with("*.")
    }

    /// True where `host` (in lower case, without a dot at the end) and `port` are within it. A wildcard
    /// does not cover its own domain, as in certificates; it covers every depth below.
    #[must_use]
    pub fn covers(&self, host: &str, port: u16) -> bool {
        if port != self.port {
            return false;
        }
        match self.host.strip_prefix('*') {
            Some(domain) => host.len() > domain.len() && host.ends_with(domain),
            None => host == self.host,
        }
    }
}

impl FromStr for Endpoint {
    type Err = BadEndpoint;

    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        let bad = |why| BadEndpoint {
            shown: text.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect(),
            why,
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(|| bad("it names no port"))?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port =
            port.parse().ok().filter(|port| digits && *port > 0).ok_or_else(|| bad("its port is not 1 to 65535"))?;
        if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let address: std::net::Ipv6Addr =
                inner.parse().map_err(|_| bad("what is in brackets is no IPv6 address"))?;
            return Ok(Self { host: format!("[{address}]"), port });
        }
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        check_host(&host).map_err(bad)?;
        Ok(Self { host, port })
    }
}

/// A name, `*.` and a name, or an IPv4 address in four decimal parts. Anything that ends in a number and is
/// not such an address is none: programs read `2130706433` and `0177.1` as addresses.
fn check_host(host: &str) -> Result<(), &'static str> {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.starts_with(|c: char| c.is_ascii_digit()) {
        let plain = host == name && name.parse::<IpAddr>().is_ok();
        return if plain { Ok(()) } else { Err("a name that ends in a number is no name and no usual address") };
    }
    if name.is_empty() || name.len() > MAX_HOST_BYTES {
        return Err("its host is empty or longer than 253 bytes");
    }
    if host != name && !name.contains('.') {
        return Err("a wildcard needs a domain of two parts at least");
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.split('.').all(label) { Ok(()) } else { Err("its host has a part that no name has") }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Serialize for Endpoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why texts are not a list of endpoints.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEgress {
    /// One of them is no endpoint.
    #[error(transparent)]
    Bad(#[from] BadEndpoint),
    /// Too many.
    #[error("more than {MAX_ENDPOINTS} hosts; a wildcard such as `*.example.org:443` stands for many")]
    TooMany,
}

/// What a task asks to reach: sorted, each once; shared, as many tasks ask for the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<Endpoint>", into = "Vec<Endpoint>")]
pub struct Egress(Option<Arc<[Endpoint]>>);

impl Egress {
    /// Reads `HOST:PORT` texts.
    ///
    /// # Errors
    /// [`BadEgress`] where one is no endpoint or there are too many.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, BadEgress> {
        let endpoints: Result<Vec<Endpoint>, BadEndpoint> = texts.iter().map(|text| text.as_ref().parse()).collect();
        Self::try_from(endpoints?)
    }

    /// In order.
    #[must_use]
    pub fn as_slice(&self) -> &[Endpoint] {
        self.0.as_deref().unwrap_or_default()
    }

    /// True where nothing is asked for: the task has no network.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// True where `host` and `port` are within what is asked for.
    #[must_use]
    pub fn covers(&self, host: &str, port: u16) -> bool {
        self.as_slice().iter().any(|endpoint| endpoint.covers(host, port))
    }
}

impl TryFrom<Vec<Endpoint>> for Egress {
    type Error = BadEgress;

    fn try_from(mut endpoints: Vec<Endpoint>) -> Result<Self, BadEgress> {
        endpoints.sort_unstable();
        endpoints.dedup();
        if endpoints.len() > MAX_ENDPOINTS {
            return Err(BadEgress::TooMany);
        }
        Ok(Self((!endpoints.is_empty()).then(|| endpoints.into())))
    }
}

impl From<Egress> for Vec<Endpoint> {
    fn from(egress: Egress) -> Self {
        egress.as_slice().to_vec()
    }
}

/// What an owner lets tasks reach.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EgressPolicy {
    /// Nothing.
    #[default]
    None,
    /// What is in the list.
    Only(Egress),
    /// Every public address.
    Public,
}

impl EgressPolicy {
    /// Reads what its [`Self::words`] are: nothing for none, `public`, or `HOST:PORT` texts.
    ///
    /// # Errors
    /// [`BadEgress`] where one is no endpoint or there are too many.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, BadEgress> {
        match texts {
            [] => Ok(Self::None),
            [word] if word.as_ref() == "public" => Ok(Self::Public),
            _ => Egress::parse(texts).map(Self::Only),
        }
    }

    /// As it is written on the wire and in the database.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::Only(list) => list.as_slice().iter().map(Endpoint::to_string).collect(),
            Self::Public => vec!["public".into()],
        }
    }

    /// True where a task that asks for `egress` may run there. A wildcard that is asked for is allowed by the
    /// same wildcard or one of a domain above it.
    #[must_use]
    pub fn allows(&self, egress: &Egress) -> bool {
        match self {
            Self::None => egress.is_empty(),
            Self::Only(_) => egress.as_slice().iter().all(|asked| self.allows_endpoint(asked)),
            Self::Public => true,
        }
    }

    /// As [`Self::allows`], of one host or wildcard.
    #[must_use]
    pub fn allows_endpoint(&self, asked: &Endpoint) -> bool {
        match self {
            Self::None => false,
            Self::Only(list) => {
                let host = asked.host.strip_prefix("*.").unwrap_or(&asked.host);
                let above = |allowed: &Endpoint| allowed.is_wildcard() && allowed.covers(host, asked.port);
                list.as_slice().iter().any(|allowed| allowed == asked || above(allowed))
            }
            Self::Public => true,
        }
    }

    /// How much of it there is, to compare policies roughly: nothing 0, a list 1, all 2.
    #[must_use]
    pub const fn breadth(&self) -> u8 {
        match self {
            Self::None => 0,
            Self::Only(_) => 1,
            Self::Public => 2,
        }
    }
}

impl fmt::Display for EgressPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Only(_) => f.write_str(&self.words().join(", ")),
            Self::Public => f.write_str("public"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn egress(texts: &[&str]) -> Egress {
        Egress::parse(texts).expect("endpoints")
    }

    #[test]
    fn endpoints_read_back_what_they_print() {
        for (text, printed) in [
            ("data.example.net:443", "data.example.net:443"),
            ("Data.Example.NET.:443", "data.example.net:443"),
            ("*.example.org:80", "*.example.org:80"),
            ("192.0.2.1:53", "192.0.2.1:53"),
            ("[2001:DB8::1]:443", "[2001:db8::1]:443"),
            ("localhost:1", "localhost:1"),
        ] {
            let endpoint: Endpoint = text.parse().expect(text);
            assert_eq!(endpoint.to_string(), printed);
            assert_eq!(printed.parse(), Ok(endpoint));
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_the_way_to_write_one() {
        let long = format!("{}.org:1", "a".repeat(64));
        for text in [
            "",
            "a",
            "a:",
            ":1",
            "a:0",
            "a:65536",
            "a:+1",
            "a:-1",
            "a b:1",
            "a/b:1",
            "http://a:1",
            "*:1",
            "*.org:1",
            "a.*.org:1",
            "-a:1",
            "a..b:1",
            "2130706433:1",
            "0177.0.0.1:1",
            "127.1:1",
            "0x7f.1:1",
            "[::1:1",
            "[a]:1",
            "::1:1",
            "user@a:1",
            "a\n:1",
            &long,
        ] {
            let refused = text.parse::<Endpoint>().expect_err(text).to_string();
            assert!(refused.contains("write HOST:PORT") && !refused.contains('\n'), "{refused}");
        }
    }

    #[test]
    fn a_wildcard_covers_what_is_below_it_and_not_itself() {
        let wildcard: Endpoint = "*.example.org:443".parse().expect("an endpoint");
        assert!(wildcard.covers("a.example.org", 443) && wildcard.covers("a.b.example.org", 443));
        for (host, port) in
            [("example.org", 443), (".example.org", 443), ("badexample.org", 443), ("a.example.org", 80)]
        {
            assert!(!wildcard.covers(host, port), "{host}:{port}");
        }
    }

    #[test]
    fn an_owner_decides_what_is_reached() {
        let asked = egress(&["data.example.net:443", "*.files.example.org:443"]);
        let only = |texts: &[&str]| EgressPolicy::parse(texts).expect("a policy");
        assert!(EgressPolicy::Public.allows(&asked) && !EgressPolicy::None.allows(&asked));
        assert!(EgressPolicy::None.allows(&Egress::default()));
        assert!(only(&["data.example.net:443", "*.example.org:443"]).allows(&asked));
        assert!(only(&["data.example.net:443", "*.files.example.org:443"]).allows(&asked));
        assert!(!only(&["data.example.net:443"]).allows(&asked));
        assert!(!only(&["data.example.net:443", "a.files.example.org:443"]).allows(&asked));
        for words in [&[][..], &["public"], &["a.org:1", "b.org:2"]] {
            let policy = only(words);
            assert_eq!(policy.words(), words);
        }
    }

    #[test]
    fn lists_are_bounded_sorted_and_without_doubles() {
        let many: Vec<String> = (0..=MAX_ENDPOINTS).map(|n| format!("h{n}.org:1")).collect();
        assert_eq!(Egress::parse(&many), Err(BadEgress::TooMany));
        assert_eq!(egress(&["b.org:1", "a.org:1", "b.org:1"]).as_slice().len(), 2);
        let json = serde_json::to_string(&egress(&["b.org:1"])).expect("JSON");
        assert_eq!(json, r#"["b.org:1"]"#);
        assert!(serde_json::from_str::<Egress>(r#"["nothing"]"#).is_err());
    }
}
