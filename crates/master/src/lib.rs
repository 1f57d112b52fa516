//! The REST face of a pool's API under `/api/v1`, and the pages for browsers.
//!
//! A gateway is a client of the pool like any other: what a request may do is decided by the pool, by the token that it came with.
//! Start at [`Gateway::start`]; at [`routes`] for what there is; at [`document::json`] for the document of it.
//!
//! ```text
//! browser ─► hivemind-http ─► routes ─► caller (cookie or bearer) ─► client ─► pool
//!                              └► events: one watch of the pool for each user
//! ```
//!
//! Invariant: no rule of the pool is repeated here, and no token is in a body or a log.

mod app;
mod caller;
mod docs;
pub mod document;
pub mod dto;
mod events;
mod extract;
mod fault;
mod figures;
mod link;
mod routes;
mod serve;
mod sessions;
mod wire;

pub use fault::{Fault, status_of};
pub use hivemind_http::pages::Site;
pub use serve::{Gateway, Running, Tls, Way, tls};

use app::App;
use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

/// The routes below `/api/v1`, and their document.
fn api() -> (Router<App>, OpenApi) {
    let (router, document) = OpenApiRouter::with_openapi(document::base()).merge(routes::all()).split_for_parts();
    (router, document::complete(document))
}

#[cfg(test)]
mod tests;
