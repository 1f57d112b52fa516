//! Measures the calls of the server, and tells how things stand when somebody reads what is measured.
//!
//! [`Measure`] is a layer around all services, within the gate; a call is a span, too, where spans are exported. [`states`] is for the
//! readers.
//!
//! Invariant: a method that no service has is counted as `unknown`, whatever it is called, and nothing of a request is in its span but
//! its method.

use crate::meters::Standing;
use crate::services::health;
use crate::shared::{Followers, Shared};
use hivemind_proto::DESCRIPTOR_SET;
use hivemind_trace::{Kind, Span, TRACEPARENT};
use prost::Message;
use prost_types::FileDescriptorSet;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use tokio::time::Instant;
use tower::{Layer, Service};

/// The methods that there are, by path, each as `Service/Method`.
static METHODS: LazyLock<HashMap<String, &'static str>> = LazyLock::new(methods);

fn methods() -> HashMap<String, &'static str> {
    let set = FileDescriptorSet::decode(DESCRIPTOR_SET).unwrap_or_default();
    let mut methods = HashMap::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let name = format!("{}/{}", service.name(), method.name());
                // Once in the life of the process, and as many as the contract has.
                methods.insert(format!("/{}.{name}", file.package()), &*name.leak());
            }
        }
    }
    methods
}

/// Counts the calls of the services within.
#[derive(Clone)]
pub(crate) struct Measure(pub(crate) Arc<Followers>);

impl<S> Layer<S> for Measure {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured { inner, live: self.0.clone() }
    }
}

/// See [`Measure`].
#[derive(Clone)]
pub(crate) struct Measured<S> {
    inner: S,
    live: Arc<Followers>,
}

impl<S, B, R> Service<http::Request<B>> for Measured<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = futures::future::BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let method = METHODS.get(request.uri().path()).copied().unwrap_or("unknown");
        let parent = request.headers().get(TRACEPARENT).and_then(|parent| parent.to_str().ok());
        let span = Span::begin(Kind::Server, parent, || method);
        let mut call = Call { method, code: "cancelled", begun: Instant::now(), live: self.live.clone() };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            let status = status(answer.headers());
            call.answered(name(status));
            tell(span, method, status);
            Ok(answer)
        })
    }
}

/// The end of a call's span: of a stream its beginning, as of what is measured.
fn tell(span: Span, method: &'static str, status: tonic::Code) {
    span.set("rpc.system", || "grpc");
    if let Some((service, method)) = method.split_once('/') {
        span.set("rpc.service", || service);
        span.set("rpc.method", || method);
    }
    span.set("rpc.grpc.status_code", || i64::from(i32::from(status)));
    if is_own_fault(status) {
        span.fail(name(status));
    }
    span.end();
}

/// Whether it is the pool that is to blame.
const fn is_own_fault(status: tonic::Code) -> bool {
    match status {
        tonic::Code::Unknown
        | tonic::Code::DeadlineExceeded
        | tonic::Code::Unimplemented
        | tonic::Code::Internal
        | tonic::Code::Unavailable
        | tonic::Code::DataLoss => true,
        tonic::Code::Ok
        | tonic::Code::Cancelled
        | tonic::Code::InvalidArgument
        | tonic::Code::NotFound
        | tonic::Code::AlreadyExists
        | tonic::Code::PermissionDenied
        | tonic::Code::ResourceExhausted
        | tonic::Code::FailedPrecondition
        | tonic::Code::Aborted
        | tonic::Code::OutOfRange
        | tonic::Code::Unauthenticated => false,
    }
}

/// Is counted when it goes; where nobody waited for the answer, as cancelled.
struct Call {
    method: &'static str,
    code: &'static str,
    begun: Instant,
    live: Arc<Followers>,
}

impl Call {
    /// As a call of its own, so that whoever answers holds the whole of it.
    fn answered(&mut self, code: &'static str) {
        self.code = code;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.live.figures.meters.called(self.method, self.code, self.begun.elapsed());
    }
}

/// The code of an answer. One without a code in its head has begun well; a stream may still end badly.
fn status(headers: &http::HeaderMap) -> tonic::Code {
    let code = headers.get("grpc-status").map(|code| tonic::Code::from_bytes(code.as_bytes()));
    match code.unwrap_or(tonic::Code::Ok) {
        // Who hangs up while the message is awaited seems to have sent none.
        tonic::Code::Internal if is_without_message(headers) => tonic::Code::Cancelled,
        code => code,
    }
}

