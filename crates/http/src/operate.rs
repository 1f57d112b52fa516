//! What operators' tools ask a server: whether it lives, whether it can work, and its figures.
//!
//! Start at [`Operate`]; figures are in a role's own [`Metrics`], so that several roles in one process do not mix.
//!
//! Invariant: asking changes nothing but the figures that are taken for the answer.

use crate::problem::Problem;
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::future::BoxFuture;
use http::{HeaderValue, StatusCode, header};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use std::sync::Arc;
use std::time::Duration;

mod process;

/// Media type of figures in Prometheus's text form.
const TEXT_FORM: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long figures may take that are looked up for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Upper ends of a histogram's buckets, in seconds.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The figures of one role. Names are `hivemind_<role>_<what>_<unit>`; counters end in `_total`. Copies are the same figures.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    process: process::Process,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Those of the process, and `hivemind_build_info` with the `role` and its `version`.
    ///
    /// # Errors
    /// The buckets are not in order: a bug.
    pub fn new(role: &'static str, version: &'static str) -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS)?.build_recorder();
        let handle = recorder.handle();
        let process = process::Process::new(&recorder);
        let metrics = Self(Arc::new(Inner { recorder, handle, process }));
        let labels = [("role", role.to_owned()), ("version", version.to_owned())];
        metrics.gauge("hivemind_build_info", "What runs; always 1.", &labels).set(1.0);
        Ok(metrics)
    }

    /// A figure that goes up and down. `labels` take few values, never what a peer chooses.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&'static str, String)]) -> Gauge {
        gauge(&self.0.recorder, name, help, labels)
    }

    /// A figure that only grows; its name ends in `_total`.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &[(&'static str, String)]) -> Counter {
        counter(&self.0.recorder, name, help, labels)
    }

    /// How long something takes, in seconds; its name ends in `_seconds`.
    pub fn histogram(&self, name: &'static str, help: &'static str, labels: &[(&'static str, String)]) -> Histogram {
        self.0.recorder.describe_histogram(KeyName::from(name), None, help.into());
        self.0.recorder.register_histogram(&key(name, labels), &METADATA)
    }

    /// All of them in Prometheus's text form.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.process.look();
        self.0.handle.run_upkeep();
        self.0.handle.render()
    }
}

static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

fn key(name: &'static str, labels: &[(&'static str, String)]) -> Key {
    let labels: Vec<_> = labels.iter().map(|(name, value)| Label::new(*name, value.clone())).collect();
    Key::from_parts(name, labels)
}

fn gauge(
    recorder: &PrometheusRecorder,
    name: &'static str,
    help: &'static str,
    labels: &[(&'static str, String)],
) -> Gauge {
    recorder.describe_gauge(KeyName::from(name), None, help.into());
    recorder.register_gauge(&key(name, labels), &METADATA)
}

fn counter(
    recorder: &PrometheusRecorder,
    name: &'static str,
    help: &'static str,
    labels: &[(&'static str, String)],
) -> Counter {
    recorder.describe_counter(KeyName::from(name), None, help.into());
    recorder.register_counter(&key(name, labels), &METADATA)
}

type Ready = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;
type Collect = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What `/livez`, `/readyz` and `/metrics` answer.
#[derive(Clone)]
pub struct Operate {
    metrics: Metrics,
    ready: Ready,
    collects: Vec<Collect>,
}

impl std::fmt::Debug for Operate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Operate")
    }
}

impl Operate {
    /// A server that is ready as soon as it answers, and whose figures are kept by whoever has `metrics`.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, ready: Arc::new(|| Ok(())), collects: Vec::new() }
    }

    /// The same, ready when `ready` says so; its error is the sentence that says why not.
    #[must_use]
    pub fn ready(mut self, ready: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.ready = Arc::new(ready);
        self
    }

    /// The figures, for a further role of the same process that has some of its own.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The same, and `collect` sets the figures that are looked up for each answer, after those before it; all have 5 s. Its error is
    /// the sentence that says why there are none.
    #[must_use]
    pub fn collect<F>(mut self, collect: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.collects.push(Arc::new(move || Box::pin(collect())));
        self
    }

    /// The routes: `/livez` says 200 as long as the process answers, `/readyz` 200 or 503 with the reason, `/metrics` the figures.
    pub fn routes<S>(self) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let ready = Arc::clone(&self.ready);
        Router::new()
            .route("/livez", get(async || "alive\n"))
            .route("/readyz", get(async move || readiness(ready())))
            .route("/metrics", get(async move || self.figures().await))
    }

    async fn collect_all(&self) -> Result<(), String> {
        for collect in &self.collects {
            collect().await?;
        }
        Ok(())
    }

    async fn figures(&self) -> Response {
        match tokio::time::timeout(PATIENCE, self.collect_all()).await {
            Ok(Ok(())) => {
                ([(header::CONTENT_TYPE, HeaderValue::from_static(TEXT_FORM))], self.metrics.render()).into_response()
            }
            Ok(Err(why)) => unavailable(why),
            Err(_elapsed) => unavailable(format!("the figures took longer than {} s", PATIENCE.as_secs())),
        }
    }
}

fn readiness(ready: Result<(), String>) -> Response {
    match ready {
        Ok(()) => "ready\n".into_response(),
        Err(why) => unavailable(why),
    }
}

fn unavailable(why: String) -> Response {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "E_UNAVAILABLE", why).into_response()
}
