//! The life of an element as a table: what each event does in each standing.
//!
//! Start at [`step`]; nothing else decides what an event means.
//!
//! Invariant: no data here, only the decision; no standing and no event is left out.

use hivemind_model::state::Outcome;

/// Where an element stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It waits for a node, or for its next try to be due.
    Waiting,
    /// The attempt in question is the current one and was handed out, but has no room on its node yet.
    Queued,
    /// The attempt in question is the current one and was handed out.
    Assigned,
    /// The attempt in question is the current one and its command runs.
    Running,
    /// The attempt in question is not, or is no longer, the current one on that node.
    Past,
}

/// What happens to an element, or to an attempt of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A plan puts it on a node.
    Placed,
    /// A node says that the command runs.
    Started,
    /// A node says that it is over.
    Reported(Verdict),
    /// The pool gives the attempt up: node lost, drained or banned, attempt unknown there, or overdue.
    GivenUp,
    /// Its time is over: the requester cancels, or its hold expires.
    Stopped,
}

/// What an outcome means for money and for the element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The task's own doing: final and paid.
    Paid,
    /// The task's own failure: paid, and final unless its requester asked for more tries.
    Failed,
    /// Final, and nobody is paid.
    Unpaid,
    /// No fault of the task: unpaid, tried again.
    Fault,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Reserve the node and make the next attempt.
    Assign,
    /// Note that the command runs.
    Run,
    /// End the element: pay for metered time.
    EndPaid,
    /// Pay for metered time; try again after a pause, or end the element where it has no try left.
    RetryPaid,
    /// End the element without payment.
    EndUnpaid,
    /// End the attempt without payment and try again after a pause.
    RetryLater,
    /// End the attempt without payment and try again at once.
    RetryNow,
    /// Reserve its node first; then the same event again.
    TakeRoom,
    /// End the attempt and let the element wait as if it had not been tried.
    PutBack,
    /// End the element: pay for the time since the command ran, by the pool's clock.
    StopPaid,
    /// End the element: nothing ran.
    StopUnpaid,
    /// It is known already.
    Nothing,
    /// Refuse: the attempt is not the current one.
    Stale,
    /// The engine itself never does this: a bug.
    Impossible,
}

/// Decides what `event` does to an element that stands at `standing`.
pub(crate) const fn step(standing: Standing, event: Event) -> Step {
    match (standing, event) {
        (Standing::Waiting, Event::Placed) => Step::Assign,
        (Standing::Queued | Standing::Assigned | Standing::Running | Standing::Past, Event::Placed) => Step::Impossible,

        (
            Standing::Queued,
            Event::Started | Event::Reported(Verdict::Paid | Verdict::Failed | Verdict::Unpaid | Verdict::Fault),
        ) => Step::TakeRoom,

        (Standing::Assigned, Event::Started) => Step::Run,
        (Standing::Running, Event::Started) => Step::Nothing,
        (Standing::Waiting | Standing::Past, Event::Started) => Step::Stale,

        // A command may be over before the word that it runs has come.
        (Standing::Assigned | Standing::Running, Event::Reported(Verdict::Paid)) => Step::EndPaid,
        (Standing::Assigned | Standing::Running, Event::Reported(Verdict::Failed)) => Step::RetryPaid,
        (Standing::Assigned | Standing::Running, Event::Reported(Verdict::Unpaid)) => Step::EndUnpaid,
        (Standing::Assigned | Standing::Running, Event::Reported(Verdict::Fault)) => Step::RetryLater,
        (
            Standing::Waiting | Standing::Past,
            Event::Reported(Verdict::Paid | Verdict::Failed | Verdict::Unpaid | Verdict::Fault),
        ) => Step::Stale,

        (Standing::Queued, Event::GivenUp) => Step::PutBack,
        (Standing::Assigned | Standing::Running, Event::GivenUp) => Step::RetryNow,
        (Standing::Waiting | Standing::Past, Event::GivenUp) => Step::Impossible,

        (Standing::Waiting | Standing::Queued | Standing::Assigned, Event::Stopped) => Step::StopUnpaid,
        (Standing::Running, Event::Stopped) => Step::StopPaid,
        (Standing::Past, Event::Stopped) => Step::Nothing,
    }
}

/// What an outcome that a node reports means.
///
/// A node never ends an attempt as cancelled or expired by itself: the pool had ended it before. So that is
/// its owner stopping the work, a fault of the infrastructure.
pub(crate) const fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Exited { code: 0 } | Outcome::CannotStart { .. } => Verdict::Paid,
        Outcome::Exited { .. } | Outcome::OutOfMemory | Outcome::TimedOut => Verdict::Failed,
        Outcome::BadImage { .. } => Verdict::Unpaid,
        Outcome::ImageUnavailable { .. }
        | Outcome::Cancelled
        | Outcome::Expired
        | Outcome::OutOfPatience { .. }
        | Outcome::Skipped { .. }
        | Outcome::Poison { .. }
        | Outcome::Disputed { .. }
        | Outcome::Infrastructure { .. } => Verdict::Fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    #[test]
    fn every_pair() {
        let standings = [Standing::Waiting, Standing::Queued, Standing::Assigned, Standing::Running, Standing::Past];
        let events = [
            Event::Placed,
            Event::Started,
            Event::Reported(Verdict::Paid),
            Event::Reported(Verdict::Failed),
            Event::Reported(Verdict::Unpaid),
            Event::Reported(Verdict::Fault),
            Event::GivenUp,
            Event::Stopped,
        ];
        let mut table = String::new();
        for event in events {
            let steps: Vec<String> =
                standings.map(|standing| format!("{standing:?} {:?}", step(standing, event))).into();
            let _ = writeln!(table, "{event:?}: {}", steps.join(", "));
        }
        insta::assert_snapshot!(table, @r"
        Placed: Waiting Assign, Queued Impossible, Assigned Impossible, Running Impossible, Past Impossible
        Started: Waiting Stale, Queued TakeRoom, Assigned Run, Running Nothing, Past Stale
        Reported(Paid): Waiting Stale, Queued TakeRoom, Assigned EndPaid, Running EndPaid, Past Stale
        Reported(Failed): Waiting Stale, Queued TakeRoom, Assigned RetryPaid, Running RetryPaid, Past Stale
        Reported(Unpaid): Waiting Stale, Queued TakeRoom, Assigned EndUnpaid, Running EndUnpaid, Past Stale
        Reported(Fault): Waiting Stale, Queued TakeRoom, Assigned RetryLater, Running RetryLater, Past Stale
        GivenUp: Waiting Impossible, Queued PutBack, Assigned RetryNow, Running RetryNow, Past Impossible
        Stopped: Waiting StopUnpaid, Queued StopUnpaid, Assigned StopUnpaid, Running StopPaid, Past Nothing
        ");
    }
}
