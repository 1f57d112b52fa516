//! How often a peer may ask: [`hivemind_limit`], in the words of HTTP.
//!
//! Start at [`Refused`].

use crate::problem::Problem;
use axum::response::{IntoResponse, Response};
use hivemind_limit::{Allowance, TooMany};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::time::Duration;

/// Tells what is left in `RateLimit-Limit`, `-Remaining` and `-Reset` (whole seconds).
pub fn tell(allowance: &Allowance, headers: &mut HeaderMap) {
    for (name, value) in [
        ("ratelimit-limit", u64::from(allowance.most)),
        ("ratelimit-remaining", u64::from(allowance.remaining)),
        ("ratelimit-reset", whole_seconds(allowance.reset)),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
}

/// The answer to a request too many: 429 `E_BUSY` with `Retry-After`, and what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused(pub TooMany);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(TooMany { allowance, wait }) = self;
        let detail = format!("too many requests; try again in {} s", whole_seconds(wait));
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "E_BUSY", detail).retry_after(wait);
        let mut response = problem.into_response();
        tell(&allowance, response.headers_mut());
        response
    }
}

/// `wait` in seconds, rounded up, at least one.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asked_too_often_is_told_when_to_come_back() {
        let allowance = Allowance { most: 2, remaining: 0, reset: Duration::from_millis(59_001) };
        let answer = Refused(TooMany { allowance, wait: Duration::from_millis(100) }).into_response();
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        let headers = answer.headers();
        assert_eq!(
            (&headers["retry-after"], &headers["ratelimit-limit"]),
            (&"1".parse().unwrap(), &"2".parse().unwrap())
        );
        assert_eq!(headers["ratelimit-remaining"], "0");
        assert_eq!(headers["ratelimit-reset"], "60");
    }
}
