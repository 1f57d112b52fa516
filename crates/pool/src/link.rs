//! One worker's link, from Hello to its end.
//!
//! Start at [`start`]. The first event is a Hello; the engine answers which of the attempts that
//! the worker holds are no longer its own, and a Welcome tells it so. Then events are taken in
//! order. What needs a commit or the disk goes on beside, bounded, so that heartbeats are
//! answered at once. Nothing is lost when a link breaks: the worker connects again and says what
//! it holds.
//!
//! Invariant: nothing about an attempt is believed that is not live on this very node.

use crate::finish;
use crate::handout::message;
use crate::links::Outgoing;
use crate::liveness::Usage;
use crate::logs::{Appended, Lengths, Stream as LogStream};
use crate::monitor::benchmark::Question;
use crate::services::worker::sign;
use crate::shared::{Shared, stale};
use crate::status;
use crate::writer::Refused;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered, StreamExt};
use hivemind_model::rows::NodeRow;
use hivemind_model::units::Bytes as Size;
use hivemind_model::{AttemptRef, Code, Command, NodeId, Rejection, Reply, Timestamp};
use hivemind_proto::convert::{self, LogPosition};
use hivemind_proto::worker::pool_event::Event as PoolEventKind;
use hivemind_proto::worker::worker_event::Event;
use hivemind_proto::worker::{
    AttemptProgress, Certificate, Heartbeat, HeartbeatAck, Hello, LogData, LogResend, PoolMessage, Stop, Welcome,
    WorkerEvent, WorkerMessage,
};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

mod speed;

/// A link that has not said Hello by then is closed.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a link that has ended may take to send what is queued.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Messages on the way to the transport.
const OUT_QUEUE: usize = 16;
/// Starts and ends of attempts that wait for the disk or a commit; above it nothing is read.
const MAX_PENDING: usize = 4096;
/// Attempts that one Hello may name.
const MAX_HELD: usize = 200_000;
/// Most characters of a progress note.
const MAX_NOTE_CHARS: usize = 200;

type Out = mpsc::Sender<Result<PoolMessage, Status>>;
type Work = BoxFuture<'static, Result<(), Status>>;

/// Takes over a link of `node`, whose certificate ends at `until`; gives what is sent to it.
pub(crate) fn start(
    shared: Arc<Shared>,
    node: NodeRow,
    until: Timestamp,
    messages: Streaming<WorkerMessage>,
) -> BoxStream<'static, Result<PoolMessage, Status>> {
    let (out, stream) = mpsc::channel(OUT_QUEUE);
    tokio::spawn(async move {
        if let Err(fault) = run(&shared, &node, until, messages, out.clone()).await {
            tracing::info!(node = %node.id, error = %fault.message(), "a worker link ended");
            // A worker that has gone wants no reason.
            let _gone = out.send(Err(fault)).await;
        }
    });
    Box::pin(ReceiverStream::new(stream))
}

async fn run(
    shared: &Arc<Shared>,
    node: &NodeRow,
    until: Timestamp,
    mut messages: Streaming<WorkerMessage>,
    out: Out,
) -> Result<(), Status> {
    let first = tokio::time::timeout(HELLO_TIMEOUT, messages.message()).await;
    let first = first.map_err(|_| Status::deadline_exceeded("E_TIMED_OUT: no Hello came within 10 s"))??;
    let mut events: VecDeque<WorkerEvent> = first.map(|message| message.events.into()).unwrap_or_default();
    let Some(Event::Hello(hello)) = events.pop_front().and_then(|event| event.event) else {
        return Err(Status::invalid_argument("E_INVALID: the first event of a link must be a Hello"));
    };
    let runtime: String = hello
        .offer
        .as_ref()
        .map(|offer| offer.runtime.chars().filter(|c| !c.is_control()).take(32).collect())
        .unwrap_or_default();
    let command = |session| connected(node, &hello, session);
    let closed = CancellationToken::new();
    let (session, queue, pending) = {
        let _order = shared.liveness.membership(node.id).await;
        // Checked before anything changes.
        command(0)?;
        if !shared.liveness.in_time(node.id) {
            shared.live.figures.joined_one();
        }
        let (session, queue) = shared.live.links.open(node.id, runtime, closed.clone());
        shared.liveness.heard(node.id, None);
        let pending = shared.writer.enqueue(command(session)?).await.map_err(|refused| status::refused(&refused));
        (session, queue, pending)
    };
    let mut link = Link {
        shared: shared.clone(),
        node: node.id,
        session,
        until,
        pending: FuturesUnordered::new(),
        question: Arc::default(),
    };
    let welcomed = match pending {
        Ok(pending) => link.welcome(&hello, pending.reply().await, &out).await,
        Err(fault) => Err(fault),
    };
    let sender = tokio::spawn(send(shared.clone(), node.id, queue, out));
    let ended = match welcomed {
        Ok(()) => link.serve(messages, events, &closed).await,
        Err(fault) => Err(fault),
    };
    shared.live.links.close(node.id, session);
    shared.live.watching.node_changed(node.id);
    link.disconnect().await;
    // What is queued is still sent, as long as the worker reads.
    let mut sender = sender;
    if tokio::time::timeout(LAST_WORDS, &mut sender).await.is_err() {
        sender.abort();
    }
    ended
}

