//! The way out of spans: a bounded queue, a thread that sends batches, and an end within a bound.
//!
//! Start at [`start`].
//!
//! Invariant: a collector that is away is told of once in the log, not once for each batch, and its answers are never logged.

use crate::settings::{Refused, Settings};
use crate::{TRACER, way};
use opentelemetry::trace::TracerProvider;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{SpanExporter as Otlp, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long the last spans may take at the end.
const AT_THE_END: Duration = Duration::from_secs(3);

/// Spans that leave; to be ended by [`Exporting::end`].
#[derive(Debug)]
pub struct Exporting(SdkTracerProvider);

/// Begins to export spans where the environment names a collector; `None` where it does not. `service` is the name under which
/// they appear there unless `OTEL_SERVICE_NAME` says another, `version` that of the program. To be called where tokio runs, once in
/// a process.
///
/// # Errors
/// The environment asks for what is not there.
pub fn start(service: &'static str, version: &'static str) -> Result<Option<Exporting>, Refused> {
    let Some(settings) = Settings::read(|name| std::env::var(name).ok())? else { return Ok(None) };
    let exporter = Otlp::builder()
        .with_tonic()
        .with_channel(way::channel(&settings)?)
        .with_timeout(settings.timeout)
        .build()
        .map_err(|why| Refused::new(settings.named_by, why.to_string(), "correct the variable that is named"))?;
    let collector = settings.collector().to_owned();
    let provider = SdkTracerProvider::builder()
        .with_resource(resource(service, version))
        .with_batch_exporter(Told { inner: exporter, collector: collector.clone(), lost: AtomicU64::new(0) })
        .build();
    let scope = InstrumentationScope::builder("hivemind").with_version(version).build();
    if TRACER.set(provider.tracer_with_scope(scope)).is_err() {
        return Err(Refused::new(settings.named_by, "spans are exported already", "start one server in a process"));
    }
    tracing::info!(collector, "spans are exported");
    Ok(Some(Exporting(provider)))
}

/// Whose spans they are. Later attributes take the place of earlier ones.
fn resource(service: &'static str, version: &'static str) -> Resource {
    let ours = [KeyValue::new("service.name", service), KeyValue::new("service.version", version)];
    let resource = Resource::builder_empty()
        .with_attributes(ours)
        .with_detectors(&[Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())]);
    match std::env::var("OTEL_SERVICE_NAME") {
        Ok(name) if !name.is_empty() => resource.with_service_name(name).build(),
        Ok(_) | Err(_) => resource.build(),
    }
}

impl Exporting {
    /// Sends what is left, for 3 s at most.
    pub async fn end(self) {
        // It blocks until the thread that sends is done.
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(AT_THE_END)).await;
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::warn!("the last spans did not reach the collector: {why}"),
            Err(why) => tracing::error!("the export of spans ended badly: {why}"),
        }
    }
}

/// An exporter that tells when the collector goes and comes.
#[derive(Debug)]
struct Told {
    inner: Otlp,
    collector: String,
    /// Spans that were lost since it went; 0 while it is there.
    lost: AtomicU64,
}

impl SpanExporter for Told {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX).max(1);
        let result = self.inner.export(batch).await;
        let collector = &self.collector;
        match &result {
            Ok(()) => match self.lost.swap(0, Ordering::Relaxed) {
                0 => {}
                lost => tracing::info!(collector, lost, "the collector takes spans again"),
            },
            Err(why) if self.lost.fetch_add(count, Ordering::Relaxed) == 0 => {
                tracing::warn!(
                    collector,
                    "the collector does not take spans: {why}; those of this time are lost, and it is tried again"
                );
            }
            Err(_known) => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
