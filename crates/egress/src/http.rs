//! The proxy for HTTP: `CONNECT host:port`, and requests with a whole address for plain HTTP.
//!
//! Start at [`serve`]. One request per connection. What the request's own line names decides where it goes; a
//! `Host` that says something else is replaced. Messages are read and written anew by hyper: however a program tells
//! the length of what it sends, the host is told once, as it was understood here.
//!
//! Invariant: no connection to a host serves two requests, and none is shared.

use crate::dial::Way;
use crate::meter::{Activity, Metered};
use crate::rules::{Refusal, target};
use bytes::Bytes;
use hivemind_model::Endpoint;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::header::{TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

/// Longest head of a request or an answer, in bytes.
const MOST_HEAD: usize = 16 << 10;
/// Most headers in it.
const MOST_HEADERS: usize = 100;
/// Longest wait for a request's head.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);

type Body = BoxBody<Bytes, hyper::Error>;

/// What a request leaves behind for the rest of its connection.
#[derive(Debug, Default)]
struct Slot {
    tunnel: Option<(OnUpgrade, Metered)>,
    /// Moves the bytes of a plain request; ends with the connection.
    mover: Option<AbortOnDropHandle<()>>,
}

/// Serves one connection of a program that speaks HTTP.
pub(crate) async fn serve(client: TcpStream, way: &Way, activity: &Arc<Activity>) {
    let slot = Mutex::new(Slot::default());
    let service = service_fn(|request| async { Ok::<_, Infallible>(answer(request, way, activity, &slot).await) });
    let served = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MOST_HEAD)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(client), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a task's request through the proxy broke off");
        return;
    }
    let Some((upgrade, mut host)) = slot.lock().tunnel.take() else { return };
    match upgrade.await {
        // How a tunnel ends is known to both of its ends.
        Ok(client) => drop(copy_bidirectional(&mut TokioIo::new(client), &mut host).await),
        Err(error) => tracing::debug!(%error, "a tunnel of a task did not begin"),
    }
}

async fn answer(request: Request<Incoming>, way: &Way, activity: &Arc<Activity>, slot: &Mutex<Slot>) -> Response<Body> {
    let wanted = match wanted(&request) {
        Ok(wanted) => wanted,
        Err(refusal) => {
            way.refuse(&request.uri().to_string(), &refusal);
            return says(StatusCode::BAD_REQUEST, &refusal.to_string());
        }
    };
    let host = match way.reach(&wanted, activity).await {
        Ok(host) => host,
        Err(refusal) => {
            let status = if refusal.is_rule() { StatusCode::FORBIDDEN } else { StatusCode::BAD_GATEWAY };
            return says(status, &refusal.line(&wanted.to_string()));
        }
    };
    if request.method() == Method::CONNECT {
        slot.lock().tunnel = Some((hyper::upgrade::on(request), host));
        return Response::new(nothing());
    }
    match forward(request, host, &wanted, slot).await {
        Ok(response) => response,
        Err(error) => says(StatusCode::BAD_GATEWAY, &format!("{wanted} gave no answer that can be passed on: {error}")),
    }
}

/// Where a request goes, by its own line alone.
fn wanted(request: &Request<Incoming>) -> Result<Endpoint, Refusal> {
    let uri = request.uri();
    let bad = |why: &str| Refusal::NoTarget(why.into());
    let authority = uri.authority().ok_or_else(|| bad("the proxy takes CONNECT, and http:// addresses in full"))?;
    if authority.as_str().contains('@') {
        return Err(bad("it names a user"));
    }
    let is_connect = request.method() == Method::CONNECT;
    let scheme = uri.scheme();
    if !is_connect && scheme != Some(&Scheme::HTTP) {
        return Err(bad("only http:// is passed on; use CONNECT for everything else"));
    }
    let port = match (authority.port_u16(), is_connect) {
        (Some(port), _) => port,
        (None, false) if authority.port().is_none() && !authority.as_str().ends_with(':') => 80,
        (None, _) => return Err(bad("it names no port")),
    };
    target(authority.host(), port)
}

/// Sends `request` to `host` as its only one, and gives the answer, whose content comes as it is read.
async fn forward(
    request: Request<Incoming>,
    host: Metered,
    wanted: &Endpoint,
    slot: &Mutex<Slot>,
) -> hyper::Result<Response<Body>> {
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(MOST_HEAD)
        .max_headers(MOST_HEADERS)
        .handshake(TokioIo::new(host))
        .await?;
    let mover = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a task's request to a host broke off");
        }
    });
    slot.lock().mover = Some(AbortOnDropHandle::new(mover));
    let response = sender.send_request(rewritten(request, wanted)).await?;
    let (mut parts, body) = response.into_parts();
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(says(StatusCode::BAD_GATEWAY, &format!("{wanted} changes the protocol, which nobody asked for")));
    }
    drop_own(&mut parts.headers);
    parts.version = Version::HTTP_11;
    Ok(Response::from_parts(parts, body.boxed()))
}

/// As the host gets it: its path, the host that the request's line named, and no header that is the proxy's.
fn rewritten(request: Request<Incoming>, wanted: &Endpoint) -> Request<Body> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let authority = parts.uri.authority().map(Authority::as_str).unwrap_or_default();
    let name = HeaderValue::from_str(authority).or_else(|_| HeaderValue::from_str(wanted.host()));
    drop_own(&mut parts.headers);
    // What says how long the content is comes from the content as it was understood.
    for header in [CONTENT_LENGTH, EXPECT, HOST] {
        parts.headers.remove(header);
    }
    if let Ok(name) = name {
        parts.headers.insert(HOST, name);
    }
    parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    parts.uri = Uri::from(path);
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    Request::from_parts(parts, body.boxed())
}

/// Removes what is between two ends of one connection only, and what `Connection` names as such.
fn drop_own(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        // The content's length is no matter of one connection, whoever claims it.
        .filter(|name| *name != CONTENT_LENGTH)
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate", "http2-settings"] {
        headers.remove(name);
    }
}

fn nothing() -> Body {
    Full::default().map_err(|never| match never {}).boxed()
}

/// An answer of the proxy itself.
fn says(status: StatusCode, what: &str) -> Response<Body> {
    let text: String = what.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let body = Full::from(format!("hivemind: network: {text}\n")).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
