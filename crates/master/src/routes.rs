//! The addresses below `/api/v1`, and their document.
//!
//! One module for each part of the pool's API. Start at [`all`].
//!
//! Invariant: a route asks the pool and tells its answer; it decides nothing.

use crate::app::App;
use http::StatusCode;
use std::time::Duration;
use tower_http::timeout::TimeoutLayer;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) mod account;
pub(crate) mod contents;
pub(crate) mod files;
pub(crate) mod keys;
pub(crate) mod live;
pub(crate) mod logs;
pub(crate) mod nodes;
pub(crate) mod pictures;
pub(crate) mod pool;
pub(crate) mod projects;
pub(crate) mod submission;
pub(crate) mod tasks;
pub(crate) mod wallet;

/// Most bytes of a body that carries tasks, below what the pool takes in one message.
const MAX_TASKS_BYTES: usize = 12 << 20;
/// Most bytes of any other body.
const MAX_SMALL_BYTES: usize = 48 << 10;
/// Until the answer to each begins: a body that drips in is left.
const TASKS_PATIENCE: Duration = Duration::from_secs(180);
/// The same of any other body.
const SMALL_PATIENCE: Duration = Duration::from_secs(60);

/// What the document says of the key; [`crate::extract::Once`] reads it.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)]
pub(crate) struct IdempotencyKey {
    /// Made by the client; the same key has the same effect however often it is sent.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$")]
    key: Option<String>,
}

/// Every route.
pub(crate) fn all() -> OpenApiRouter<App> {
    use axum::extract::DefaultBodyLimit;
    let large = OpenApiRouter::new()
        .routes(routes!(tasks::list_tasks, submission::submit_task))
        .routes(routes!(submission::submit_graph))
        .routes(routes!(submission::quote))
        .layer(DefaultBodyLimit::max(MAX_TASKS_BYTES))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, TASKS_PATIENCE));
    let small = OpenApiRouter::new()
        .merge(of_accounts())
        .merge(of_tasks())
        .merge(of_money())
        .merge(of_machines())
        .layer(DefaultBodyLimit::max(MAX_SMALL_BYTES))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, SMALL_PATIENCE));
    let endless = OpenApiRouter::new().routes(routes!(contents::put_content)).layer(DefaultBodyLimit::disable());
    OpenApiRouter::new().merge(large).merge(small).merge(endless)
}

fn of_accounts() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(account::register))
        .routes(routes!(account::login))
        .routes(routes!(account::logout))
        .routes(routes!(account::refresh))
        .routes(routes!(account::me))
        .routes(routes!(keys::list_sessions))
        .routes(routes!(keys::end_session))
        .routes(routes!(keys::list_keys, keys::create_key))
        .routes(routes!(keys::revoke_key))
        .routes(routes!(keys::invite))
}

fn of_tasks() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(tasks::task))
        .routes(routes!(tasks::explain))
        .routes(routes!(tasks::elements))
        .routes(routes!(tasks::element))
        .routes(routes!(tasks::entries))
        .routes(routes!(submission::cancel_task))
        .routes(routes!(submission::retry_task))
        .routes(routes!(pictures::grid))
        .routes(routes!(pictures::failures))
        .routes(routes!(pictures::timeline))
        .routes(routes!(logs::logs))
        .routes(routes!(logs::log_events))
        .routes(routes!(files::output))
        .routes(routes!(files::files))
        .routes(routes!(files::file))
        .routes(routes!(contents::find_contents))
}

fn of_money() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(wallet::wallet))
        .routes(routes!(wallet::statement))
        .routes(routes!(wallet::transfer))
        .routes(routes!(wallet::rewards))
        .routes(routes!(projects::list_projects, projects::register_project))
        .routes(routes!(projects::list_tips, projects::tip))
        .routes(routes!(projects::collect_tips))
        .routes(routes!(projects::close_project))
}

fn of_machines() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(nodes::list_nodes))
        .routes(routes!(nodes::node_history))
        .routes(routes!(nodes::set_node))
        .routes(routes!(nodes::create_join_token))
        .routes(routes!(pool::info))
        .routes(routes!(pool::health))
        .routes(routes!(pool::queue))
        .routes(routes!(pool::journal))
        .routes(routes!(pool::public))
        .routes(routes!(pool::audit))
        .routes(routes!(pool::trial_balance))
        .routes(routes!(live::events))
}
