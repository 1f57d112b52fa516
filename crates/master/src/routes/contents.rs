//! Inputs of tasks: contents that are named by their digest.
//!
//! Invariant: no content is held here as a whole.

use crate::app::App;
use crate::caller::Caller;
use crate::dto::Page;
use crate::dto::submit::{ContentFound, FindContents, StoredContent};
use crate::extract::Body;
use crate::fault::Fault;
use axum::Json;
use axum::body::Body as Bytes;
use axum::extract::State;
use futures::StreamExt;
use hivemind_client::ClientError;
use hivemind_http::Problem;
use hivemind_model::spec::Digest;
use http::{HeaderMap, StatusCode, header};
use parking_lot::Mutex;
use std::sync::Arc;

/// Most digests in one question, as the pool's.
const MAX_DIGESTS: usize = 1000;

/// Stores a content for later use as an input or an image. The request names its size in `Content-Length`.
#[utoipa::path(put, path = "/contents", tag = "files",
    request_body(content = inline(crate::dto::Binary), content_type = "application/octet-stream", description = "The content"),
    responses((status = 200, description = "It is stored", body = StoredContent),
        (status = 411, description = "The size is not named", body = crate::dto::Problem, content_type = "application/problem+json")))]
pub(crate) async fn put_content(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<StoredContent>, Fault> {
    let size = headers.get(header::CONTENT_LENGTH).and_then(|size| size.to_str().ok()?.parse::<u64>().ok());
    let unnamed = || {
        let detail = "name the size of the content in Content-Length";
        Problem::new(StatusCode::LENGTH_REQUIRED, "E_INVALID", detail).at("Content-Length")
    };
    let size = size.ok_or_else(unnamed)?;
    let room = caller.lane(&app).await?;
    // What breaks on the browser's side ends the upload; why, is kept for the answer.
    let broken = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&broken);
    let pieces = body.into_data_stream().scan((), move |(), piece| {
        let piece = piece.map_err(|why| *noted.lock() = Some(why.to_string())).ok();
        async move { piece }
    });
    let stored = room.client.upload_passing(size, pieces).await;
    drop(room.place);
    match (stored, broken.lock().take()) {
        (Ok(blob), None) => Ok(Json(StoredContent { digest: blob.digest.to_string(), size: blob.size.0 })),
        (Ok(_) | Err(ClientError::Rejected { .. }), Some(why)) => {
            let detail = format!("the content broke off: {why}; send it again");
            Err(Problem::new(StatusCode::BAD_REQUEST, "E_INVALID", detail).into())
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// Tells which contents the caller may use already, and how much of others is here.
#[utoipa::path(post, path = "/contents/find", tag = "files", request_body = FindContents,
    responses((status = 200, description = "In the order of the question", body = Page<ContentFound>)))]
pub(crate) async fn find_contents(
    caller: Caller,
    Body(asked): Body<FindContents>,
) -> Result<Json<Page<ContentFound>>, Fault> {
    if asked.digests.len() > MAX_DIGESTS {
        return Err(Fault::invalid("digests", format!("at most {MAX_DIGESTS}")));
    }
    let digests = asked.digests.iter().map(|text| text.parse::<Digest>().map_err(|why| Fault::invalid("digests", why)));
    let digests = digests.collect::<Result<Vec<_>, _>>()?;
    let found = caller.client.find_content(&digests).await?;
    let told = digests.iter().zip(found).map(|(digest, missing)| ContentFound {
        digest: digest.to_string(),
        complete: missing.is_none(),
        received: missing.unwrap_or(0),
    });
    Ok(Json(Page { items: told.collect(), next_cursor: None }))
}
