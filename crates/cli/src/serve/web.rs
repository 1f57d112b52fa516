//! The pages and the REST API, beside a pool or alone.
//!
//! Start at [`beside`] and [`master`].
//!
//! Invariant: without the pages the pool serves all the same; only who asked for them is told so as a failure.

use super::{Next, failed, reachable, ready};
use crate::args::Global;
use crate::args::web::{MasterArgs, WebArgs, WebAt};
use crate::connect::Route;
use crate::exit::Exit;
use crate::face::Face;
use crate::failure::{Done, Failure};
use crate::signals::Interrupts;
use hivemind_client::{Target, Trust};
use hivemind_http::operate::{Metrics, Operate};
use hivemind_master::{Gateway, Running, Site, Way};
use hivemind_pool::{Instruments, PoolHandle};
use metrics::{Counter, Gauge, Histogram};
use serde_json::json;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

const MASTER_PORT: u16 = 8080;
const POOL_PORT: u16 = 8081;

/// Starts the pages of a pool of this process; `None` where they are off, or their usual address is taken.
///
/// # Errors
/// The address that was named cannot be used; a certificate cannot be read.
pub(super) async fn beside(args: &WebArgs, pool: &PoolHandle, next: Next, face: &mut Face) -> Done<Option<Running>> {
    let (site, port) = match next {
        Next::User => (Site::Master, MASTER_PORT),
        Next::Worker => (Site::Pool, POOL_PORT),
    };
    let server = format!("https://{}", reachable(pool));
    let target = Target { server, trust: Trust::CaPem(pool.ca_pem().to_owned()), identity: None };
    let key = Some(pool.gateway_secret().to_owned());
    let operate = Some(watched(pool)?);
    start(
        args,
        port,
        |listen, way| Gateway {
            listen,
            pool: target,
            site,
            way,
            names: args.web_host.clone(),
            gateway_key: key,
            operate,
        },
        face,
    )
    .await
}

/// What the pool measures, for who watches over it.
fn watched(pool: &PoolHandle) -> Done<Operate> {
    let metrics = Metrics::new("pool", env!("CARGO_PKG_VERSION"))
        .map_err(|error| failed("the pool cannot be measured", &anyhow::Error::msg(error.to_string())))?;
    pool.measure(Recorder(metrics.clone()));
    let (ready, figures) = (pool.probe(), pool.probe());
    Ok(Operate::new(metrics).ready(move || ready.ready().map_err(str::to_owned)).collect(move || figures.collect()))
}

/// The pool's instruments are those of the web server.
struct Recorder(Metrics);

impl Instruments for Recorder {
    fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&'static str, String)]) -> Gauge {
        self.0.gauge(name, help, labels)
    }

    fn counter(&self, name: &'static str, help: &'static str, labels: &[(&'static str, String)]) -> Counter {
        self.0.counter(name, help, labels)
    }

    fn histogram(&self, name: &'static str, help: &'static str, labels: &[(&'static str, String)]) -> Histogram {
        self.0.histogram(name, help, labels)
    }
}

/// A gateway alone, for a pool elsewhere.
///
/// # Errors
/// The certificate of the pool is not known, or the address cannot be used.
pub async fn master(global: &Global, face: &mut Face, args: &MasterArgs) -> Done {
    let mut interrupts = Interrupts::listen()?;
    let route = Route::find(global)?;
    let key = args.gateway_key.as_deref().map(read_key).transpose()?;
    let (server, target) = (route.server.clone(), route.target());
    // Here the pages are all that was asked for.
    let web = WebArgs { web: Some(args.web.web.unwrap_or(WebAt::At(local(MASTER_PORT)))), ..args.web.clone() };
    let names = web.web_host.clone();
    let make =
        |listen, way| Gateway { listen, pool: target, site: Site::Master, way, names, gateway_key: key, operate: None };
    let Some(running) = start(&web, MASTER_PORT, make, face).await? else {
        return Err(Failure::usage("a master without --web has nothing to do"));
    };
    let url = running.url();
    ready(face, &format!("ready web={url} server={server}"), &json!({"web": url, "server": server}))?;
    interrupts.next().await;
    running.stop().await;
    Ok(Exit::Ok)
}

/// What the ready line says of the pages, with the space before it.
pub(super) fn in_line(web: Option<&Running>) -> String {
    web.map(|web| format!(" web={}", web.url())).unwrap_or_default()
}

/// Ends the pages.
pub(super) async fn stop(web: Option<Running>) {
    if let Some(web) = web {
        web.stop().await;
    }
}

async fn start(
    args: &WebArgs,
    port: u16,
    make: impl FnOnce(SocketAddr, Way) -> Gateway,
    face: &mut Face,
) -> Done<Option<Running>> {
    let listen = match args.web {
        Some(WebAt::Off) => return Ok(None),
        Some(WebAt::At(address)) => address,
        None => local(port),
    };
    if !listen.ip().is_loopback() && args.web_cert.is_none() && !args.web_proxy {
        return Err(Failure::usage(format!("--web {listen}: other machines would send their passwords without TLS"))
            .fix("name --web-cert and --web-key, or --web-proxy where a proxy before it speaks TLS"));
    }
    let way = match (&args.web_cert, &args.web_key) {
        (Some(cert), Some(key)) => Way::Tls(hivemind_master::tls(cert, key).map_err(|error| {
            Failure::io(format!("{} and {} are no certificate and key", cert.display(), key.display()), &error)
        })?),
        (None, None) | (Some(_), None) | (None, Some(_)) if args.web_proxy => Way::Proxy,
        (None, None) | (Some(_), None) | (None, Some(_)) => Way::Plain,
    };
    match make(listen, way).start().await {
        Ok(running) => Ok(Some(running)),
        Err(error) if args.web.is_none() && error.kind() == ErrorKind::AddrInUse => {
            face.warn(&format!(
                "there are no pages: {listen} is taken by another program; name another address with --web ADDR:PORT, or --web off"
            ));
            Ok(None)
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            Err(Failure::io(format!("--web {listen} is taken by another program"), &error)
                .fix("name another port, or 0 for any free one"))
        }
        Err(error) => Err(failed(&format!("--web {listen} cannot be served"), &error.into())),
    }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// The key as the pool wrote it.
fn read_key(file: &Path) -> Done<String> {
    let text = std::fs::read_to_string(file);
    let text =
        text.map_err(|error| Failure::io(format!("--gateway-key: {} cannot be read", file.display()), &error))?;
    Ok(text.trim().to_owned())
}