fn connected(node: &NodeRow, hello: &Hello, session: u64) -> Result<Command, Status> {
    let offer = convert::node_offer(hello.offer.as_ref()).map_err(|bad| status::malformed(&bad))?;
    if offer.name != node.name {
        return Err(status::rejected(&Rejection::field(
            Code::Forbidden,
            "offer.name",
            format!("the certificate is that of {}; a node speaks only for itself", node.name),
        )));
    }
    if hello.holds.len() > MAX_HELD {
        return Err(status::rejected(&Rejection::field(
            Code::TooLarge,
            "holds",
            format!("{} attempts; no node has more than {MAX_HELD}", hello.holds.len()),
        )));
    }
    let holds = convert::attempts(&hello.holds).map_err(|bad| status::malformed(&bad))?;
    Ok(Command::Connected { node: node.id, session, offer, holds })
}

/// Sends what is queued, many events in one message.
async fn send(shared: Arc<Shared>, node: NodeId, mut queue: mpsc::Receiver<Outgoing>, out: Out) {
    const EVENTS: usize = 256;
    const MESSAGE_BYTES: usize = 1 << 20;
    let mut waiting = Vec::with_capacity(EVENTS);
    while queue.recv_many(&mut waiting, EVENTS).await > 0 {
        let (mut events, mut bytes) = (Vec::with_capacity(waiting.len()), 0);
        for outgoing in waiting.drain(..) {
            let Some(event) = message(&shared, node, outgoing).await else { continue };
            bytes += prost::Message::encoded_len(&event);
            events.push(event);
            if bytes > MESSAGE_BYTES {
                bytes = 0;
                if out.send(Ok(PoolMessage { events: std::mem::take(&mut events) })).await.is_err() {
                    return;
                }
            }
        }
        if events.is_empty() {
            continue;
        }
        shared.live.figures.meters.message_out();
        if out.send(Ok(PoolMessage { events })).await.is_err() {
            return;
        }
    }
}

struct Link {
    shared: Arc<Shared>,
    node: NodeId,
    session: u64,
    until: Timestamp,
    pending: FuturesUnordered<Work>,
    /// The benchmark that the node was asked to do.
    question: Arc<Mutex<Option<Question>>>,
}

impl Link {
    async fn welcome(&mut self, hello: &Hello, reply: Result<Reply, Refused>, out: &Out) -> Result<(), Status> {
        let stale = match reply.map_err(|refused| status::refused(&refused))? {
            Reply::Connected { stale } => stale,
            other => {
                tracing::error!(?other, "the engine answered a Hello with another command's reply");
                return Err(Status::internal("E_INTERNAL: the pool answered itself wrongly, which is a bug"));
            }
        };
        let held = convert::attempts(&hello.holds).map_err(|bad| status::malformed(&bad))?;
        let stale_set: std::collections::BTreeSet<AttemptRef> = stale.iter().copied().collect();
        let live = self.shared.live.clone();
        let logs = crate::blobs::blocking(move || {
            let kept = held.into_iter().filter(|attempt| !stale_set.contains(attempt));
            kept.map(|attempt| live.logs.lengths(attempt).map(|lengths| position(attempt, lengths)))
                .collect::<std::io::Result<Vec<_>>>()
        });
        let logs = logs.await.map_err(|error| status::file("reading logs", &error))?;
        let policy = &self.shared.policy;
        let welcome = Welcome {
            lease_ms: policy.lost_after.0,
            heartbeat_every_ms: policy.heartbeat_every.0,
            stale: stale.into_iter().map(Into::into).collect(),
            logs,
        };
        let events = vec![hivemind_proto::worker::PoolEvent { event: Some(PoolEventKind::Welcome(welcome)) }];
        tracing::info!(node = %self.node, session = self.session, "a worker is linked");
        out.send(Ok(PoolMessage { events })).await.map_err(|_| Status::cancelled("E_UNAVAILABLE: the worker has gone"))
    }