/// A code as it is counted.
const fn name(code: tonic::Code) -> &'static str {
    match code {
        tonic::Code::Ok => "ok",
        tonic::Code::Cancelled => "cancelled",
        tonic::Code::Unknown => "unknown",
        tonic::Code::InvalidArgument => "invalid_argument",
        tonic::Code::DeadlineExceeded => "deadline_exceeded",
        tonic::Code::NotFound => "not_found",
        tonic::Code::AlreadyExists => "already_exists",
        tonic::Code::PermissionDenied => "permission_denied",
        tonic::Code::ResourceExhausted => "resource_exhausted",
        tonic::Code::FailedPrecondition => "failed_precondition",
        tonic::Code::Aborted => "aborted",
        tonic::Code::OutOfRange => "out_of_range",
        tonic::Code::Unimplemented => "unimplemented",
        tonic::Code::Internal => "internal",
        tonic::Code::Unavailable => "unavailable",
        tonic::Code::DataLoss => "data_loss",
        tonic::Code::Unauthenticated => "unauthenticated",
    }
}

/// Whether an answer says that no whole message came.
fn is_without_message(headers: &http::HeaderMap) -> bool {
    let text = headers.get("grpc-message").and_then(|text| text.to_str().ok()).unwrap_or_default();
    let text = text.replace("%20", " ");
    text.starts_with("Missing request message") || text.starts_with("Unexpected EOF decoding stream")
}

/// Brings the meters of states up to date, where anybody measures.
///
/// # Errors
/// Why there are no figures, for people.
pub(crate) async fn states(shared: &Shared) -> Result<(), String> {
    let figures = &shared.live.figures;
    if !figures.meters.are_read() {
        return Ok(());
    }
    let health = health::health(shared).await.map_err(|fault| fault.message().to_owned())?;
    let now = Standing {
        counts: shared.live.board.counts(),
        queued: shared.writer.queued(),
        watchers: shared.live.watching.count(),
        blob_bytes: shared.disk.came(),
    };
    figures.meters.states(&health, &now);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_of_the_contract_has_a_name_and_no_other_has() {
        assert_eq!(METHODS.get("/hivemind.v1.PoolService/WatchPool"), Some(&"PoolService/WatchPool"));
        assert_eq!(METHODS.get("/hivemind.worker.v1.WorkerService/Link"), Some(&"WorkerService/Link"));
        assert!(METHODS.get("/hivemind.v1.PoolService/Nothing").is_none() && METHODS.len() > 30);
    }

    /// Counts the calls that were cancelled.
    #[derive(Clone, Default)]
    struct Cancelled(Arc<std::sync::atomic::AtomicU64>);

    impl crate::Instruments for Cancelled {
        fn gauge(&self, _: &'static str, _: &'static str, _: &[(&'static str, String)]) -> metrics::Gauge {
            metrics::Gauge::noop()
        }
        fn counter(&self, name: &'static str, _: &'static str, labels: &[(&'static str, String)]) -> metrics::Counter {
            let is_it = name == "hivemind_pool_rpcs_total" && labels.contains(&("code", "cancelled".to_owned()));
            if is_it { metrics::Counter::from_arc(self.0.clone()) } else { metrics::Counter::noop() }
        }
        fn histogram(&self, _: &'static str, _: &'static str, _: &[(&'static str, String)]) -> metrics::Histogram {
            metrics::Histogram::noop()
        }
    }

    #[tokio::test]
    async fn a_call_for_whose_answer_nobody_waits_is_counted_as_cancelled() {
        let folder = tempfile::tempdir().unwrap();
        let config = crate::PoolConfig {
            data: folder.path().join("pool"),
            listen: ([127, 0, 0, 1], 0).into(),
            advertise: None,
            names: Vec::new(),
            policy: hivemind_model::Policy::default(),
            reflection: false,
        };
        let pool = crate::start(config).await.unwrap();
        let cancelled = Cancelled::default();
        pool.measure(cancelled.clone());
        type Answer = Result<http::Response<()>, std::convert::Infallible>;
        let never = tower::service_fn(|_: http::Request<()>| std::future::pending::<Answer>());
        let mut measured = Measure(pool.shared.live.clone()).layer(never);
        let request = http::Request::builder().uri("/hivemind.v1.PoolService/Audit").body(()).unwrap();
        drop(measured.call(request));
        assert_eq!(cancelled.0.load(std::sync::atomic::Ordering::Relaxed), 1);
        pool.shutdown().await.unwrap();
    }

    #[test]
    fn the_code_is_read_from_the_head_of_an_answer() {
        let mut headers = http::HeaderMap::new();
        assert_eq!(name(status(&headers)), "ok");
        headers.insert("grpc-status", http::HeaderValue::from_static("7"));
        assert_eq!(name(status(&headers)), "permission_denied");
        headers.insert("grpc-status", http::HeaderValue::from_static("13"));
        assert_eq!(name(status(&headers)), "internal");
        headers.insert("grpc-message", http::HeaderValue::from_static("Missing%20request%20message."));
        assert_eq!(name(status(&headers)), "cancelled");
    }
}
