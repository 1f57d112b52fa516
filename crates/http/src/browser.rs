//! What cookies need.
//!
//! Start at [`cookie`] and [`set_cookie`]; a request that changes something and comes with a cookie is checked by
//! [`check_unsafe`].
//!
//! Invariant: nothing here is compared in a time that tells how much of it was right.

use crate::host;
use crate::problem::Problem;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use std::time::Duration;

/// Header that repeats the session's secret word on every request that changes something.
pub const CSRF_HEADER: &str = "x-csrf-token";

/// The value of the cookie `name`; `None` where there are several: another server of this machine may have put one there, and
/// nobody knows which.
#[must_use]
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut found =
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// A `Set-Cookie` that scripts cannot read and other sites do not send. `age` zero removes it. `None` where `value` has
/// anything but letters, digits, `-`, `_` and `.`.
#[must_use]
pub fn set_cookie(name: &str, value: &str, path: &str, age: Duration, is_tls: IsTls) -> Option<HeaderValue> {
    if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return None;
    }
    let secure = match is_tls {
        IsTls::Yes => "; Secure",
        IsTls::No => "",
    };
    let text = format!("{name}={value}; Path={path}; Max-Age={}; HttpOnly; SameSite=Strict{secure}", age.as_secs());
    HeaderValue::try_from(text).ok()
}

/// Whether browsers reach the server through TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsTls {
    /// They do, and send its cookies only so.
    Yes,
    /// They do not; right for loopback only.
    No,
}

/// True where `method` changes nothing.
#[must_use]
pub fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method)
}

/// Checks a request that came with a cookie and may change something: it must repeat `csrf` in [`CSRF_HEADER`], and come from a
/// page of this server where its browser says from where.
///
/// # Errors
/// 403 `E_CSRF`.
pub fn check_unsafe(method: &Method, uri: &Uri, headers: &HeaderMap, csrf: &str) -> Result<(), Problem> {
    if is_safe(method) {
        return Ok(());
    }
    check_origin(uri, headers)?;
    let repeated = headers.get(CSRF_HEADER).map(HeaderValue::as_bytes).unwrap_or_default();
    if csrf.is_empty() || !is_same(repeated, csrf.as_bytes()) {
        return Err(refused("the header X-CSRF-Token must repeat the session's csrf_token; reload the page"));
    }
    Ok(())
}

/// Checks that a request comes from a page of this server, where its browser says from where.
///
/// # Errors
/// 403 `E_CSRF`.
pub fn check_origin(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    let is_own = origin.zip(host::named(headers, uri)).is_some_and(|(from, own)| from.eq_ignore_ascii_case(own));
    if is_own { Ok(()) } else { Err(refused("the request came from a page of another site")) }
}

fn refused(detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "E_CSRF", detail)
}

/// Whether two secrets are the same, in a time that depends on their lengths only.
#[must_use]
pub fn is_same(a: &[u8], b: &[u8]) -> bool {
    let differs = a.iter().zip(b).fold(0, |differs, (a, b)| std::hint::black_box(differs | (a ^ b)));
    a.len() == b.len() && differs == 0
}

/// A new secret: 32 random bytes in hexadecimal.
#[must_use]
pub fn new_secret() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let headers = headers(&[("cookie", "xab=1; ab=2;abc=3"), ("cookie", "c=4")]);
        assert_eq!(cookie(&headers, "ab"), Some("2"));
        assert_eq!(cookie(&headers, "c"), Some("4"));
        assert_eq!(cookie(&headers, "a"), None);
        for twice in [&[("cookie", "a=1; a=2")][..], &[("cookie", "a=1"), ("cookie", "a=1")]] {
            assert_eq!(cookie(&self::headers(twice), "a"), None, "{twice:?}");
        }
        assert_eq!(set_cookie("a", "b; Domain=evil", "/", Duration::ZERO, IsTls::No), None);
        let set = set_cookie("a", "b", "/", Duration::from_secs(9), IsTls::Yes).unwrap();
        assert_eq!(set, "a=b; Path=/; Max-Age=9; HttpOnly; SameSite=Strict; Secure");
    }

    #[test]
    fn what_changes_something_needs_the_word_and_the_own_origin() {
        let uri = Uri::from_static("/x");
        let check = |method: Method, pairs: &[(&'static str, &'static str)]| {
            check_unsafe(&method, &uri, &headers(pairs), "word").is_ok()
        };
        assert!(check(Method::GET, &[]));
        assert!(!check(Method::POST, &[("host", "h")]));
        assert!(!check(Method::DELETE, &[("host", "h"), ("x-csrf-token", "wore")]));
        assert!(check(Method::PUT, &[("host", "h:1"), ("x-csrf-token", "word"), ("origin", "http://h:1")]));
        assert!(!check(Method::PUT, &[("host", "h:1"), ("x-csrf-token", "word"), ("origin", "http://evil")]));
        assert!(!check(Method::PUT, &[("host", "h:1"), ("x-csrf-token", "word"), ("origin", "null")]));
        assert!(check_unsafe(&Method::PUT, &uri, &headers(&[("x-csrf-token", "")]), "").is_err());
    }
}
