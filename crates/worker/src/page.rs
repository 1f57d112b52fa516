//! The owner's page: what this machine does, and the buttons for it, in a browser.
//!
//! The same requests that the control socket takes ([`crate::control`]), as JSON over HTTP, on loopback and behind a secret that
//! lies in the worker's folder; besides them, figures for operators' tools. Start at [`start`]; `access` decides who is heard,
//! `api` answers.
//!
//! Invariant: nothing is decided here that the control socket would decide otherwise.

use crate::cache::InputCache;
use crate::control::Asked;
use crate::diary::Diary;
use crate::membership::Membership;
use crate::status::Status;
use crate::usage::Monitor;
use hivemind_http::events::{Bounds, Hub};
use hivemind_http::host::{self, Hosts};
use hivemind_http::pages::{self, Site};
use hivemind_http::serve::{Options, Server};
use hivemind_runtime::Runtime;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

mod access;
mod api;
mod earnings;
mod figures;
mod now;
mod safety;

pub use crate::diary::Ran;
pub use crate::usage::history::Sample;
pub use earnings::{Earnings, Reward};
pub use now::{GpuNow, MachineState, Now};
pub use safety::{Promised, Safety, SelfTest, SelfTestState, Tested};

/// Where a worker serves its page if nothing else is said.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8082);

/// Connections at once: one owner's browsers and one Prometheus.
const MAX_CONNECTIONS: usize = 128;

/// Events in the ring, and pages that follow them.
const EVENTS: Bounds = Bounds { events: 256, bytes: 1 << 20, followers: 32 };

/// How to serve the page.
#[derive(Clone)]
pub struct PageOptions {
    /// Where; port 0 takes a free one.
    pub address: SocketAddr,
    /// Names by which browsers may ask for it besides those of loopback. Without any, only loopback addresses are served on.
    pub hosts: Vec<String>,
    /// Attacks this machine's isolation; `None` where nothing real runs tasks.
    pub selftest: Option<SelfTest>,
}

impl std::fmt::Debug for PageOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageOptions")
            .field("address", &self.address)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Others can reach that address, and nobody said that they may.
    #[error(
        "{0} can be reached from other machines; give the names by which browsers ask for the page, or a loopback address"
    )]
    Exposed(SocketAddr),
    /// It cannot be listened on.
    #[error("the owner's page cannot be served on {address}: {error}")]
    Address {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// What opens the page cannot be kept.
    #[error("what opens the owner's page cannot be kept: {0}")]
    Token(String),
    /// One is served already.
    #[error("this worker serves its page already, at {0}")]
    Twice(String),
    /// A bug.
    #[error("the figures of the owner's page cannot be made: {0}")]
    Figures(String),
}

/// What the page sees of a worker.
pub(crate) struct Insides {
    pub node: String,
    pub asked: mpsc::Sender<Asked>,
    pub status: watch::Receiver<Status>,
    pub monitor: Monitor,
    pub diary: Arc<Diary>,
    pub cache: Arc<InputCache>,
    pub membership: Arc<Membership>,
    pub runtime: Arc<dyn Runtime>,
    /// DATA/worker.
    pub folder: PathBuf,
    /// Set while a page is served.
    pub url: Arc<OnceLock<String>>,
}

impl std::fmt::Debug for Insides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Insides").field("node", &self.node).finish_non_exhaustive()
    }
}

/// What all requests share.
struct Desk {
    insides: Arc<Insides>,
    access: access::Access,
    hub: Hub,
    tests: safety::Tests,
    earnings: earnings::Asking,
    figures: figures::Figures,
}

/// A page that is served. Dropping it cuts it off.
#[derive(Debug)]
pub struct Page {
    address: SocketAddr,
    login: String,
    hub: Hub,
    end: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
    follower: JoinHandle<()>,
}

/// Serves the page of a worker. See [`crate::WorkerHandle::serve_page`].
pub(crate) async fn start(insides: Arc<Insides>, options: PageOptions) -> Result<Page, PageError> {
    let PageOptions { address, hosts: names, selftest } = options;
    if !address.ip().is_loopback() && names.is_empty() {
        return Err(PageError::Exposed(address));
    }
    let serving = Options { connections: MAX_CONNECTIONS, ..Options::default() };
    let bound = Server::bind(address, serving).await;
    let server = bound.map_err(|error| PageError::Address { address, error })?;
    let address = server.address();
    let token = access::token(&insides.folder).map_err(|why| PageError::Token(why.to_string()))?;
    let login = format!("http://{address}/#token={token}");
    insides.url.set(login.clone()).map_err(|_set| PageError::Twice(format!("http://{address}")))?;
    let hub = Hub::new(EVENTS);
    let desk = Arc::new(Desk {
        access: access::Access::new(token, address.port()),
        hub: hub.clone(),
        tests: safety::Tests::new(selftest, &insides.folder),
        earnings: earnings::Asking::default(),
        figures: figures::Figures::new().map_err(PageError::Figures)?,
        insides,
    });
    let router = api::routes(Arc::clone(&desk)).merge(figures::operate(Arc::clone(&desk)).routes());
    let hosts = names.iter().fold(Hosts::loopback(), |hosts, name| hosts.and(name));
    let router = hivemind_http::finish(host::guard(pages::with_pages(router, Site::Worker), hosts));
    let (end, ended) = oneshot::channel::<()>();
    let follower = tokio::spawn(now::follow(desk));
    let server = tokio::spawn(async move {
        // Where the page was dropped, it ends too.
        server.run(router, async { drop(ended.await) }).await;
    });
    Ok(Page { address, login, hub, end: Some(end), server: Some(server), follower })
}

impl Page {
    /// Its address, `http://127.0.0.1:8082`; without what opens it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same with the secret that opens it, behind `#`, which browsers do not send.
    #[must_use]
    pub fn login_url(&self) -> &str {
        &self.login
    }

    /// Ends it: live events end, what is being answered has 5 s.
    pub async fn stop(mut self) {
        self.hub.close();
        self.follower.abort();
        drop(self.end.take());
        if let Some(server) = self.server.take()
            && let Err(why) = server.await
        {
            tracing::warn!("the owner's page did not end well: {why}");
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.follower.abort();
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}
