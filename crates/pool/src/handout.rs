//! What goes over a worker's link, as the message that it is sent in.
//!
//! An attempt becomes its message only when it is sent, so that what waits on a link holds neither copies of a
//! specification nor entries. Start at [`message`].
//!
//! Invariant: an attempt whose message cannot be made is ended, not forgotten.

use crate::entries::{Entries, LineError};
use crate::links::Outgoing;
use crate::shared::Shared;
use hivemind_model::rows::{LogLengths, Report};
use hivemind_model::{AttemptRef, Command, Metering, NodeId, Outcome, TaskSpec};
use hivemind_proto::convert::wire_env;
use hivemind_proto::worker::pool_event::Event;
use hivemind_proto::worker::{Assign, PoolEvent};

/// What is sent; nothing for an attempt whose entry the pool has lost, which ends here.
pub(crate) async fn message(shared: &Shared, node: NodeId, outgoing: Outgoing) -> Option<PoolEvent> {
    let event = match outgoing {
        Outgoing::Assign(attempt, spec) => match assign(&shared.entries, attempt, &spec).await {
            Ok(assign) => Event::Assign(assign),
            Err(why) => {
                give_up(shared, node, attempt, &why).await;
                return None;
            }
        },
        Outgoing::Event(event) => *event,
    };
    Some(PoolEvent { event: Some(event) })
}

/// Ends an attempt that cannot be handed out, so that its element is tried again.
async fn give_up(shared: &Shared, node: NodeId, attempt: AttemptRef, why: &LineError) {
    tracing::error!(%attempt, error = %why, "an attempt could not be handed out");
    let command = Command::Finished { node, attempt, report: not_handed_out(why) };
    match shared.writer.apply(command).await {
        Ok(_) => {}
        Err(refused) => tracing::debug!(%attempt, error = %refused, "it was over already"),
    }
}

/// The message that hands an attempt out. An element of an array finds its index in its environment, and its entry
/// where it has one.
async fn assign(entries: &Entries, attempt: AttemptRef, spec: &TaskSpec) -> Result<Assign, LineError> {
    let mut env = Vec::new();
    if let Some(array) = &spec.array {
        let index = attempt.element.index;
        env.push(("HIVEMIND_INDEX".to_owned(), index.to_string()));
        if let Some(text) = &array.entries {
            env.push(("HIVEMIND_ENTRY".to_owned(), entries.line(text, index).await?));
        }
    }
    Ok(Assign { attempt: Some(attempt.into()), spec: Some(spec.into()), env: wire_env(&env) })
}

/// What the pool concludes of an attempt that it could not hand out.
fn not_handed_out(why: &LineError) -> Report {
    Report {
        outcome: Outcome::Infrastructure { reason: format!("it was not handed out: {why}") },
        metering: Metering::default(),
        logs: LogLengths::default(),
        image_id: String::new(),
        output: None,
        digest: None,
    }
}
