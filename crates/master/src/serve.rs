//! The server of a gateway.
//!
//! Start at [`Gateway::start`].
//!
//! Invariant: cookies go over plain HTTP on loopback only, and what a gateway on loopback answers is for names of this machine.

use crate::app::App;
use crate::docs;
use crate::fault::Fault;
use crate::figures::{self, Figures};
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hivemind_client::Target;
use hivemind_http::Problem;
use hivemind_http::browser::{IsTls, check_origin, is_safe};
use hivemind_http::headers;
use hivemind_http::host::{self, Hosts};
use hivemind_http::limit::{Refused, tell};
use hivemind_http::operate::{Metrics, Operate};
use hivemind_http::pages::{Site, with_pages};
use hivemind_http::serve::{Options, Server};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What a gateway is made of.
pub struct Gateway {
    /// Where it listens; port 0 is any free one.
    pub listen: SocketAddr,
    /// The pool; it may be away.
    pub pool: Target,
    /// Which pages it shows.
    pub site: Site,
    /// How browsers get here.
    pub way: Way,
    /// Names by which browsers may ask, beside those of loopback. Where there are none, a gateway that other machines reach answers by
    /// every name.
    pub names: Vec<String>,
    /// What the pool keeps in `gateway.key`, so that its limits count for browsers and not for the gateway; `None`: they count for
    /// the gateway.
    pub gateway_key: Option<String>,
    /// What is told to who watches over the servers of this process; `None`: of the gateway alone.
    pub operate: Option<Operate>,
}

/// How browsers get to a gateway.
#[derive(Clone)]
pub enum Way {
    /// In plain HTTP: right for loopback only.
    Plain,
    /// Through TLS.
    Tls(Tls),
    /// Through a proxy that speaks TLS with them. Its word counts for where they are (`X-Forwarded-For`), so that nobody else may
    /// reach the gateway.
    Proxy,
}

/// Certificates for browsers.
pub type Tls = Arc<rustls::ServerConfig>;

