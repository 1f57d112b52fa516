//! Client-made ids: the same id has the same effect however often it is sent (L6).
//!
//! Start at [`OnceWindow::find`]. The window covers requests that are not durable yet, or were not
//! when the caller asked the store; older ones come with the command.
//!
//! Invariant: an answer that was given once is never replaced.

use hivemind_model::command::Once;
use hivemind_model::rows::{Answer, RequestKey, RequestRow};
use hivemind_model::{Code, Rejection, Reply, UserId};
use std::collections::{BTreeMap, VecDeque};

/// The newest ids that are remembered in memory.
const WINDOW: usize = 65_536;
/// Longest id, in bytes.
const MAX_ID_BYTES: usize = 128;

/// What was answered to the newest requests with a client-made id.
#[derive(Debug, Clone, Default)]
pub(crate) struct OnceWindow {
    answers: BTreeMap<RequestKey, ([u8; 32], Answer)>,
    order: VecDeque<RequestKey>,
}

impl OnceWindow {
    /// What was answered to this request before; `None` where it is new.
    ///
    /// # Errors
    /// The refusal that was answered before; [`Code::IdReused`] where the id was used for another
    /// request; [`Code::Invalid`] where it is no id. `field` is the API's name of the id.
    pub(crate) fn find(&self, once: &Once, user: UserId, field: &str) -> Result<Option<Reply>, Rejection> {
        let id = &once.key.id;
        if id.is_empty() || id.len() > MAX_ID_BYTES || id.chars().any(char::is_control) {
            return Err(Rejection::invalid(
                field,
                format!("must have 1 to {MAX_ID_BYTES} bytes of printable characters; a UUID will do"),
            ));
        }
        if once.key.user != user {
            return Err(Rejection::invalid(field, "belongs to another user than the request"));
        }
        let known = self.answers.get(&once.key).map(|(body, answer)| (body, answer));
        let stored = once.stored.as_ref().map(|row| (&row.body, &row.answer));
        let Some((body, answer)) = known.or(stored) else { return Ok(None) };
        if *body != once.body {
            return Err(Rejection::field(
                Code::IdReused,
                field,
                format!("`{id}` was used for another request before; make a new id for a new request"),
            ));
        }
        match answer {
            Answer::Submitted { task, cap } => Ok(Some(Reply::Submitted { task: *task, cap: *cap })),
            Answer::SubmittedGraph { tasks } => Ok(Some(Reply::SubmittedGraph { tasks: tasks.clone() })),
            Answer::Transferred { balance } => Ok(Some(Reply::Transferred { balance: *balance })),
            Answer::Refused { rejection } => Err(rejection.clone()),
        }
    }

    /// Remembers the answer to a new request; the row is to be stored. `None` where the answer
    /// is not to be remembered: a refusal for lack of room is no answer for ever.
    pub(crate) fn remember(&mut self, once: Once, answer: Answer) -> Option<RequestRow> {
        if matches!(&answer, Answer::Refused { rejection } if rejection.code == Code::Busy) {
            return None;
        }
        let row = RequestRow { key: once.key, body: once.body, answer };
        self.answers.insert(row.key.clone(), (row.body, row.answer.clone()));
        self.order.push_back(row.key.clone());
        if self.order.len() > WINDOW
            && let Some(oldest) = self.order.pop_front()
        {
            self.answers.remove(&oldest);
        }
        Some(row)
    }
}
