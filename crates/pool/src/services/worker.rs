//! `WorkerService`: enrolment, the link, and the contents that attempts need and leave.
//!
//! The link itself is in [`crate::link`].
//!
//! Invariant: a node reads and writes only what its live attempts name.

use super::output::{next, send_file};
use super::wrong_reply;
use crate::blobs::{PartName, Sender};
use crate::link;
use crate::shared::Shared;
use crate::status;
use futures::stream::BoxStream;
use hivemind_model::command::JoinUse;
use hivemind_model::spec::BlobRef;
use hivemind_model::{Bytes, Code, Command, NodeId, Rejection, Reply};
use hivemind_proto::convert;
use hivemind_proto::worker::worker_service_server::WorkerService;
use hivemind_proto::worker::{
    EnrollRequest, EnrollResponse, FetchInputRequest, InputChunk, OutputChunk, OutputOffsetRequest,
    OutputOffsetResponse, PoolMessage, StoreOutputResponse, WorkerMessage,
};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Messages on the way to one reader.
const QUEUE: usize = 4;
/// Longest certificate request.
const MAX_CSR_BYTES: usize = 16 << 10;

/// The service.
pub(crate) struct WorkerCalls(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl WorkerService for WorkerCalls {
    type LinkStream = BoxStream<'static, Result<PoolMessage, Status>>;
    type FetchInputStream = BoxStream<'static, Result<InputChunk, Status>>;

    async fn enroll(&self, request: Request<EnrollRequest>) -> Result<Response<EnrollResponse>, Status> {
        let EnrollRequest { join_token, csr_pem, offer } = request.into_inner();
        let join = self.0.tokens.join(&join_token).map_err(|why| match why {
            crate::tokens::BadToken::Expired => status::rejected(&Rejection::field(
                Code::TokenExpired,
                "join_token",
                "it has expired; make a new one with CreateJoinToken",
            )),
            crate::tokens::BadToken::Invalid => {
                status::unauthenticated("join_token: is not a join token of this pool; make one with CreateJoinToken")
            }
        })?;
        let offer = convert::node_offer(offer.as_ref()).map_err(|bad| status::malformed(&bad))?;
        // A request that cannot be signed must not use up the token: this certificate is thrown away.
        sign(&self.0, &csr_pem, NodeId(0))?;
        let token = Some(JoinUse { id: join.id, expires_at: join.expires_at });
        let reply = self
            .0
            .writer
            .apply(Command::Enroll { owner: join.owner, offer, token })
            .await
            .map_err(|refused| status::refused(&refused))?;
        let Reply::Enrolled { node } = reply else { return Err(wrong_reply(&reply)) };
        let certificate_pem = sign(&self.0, &csr_pem, node)?;
        tracing::info!(%node, "enrolled a node");
        Ok(Response::new(EnrollResponse {
            node_id: node.to_string(),
            certificate_pem,
            ca_pem: self.0.authority.ca_pem().to_owned(),
        }))
    }

    async fn link(&self, request: Request<Streaming<WorkerMessage>>) -> Result<Response<Self::LinkStream>, Status> {
        let (node, until) = self.0.node_until(&request)?;
        Ok(Response::new(link::start(self.0.clone(), node, until, request.into_inner())))
    }

    async fn fetch_input(
        &self,
        request: Request<FetchInputRequest>,
    ) -> Result<Response<Self::FetchInputStream>, Status> {
        let node = self.0.node_of(&request)?;
        let FetchInputRequest { attempt, digest, offset } = request.into_inner();
        let attempt = convert::attempt(attempt).map_err(|bad| status::malformed(&bad))?;
        let digest = convert::digest("digest", &digest).map_err(|bad| status::malformed(&bad))?;
        let spec = self.0.live_attempt(node.id, attempt).map_err(|rejection| status::rejected(&rejection))?;
        let contents = spec.files.iter().map(|file| file.blob).chain(spec.image_blob);
        let Some(blob) = contents.into_iter().find(|blob| blob.digest == digest) else {
            return Err(status::rejected(&Rejection::field(
                Code::NotFound,
                "digest",
                format!("{attempt} has no input of that digest"),
            )));
        };
        if offset > blob.size.0 {
            return Err(status::rejected(&Rejection::invalid(
                "offset",
                format!("{offset} is behind the end of the {}", blob.size),
            )));
        }
        let file = self.0.blobs.read(digest).await.map_err(|error| status::file("reading an input", &error))?;
        let Some(file) = file else {
            tracing::error!(%attempt, %digest, "a stored input is missing");
            return Err(Status::data_loss(format!(
                "E_INTERNAL: the input {digest} is missing in the pool; its operator finds it in the log"
            )));
        };
        let (out, stream) = mpsc::channel(QUEUE);
        let closing = self.0.closing.clone();
        tokio::spawn(async move {
            let sending = send_file(file, offset, u64::MAX, |chunk| {
                let out = out.clone();
                async move { out.send(chunk.map(|data| InputChunk { data })).await.is_ok() }
            });
            tokio::select! {
                () = closing.cancelled() => {}
                () = sending => {}
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn output_offset(
        &self,
        request: Request<OutputOffsetRequest>,
    ) -> Result<Response<OutputOffsetResponse>, Status> {
        let node = self.0.node_of(&request)?;
        let OutputOffsetRequest { attempt, digest } = request.into_inner();
        let attempt = convert::attempt(attempt).map_err(|bad| status::malformed(&bad))?;
        let digest = convert::digest("digest", &digest).map_err(|bad| status::malformed(&bad))?;
        self.0.live_attempt(node.id, attempt).map_err(|rejection| status::rejected(&rejection))?;
        let cannot = |error: std::io::Error| status::file("looking for content", &error);
        let received = match self.0.blobs.output_size(attempt, digest).await.map_err(cannot)? {
            // It is whole, and only the answer was lost.
            Some(size) => size,
            None => {
                let name = PartName::of_attempt(node.id, attempt, &digest);
                self.0.blobs.received(name).await.map_err(cannot)?
            }
        };
        Ok(Response::new(OutputOffsetResponse { received }))
    }

    async fn store_output(
        &self,
        request: Request<Streaming<OutputChunk>>,
    ) -> Result<Response<StoreOutputResponse>, Status> {
        let node = self.0.node_of(&request)?;
        let mut chunks = request.into_inner();
        let first = next(&mut chunks).await?.ok_or_else(|| {
            status::rejected(&Rejection::invalid("attempt", "no message came; the first one names the attempt"))
        })?;
        let attempt = convert::attempt(first.attempt).map_err(|bad| status::malformed(&bad))?;
        let spec = self.0.live_attempt(node.id, attempt).map_err(|rejection| status::rejected(&rejection))?;
        // An archive of everything on the task's disk: headers and padding of small files come on top.
        let most = spec.resources.disk.0.saturating_mul(2).saturating_add(64 << 20);
        if first.size > most {
            return Err(status::rejected(&Rejection::field(
                Code::TooLarge,
                "size",
                format!("{} bytes; the output of {attempt} may have {most}", first.size),
            )));
        }
        let sender = Sender::Node(node.id);
        let begun = if first.digest.is_empty() {
            self.0.blobs.writer(sender, first.size).await
        } else {
            let digest = convert::digest("digest", &first.digest).map_err(|bad| status::malformed(&bad))?;
            let stored = self.0.blobs.output_size(attempt, digest).await;
            if stored.map_err(|error| status::file("looking for content", &error))? == Some(first.offset) {
                return Ok(Response::new(StoreOutputResponse { digest: digest.to_string() }));
            }
            let whole = BlobRef { digest, size: Bytes(first.size) };
            self.0.blobs.resume(sender, PartName::of_attempt(node.id, attempt, &digest), whole, first.offset).await
        };
        let mut blob = begun.map_err(|error| status::blob("size", &error))?;
        let mut chunk = Some(first);
        while let Some(OutputChunk { data, .. }) = chunk {
            if !data.is_empty() {
                blob.write(data).await.map_err(|error| status::blob("data", &error))?;
            }
            chunk = next(&mut chunks).await?;
        }
        let _use = self.0.blobs.begin_use();
        let blob = blob.finish().await.map_err(|error| status::blob("size", &error))?;
        let noted = self.0.blobs.note_output(attempt, blob.digest).await;
        noted.map_err(|error| status::file("storing content", &error))?;
        Ok(Response::new(StoreOutputResponse { digest: blob.digest.to_string() }))
    }
}

/// Signs a certificate for `node`.
pub(crate) fn sign(shared: &Shared, csr_pem: &str, node: NodeId) -> Result<String, Status> {
    if csr_pem.len() > MAX_CSR_BYTES {
        return Err(status::rejected(&Rejection::field(
            Code::TooLarge,
            "csr_pem",
            format!("{} bytes; at most {MAX_CSR_BYTES} are taken", csr_pem.len()),
        )));
    }
    shared.authority.sign_node(csr_pem, node, shared.clock.now()).map_err(|error| status::certificate(&error))
}
