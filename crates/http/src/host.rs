//! For which host names a server answers.
//!
//! A page of a stranger can make its own name point at this machine, and a browser then lets it read what a server here answers
//! (DNS rebinding). A server that checks the name it was asked by is not fooled. Start at [`guard`].
//!
//! Invariant: no name is looked up here.

use crate::problem::Problem;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri, header};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// Names that a server answers for.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    names: BTreeSet<String>,
    is_loopback: bool,
}

impl Hosts {
    /// Every name and address of this machine's loopback.
    #[must_use]
    pub fn loopback() -> Self {
        Self { names: BTreeSet::new(), is_loopback: true }
    }

    /// The same and `name`: a host name or an address, without a port.
    #[must_use]
    pub fn and(mut self, name: &str) -> Self {
        self.names.insert(name.trim_matches(['[', ']']).to_ascii_lowercase());
        self
    }

    /// Whether `authority` (`host` or `host:port`) is one of them. User names in it are refused.
    #[must_use]
    pub fn has(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<http::uri::Authority>() else { return false };
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host().trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        let is_near = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        self.names.contains(&host) || self.is_loopback && is_near
    }
}

/// The host that a request names, with its port: of its header, or of its address (HTTP/2).
#[must_use]
pub fn named<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    match headers.get(header::HOST) {
        Some(host) => host.to_str().ok(),
        None => uri.authority().map(http::uri::Authority::as_str),
    }
}

/// Lets `router` answer only requests that name one of `hosts`; others get 421 `E_HOST`.
pub fn guard<S>(router: Router<S>, hosts: Hosts) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let hosts = Arc::new(hosts);
    router.layer(from_fn(move |request: Request, next: Next| {
        let hosts = Arc::clone(&hosts);
        async move { check(&hosts, request, next).await }
    }))
}

async fn check(hosts: &Hosts, request: Request, next: Next) -> Response {
    let is_ours = request.headers().get_all(header::HOST).iter().count() <= 1
        && named(request.headers(), request.uri()).is_some_and(|host| hosts.has(host));
    if is_ours { next.run(request).await } else { Problem::of(StatusCode::MISDIRECTED_REQUEST).into_response() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_name_is_not_this_machine() {
        let hosts = Hosts::loopback().and("Pool.Example").and("[2001:db8::1]");
        for ours in [
            "localhost",
            "LocalHost:8082",
            "localhost.:8082",
            "127.0.0.1:1",
            "127.8.9.1",
            "[::1]:8082",
            "pool.example:443",
            "[2001:db8::1]:1",
        ] {
            assert!(hosts.has(ours), "{ours}");
        }
        for other in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "evil.example@localhost",
            "10.0.0.1",
            "0.0.0.0",
            "[::]:8082",
            "a b",
        ] {
            assert!(!hosts.has(other), "{other}");
        }
        assert!(!Hosts::default().has("localhost"));
    }
}