    /// Takes events until the link ends.
    async fn serve(
        &mut self,
        mut messages: Streaming<WorkerMessage>,
        first: VecDeque<WorkerEvent>,
        closed: &CancellationToken,
    ) -> Result<(), Status> {
        let closing = self.shared.closing.clone();
        let certified = tokio::time::sleep(Duration::from_millis(self.until.since(self.shared.clock.now()).0));
        tokio::pin!(certified);
        self.take(first).await?;
        self.ask_for_speed();
        loop {
            tokio::select! {
                () = &mut certified => return Err(Status::aborted("E_CONFLICT: the certificate of this link has ended; connect again with the renewed one")),
                () = closing.cancelled() => return Err(Status::unavailable("E_UNAVAILABLE: the pool is stopping; connect again when it runs")),
                () = closed.cancelled() => return Err(Status::aborted("E_CONFLICT: this link was closed: a newer one took its place, the node was silent for too long, or it took nothing more")),
                Some(done) = self.pending.next() => done?,
                message = messages.message(), if self.pending.len() < MAX_PENDING => match message? {
                    Some(message) => self.take(message.events.into()).await?,
                    None => return Ok(()),
                },
            }
        }
    }

    async fn take(&mut self, events: VecDeque<WorkerEvent>) -> Result<(), Status> {
        let is_beat = |event: &&WorkerEvent| matches!(event.event, Some(Event::Heartbeat(_)));
        self.shared.live.figures.meters.message_in(events.iter().filter(is_beat).count());
        let mut logs = Vec::new();
        for event in events {
            let event = event
                .event
                .ok_or_else(|| Status::invalid_argument("E_INVALID: an event is empty or of a newer release"))?;
            if let Event::Log(data) = event {
                logs.push(data);
                continue;
            }
            self.append(std::mem::take(&mut logs)).await?;
            self.take_one(event).await?;
        }
        self.append(logs).await
    }

    async fn take_one(&mut self, event: Event) -> Result<(), Status> {
        match event {
            Event::Hello(_) => Err(Status::invalid_argument("E_INVALID: a link has one Hello")),
            Event::Heartbeat(beat) => {
                self.beat(&beat);
                Ok(())
            }
            Event::Started(started) => {
                let attempt = convert::attempt(started.attempt).map_err(|bad| status::malformed(&bad))?;
                self.started(attempt).await
            }
            // Logs are taken before, many at once.
            Event::Log(data) => self.append(vec![data]).await,
            Event::Progress(progress) => self.progress(&progress),
            Event::Finished(finished) => {
                let (attempt, report) = convert::report(&finished).map_err(|bad| status::malformed(&bad))?;
                self.pending
                    .push(finish::finish(self.shared.clone(), self.node, self.session, attempt, report).boxed());
                Ok(())
            }
            Event::Renew(request) => {
                let certificate_pem = sign(&self.shared, &request.csr_pem, self.node)?;
                self.reply(PoolEventKind::Certificate(Certificate { certificate_pem }));
                Ok(())
            }
            Event::Drain(_) => {
                self.shared.live.links.drain(self.node, self.session);
                self.shared.live.watching.node_changed(self.node);
                self.queue(Command::Drain { node: self.node, session: self.session }).await
            }
            Event::Owner(state) => {
                let state = convert::availability(&state).map_err(|bad| status::malformed(&bad))?;
                self.shared.live.watching.node_changed(self.node);
                self.queue(Command::Avail { node: self.node, session: self.session, state }).await
            }
            Event::Benchmark(done) => self.measured(&done).await,
        }
    }

    fn beat(&self, beat: &Heartbeat) {
        let usage =
            Usage { cpu: beat.cpu_usage, memory: beat.memory_usage, disk: beat.disk_usage, gpu: beat.gpu_usage };
        // A sample that makes no sense is left out; the sign of life counts all the same.
        self.shared.liveness.heard(self.node, Some(usage).filter(|usage| usage.fault().is_none()));
        let board = &self.shared.live.board;
        let is_live = |attempt| board.live_on(self.node, attempt).is_some();
        self.shared.monitor.hear(self.node, beat, self.shared.clock.now(), is_live);
        self.reply(PoolEventKind::Beat(HeartbeatAck { sequence: beat.sequence }));
    }

