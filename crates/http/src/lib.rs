//! What the web servers of every role share.
//!
//! A role writes its own routes and hands them to [`finish`], which makes every fault a [`Problem`], bounds what is read and
//! sets the headers; [`serve::Server`] listens. [`pages`] are the files for browsers, [`events`] what they follow live,
//! [`operate`] what operators' tools ask for.
//!
//! ```text
//! listener ─► serve ─► finish (panics, problems, headers, bounds) ─► host ─► a role's routes, operate, pages
//! ```
//!
//! Invariant: no pool and no worker is known here, and whatever is kept of a peer has a bound.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use std::time::Duration;
use tower_http::timeout::RequestBodyTimeoutLayer;

pub mod browser;
pub mod events;
pub mod headers;
pub mod host;
pub mod limit;
pub mod operate;
pub mod pages;
pub mod problem;
pub mod serve;

pub use problem::Problem;

/// Bytes of a request's body that are read where a route says nothing else (`DefaultBodyLimit`).
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// How long a body may pause between two parts.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// Puts around `router` what every server has: faults and panics answer as [`Problem`]s, headers are set where a route has
/// not set them, bodies are bounded in size and in patience. The last call before [`serve::Server::run`].
pub fn finish<S>(router: Router<S>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let bounded =
        router.layer(DefaultBodyLimit::max(MAX_BODY_BYTES)).layer(RequestBodyTimeoutLayer::new(BODY_PATIENCE));
    headers::secure(problem::problems(bounded))
}
