//! The end of an attempt: taken only when everything it names is here and durable.
//!
//! Start at [`finish`].
//!
//! Invariant: no end is reported to the engine while a byte of its output is missing here.

use crate::blobs::blocking;
use crate::link::position;
use crate::links::Outgoing;
use crate::logs::{Lengths, Stream};
use crate::shared::Shared;
use crate::status;
use crate::writer::Refused;
use hivemind_model::rows::{LogLengths, Report};
use hivemind_model::spec::{BlobRef, Digest};
use hivemind_model::verify::Rule;
use hivemind_model::{AttemptRef, Bytes, Command, NodeId, Outcome};
use hivemind_proto::worker::pool_event::Event;
use hivemind_proto::worker::{FinishedAck, LogResend};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use tonic::Status;

/// Takes the end of an attempt, asks for missing output, or refuses it for good.
pub(crate) async fn finish(
    shared: Arc<Shared>,
    node: NodeId,
    session: u64,
    attempt: AttemptRef,
    mut report: Report,
) -> Result<(), Status> {
    let reply = |event| shared.live.links.send(node, session, Outgoing::Event(Box::new(event)));
    let ack = |refusal: String| reply(Event::FinishedAck(FinishedAck { attempt: Some(attempt.into()), refusal }));
    let spec = match shared.live_attempt(node, attempt) {
        Ok(spec) => spec,
        Err(rejection) => {
            ack(rejection.to_string());
            return Ok(());
        }
    };
    keep_to_the_cap(&mut report, shared.live.logs.cap());
    let have = lengths(&shared, attempt, &report).await.map_err(|error| status::file("reading logs", &error))?;
    if have.stdout < report.logs.stdout.0 || have.stderr < report.logs.stderr.0 {
        reply(Event::LogResend(LogResend { position: Some(position(attempt, have)) }));
        return Ok(());
    }
    report.logs.stdout = Bytes(have.stdout);
    report.logs.stderr = Bytes(have.stderr);
    check_output(&shared, attempt, &mut report).await?;
    let output = report.output;
    if have.stdout > 0 || have.stderr > 0 {
        let live = shared.live.clone();
        blocking(move || live.logs.sync(attempt))
            .await
            .map_err(|error| status::file("keeping the output of a task", &error))?;
    }
    if spec.verify.rule != Rule::First {
        report.digest = Some(digest(&shared, attempt, &report).await?);
    }
    let pending = shared
        .writer
        .enqueue(Command::Finished { node, attempt, report })
        .await
        .map_err(|refused| status::refused(&refused))?;
    match pending.reply().await {
        Ok(_) => {
            ack(String::new());
            forget_output(&shared, attempt, output).await;
        }
        Err(Refused::Rejected(rejection)) => ack(rejection.to_string()),
        Err(refused) => return Err(status::refused(&refused)),
    }
    Ok(())
}

/// What is compared with the results of other copies: the archive, or, where there is none, standard output.
async fn digest(shared: &Shared, attempt: AttemptRef, report: &Report) -> Result<Digest, Status> {
    const PIECE: usize = 1 << 20;
    if let Some(output) = report.output {
        return Ok(output.digest);
    }
    let (live, length) = (shared.live.clone(), report.logs.stdout.0);
    let hashed = blocking(move || {
        let (mut hash, mut offset) = (Sha256::new(), 0);
        while offset < length {
            let most = usize::try_from(length - offset).unwrap_or(PIECE).min(PIECE);
            let piece = live.logs.read(attempt, Stream::Stdout, offset, most)?;
            if piece.is_empty() {
                break;
            }
            offset += piece.len() as u64;
            hash.update(&piece);
        }
        Ok(Digest(hash.finalize().into()))
    });
    hashed.await.map_err(|error| status::file("reading the output of a task", &error))
}

/// How much of the attempt's output is here. Of a command that wrote nothing nothing can be here,
/// which spares such tasks a thread and two looks at the disk: a third of what their end costs.
async fn lengths(shared: &Shared, attempt: AttemptRef, report: &Report) -> std::io::Result<Lengths> {
    if report.logs == LogLengths::default() {
        return Ok(Lengths::default());
    }
    let live = shared.live.clone();
    blocking(move || live.logs.lengths(attempt)).await
}

/// The pool keeps less of a stream than some worker may.
fn keep_to_the_cap(report: &mut Report, cap: u64) {
    for length in [&mut report.logs.stdout, &mut report.logs.stderr] {
        if length.0 > cap {
            length.0 = cap;
            report.logs.cut = true;
        }
    }
}

/// An end that names an archive which its node did not send cannot be paid: the requester would
/// get nothing, or what is somebody else's. It is the node's failure, and the element is tried again.
async fn check_output(shared: &Shared, attempt: AttemptRef, report: &mut Report) -> Result<(), Status> {
    let Some(output) = report.output else { return Ok(()) };
    let sent = shared.blobs.output_size(attempt, output.digest).await;
    if sent.map_err(|error| status::file("reading an output", &error))? != Some(output.size.0) {
        report.output = None;
        report.outcome = Outcome::Infrastructure {
            reason: format!("the node reported an output archive {} that it had not stored", output.digest),
        };
    }
    Ok(())
}

async fn forget_output(shared: &Shared, attempt: AttemptRef, output: Option<BlobRef>) {
    let Some(output) = output else { return };
    if let Err(error) = shared.blobs.forget_output(attempt, output.digest).await {
        tracing::warn!(%attempt, %error, "a note of an output could not be removed; it takes room and does no harm");
    }
}
