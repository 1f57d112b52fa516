//! What a request says: its body, its query, its path, its key.
//!
//! Start at [`Body`]. What cannot be read is refused with a problem that names the field.
//!
//! Invariant: nothing unknown is let through, and nothing is read without a bound.

mod size;

use crate::fault::Fault;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use bytes::Bytes;
use hivemind_http::Problem;
use hivemind_model::TaskId;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// How long a body may take, beside what its length takes at the slowest: one that drips in holds memory and places.
const PATIENCE: Duration = Duration::from_secs(15);
const LEAST_BYTES_PER_SECOND: u64 = 128 << 10;
/// Most bytes of an idempotency key, as the pool's.
const MAX_KEY_BYTES: usize = 128;
/// Characters of a sentence that names what was sent.
const MOST_DETAIL_CHARS: usize = 300;
/// Header with a key that the client made.
const KEY_HEADER: &str = "idempotency-key";

/// A body of JSON, with no field that is not known.
pub(crate) struct Body<T>(pub(crate) T);

/// The same; nothing at all, or null, is the default.
pub(crate) struct MaybeBody<T>(pub(crate) T);

/// What stands behind `?`.
pub(crate) struct Asked<T>(pub(crate) T);

/// What the path names.
pub(crate) struct At<T>(pub(crate) T);

/// The client's own key of a request, so that a repetition has no further effect; empty: none.
pub(crate) struct Once(pub(crate) String);

/// No key, where a repetition has an effect of its own and a key would only promise otherwise.
pub(crate) struct Unkeyed;

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        if !is_json(request.headers()) {
            return Err(Problem::of(StatusCode::UNSUPPORTED_MEDIA_TYPE).into());
        }
        let bytes = read(request, state).await?;
        parse(&bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for MaybeBody<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let is_json = is_json(request.headers());
        let bytes = read(request, state).await?;
        match (bytes.trim_ascii(), is_json) {
            (b"", _) | (b"null", true) => Ok(Self(T::default())),
            (_, true) => parse(&bytes).map(Self),
            (_, false) => Err(Problem::of(StatusCode::UNSUPPORTED_MEDIA_TYPE).into()),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(why) => Err(Fault(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "E_INVALID", why.body_text()))),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(named)) => Ok(Self(named)),
            Err(_why) => Err(Fault::not_found("what the address names")),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Once {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        let mut keys = parts.headers.get_all(KEY_HEADER).iter();
        let Some(key) = keys.next() else { return Ok(Self(String::new())) };
        let bad = |why: &str| Fault::invalid("Idempotency-Key", why);
        if keys.next().is_some() {
            return Err(bad("more than one"));
        }
        let key = key.to_str().map_err(|_not_ascii| bad("only printable ASCII"))?;
        if key.is_empty() || key.len() > MAX_KEY_BYTES || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(bad(&format!("1 to {MAX_KEY_BYTES} printable characters without spaces")));
        }
        Ok(Self(key.to_owned()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Unkeyed {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        match parts.headers.contains_key(KEY_HEADER) {
            true => Err(Fault::invalid("Idempotency-Key", "this request cannot be repeated under a key; leave it out")),
            false => Ok(Self),
        }
    }
}

/// The task that a path names.
pub(crate) fn task(id: &str) -> Result<TaskId, Fault> {
    id.parse().map_err(|_bad| Fault::not_found(format!("the task {}", hivemind_proto::convert::bounded(id))))
}

/// The words of a list in a query, parted by commas.
pub(crate) fn words(list: Option<&str>) -> Vec<String> {
    let words = list.unwrap_or_default().split(',').map(str::trim);
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Items on a page.
pub(crate) fn page_size(limit: Option<u32>) -> Result<i32, Fault> {
    match limit {
        None => Ok(0),
        Some(limit @ 1..=1000) => Ok(limit.cast_signed()),
        Some(_) => Err(Fault::invalid("limit", "1 to 1000")),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Fault> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0_u64);
    let patience = PATIENCE.saturating_add(Duration::from_secs(length / LEAST_BYTES_PER_SECOND));
    match tokio::time::timeout(patience, Bytes::from_request(request, state)).await {
        Ok(read) => read.map_err(|why| Problem::of(why.status()).into()),
        Err(_elapsed) => {
            let detail = format!("the body did not come within {} s", patience.as_secs());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "E_TIMEOUT", detail).into())
        }
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    size::check(bytes)?;
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|why| {
        let field = why.path().to_string();
        unreadable(&why.into_inner(), &field)
    })?;
    json.end().map_err(|why| unreadable(&why, "."))?;
    // A list of values in the order of the fields would be taken, too.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        let detail = "the body must be an object, with its fields by their names";
        return Err(Fault(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "E_INVALID", detail)));
    }
    Ok(value)
}

fn unreadable(why: &serde_json::Error, field: &str) -> Fault {
    let is_form = why.is_syntax() || why.is_eof() || why.is_io();
    if is_form {
        let detail = format!("the body is not JSON: {why}");
        return Fault(Problem::new(StatusCode::BAD_REQUEST, "E_INVALID", detail));
    }
    // It names what was sent, which may be long.
    let detail: String = why.to_string().chars().take(MOST_DETAIL_CHARS).collect();
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "E_INVALID", detail);
    let field: String = field.chars().take(MOST_DETAIL_CHARS).collect();
    Fault(if field == "." { problem } else { problem.at(field) })
}
