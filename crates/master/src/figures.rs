//! Figures of a gateway for operators' tools, and the span of each request.
//!
//! Start at [`measured`], which is around everything that a gateway answers, and at [`operate`] for what is looked up when somebody
//! asks. Names are `hivemind_master_<what>_<unit>`, also where the gateway is in the process of its pool.
//!
//! Invariant: no label and no span has what a browser chose: addresses are told by their pattern, methods and statuses from a fixed set,
//! and headers, cookies, queries and bodies not at all.

use crate::app::App;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use hivemind_http::operate::{Metrics, Operate};
use hivemind_trace::{Kind, Span};
use http::{Extensions, Method, StatusCode};
use metrics::{Counter, Gauge, Histogram};
use parking_lot::RwLock;
use std::collections::HashMap;
use tokio::time::Instant;

/// What is below it is the API's.
const API: &str = "/api/";

/// All figures of a gateway.
pub(crate) struct Figures {
    metrics: Metrics,
    /// By the pattern of the address.
    requests: RwLock<HashMap<String, OfRoute>>,
    streams: Gauge,
    logins: Gauge,
    pool: Gauge,
}

/// The requests of one pattern, by method and class of the status.
type OfRoute = HashMap<(&'static str, &'static str), Asked>;

/// How often, and how long it took.
struct Asked {
    count: Counter,
    seconds: Histogram,
}

impl Figures {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let gauge = |name, help| metrics.gauge(name, help, &[]);
        Self {
            requests: RwLock::default(),
            streams: gauge("hivemind_master_event_streams", "Pages that follow events or logs live."),
            logins: gauge("hivemind_master_logins", "Logins by cookie that are kept."),
            pool: gauge("hivemind_master_pool_up", "Whether the pool answers: 1 or 0."),
            metrics: metrics.clone(),
        }
    }

    /// Somebody follows a stream until this is dropped.
    pub(crate) fn follower(&self) -> Follower {
        self.streams.increment(1.0);
        Follower(self.streams.clone())
    }

    /// A request was answered; of a stream: its answer began.
    fn answered(&self, route: &str, method: &'static str, class: &'static str, took: f64) {
        let tell = |known: &Asked| {
            known.count.increment(1);
            known.seconds.record(took);
        };
        if let Some(known) = self.requests.read().get(route).and_then(|of| of.get(&(method, class))) {
            return tell(known);
        }
        let mut requests = self.requests.write();
        let of_route = requests.entry(route.to_owned()).or_default();
        tell(of_route.entry((method, class)).or_insert_with(|| self.of(route, method, class)));
    }

    fn of(&self, route: &str, method: &'static str, class: &'static str) -> Asked {
        let both = [("route", route.to_owned()), ("method", method.to_owned())];
        let all = [both[0].clone(), both[1].clone(), ("status", class.to_owned())];
        Asked {
            count: self.metrics.counter(
                "hivemind_master_requests_total",
                "Requests, by pattern of the address, method and class of the status.",
                &all,
            ),
            seconds: self.metrics.histogram(
                "hivemind_master_request_seconds",
                "Time to the answer of a request, of a stream to its beginning, by pattern of the address and method.",
                &both,
            ),
        }
    }
}

/// One who follows a stream.
pub(crate) struct Follower(Gauge);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Adds what is looked up for each answer of `/metrics`.
pub(crate) fn operate(operate: Operate, app: &App) -> Operate {
    let app = app.clone();
    operate.collect(move || {
        let app = app.clone();
        async move {
            app.pool().look().await;
            let figures = app.figures();
            figures.pool.set(f64::from(u8::from(app.pool().readiness().is_ok())));
            figures.logins.set(app.sessions().count() as f64);
            Ok(())
        }
    })
}

/// Counts and times a request; one to the API is a span, too, where spans are exported.
pub(crate) async fn measured(State(app): State<App>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let route = route(request.extensions(), request.uri().path());
    let method = method(request.method());
    // Who asks may not say of which span it is part: that would be a stranger's word.
    let span = route.is_of_api().then(|| Span::begin(Kind::Server, None, || format!("{method} {}", route.text())));
    let response = match &span {
        Some(span) => span.around(next.run(request)).await,
        None => next.run(request).await,
    };
    let status = response.status();
    app.figures().answered(route.text(), method, class(status), begun.elapsed().as_secs_f64());
    if let Some(span) = span {
        span.set("http.request.method", || method);
        span.set("http.route", || route.text().to_owned());
        span.set("http.response.status_code", || i64::from(status.as_u16()));
        if status.is_server_error() {
            span.fail(class(status));
        }
        span.end();
    }
    response
}

/// The pattern of an address.
enum Route {
    Matched(MatchedPath),
    /// A file, or a page.
    Pages,
    /// Below `/api`, where the API has nothing.
    Unmatched,
}

impl Route {
    fn text(&self) -> &str {
        match self {
            Self::Matched(path) => path.as_str(),
            Self::Pages => "pages",
            Self::Unmatched => "unmatched",
        }
    }

    fn is_of_api(&self) -> bool {
        match self {
            Self::Matched(path) => path.as_str().starts_with(API),
            Self::Pages => false,
            Self::Unmatched => true,
        }
    }
}

fn route(extensions: &Extensions, path: &str) -> Route {
    match extensions.get::<MatchedPath>() {
        // The router's own names for what it has no route for.
        Some(matched) if !matched.as_str().contains("__private__") => Route::Matched(matched.clone()),
        Some(_) | None if path == "/api" || path.starts_with(API) => Route::Unmatched,
        Some(_) | None => Route::Pages,
    }
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}
