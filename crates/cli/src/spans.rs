//! Spans of a server, where the environment names a collector for them.
//!
//! Invariant: a server whose collector is away starts, serves and ends as one without.

use crate::failure::{Done, Failure};

/// What `server` gives. Its spans are exported under the name `service` meanwhile, and what is left of them when it has ended.
///
/// # Errors
/// Those of the server; and before it starts, that the environment asks for an export that there is not.
pub(crate) async fn exported(service: &'static str, server: impl Future<Output = Done>) -> Done {
    let exporting = hivemind_trace::start(service, env!("CARGO_PKG_VERSION"))
        .map_err(|refused| Failure::usage(&refused).fix(&refused.fix))?;
    let done = server.await;
    if let Some(exporting) = exporting {
        exporting.end().await;
    }
    done
}
