//! What a task left: all of it as an archive, or file by file.
//!
//! A file is a stranger's. Pictures and text are shown, as nothing else than that; everything else is only saved. Start at [`file`].
//!
//! Invariant: no file of a task ever runs as a page of this gateway, whatever it is named and holds.

use crate::app::App;
use crate::caller::Caller;
use crate::dto::picture::OutputFiles;
use crate::extract::{Asked, At, task as task_id};
use crate::fault::Fault;
use crate::link::Place;
use crate::wire::FromWire;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use hivemind_client::{ClientError, Events};
use hivemind_http::Problem;
use hivemind_http::headers::FOREIGN_POLICY;
use hivemind_model::ids::ElementRef;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use utoipa::IntoParams;

/// Largest file that is sent by itself.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Which element.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ElementAsked {
    /// Index of the element; of a plain task left out.
    element: Option<u32>,
}

/// The archive (tar) of the files that a completed task left. `Range` with one range resumes.
#[utoipa::path(get, path = "/tasks/{id}/output", tag = "files",
    params(("id" = String, Path, description = "Id of the task", max_length = 64), ElementAsked,
        ("Range" = Option<String>, Header, description = "`bytes=FIRST-` or `bytes=FIRST-LAST`; of another the whole is sent")),
    responses(
        (status = 200, description = "The archive", body = inline(crate::dto::Binary), content_type = "application/x-tar"),
        (status = 206, description = "The part of it that was asked for", body = inline(crate::dto::Binary), content_type = "application/x-tar"),
        (status = 416, description = "It has no such part", body = crate::dto::Problem, content_type = "application/problem+json")))]
pub(crate) async fn output(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    headers: HeaderMap,
    Asked(asked): Asked<ElementAsked>,
) -> Result<Response, Fault> {
    let element = ElementRef { task: task_id(&id)?, index: asked.element.unwrap_or(0) };
    let range = range_of(&headers);
    let room = caller.lane(&app).await?;
    let first = range.map_or(0, |range| range.first);
    let passing = match room.client.output_from(element, first).await {
        Err(ClientError::Rejected { field, .. }) if range.is_some() && field == "offset" => return Err(no_such_part()),
        passing => passing?,
    };
    let size = passing.whole.size.0;
    let tag = format!("\"{}\"", passing.whole.digest);
    let left = size.saturating_sub(first);
    let comes = range.and_then(|range| range.last).map_or(left, |last| left.min((last - first).saturating_add(1)));
    let (status, part) = match range {
        Some(_) if comes == 0 => return Err(no_such_part()),
        Some(_) => (StatusCode::PARTIAL_CONTENT, Some(format!("bytes {first}-{}/{size}", first + comes - 1))),
        None => (StatusCode::OK, None),
    };
    let name = format!("{}.tar", element.task);
    let mut response = content(passing.content, comes, room.place);
    *response.status_mut() = status;
    let told = response.headers_mut();
    told.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    told.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    for (name, value) in [
        (header::ETAG, Some(tag)),
        (header::CONTENT_RANGE, part),
        (header::CONTENT_DISPOSITION, Some(disposition("attachment", &name))),
    ] {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            told.insert(name, value);
        }
    }
    Ok(response)
}

/// Lists the files that a completed task left.
#[utoipa::path(get, path = "/tasks/{id}/files", tag = "files",
    params(("id" = String, Path, description = "Id of the task", max_length = 64), ElementAsked),
    responses((status = 200, description = "At most 10,000 of them", body = OutputFiles)))]
pub(crate) async fn files(
    caller: Caller,
    At(id): At<String>,
    Asked(asked): Asked<ElementAsked>,
) -> Result<Json<OutputFiles>, Fault> {
    let element = ElementRef { task: task_id(&id)?, index: asked.element.unwrap_or(0) };
    Ok(Json(OutputFiles::from_wire(caller.client.list_files(element).await?)))
}

/// Which file.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileAsked {
    /// Index of the element; of a plain task left out.
    element: Option<u32>,
    /// Its path, as the list of files writes it.
    #[param(max_length = 8192)]
    path: String,
}

/// One of the files that a completed task left, at most 1 GiB. Pictures (PNG, JPEG, GIF, WebP) and text are shown, text as nothing
/// but text; everything else is saved.
#[utoipa::path(get, path = "/tasks/{id}/file", tag = "files",
    params(("id" = String, Path, description = "Id of the task", max_length = 64), FileAsked),
    responses((status = 200, description = "The file", content(
        (inline(crate::dto::Binary) = "application/octet-stream"), (inline(crate::dto::Binary) = "image/png"), (inline(crate::dto::Binary) = "image/jpeg"),
        (inline(crate::dto::Binary) = "image/gif"), (inline(crate::dto::Binary) = "image/webp"), (inline(crate::dto::Binary) = "text/plain; charset=utf-8")))))]
