//! Which images an owner lets run, and from where they may be fetched.
//!
//! Start at [`ImageRules`]. What the rules refuse ends an attempt as
//! [`ImageUnavailable`](hivemind_model::state::Outcome::ImageUnavailable): the image may be sound and another owner
//! may run it, so it is tried elsewhere, a few times, and costs nobody anything.
//!
//! Invariant: a name is judged as it will be fetched, with its registry and its folders written out.

use super::Reference;
use hivemind_model::units::Bytes;
use std::net::IpAddr;
use std::time::Duration;

/// Where names without a registry lead.
const HUB: &str = "docker.io";
/// Longest wait for a registry's addresses.
const LOOKUP: Duration = Duration::from_secs(10);

/// What an owner says of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRules {
    /// Names that may run, written out and without tag or digest; `*` stands for any characters. Empty: all may.
    /// `docker.io/library/*`, `ghcr.io/me/*`. An archive that a requester brings has the name `sha256:<hex>`.
    pub allow: Vec<String>,
    /// Registries at addresses that are not public which may be asked all the same: `HOST` or `HOST:PORT`, `*`
    /// stands for any characters. Otherwise a task could reach the owner's network by the name of its image.
    pub private_registries: Vec<String>,
    /// Largest image as it is fetched.
    pub max_bytes: Bytes,
    /// Largest image as it lies on the disk.
    pub max_unpacked: Bytes,
    /// Fetched images together take no more than this: those that were used last stay.
    pub cache_bytes: Bytes,
    /// A fetched image that nobody used for so long is removed.
    pub cache_idle: Duration,
}

impl Default for ImageRules {
    /// Any name, public registries, 10 GiB fetched, 20 GiB unpacked; 40 GiB and 14 days are kept.
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            private_registries: Vec::new(),
            max_bytes: Bytes::from_gib(10),
            max_unpacked: Bytes::from_gib(20),
            cache_bytes: Bytes::from_gib(40),
            cache_idle: Duration::from_secs(14 * 24 * 3600),
        }
    }
}

impl ImageRules {
    /// Refuses an image by its reference that the owner did not list.
    ///
    /// # Errors
    /// A sentence for people.
    pub fn check_reference(&self, reference: &Reference) -> Result<(), String> {
        self.check_name(&written_out(reference))
    }

    /// Refuses a name that the owner did not list.
    ///
    /// # Errors
    /// A sentence for people.
    pub fn check_name(&self, name: &str) -> Result<(), String> {
        if self.allow.is_empty() || self.allow.iter().any(|pattern| matches(pattern, name)) {
            return Ok(());
        }
        Err(format!("this machine's owner runs only images named {}, and not {name}", self.allow.join(", ")))
    }

    /// Refuses an image of that many bytes on the disk.
    pub(in crate::docker) fn check_unpacked(&self, what: &str, bytes: Bytes) -> Result<(), String> {
        if bytes <= self.max_unpacked {
            return Ok(());
        }
        Err(format!("{what} has {bytes} unpacked, and this machine's owner takes at most {}", self.max_unpacked))
    }

    /// Refuses a registry in the owner's own network.
    ///
    /// The daemon asks for the addresses again when it fetches: who can change them in between reaches a
    /// registry's doors (`/v2/`) there, and sees no answer.
    ///
    /// # Errors
    /// A sentence for people.
    pub async fn check_registry(&self, reference: &Reference) -> Result<(), String> {
        let registry = registry_of(reference);
        if registry == HUB {
            return Ok(());
        }
        let (host, port) = registry.split_once(':').unwrap_or((registry, "443"));
        if self.private_registries.iter().any(|pattern| matches(pattern, registry) || matches(pattern, host)) {
            return Ok(());
        }
        let refused = |what: String| {
            format!("the registry {registry} {what}, and this machine's owner has not listed it among the private ones")
        };
        if host == "localhost" || host.ends_with(".localhost") {
            return Err(refused("is this machine itself".into()));
        }
        let port = port.parse::<u16>().unwrap_or(443);
        let found = tokio::time::timeout(LOOKUP, tokio::net::lookup_host((host, port))).await;
        // A name that leads nowhere is for the daemon to report: it may have a way of its own, such as a proxy.
        let Ok(Ok(addresses)) = found else { return Ok(()) };
        match addresses.map(|address| address.ip()).find(|address| !is_public(*address)) {
            Some(address) => Err(refused(format!("leads to {address}, which is no public address"))),
            None => Ok(()),
        }
    }

    /// True where `host` may be asked at `address`, whatever the port: the address is public, or the owner has listed
    /// the host among the private registries.
    #[must_use]
    pub fn may_ask(&self, host: &str, address: IpAddr) -> bool {
        let listed = |pattern: &String| matches(pattern.split_once(':').map_or(pattern, |(host, _)| host), host);
        is_public(address) || self.private_registries.iter().any(listed)
    }
}

