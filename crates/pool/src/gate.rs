//! The gate before every service: which call it is, and from where.
//!
//! Both are written into the request's metadata under names that a sender's own values never keep. The address is that of
//! the connection, but where the request shows the gateway's secret: then the one that the gateway saw. Of which span a call is
//! part is believed of the gateway alone, too.
//! Start at [`Gate::mark`].
//!
//! Invariant: no header of a stranger is believed.

use crate::scopes;
use crate::server::Peer;
use hivemind_model::session::SecretHash;
use hivemind_trace::TRACEPARENT;
use http::{HeaderMap, HeaderValue};
use sha2::{Digest as _, Sha256};
use std::net::{IpAddr, Ipv4Addr};
use tonic::metadata::MetadataMap;

/// The gateway's secret, as it sends it.
const GATEWAY: &str = "x-hivemind-gateway";
/// Where a request comes from: as the gateway says, then as the gate has found.
const CLIENT: &str = "x-hivemind-client";
/// Which call it is, as the gate has found.
const CALL: &str = "x-hivemind-call";

/// See the module.
pub(crate) struct Gate {
    secret: String,
    digest: SecretHash,
}

impl Gate {
    /// A gate that believes whoever shows `secret`.
    pub(crate) fn new(secret: String) -> Self {
        let digest = digest(secret.as_bytes());
        Self { secret, digest }
    }

    /// What a gateway shows.
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// Notes on a request what the services go by.
    pub(crate) fn mark<B>(&self, mut request: http::Request<B>) -> http::Request<B> {
        let call = scopes::known_call(request.uri().path());
        let peer = request.extensions().get::<Peer>().map(|peer| peer.address.ip());
        let headers = request.headers_mut();
        let told = if self.is_shown(headers) {
            told(headers)
        } else {
            headers.remove(TRACEPARENT);
            None
        };
        let from = told.or(peer);
        headers.remove(GATEWAY);
        put(headers, CALL, call.map(HeaderValue::from_static));
        // Only the public services ask for it.
        let from = from.filter(|_| call.is_some()).and_then(|from| HeaderValue::from_str(&from.to_string()).ok());
        put(headers, CLIENT, from);
        request
    }

    /// Whether it is the gateway that asks.
    fn is_shown(&self, headers: &HeaderMap) -> bool {
        headers.get(GATEWAY).is_some_and(|shown| digest(shown.as_bytes()) == self.digest)
    }
}

/// The address that the gateway saw, or the gate has noted.
fn told(headers: &HeaderMap) -> Option<IpAddr> {
    headers.get(CLIENT)?.to_str().ok()?.parse().ok()
}

fn put(headers: &mut HeaderMap, name: &'static str, value: Option<HeaderValue>) {
    match value {
        // It takes the place of every value that is there.
        Some(value) => drop(headers.insert(name, value)),
        None => drop(headers.remove(name)),
    }
}

fn digest(secret: &[u8]) -> SecretHash {
    SecretHash(Sha256::digest(secret).into())
}

/// Where a request comes from.
pub(crate) fn origin(metadata: &MetadataMap) -> IpAddr {
    origin_of(metadata.as_ref())
}

/// The same, before it is a call of any service.
pub(crate) fn origin_of(headers: &HeaderMap) -> IpAddr {
    told(headers).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// Which of the known calls a request is.
pub(crate) fn call(metadata: &MetadataMap) -> Option<&str> {
    metadata.get(CALL).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BALANCE: &str = "/hivemind.v1.TokenService/Balance";

    fn marked(path: &str, headers: &[(&'static str, &str)]) -> MetadataMap {
        let mut request = http::Request::builder().uri(path).body(()).unwrap();
        request.extensions_mut().insert(Peer { address: "192.0.2.1:7".parse().unwrap(), node: None });
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        let marked = Gate::new("secret".into()).mark(request);
        assert!(!marked.headers().contains_key(GATEWAY), "the secret goes no further");
        MetadataMap::from_headers(marked.headers().clone())
    }

    #[test]
    fn only_the_gateway_speaks_for_others() {
        for (headers, from) in [
            (vec![], "192.0.2.1"),
            (vec![(CLIENT, "203.0.113.9")], "192.0.2.1"),
            (vec![(GATEWAY, "guess"), (CLIENT, "203.0.113.9")], "192.0.2.1"),
            (vec![(GATEWAY, ""), (CLIENT, "203.0.113.9")], "192.0.2.1"),
            (vec![(GATEWAY, "secret")], "192.0.2.1"),
            (vec![(GATEWAY, "secret"), (CLIENT, "nonsense")], "192.0.2.1"),
            (vec![(GATEWAY, "secret"), (CLIENT, "203.0.113.9")], "203.0.113.9"),
            (vec![(GATEWAY, "secret"), (CLIENT, "2001:db8::1")], "2001:db8::1"),
        ] {
            assert_eq!(origin(&marked(BALANCE, &headers)).to_string(), from, "{headers:?}");
        }
    }

    #[test]
    fn only_the_gateway_says_of_which_span_a_call_is_part() {
        let parent = (TRACEPARENT, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert!(marked(BALANCE, &[parent, (GATEWAY, "secret")]).contains_key(TRACEPARENT));
        assert!(!marked(BALANCE, &[parent]).contains_key(TRACEPARENT));
        assert!(!marked(BALANCE, &[parent, (GATEWAY, "guess")]).contains_key(TRACEPARENT));
    }

    #[test]
    fn nobody_says_which_call_it_is() {
        let forged = [(CALL, "/hivemind.v1.AuthService/WhoAmI"), (CALL, "x")];
        assert_eq!(call(&marked(BALANCE, &forged)), Some(BALANCE));
        let unknown = marked("/hivemind.worker.v1.WorkerService/Link", &forged);
        assert_eq!(call(&unknown), None);
        assert!(origin(&unknown).is_unspecified());
    }
}