    async fn started(&mut self, attempt: AttemptRef) -> Result<(), Status> {
        if self.shared.live_attempt(self.node, attempt).is_err() {
            self.stop(attempt);
            return Ok(());
        }
        let pending = self
            .shared
            .writer
            .enqueue(Command::Started { node: self.node, attempt })
            .await
            .map_err(|refused| status::refused(&refused))?;
        let (shared, node, session) = (self.shared.clone(), self.node, self.session);
        let done = async move {
            match pending.reply().await {
                Ok(_) => Ok(()),
                Err(Refused::Rejected(rejection)) if rejection.code == Code::Stale => {
                    let stop = PoolEventKind::Stop(Stop { attempt: Some(attempt.into()) });
                    shared.live.links.send(node, session, Outgoing::Event(Box::new(stop)));
                    Ok(())
                }
                Err(refused) => Err(status::refused(&refused)),
            }
        };
        self.pending.push(done.boxed());
        Ok(())
    }

    fn progress(&self, progress: &AttemptProgress) -> Result<(), Status> {
        let attempt = convert::attempt(progress.attempt).map_err(|bad| status::malformed(&bad))?;
        let note: String = progress.note.chars().filter(|c| !c.is_control()).take(MAX_NOTE_CHARS).collect();
        let percent = u8::try_from(progress.percent.min(100)).unwrap_or(100);
        match self.shared.live.board.note(self.node, attempt, percent, &note) {
            Some(noted) if noted.shows => {
                self.shared.live.hub.publish(noted.user, crate::hub::Event::Progress(attempt.element));
            }
            Some(_) => {}
            None => self.stop(attempt),
        }
        Ok(())
    }

    /// Appends pieces of output, in order.
    async fn append(&mut self, pieces: Vec<LogData>) -> Result<(), Status> {
        if pieces.is_empty() {
            return Ok(());
        }
        let mut checked = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let attempt = convert::attempt(piece.attempt).map_err(|bad| status::malformed(&bad))?;
            if self.shared.live_attempt(self.node, attempt).is_err() {
                self.stop(attempt);
                continue;
            }
            checked.push((
                attempt,
                if piece.stderr { LogStream::Stderr } else { LogStream::Stdout },
                piece.offset,
                piece.data,
            ));
        }
        let live = self.shared.live.clone();
        let gaps = crate::blobs::blocking(move || {
            let mut gaps = std::collections::BTreeMap::new();
            for (attempt, stream, offset, data) in checked {
                if let Appended::Gap(have) = live.logs.append(attempt, stream, offset, &data)? {
                    gaps.insert(attempt, have);
                }
                // It may have ended in between; then its log must not be kept open.
                if !live.board.is_live(attempt) {
                    live.logs.end(attempt);
                }
            }
            Ok(gaps)
        });
        for (attempt, have) in gaps.await.map_err(|error| status::file("keeping the output of a task", &error))? {
            self.reply(PoolEventKind::LogResend(LogResend { position: Some(position(attempt, have)) }));
        }
        Ok(())
    }

    fn stop(&self, attempt: AttemptRef) {
        tracing::debug!(node = %self.node, rejection = %stale(attempt), "a worker speaks of an attempt that is not its own");
        self.reply(PoolEventKind::Stop(Stop { attempt: Some(attempt.into()) }));
    }

    fn reply(&self, event: PoolEventKind) {
        self.shared.live.links.send(self.node, self.session, Outgoing::Event(Box::new(event)));
    }

    /// Queues a command whose reply tells the worker nothing.
    async fn queue(&mut self, command: Command) -> Result<(), Status> {
        let pending = self.shared.writer.enqueue(command).await.map_err(|refused| status::refused(&refused))?;
        self.pending.push(
            async move { pending.reply().await.map(|_| ()).map_err(|refused| status::refused(&refused)) }.boxed(),
        );
        Ok(())
    }

    /// Tells the engine that the link is down; the node's attempts keep their lease.
    async fn disconnect(mut self) {
        let command = Command::Disconnected { node: self.node, session: self.session };
        let outcome = match self.shared.writer.enqueue(command).await {
            Ok(pending) => pending.reply().await.map(|_| ()),
            Err(refused) => Err(refused),
        };
        match outcome {
            Ok(()) | Err(Refused::Stopped) => {
                tracing::info!(node = %self.node, session = self.session, "a worker's link is down")
            }
            Err(refused) => tracing::error!(node = %self.node, error = %refused, "the end of a link was refused"),
        }
        // What was reported before the break still counts.
        while let Some(done) = self.pending.next().await {
            if let Err(fault) = done {
                tracing::debug!(node = %self.node, error = %fault.message(), "a report of a broken link was not taken");
            }
        }
    }
}

/// How much of an attempt's output is here, as a message.
pub(crate) fn position(attempt: AttemptRef, have: Lengths) -> hivemind_proto::worker::LogPosition {
    LogPosition { attempt, stdout: Size(have.stdout), stderr: Size(have.stderr) }.into()
}
