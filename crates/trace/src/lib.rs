//! Spans: what a server did for whom, when, and how long it took, for a collector that speaks OpenTelemetry's OTLP.
//!
//! Nothing is made and nothing leaves until [`start`] found a collector in the environment (`OTEL_EXPORTER_OTLP_ENDPOINT`); until then a
//! [`Span`] costs one look at whether it did. Start at [`Span::begin`]; at [`start`] for the way out. `settings` is what the environment
//! says, `way` the connection.
//!
//! ```text
//! Span ─► bounded queue ─► a thread of its own ─► batches over gRPC ─► collector
//! ```
//!
//! Invariant: nobody waits for a collector, what does not fit into the queue is dropped, and no span holds what its maker did not name.

mod export;
mod settings;
mod way;

pub use export::{Exporting, start};
pub use settings::Refused;

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{FutureExt, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, TraceFlags, Value};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracer;
use std::borrow::Cow;
use std::sync::OnceLock;

/// The header by which a span tells the next server that it is its parent (W3C Trace Context).
pub const TRACEPARENT: &str = "traceparent";

/// One for the process, like its log.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Whether spans are made.
#[must_use]
pub fn is_on() -> bool {
    TRACER.get().is_some()
}

/// What a span is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The answer to somebody's request.
    Server,
    /// Work that nobody waits for.
    Work,
}

/// Something that takes a while; nothing, where spans are off. One that is dropped without [`Span::end`] says that it was given up.
#[derive(Debug)]
#[must_use = "a span that is dropped at once has seen nothing"]
pub struct Span(Option<Context>);

impl Span {
    /// Begins now. `parent` is the value of [`TRACEPARENT`] of somebody who is believed; what is no such value counts for nothing.
    /// `name` is from a small set, such as the pattern of an address.
    pub fn begin<N: Into<Cow<'static, str>>>(kind: Kind, parent: Option<&str>, name: impl FnOnce() -> N) -> Self {
        let Some(tracer) = TRACER.get() else { return Self(None) };
        Self(Some(begun(tracer, kind, parent, name().into())))
    }

    /// Notes something about it. `value` is asked for where spans are on.
    pub fn set<V: Into<Value>>(&self, key: &'static str, value: impl FnOnce() -> V) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(key, value()));
        }
    }

    /// It did not go well, and that is this server's fault; `why` in few words.
    pub fn fail(&self, why: &'static str) {
        if let Some(context) = &self.0 {
            context.span().set_status(Status::error(why));
        }
    }

    /// What `work` gives; calls that it makes are parts of this span.
    pub async fn around<F: Future>(&self, work: F) -> F::Output {
        match &self.0 {
            Some(context) => work.with_context(context.clone()).await,
            None => work.await,
        }
    }

    /// It is over.
    pub fn end(mut self) {
        if let Some(context) = self.0.take() {
            context.span().end();
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new("hivemind.given_up", true));
            context.span().end();
        }
    }
}

fn begun(tracer: &SdkTracer, kind: Kind, parent: Option<&str>, name: Cow<'static, str>) -> Context {
    let parent = match parent {
        Some(told) => TraceContextPropagator::new().extract_with_context(&Context::new(), &Header(told)),
        None => Context::new(),
    };
    let kind = match kind {
        Kind::Server => SpanKind::Server,
        Kind::Work => SpanKind::Internal,
    };
    let span = tracer.build_with_context(tracer.span_builder(name).with_kind(kind), &parent);
    Context::new().with_span(span)
}

/// What a call to the next server carries as [`TRACEPARENT`]; `None` outside of [`Span::around`].
#[must_use]
pub fn traceparent() -> Option<String> {
    TRACER.get()?;
    Context::map_current(|context| {
        let span = context.span();
        let own = span.span_context();
        let sampled = own.trace_flags() & TraceFlags::SAMPLED;
        own.is_valid().then(|| format!("00-{}-{}-{sampled:02x}", own.trace_id(), own.span_id()))
    })
}

/// The one header that is read; `tracestate` is a stranger's and goes no further.
struct Header<'a>(&'a str);

impl Extractor for Header<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

#[cfg(test)]
mod tests;
