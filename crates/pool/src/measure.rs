//! Measures the calls of the server, and tells now and then how things stand.
//!
//! [`Measure`] is a layer around all services; [`states`] runs where somebody measures.
//!
//! Invariant: a method that no service has is counted as `unknown`, whatever it is called.

use crate::meters;
use crate::services::health;
use crate::shared::Shared;
use hivemind_proto::DESCRIPTOR_SET;
use prost::Message;
use prost_types::FileDescriptorSet;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service};

/// How often states are told.
const EVERY: Duration = Duration::from_secs(5);

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
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Measure;

impl<S> Layer<S> for Measure {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured { inner }
    }
}

/// See [`Measure`].
#[derive(Debug, Clone)]
pub(crate) struct Measured<S> {
    inner: S,
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
        let begun = Instant::now();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            meters::called(method, code(answer.headers()), begun.elapsed());
            Ok(answer)
        })
    }
}

/// The code of an answer. One without a code in its head has begun well; a stream may still end badly.
fn code(headers: &http::HeaderMap) -> &'static str {
    let code = headers.get("grpc-status").map(|code| tonic::Code::from_bytes(code.as_bytes()));
    match code.unwrap_or(tonic::Code::Ok) {
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

/// Tells how things stand until `stop` fires.
pub(crate) async fn states(shared: Arc<Shared>, stop: CancellationToken) {
    meters::describe();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match health::health(&shared).await {
            Ok(health) => {
                let (queued, watchers) = (shared.writer.queued(), shared.live.watching.count());
                meters::states(&health, shared.live.board.counts(), queued, watchers);
            }
            Err(fault) => tracing::debug!(error = %fault.message(), "how things stand could not be told"),
        }
    }
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

    #[test]
    fn the_code_is_read_from_the_head_of_an_answer() {
        let mut headers = http::HeaderMap::new();
        assert_eq!(code(&headers), "ok");
        headers.insert("grpc-status", http::HeaderValue::from_static("7"));
        assert_eq!(code(&headers), "permission_denied");
    }
}
