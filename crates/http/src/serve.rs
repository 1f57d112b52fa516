//! The listener.
//!
//! Start at [`Server::bind`] and [`Server::run`].
//!
//! Invariant: connections, of all and of one network, headers and the end have bounds; a peer that says nothing, or takes nothing, is
//! left.

use crate::problem::Problem;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse, Response};
use hivemind_limit::Places;
use hivemind_model::network_of;
use http::StatusCode;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::Service;

mod patient;
mod turns;

use patient::Patient;
use turns::Turns;

/// Requests of one HTTP/2 connection at once.
const MAX_STREAMS: u32 = 64;

/// Most bytes of a request's headers.
const MAX_HEADERS: u32 = 32 << 10;
/// Most headers of a request. One of two bytes on the wire takes a hundred in memory.
const MAX_FIELDS: usize = 100;

/// After a listener that does not accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How a server listens.
#[derive(Clone)]
pub struct Options {
    /// Connections at once; more wait until one ends.
    pub connections: usize,
    /// Those of one network at once; more are closed at once. Those of loopback count only among all.
    pub of_one_network: usize,
    /// How long a peer may take for its handshake, for the headers of a request, and until it takes something of what is sent.
    pub patience: Duration,
    /// How long a connection may be idle, and how long a peer may take none of an answer that it asked for.
    pub idle: Duration,
    /// How long what runs may still take once the end was asked for.
    pub last_words: Duration,
    /// Certificates; `None`: plain TCP, right for loopback or behind a proxy.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 1024,
            of_one_network: 128,
            patience: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            last_words: Duration::from_secs(5),
            tls: None,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("connections", &self.connections).field("tls", &self.tls.is_some()).finish()
    }
}

/// A bound listener that does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    options: Options,
    address: SocketAddr,
}

/// What all connections share.
struct Shared {
    router: Router,
    builder: Builder<TokioExecutor>,
    tls: Option<TlsAcceptor>,
    patience: Duration,
    idle: Duration,
}

impl Server {
    /// Listens on `address`; port 0 is any free one.
    ///
    /// # Errors
    /// The address is taken or not of this machine.
    pub async fn bind(address: SocketAddr, options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, options, address })
    }

    /// Where it listens, with the port that it got.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers with `router` until `end` resolves; then takes no more, and returns when what runs has ended or
    /// [`Options::last_words`] have passed. Handlers find the peer in [`ConnectInfo<SocketAddr>`].
    pub async fn run(self, router: Router, end: impl Future<Output = ()> + Send) {
        let Self { listener, options, .. } = self;
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(options.patience)
            .max_buf_size(MAX_HEADERS as usize);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADERS)
            .keep_alive_interval(options.patience)
            .keep_alive_timeout(options.patience);
        let tls = options.tls.map(TlsAcceptor::from);
        let shared = Arc::new(Shared { router, builder, tls, patience: options.patience, idle: options.idle });
        let places = Arc::new(Semaphore::new(options.connections.clamp(1, Semaphore::MAX_PERMITS)));
        let networks = Places::new(options.of_one_network, usize::MAX);
        let graceful = GracefulShutdown::new();
        let mut peers = JoinSet::new();
        let mut end = std::pin::pin!(end);
        loop {
            while peers.try_join_next().is_some() {}
            let next = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                () = &mut end => break,
                next = next => next,
            };
            // The semaphore is never closed; where it were, nobody more is heard.
            let Ok(place) = place else { break };
            match accepted {
                Ok((stream, peer)) => {
                    // Loopback is this machine: it may have as many as there are.
                    let is_own = peer.ip().to_canonical().is_loopback();
                    let of_network = (!is_own).then(|| networks.take(&network_of(peer.ip()))).transpose();
                    let Ok(of_network) = of_network else {
                        tracing::debug!("{peer} has too many connections");
                        continue;
                    };
                    let (shared, watcher) = (Arc::clone(&shared), graceful.watcher());
                    peers.spawn(async move {
                        connection(&shared, watcher, stream, peer).await;
                        drop((place, of_network));
                    });
                }
                Err(why) => {
                    tracing::warn!("the web server does not accept: {why}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        if tokio::time::timeout(options.last_words, graceful.shutdown()).await.is_err() {
            tracing::debug!("{} connections of the web server were cut off", peers.len());
        }
        peers.shutdown().await;
    }
}

async fn connection(shared: &Shared, watcher: Watcher, stream: TcpStream, peer: SocketAddr) {
    // Without it, small answers wait for others; nothing breaks where it cannot be set.
    let _unset = stream.set_nodelay(true).is_err();
    match &shared.tls {
        None => talk(shared, watcher, stream, peer).await,
        Some(tls) => match tokio::time::timeout(shared.patience, tls.accept(stream)).await {
            Ok(Ok(stream)) => talk(shared, watcher, stream, peer).await,
            Ok(Err(why)) => tracing::debug!("{peer} has not made its handshake: {why}"),
            Err(_elapsed) => tracing::debug!("{peer} took too long for its handshake"),
        },
    }
}

async fn talk<T>(shared: &Shared, watcher: Watcher, stream: T, peer: SocketAddr)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = shared.router.clone();
    let turns = Turns::new();
    let of_service = turns.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (mut router, turn) = (router.clone(), of_service.begin());
        async move {
            if request.headers().len() > MAX_FIELDS {
                // With the request goes what its headers hold.
                let refused = Problem::of(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE).into_response();
                return Ok(refused.map(|body| turn.answer(body)));
            }
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let answer: Result<Response, Infallible> = router.call(request).await;
            answer.map(|answer| answer.map(|body| turn.answer(body)))
        }
    });
    let stream = TokioIo::new(Patient::new(stream, shared.patience));
    let connection = shared.builder.serve_connection(stream, service).into_owned();
    tokio::select! {
        ended = watcher.watch(connection) => if let Err(why) = ended {
            tracing::debug!("the connection of {peer} ended: {why}");
        },
        late = turns.watch(shared.idle) => tracing::debug!("{peer} was left: {late:?}"),
    }
}