pub(crate) async fn file(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    Asked(asked): Asked<FileAsked>,
) -> Result<Response, Fault> {
    let element = ElementRef { task: task_id(&id)?, index: asked.element.unwrap_or(0) };
    let room = caller.lane(&app).await?;
    let file = room.client.read_file(element, &asked.path, 0, MAX_FILE_BYTES).await?;
    if file.comes < file.size {
        let detail = format!("the file has {} bytes; get the whole output instead", file.size);
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "E_TOO_LARGE", detail).into());
    }
    // Of an empty file the first item is the end already, and an ended stream is not to be asked again.
    let mut pieces = file.content.fuse();
    let beginning = pieces.next().await.transpose()?.unwrap_or_default();
    let kind = Kind::of(&beginning);
    let whole = futures::stream::once(async { Ok(beginning) }).chain(pieces).boxed();
    let mut response = content(whole, file.comes, room.place);
    let name = asked.path.rsplit('/').find(|part| !part.is_empty()).unwrap_or("file").to_owned();
    let told = response.headers_mut();
    told.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind.media_type()));
    told.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(FOREIGN_POLICY));
    told.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(value) = HeaderValue::try_from(disposition(kind.disposition(), &name)) {
        told.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// What a file is, by what it holds and never by what it is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Png,
    Jpeg,
    Gif,
    Webp,
    Text,
    Other,
}

impl Kind {
    fn of(beginning: &[u8]) -> Self {
        match beginning {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Self::Png,
            [0xff, 0xd8, 0xff, ..] => Self::Jpeg,
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Self::Gif,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Self::Webp,
            text if is_text(text) => Self::Text,
            _other => Self::Other,
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Text => "text/plain; charset=utf-8",
            Self::Other => "application/octet-stream",
        }
    }

    const fn disposition(self) -> &'static str {
        match self {
            Self::Png | Self::Jpeg | Self::Gif | Self::Webp | Self::Text => "inline",
            Self::Other => "attachment",
        }
    }
}

fn is_text(bytes: &[u8]) -> bool {
    let is_plain = bytes.iter().all(|byte| *byte >= b' ' || b"\t\n\r\x0c\x1b".contains(byte));
    // A character may go on in the next piece.
    is_plain && std::str::from_utf8(bytes).map_or_else(|why| why.error_len().is_none(), |_| true)
}

/// An answer of `comes` bytes of `pieces`, which holds its place until it was read.
fn content(pieces: Events<Bytes>, comes: u64, place: Place) -> Response {
    let mut left = comes;
    let bounded = pieces.map_ok(move |piece| {
        let _held = &place;
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        left -= taken as u64;
        piece.slice(..taken)
    });
    let bounded = bounded.inspect_err(|error| tracing::debug!(%error, "a content broke off"));
    let mut response = Body::from_stream(bounded).into_response();
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(comes));
    response
}

/// The part of a content that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u64,
    last: Option<u64>,
}

/// One range from a first byte on; of any other form the whole is sent, as the standard allows.
fn range_of(headers: &HeaderMap) -> Option<Range> {
    if headers.contains_key(header::IF_RANGE) {
        return None;
    }
    let (first, last) = headers.get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.trim().parse().ok()?;
    match last.trim() {
        "" => Some(Range { first, last: None }),
        last => last.parse().ok().filter(|last| *last >= first).map(|last| Range { first, last: Some(last) }),
    }
}

fn no_such_part() -> Fault {
    Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "E_INVALID", "the content ends before the range begins")
        .at("Range")
        .into()
}

/// `Content-Disposition` of a file of that name (RFC 6266).
fn disposition(how: &str, name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).take(200).collect();
    let mut whole = String::new();
    for byte in name.bytes().take(200) {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            whole.push(char::from(byte));
        } else {
            whole.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("{how}; filename=\"{plain}\"; filename*=UTF-8''{whole}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pictures_and_text_are_shown() {
        for (bytes, kind) in [
            (&b"\x89PNG\r\n\x1a\n...."[..], Kind::Png),
            (b"\xff\xd8\xff\xe0", Kind::Jpeg),
            (b"GIF89a", Kind::Gif),
            (b"RIFF\0\0\0\0WEBPVP8 ", Kind::Webp),
            (b"<html><script>alert(1)</script>", Kind::Text),
            (b"<svg onload='alert(1)'/>", Kind::Text),
            ("z\u{fc}rich\n".as_bytes(), Kind::Text),
            (b"half a character \xe2\x82", Kind::Text),
            (b"", Kind::Text),
            (b"%PDF-1.7\n\x80\x81", Kind::Other),
            (b"a\0b", Kind::Other),
            (b"\xff\xfe<\0s\0", Kind::Other),
        ] {
            assert_eq!(Kind::of(bytes), kind, "{bytes:?}");
        }
        assert_eq!(Kind::of(b"<html>").media_type(), "text/plain; charset=utf-8", "never as a page");
    }

    #[test]
    fn a_name_cannot_leave_its_header() {
        let told = disposition("attachment", "a\"; filename=evil.exe\r\nX: y\u{fc}");
        assert!(!told.contains('\r') && !told.contains('\n'));
        assert_eq!(told.matches('"').count(), 2);
        assert!(HeaderValue::try_from(told).is_ok());
    }

    #[test]
    fn one_range_is_understood() {
        let range =
            |text: &'static str| range_of(&HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(text))]));
        assert_eq!(range("bytes=5-"), Some(Range { first: 5, last: None }));
        assert_eq!(range("bytes=5-9"), Some(Range { first: 5, last: Some(9) }));
        for other in ["bytes=-5", "bytes=9-5", "bytes=1-2,4-5", "lines=1-", "bytes=x-"] {
            assert_eq!(range(other), None, "{other}");
        }
    }
}
