//! Lists that come a page at a time, read as one stream.
//!
//! Start at [`paged`].
//!
//! Invariant: a page is asked for only once the one before it has been taken, so what is in memory
//! never grows with the length of the list.

use crate::{ClientError, Events};
use futures::stream::{self, StreamExt, TryStreamExt};
use std::future::Future;

/// Most items in one page.
const MAX_PAGE: usize = 1000;

/// The size of the pages of a list of which `most` items are wanted.
pub(crate) fn page_size(most: usize) -> i32 {
    i32::try_from(most.clamp(1, MAX_PAGE)).unwrap_or(i32::MAX)
}

/// Which page comes next.
enum Next {
    Page(String),
    None,
}

/// The first `most` items of a list. `fetch` gets a page token (empty for the first page) and gives
/// the items of that page and the token of the next one (empty after the last).
///
/// The stream ends at its first error. A pool that names the page just read as the next one would
/// never come to an end; that is such an error.
pub(crate) fn paged<T, F>(what: &'static str, most: usize, fetch: impl Fn(String) -> F + Send + 'static) -> Events<T>
where
    T: Send + 'static,
    F: Future<Output = Result<(Vec<T>, String), ClientError>> + Send,
{
    let pages = stream::try_unfold((Next::Page(String::new()), fetch), move |(next, fetch)| async move {
        let Next::Page(token) = next else { return Ok(None) };
        let (items, following) = fetch(token.clone()).await?;
        let next = match following {
            end if end.is_empty() => Next::None,
            same if same == token => return Err(ClientError::protocol(what, "the pages of the list go in a circle")),
            token => Next::Page(token),
        };
        Ok(Some((stream::iter(items.into_iter().map(Ok)), (next, fetch))))
    });
    pages.try_flatten().take(most).boxed()
}
