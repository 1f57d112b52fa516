//! Answers for what did not work, as RFC 9457 has them.
//!
//! Start at [`Problem`]; [`problems`] makes one of every other fault of a router.
//!
//! Invariant: no answer tells what went wrong inside of a server; that goes to its log.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Serialize, Serializer};
use std::any::Any;
use std::borrow::Cow;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;

/// Media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Most bytes of a plain answer that become a problem's detail.
const MAX_DETAIL: usize = 4096;

/// An answer that says what did not work, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: String,
    field: Option<String>,
    retry_after: Option<Duration>,
}

/// What goes over the wire.
#[derive(Serialize)]
struct Wire<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl Problem {
    /// A problem with `status`, the stable `code` (`E_...`) and a sentence for people.
    pub fn new(status: StatusCode, code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self { status, code: code.into(), detail: detail.into(), field: None, retry_after: None }
    }

    /// The problem that `status` alone tells.
    #[must_use]
    pub fn of(status: StatusCode) -> Self {
        let (code, detail) = told(status);
        Self::new(status, code, detail)
    }

    /// 400 `E_INVALID`: `field` of what was sent does not work.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "E_INVALID", detail).at(field)
    }

    /// 500 `E_INTERNAL`: `why` goes to the log and not to the peer.
    pub fn internal(why: impl std::fmt::Display) -> Self {
        tracing::error!("a request failed: {why}");
        Self::of(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The same about the field `field` of what was sent.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The same, with `Retry-After` in whole seconds, rounded up.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its stable code, `E_...`.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    fn wire(&self) -> Wire<'_> {
        Wire {
            r#type: format!("https://hivemind.invalid/errors/{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Problem"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: &self.code,
            field: self.field.as_deref(),
        }
    }

    /// Its sentence.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

/// The code and the sentence of a status.
fn told(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() {
        401 => ("E_UNAUTHENTICATED", "log in first"),
        403 => ("E_FORBIDDEN", "you may not do this"),
        404 => ("E_NOT_FOUND", "there is nothing at this address"),
        405 => ("E_METHOD", "this address does not take this method; the header Allow names those it takes"),
        406 => ("E_NOT_ACCEPTABLE", "this address has no answer in a form that was asked for"),
        408 => ("E_TIMED_OUT", "the request took too long; try again"),
        409 => ("E_CONFLICT", "something else was faster; look again and retry"),
        411 | 413 => ("E_TOO_LARGE", "the request is larger than this address takes"),
        415 => ("E_MEDIA_TYPE", "this address takes another Content-Type, usually application/json"),
        421 => ("E_HOST", "this server does not answer for that host name"),
        429 => ("E_BUSY", "too many requests; wait and try again"),
        400..=499 => ("E_INVALID", "the request cannot be understood"),
        502 | 504 => ("E_UNREACHABLE", "what this server needs does not answer; try again"),
        503 => ("E_UNAVAILABLE", "the server cannot answer now; try again"),
        _other => ("E_INTERNAL", "the server failed; its log says why"),
    }
}

impl Serialize for Problem {
    /// As the body of the answer has it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.wire().serialize(serializer)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let wire = self.wire();
        // Strings and numbers always have a form in JSON.
        let body = serde_json::to_vec(&wire).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(crate::limit::whole_seconds(wait)));
        }
        response
    }
}

/// The answer where nothing else is at an address.
pub async fn not_found() -> Problem {
    Problem::of(StatusCode::NOT_FOUND)
}

/// Makes problems of every plain fault of `router`, and of its panics.
pub fn problems<S>(router: Router<S>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router.layer(CatchPanicLayer::custom(panicked)).layer(from_fn(mend))
}

fn panicked(why: Box<dyn Any + Send>) -> Response {
    let text = why.downcast_ref::<&str>().copied().or_else(|| why.downcast_ref::<String>().map(String::as_str));
    Problem::internal(format!("it panicked: {}", text.unwrap_or("without words"))).into_response()
}

async fn mend(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_plain = kind.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !is_plain {
        return response;
    }
    let (parts, body) = response.into_parts();
    let mut problem = Problem::of(status);
    // What a framework says of a request helps who sent it; what a server says of itself does not.
    if status.is_client_error()
        && let Ok(text) = to_bytes(Body::new(body), MAX_DETAIL).await
        && let Ok(text) = std::str::from_utf8(&text)
        && !text.trim().is_empty()
    {
        problem.detail = text.trim().to_owned();
    }
    let mut mended = problem.into_response();
    for (name, value) in &parts.headers {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            mended.headers_mut().insert(name, value.clone());
        }
    }
    mended
}
