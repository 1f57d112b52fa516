//! A collector of spans in this process.

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::{Request, Response, Status};

/// What came so far.
#[derive(Clone, Default)]
struct Came(Arc<Mutex<Vec<ExportTraceServiceRequest>>>, Arc<Mutex<Vec<String>>>);

#[tonic::async_trait]
impl TraceService for Came {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let told = request.metadata().get("x-collector-word").and_then(|word| word.to_str().ok());
        self.1.lock().unwrap().extend(told.map(str::to_owned));
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// See the module.
pub(crate) struct Collector {
    came: Came,
    /// Where it listens, as an address of HTTP.
    pub(crate) url: String,
    _runtime: Runtime,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let came = Came::default();
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let service = TraceServiceServer::new(came.clone());
        runtime.spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        Self { came, url, _runtime: runtime }
    }

    /// Every batch, for whoever looks into it.
    pub(crate) fn batches(&self) -> Vec<ExportTraceServiceRequest> {
        self.came.0.lock().unwrap().clone()
    }

    /// What senders showed in a header.
    pub(crate) fn words(&self) -> Vec<String> {
        self.came.1.lock().unwrap().clone()
    }

    /// All spans.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let scopes = self.batches().into_iter().flat_map(|batch| batch.resource_spans);
        scopes.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    /// What the sender says of itself.
    pub(crate) fn sender(&self, key: &str) -> Option<String> {
        let batches = self.batches();
        let resource = batches.first()?.resource_spans.first()?.resource.clone()?;
        text(&resource.attributes, key)
    }
}

/// An attribute, as text.
pub(crate) fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes.iter().find(|known| known.key == key)?.value.clone()?.value?;
    Some(match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(word) => word.to_string(),
        other => format!("{other:?}"),
    })
}
