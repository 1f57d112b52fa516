//! The owner's page of a worker: where it is served, and what its self-test attacks.
//!
//! Start at [`open`].
//!
//! Invariant: the secret that opens it goes to a terminal or to who may speak to the worker, never into a log.

use super::selftest;
use crate::args::server::{PageAt, PageWish, RuntimeKind};
use crate::exit::Exit;
use crate::face::Face;
use crate::failure::{Done, Failure};
use futures::FutureExt;
use hivemind_worker::WorkerHandle;
use hivemind_worker::page::{DEFAULT_ADDRESS, Page, PageError, PageOptions, SelfTest, Tested};
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Serves the page of `worker` and says where it is; `None` where it is off. Where nobody said where, and the usual address is
/// taken, it is served on a free port.
///
/// # Errors
/// The address that was said is taken, or reached by others without a name for it.
pub(super) async fn open(
    worker: &WorkerHandle,
    data: &Path,
    kind: RuntimeKind,
    web: &PageWish,
    face: &mut Face,
) -> Done<Option<Page>> {
    let options =
        |address| PageOptions { address, hosts: web.web_host.clone(), selftest: attack(data.to_owned(), kind) };
    let page = match web.web {
        Some(PageAt::Off) => return Ok(None),
        Some(PageAt::At(address)) => worker.serve_page(options(address)).await.map_err(failed)?,
        None => {
            match worker.serve_page(options(DEFAULT_ADDRESS)).await {
                Err(PageError::Address { error, .. }) => {
                    face.warn(&format!("the usual address of the owner's page, {DEFAULT_ADDRESS}, cannot be used ({error}); a free port is"));
                    let free = SocketAddr::new(DEFAULT_ADDRESS.ip(), 0);
                    worker.serve_page(options(free)).await.map_err(failed)?
                }
                served => served.map_err(failed)?,
            }
        }
    };
    if std::io::stderr().is_terminal() {
        face.say(&format!("this machine's page: {}", page.login_url()));
    } else {
        let url = page.url();
        face.say(&format!("this machine's page is at {url}; `hivemind worker status` shows the address that opens it"));
    }
    Ok(Some(page))
}

fn failed(error: PageError) -> Failure {
    match error {
        PageError::Exposed(_) => Failure::usage(format!("--web: {error}")).fix(
            "name it with --web-host, such as --web-host mybox.lan; without TLS, everybody on the way can read along",
        ),
        PageError::Address { .. } => Failure::new(Exit::Failure, "E_SERVER", error.to_string())
            .fix("name another address with --web, or --web off for none"),
        PageError::Token(_) | PageError::Twice(_) | PageError::Figures(_) => {
            Failure::new(Exit::Failure, "E_SERVER", error.to_string())
        }
    }
}

/// Attacks a runtime of its own, as `worker selftest` does, so that nothing of the worker is touched.
fn attack(data: PathBuf, kind: RuntimeKind) -> Option<SelfTest> {
    if kind == RuntimeKind::Fake {
        return None;
    }
    Some(Arc::new(move |tell| {
        let data = data.clone();
        let attack = async move {
            let told = |line: &hivemind_runtime::selftest::Line| {
                // Who listens has room for every line, or has gone.
                let _gone = tell.try_send(line.into()).is_err();
            };
            let attacked = selftest::attack(&data, kind, told).await.map_err(|failure| failure.what)?;
            if let Err(why) = attacked.swept {
                tracing::warn!("something of the attackers may be left: {why}");
            }
            Ok(Tested::of(attacked.runtime, &attacked.lines))
        };
        attack.boxed()
    }))
}