/// Reads a certificate chain and its key (PEM).
///
/// # Errors
/// A file cannot be read, or the two do not belong together.
pub fn tls(cert: &Path, key: &Path) -> io::Result<Tls> {
    let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.and_then(|config| config.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A gateway that serves.
pub struct Running {
    address: SocketAddr,
    is_tls: IsTls,
    end: CancellationToken,
    serving: JoinHandle<()>,
}

impl Gateway {
    /// Listens and serves until [`Running::stop`].
    ///
    /// # Errors
    /// The address is taken or not of this machine; or a bug.
    pub async fn start(self) -> io::Result<Running> {
        let tls = match &self.way {
            Way::Tls(tls) => Some(Arc::clone(tls)),
            Way::Plain | Way::Proxy => None,
        };
        let is_tls = if tls.is_some() { IsTls::Yes } else { IsTls::No };
        let usual = Options::default();
        // Behind a proxy all connections are the proxy's, who bounds those of browsers.
        let of_one_network = match self.way {
            Way::Proxy => usual.connections,
            Way::Plain | Way::Tls(_) => usual.of_one_network,
        };
        let options = Options { tls, of_one_network, ..usual };
        let server = Server::bind(self.listen, options).await?;
        let address = server.address();
        let (app, router) = self.parts()?;
        let end = CancellationToken::new();
        let ended = end.clone();
        let serving = tokio::spawn(async move {
            let served = server.run(router, ended.clone().cancelled_owned());
            tokio::join!(served, ended.run_until_cancelled(app.pool().watch()));
        });
        Ok(Running { address, is_tls, end, serving })
    }

    #[cfg(test)]
    pub(crate) fn router(&self) -> io::Result<Router> {
        let (app, router) = self.parts()?;
        tokio::spawn(async move { app.pool().watch().await });
        Ok(router)
    }

    pub(crate) fn parts(&self) -> io::Result<(App, Router)> {
        let operate = match &self.operate {
            Some(operate) => operate.clone(),
            None => Operate::new(Metrics::new("master", env!("CARGO_PKG_VERSION")).map_err(io::Error::other)?),
        };
        let figures = Figures::new(operate.metrics());
        let app = App::new(self.pool.clone(), self.site, &self.way, self.gateway_key.clone(), figures);
        let watched = app.clone();
        let operate = match &self.operate {
            Some(_of_all) => operate,
            None => operate.ready(move || watched.pool().readiness()),
        };
        let operate = figures::operate(operate, &app);
        let told = operate.routes().layer(from_fn_with_state(app.clone(), near));
        let router = Router::new().merge(api(&app)?).merge(told);
        let router = with_pages(router, self.site).with_state(app.clone());
        let router = match self.hosts() {
            Some(hosts) => host::guard(router, hosts),
            None => router,
        };
        let router = match app.is_tls() {
            IsTls::Yes => headers::only_tls(router),
            IsTls::No => router,
        };
        let router = hivemind_http::finish(router).layer(from_fn_with_state(app.clone(), figures::measured));
        Ok((app, router))
    }

    /// For which names it answers; `None`: for every one.
    fn hosts(&self) -> Option<Hosts> {
        let is_open = self.names.is_empty() && !self.listen.ip().is_loopback();
        (!is_open).then(|| self.names.iter().fold(Hosts::loopback(), |hosts, name| hosts.and(name)))
    }
}

impl Running {
    /// Where it listens, with the port that it got.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where browsers of this machine find it.
    #[must_use]
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        match self.is_tls {
            IsTls::Yes => format!("https://{address}"),
            IsTls::No => format!("http://{address}"),
        }
    }

    /// Takes no more requests, lets what runs end, and returns.
    pub async fn stop(self) {
        self.end.cancel();
        if let Err(why) = self.serving.await {
            tracing::error!("the web server ended badly: {why}");
        }
    }
}

/// The API with its document, and what holds for every request to it.
fn api(app: &App) -> io::Result<Router<App>> {
    let (router, document) = crate::api();
    let document = serde_json::to_value(&document).map_err(io::Error::other)?;
    let json = bytes::Bytes::from(serde_json::to_vec(&document).map_err(io::Error::other)?);
    let page = bytes::Bytes::from(docs::page(&document));
    let json_kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let page_kind = [(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))];
    let style_kind = [(header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"))];
    let router = router
        .fallback(hivemind_http::problem::not_found)
        .method_not_allowed_fallback(async || Problem::of(StatusCode::METHOD_NOT_ALLOWED))
        .layer(from_fn_with_state(app.clone(), checked));
    Ok(Router::new()
        .nest(crate::document::PREFIX, router)
        .route("/api/v1/openapi.json", get(async move || (json_kind, json)))
        .route("/api/docs", get(async move || (page_kind, page)))
        .route("/api/docs.css", get(async move || (style_kind, docs::STYLE))))
}

/// Tells figures to this machine and to private networks only: a gateway may be open to the world.
async fn near(State(app): State<App>, request: Request, next: Next) -> Response {
    let from = app.address_of(request.headers(), request.extensions());
    if request.uri().path() == "/metrics" && !is_near(from) {
        let detail = "figures are told to this machine and to private networks only";
        return Problem::new(StatusCode::FORBIDDEN, "E_FORBIDDEN", detail).into_response();
    }
    next.run(request).await
}

/// Whether an address is of this machine or of a private network (RFC 1918, 3927, 4193, 6598). Nowhere is within this process.
fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let is_shared = v4.octets()[0] == 100 && (64..128).contains(&v4.octets()[1]);
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified() || is_shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified(),
    }
}

/// Counts a request, and refuses what pages of other sites send.
async fn checked(State(app): State<App>, request: Request, next: Next) -> Response {
    let peer = app.address_of(request.headers(), request.extensions());
    let allowance = match app.limiter().take(&hivemind_model::network_of(peer)) {
        Ok(allowance) => allowance,
        Err(refused) => return Refused(refused).into_response(),
    };
    let mut response = match own_page(&request) {
        Ok(()) => next.run(request).await,
        Err(fault) => fault.into_response(),
    };
    tell(&allowance, response.headers_mut());
    response
}

fn own_page(request: &Request) -> Result<(), Fault> {
    if is_safe(request.method()) {
        return Ok(());
    }
    check_origin(request.uri(), request.headers())?;
    check_fetch_site(request.headers())
}

/// What a browser itself says of where a request comes from; nothing else sends it.
fn check_fetch_site(headers: &HeaderMap) -> Result<(), Fault> {
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_foreign) => {
            let detail = "the request came from a page of another site";
            Err(Problem::new(StatusCode::FORBIDDEN, "E_CSRF", detail).into())
        }
    }
}
