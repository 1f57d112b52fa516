//! The pages for browsers, in the executable.
//!
//! Start at [`with_pages`]. What lies in `web/dist` when this crate is built is served; each [`Site`] has its own first page, and
//! every address that is neither a file nor the API's shows it, as the page's own code finds the rest. A build without pages
//! serves one that says how to build them.
//!
//! Invariant: nothing is read from the disk of the machine that serves.

use crate::problem::Problem;
use axum::Router;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use rust_embed::{Embed, EmbeddedFile};
use std::borrow::Cow;

#[derive(Embed)]
#[folder = "$OUT_DIR/pages"]
struct Files;

/// Where builds put files whose names change with their content.
const HASHED: &str = "assets/";

/// Shown where no pages were built.
const NO_PAGES: &str = include_str!("pages/none.html");

/// Which of the web's sites a server shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// For requesters and the public.
    Master,
    /// For operators of a pool.
    Pool,
    /// For the owner of a machine.
    Worker,
}

impl Site {
    /// The file that is its first page.
    #[must_use]
    pub const fn first_page(self) -> &'static str {
        match self {
            Self::Master => "index.html",
            Self::Pool => "pool.html",
            Self::Worker => "worker.html",
        }
    }

    /// Whether its pages are in this executable.
    #[must_use]
    pub fn is_built(self) -> bool {
        Files::get(self.first_page()).is_some()
    }
}

/// Lets `router` answer every address that it has no route for: with a file, with the site's first page, or below `/api/` with
/// 404. Other methods than GET and HEAD get 405.
pub fn with_pages<S>(router: Router<S>, site: Site) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router.fallback(move |method: Method, uri: Uri, headers: HeaderMap| async move {
        answer(site, &method, uri.path(), &headers)
    })
}

fn answer(site: Site, method: &Method, path: &str, headers: &HeaderMap) -> Response {
    let path = path.trim_start_matches('/');
    if path == "api" || path.starts_with("api/") {
        return Problem::of(StatusCode::NOT_FOUND).into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        let mut refused = Problem::of(StatusCode::METHOD_NOT_ALLOWED).into_response();
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    // The first pages of the other sites and the compressed forms are no addresses of their own.
    let is_file = !path.is_empty() && !path.ends_with(".html") && !path.ends_with(".gz");
    if let Some(file) = is_file.then(|| Files::get(path)).flatten() {
        return send(path, file, headers);
    }
    if path.starts_with(HASHED) {
        return Problem::of(StatusCode::NOT_FOUND).into_response();
    }
    match Files::get(site.first_page()) {
        Some(file) => send(site.first_page(), file, headers),
        None => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], NO_PAGES).into_response(),
    }
}

fn send(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let packed = takes_gzip(headers).then(|| Files::get(&format!("{path}.gz"))).flatten();
    let form = if packed.is_some() { "-gz" } else { "" };
    let tag = format!("\"{}{form}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let caching = if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let is_known =
        headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok()).any(|tags| {
            tags.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
        });
    let is_packed = packed.is_some();
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let bytes = match packed.unwrap_or(file).data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        ([(header::CONTENT_TYPE, kind(path))], bytes).into_response()
    };
    let told = response.headers_mut();
    told.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    told.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        told.insert(header::ETAG, tag);
    }
    if is_packed && !is_known {
        told.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Whether a browser that sent `headers` unpacks gzip.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let is_refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

/// The media type of a file by its ending.
fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "ico" => "image/x-icon",
        "jpg" | "jpeg" => "image/jpeg",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        "webmanifest" => "application/manifest+json",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        _other => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    fn file(content: &'static [u8]) -> EmbeddedFile {
        // The tag comes from the content's digest alone.
        let metadata = rust_embed::Metadata::__rust_embed_new([7; 32], None, None);
        EmbeddedFile { data: Cow::Borrowed(content), metadata }
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (value, takes) in
            [("gzip", true), ("br, GZIP;q=0.5", true), ("gzip;q=0", false), ("identity", false), ("x-gzip", false)]
        {
            assert_eq!(takes_gzip(&asks(header::ACCEPT_ENCODING, value)), takes, "{value}");
        }
    }

    #[test]
    fn a_file_that_did_not_change_is_not_sent_again() {
        let sent = send("assets/a.js", file(b"1"), &HeaderMap::new());
        assert_eq!(sent.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
        assert_eq!(sent.headers()[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
        let tag = sent.headers()[header::ETAG].clone();
        let again = send("a.html", file(b"1"), &HeaderMap::from_iter([(header::IF_NONE_MATCH, tag)]));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(again.headers()[header::CACHE_CONTROL], "no-cache");
        let other = send("a.html", file(b"1"), &asks(header::IF_NONE_MATCH, "\"other\""));
        assert_eq!(other.status(), StatusCode::OK);
    }

    #[test]
    fn each_address_has_an_answer() {
        let status = |method: Method, path: &str| answer(Site::Worker, &method, path, &HeaderMap::new()).status();
        assert_eq!(status(Method::GET, "/"), StatusCode::OK);
        assert_eq!(status(Method::GET, "/any/page"), StatusCode::OK);
        assert_eq!(status(Method::GET, "/../../etc/passwd"), StatusCode::OK, "that is the first page, and no file");
        assert_eq!(status(Method::GET, "/api/v1/nothing"), StatusCode::NOT_FOUND);
        assert_eq!(status(Method::GET, "/assets/gone.js"), StatusCode::NOT_FOUND);
        assert_eq!(status(Method::POST, "/"), StatusCode::METHOD_NOT_ALLOWED);
    }
}
