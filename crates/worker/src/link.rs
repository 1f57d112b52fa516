//! The link to the pool: opened by us, kept open, opened again for as long as the worker runs.
//!
//! Start at [`keep`]. It knows how to reach the pool and how long to wait before the next try;
//! what is said over the link it hands through.
//!
//! Invariant: at most one link at a time, and no attempt is known here.

use crate::membership::Membership;
use crate::transfer::code_of;
use hivemind_client::ClientError;
use hivemind_model::Code;
use hivemind_proto::convert::bounded;
use hivemind_proto::worker::worker_service_client::WorkerServiceClient;
use hivemind_proto::worker::{PoolMessage, WorkerMessage};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Messages to the pool that the transport has not taken yet.
const OUTGOING: usize = 2;

/// Messages of the pool that the shell has not taken yet; more wait in the transport.
pub(crate) const INCOMING: usize = 64;

/// Largest message of the pool, in bytes.
const MAX_MESSAGE_BYTES: usize = 32 << 20;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What the link tells.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// A link opens; it is ours to speak first.
    Opened(Line),
    /// The pool said something.
    Received(PoolMessage),
    /// The link is gone, for this reason; another is opened.
    Lost(String),
    /// The pool will not have this node; nothing more comes.
    Refused(String),
}

/// Our end of one link.
#[derive(Debug)]
pub(crate) struct Line {
    /// Takes what is to be sent.
    pub out: Sender<WorkerMessage>,
    /// Gives the link up.
    pub close: CancellationToken,
}

/// How a link ended.
enum End {
    /// Nobody listens to us any more.
    Unheard,
    Broken {
        reason: String,
        answered: bool,
    },
    Refused(String),
}

/// Keeps a link open until the receiver of `events` is gone or the pool refuses the node.
pub(crate) async fn keep(membership: Arc<Membership>, events: Sender<LinkEvent>) {
    let mut wait = FIRST_WAIT;
    let mut silent = false;
    loop {
        let (reason, answered) = match once(&membership, &events).await {
            End::Unheard => return,
            End::Refused(why) => {
                // Where nobody listens the worker is ending anyway.
                let _unheard = events.send(LinkEvent::Refused(why)).await;
                return;
            }
            End::Broken { reason, answered } => (reason, answered),
        };
        if answered {
            (wait, silent) = (FIRST_WAIT, false);
        }
        if silent {
            tracing::debug!("the pool cannot be reached: {reason}");
        } else {
            tracing::warn!("no link to the pool, trying until there is one: {reason}");
            silent = true;
        }
        if events.send(LinkEvent::Lost(reason)).await.is_err() {
            return;
        }
        let jitter = rand::random_range(0.5..1.0);
        tokio::select! {
            () = tokio::time::sleep(wait.mul_f64(jitter)) => {}
            () = events.closed() => return,
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// One link from its opening to its end.
async fn once(membership: &Membership, events: &Sender<LinkEvent>) -> End {
    match membership.is_expired(crate::enroll::now()) {
        Ok(false) => {}
        Ok(true) => return End::Refused("the certificate of this node has ended; make a join token and start again with --join TOKEN (finished results are kept)".into()),
        Err(why) => return End::Refused(format!("the node's certificate is not usable: {why:#}")),
    }
    let target = membership.target();
    let connected = tokio::select! {
        connected = hivemind_client::connect(&target) => connected,
        () = events.closed() => return End::Unheard,
    };
    let channel = match connected {
        Ok(channel) => channel,
        Err(why) => return unreached(why),
    };
    let (out, outgoing) = channel_pair();
    let close = CancellationToken::new();
    if events.send(LinkEvent::Opened(Line { out, close: close.clone() })).await.is_err() {
        return End::Unheard;
    }
    let mut client = WorkerServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let mut answered = false;
    let talk = async {
        let mut incoming = match client.link(outgoing).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return judge(&status, answered),
        };
        loop {
            match incoming.message().await {
                Ok(Some(message)) => {
                    answered = true;
                    if events.send(LinkEvent::Received(message)).await.is_err() {
                        return End::Unheard;
                    }
                }
                Ok(None) => return End::Broken { reason: "the pool closed the link".into(), answered },
                Err(status) => return judge(&status, answered),
            }
        }
    };
    let closed = tokio::select! {
        end = talk => return end,
        () = close.cancelled() => "given up here",
        () = events.closed() => return End::Unheard,
    };
    End::Broken { reason: closed.to_owned(), answered }
}

fn channel_pair() -> (Sender<WorkerMessage>, ReceiverStream<WorkerMessage>) {
    let (out, outgoing): (_, Receiver<WorkerMessage>) = channel(OUTGOING);
    (out, ReceiverStream::new(outgoing))
}

fn unreached(why: ClientError) -> End {
    match why.code() {
        Some(code) if is_final(code) => End::Refused(why.to_string()),
        Some(_) | None => End::Broken { reason: why.to_string(), answered: false },
    }
}

/// The pool's "no" to this node is final; everything else is trouble on the way.
fn judge(status: &Status, answered: bool) -> End {
    let said = bounded(status.message());
    let refused =
        status.code() == tonic::Code::Unauthenticated || code_of(status).is_some_and(|code| is_final(code.as_str()));
    if refused {
        let advice = match code_of(status) {
            // The pool knows this node, and says why.
            Some(Code::Forbidden) => "",
            Some(_) | None => "; if the pool was founded anew, move this worker's folder away and join again",
        };
        return End::Refused(format!("the pool does not take this node: {said}{advice}"));
    }
    End::Broken { reason: format!("{:?}: {said}", status.code()), answered }
}

fn is_final(code: &str) -> bool {
    [Code::Forbidden, Code::NotFound].iter().any(|known| known.as_str() == code)
}