/// The name as it is fetched: `docker.io/library/python`.
pub(super) fn written_out(reference: &Reference) -> String {
    let name = reference.name.as_str();
    match registry_of(reference) {
        HUB if name.starts_with("docker.io/") => name.to_owned(),
        HUB if name.contains('/') => format!("{HUB}/{name}"),
        HUB => format!("{HUB}/library/{name}"),
        _ => name.to_owned(),
    }
}

fn registry_of(reference: &Reference) -> &str {
    match reference.name.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => HUB,
    }
}

/// True where `pattern`, in which `*` stands for any characters, is `text`.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(previous) = last.replace(part) {
            let Some(at) = rest.find(previous) else { return false };
            rest = &rest[at + previous.len()..];
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

/// True for addresses that everybody in the world reaches the same under, and that are neither this machine's nor a
/// neighbour's.
fn is_public(address: IpAddr) -> bool {
    hivemind_egress::outside(&[address]).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(text: &str) -> Reference {
        Reference::parse(text).expect("a reference")
    }

    #[test]
    fn names_are_judged_as_they_are_fetched() {
        for (text, name) in [
            ("python:3.12", "docker.io/library/python"),
            ("a/b", "docker.io/a/b"),
            ("docker.io/a/b@sha256:0000000000000000000000000000000000000000000000000000000000000000", "docker.io/a/b"),
            ("ghcr.io/a/b:1", "ghcr.io/a/b"),
            ("localhost/x", "localhost/x"),
        ] {
            assert_eq!(written_out(&reference(text)), name);
        }
        let rules =
            ImageRules { allow: vec!["docker.io/library/*".into(), "ghcr.io/me/x".into()], ..ImageRules::default() };
        for (text, allowed) in [
            ("python:3.12", true),
            ("ghcr.io/me/x:7", true),
            ("ghcr.io/me/xx", false),
            ("a/b", false),
            ("evil.example/docker.io/library/python", false),
        ] {
            assert_eq!(rules.check_name(&written_out(&reference(text))).is_ok(), allowed, "{text}");
        }
        assert!(ImageRules::default().check_name("anything").is_ok());
        let listed = ImageRules { private_registries: vec!["10.0.0.*:5000".into()], ..ImageRules::default() };
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(listed.may_ask("10.0.0.7", address("10.0.0.7")) && listed.may_ask("ghcr.io", address("8.8.8.8")));
        assert!(!listed.may_ask("ghcr.io", address("10.0.0.7")) && !listed.may_ask("10.1.0.7", address("10.1.0.7")));
    }

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, text, matched) in [
            ("*", "", true),
            ("*", "a/b", true),
            ("a*", "ab", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a", "ab", false),
            ("", "a", false),
            ("a*a", "a", false),
            ("127.0.0.1:*", "127.0.0.1:5000", true),
        ] {
            assert_eq!(matches(pattern, text), matched, "{pattern} {text}");
        }
    }

    #[tokio::test]
    async fn registries_of_the_owner_s_network_are_refused() {
        let rules = ImageRules::default();
        for text in [
            "localhost/x",
            "localhost:5000/x",
            "a.localhost/x",
            "127.0.0.1/x",
            "127.0.0.1:5000/x",
            "10.1.2.3:5000/x",
            "192.168.0.1/x",
            "169.254.169.254/latest",
            "100.64.0.1/x",
            "0.0.0.0/x",
            // Decimal, octal and hexadecimal spellings of 127.0.0.1.
            "2130706433:80/x",
            "0177.0.0.1/x",
            "127.1/x",
            "0x7f000001:80/x",
        ] {
            let error = rules.check_registry(&reference(text)).await.expect_err(text);
            assert!(error.contains("has not listed it"), "{error}");
        }
        for text in ["python", "docker.io/a/b", "1.1.1.1/x"] {
            assert_eq!(rules.check_registry(&reference(text)).await, Ok(()), "{text}");
        }
        let listed = ImageRules { private_registries: vec!["127.0.0.1".into(), "10.0.0.1:5*".into()], ..rules };
        for text in ["127.0.0.1:5000/x", "10.0.0.1:5000/x"] {
            assert_eq!(listed.check_registry(&reference(text)).await, Ok(()), "{text}");
        }
        assert!(listed.check_registry(&reference("10.0.0.1:80/x")).await.is_err());
    }

    #[test]
    fn wrapped_addresses_are_unwrapped() {
        for text in [
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            // Forms that only some networks understand.
            "::10.0.0.1",
            "2001:0:a00:1::",
            "2a01:4f8::5efe:10.0.0.1",
            "192.88.99.1",
        ] {
            assert!(!is_public(text.parse().expect("an address")), "{text}");
        }
        for text in ["2606:4700::1111", "::ffff:1.1.1.1", "8.8.8.8"] {
            assert!(is_public(text.parse().expect("an address")), "{text}");
        }
    }
}
