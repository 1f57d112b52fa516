//! Failures that are the task's own doing: paid, and tried again where its requester asked for that.
//!
//! Start at [`Engine::fail_paid`].
//!
//! Invariant: an element is paid for at most once more often than its specification has retries, which is what the
//! price cap covers.

use crate::Engine;
use crate::attempts::back_off;
use hivemind_model::rows::{ElementPhase, Report};
use hivemind_model::{AttemptRef, ElementRef, NodeId, Timestamp};
use hivemind_trust::Finding;

impl Engine {
    /// Ends and pays an attempt that failed by the task's own doing. Its element is tried again after a pause that grows
    /// from failure to failure; where no try is left, this was its outcome.
    pub(crate) fn fail_paid(&mut self, attempt: AttemptRef, node: NodeId, report: Report, now: Timestamp) {
        let at = attempt.element;
        self.note_cached(node, at);
        // One node's word; whether it is true is decided as that of a success is.
        if self.is_verified(at.task) {
            return self.vote(attempt, node, report, now);
        }
        self.judge_node(node, Finding::Completed, now);
        let payment = self.price(attempt, node, report.metering.wall, now);
        let outcome = report.outcome.clone();
        self.record_accepted(attempt, node, &report);
        self.note_accepted(node, report.metering.wall);
        let live = self.end_attempt(attempt, report, payment, now);
        let Some(failures) = self.next_failure(at) else {
            self.end_element(at, outcome, payment, now);
            return;
        };
        let not_before = now.after(back_off(self.policy.retry_delay, self.policy.max_retry_delay, failures));
        let Some(task) = self.tasks.get_mut(&at.task) else { panic!("T2: {at} failed after its task") };
        let Some(element) = task.element_mut(at.index) else {
            panic!("T2: {at} failed, but its task has no such element")
        };
        element.failures = failures;
        element.phase = ElementPhase::Waiting { not_before };
        task.waiting += 1;
        // That the command failed is no word against the node: it may be placed there again.
        self.delayed.insert((not_before, at), live.failed_on);
        self.settle(at.task, payment, None, now);
        self.touch_task(at.task);
    }

    /// Which of its own failures that are tried again an element has now; `None` where it has no try left.
    fn next_failure(&self, at: ElementRef) -> Option<u32> {
        let task = self.tasks.get(&at.task)?;
        let failures = task.element(at.index)?.failures.checked_add(1)?;
        (failures <= task.row.spec.retries).then_some(failures)
    }
}
