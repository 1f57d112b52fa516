//! The gRPC server: services over the pool's own TLS connections.
//!
//! Start at [`serve`].
//!
//! Invariant: no service is reachable without TLS.

use crate::admit::{Admit, BySender, Strangers};
use crate::measure::Measure;
use crate::services::{AuthCalls, NodeCalls, PoolCalls, ProjectCalls, TaskCalls, TokenCalls, WorkerCalls};
use crate::shared::Shared;
use crate::tls::Connection;
use hivemind_model::{NodeId, Timestamp};
use hivemind_proto::v1::auth_service_server::AuthServiceServer;
use hivemind_proto::v1::node_service_server::NodeServiceServer;
use hivemind_proto::v1::pool_service_server::PoolServiceServer;
use hivemind_proto::v1::project_service_server::ProjectServiceServer;
use hivemind_proto::v1::task_service_server::TaskServiceServer;
use hivemind_proto::v1::token_service_server::TokenServiceServer;
use hivemind_proto::worker::worker_service_server::WorkerServiceServer;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tower::util::{MapRequestLayer, MapResponseLayer};

/// Largest message of a task service call.
const MAX_TASK_MESSAGE: usize = 16 << 20;
/// Largest message of a token service call: many transfers.
const MAX_TOKEN_MESSAGE: usize = 4 << 20;
/// Largest message of a worker.
const MAX_WORKER_MESSAGE: usize = 8 << 20;
/// Largest message of any other call, and of whoever shows no token in the metadata.
const MAX_SMALL_MESSAGE: usize = 64 << 10;
/// Calls that one connection may have open.
const MAX_STREAMS: u32 = 256;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// The node whose certificate it showed; verified against the pool's authority.
    pub(crate) node: Option<ShownNode>,
}

/// What a node's certificate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShownNode {
    /// Which node it is.
    pub(crate) id: NodeId,
    /// When the certificate ends. A connection outlives that, what it may do does not.
    pub(crate) until: Timestamp,
}

/// Whether clients may ask for the service descriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reflection {
    /// They may.
    On,
    /// They may not.
    Off,
}

/// Serves `connections` until the pool closes, then waits for the calls that are open.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    connections: mpsc::Receiver<Connection>,
    reflection: Reflection,
    strangers: Strangers,
) -> anyhow::Result<()> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<AuthServiceServer<AuthCalls>>().await;
    health.set_serving::<TokenServiceServer<TokenCalls>>().await;
    health.set_serving::<TaskServiceServer<TaskCalls>>().await;
    health.set_serving::<NodeServiceServer<NodeCalls>>().await;
    health.set_serving::<PoolServiceServer<PoolCalls>>().await;
    health.set_serving::<ProjectServiceServer<ProjectCalls>>().await;
    health.set_serving::<WorkerServiceServer<WorkerCalls>>().await;
    let described = match reflection {
        Reflection::On => Some(
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(hivemind_proto::DESCRIPTOR_SET)
                .build_v1()?,
        ),
        Reflection::Off => None,
    };
    let (closing, gate) = (shared.closing.clone(), shared.clone());
    let money = TokenServiceServer::new(TokenCalls(shared.clone()));
    let money = BySender {
        stranger: money.clone().max_decoding_message_size(MAX_SMALL_MESSAGE),
        known: money.max_decoding_message_size(MAX_TOKEN_MESSAGE),
    };
    let tasks = TaskServiceServer::new(TaskCalls(shared.clone()));
    let tasks = BySender {
        stranger: tasks.clone().max_decoding_message_size(MAX_SMALL_MESSAGE),
        known: tasks.max_decoding_message_size(MAX_TASK_MESSAGE),
    };
    let router = Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .http2_keepalive_interval(Some(Duration::from_secs(15)))
        .http2_keepalive_timeout(Some(Duration::from_secs(15)))
        .initial_connection_window_size(4 << 20)
        .initial_stream_window_size(1 << 20)
        .layer(MapRequestLayer::new(move |request: http::Request<tonic::body::Body>| gate.gate.mark(request)))
        .layer(Measure(shared.live.clone()))
        .layer(MapResponseLayer::new(explain_too_large))
        .layer(Admit::new(shared.clone(), strangers))
        .add_service(health_service)
        .add_optional_service(described)
        .add_service(AuthServiceServer::new(AuthCalls(shared.clone())).max_decoding_message_size(MAX_SMALL_MESSAGE))
        .add_service(money)
        .add_service(NodeServiceServer::new(NodeCalls(shared.clone())).max_decoding_message_size(MAX_SMALL_MESSAGE))
        .add_service(PoolServiceServer::new(PoolCalls(shared.clone())).max_decoding_message_size(MAX_SMALL_MESSAGE))
        .add_service(
            ProjectServiceServer::new(ProjectCalls(shared.clone())).max_decoding_message_size(MAX_SMALL_MESSAGE),
        )
        .add_service(tasks)
        .add_service(WorkerServiceServer::new(WorkerCalls(shared)).max_decoding_message_size(MAX_WORKER_MESSAGE));
    let incoming = tokio_stream::StreamExt::map(ReceiverStream::new(connections), Ok::<_, io::Error>);
    router.serve_with_incoming_shutdown(incoming, closing.cancelled_owned()).await?;
    Ok(())
}

/// Rewrites the refusal of a message above the limit: the codec's own says neither which field
/// is too large nor what to do.
fn explain_too_large(mut response: http::Response<tonic::body::Body>) -> http::Response<tonic::body::Body> {
    let headers = response.headers_mut();
    // The codec percent-encodes the blanks of its sentence.
    let too_large = headers.get("grpc-message").and_then(|text| text.to_str().ok()).is_some_and(|text| {
        text.contains("message%20length%20too%20large") || text.contains("message length too large")
    });
    if too_large {
        headers.insert("grpc-status", http::HeaderValue::from_static("8"));
        headers.insert("grpc-message", http::HeaderValue::from_static("E_TOO_LARGE: the request is larger than the pool takes in one message; more than 64 KiB are taken only with the token in the metadata, as `authorization: Bearer TOKEN`; send many things in several calls; the files of a task may have 8 MiB together: send larger content with Upload and name its digest in inputs"));
    }
    response
}
