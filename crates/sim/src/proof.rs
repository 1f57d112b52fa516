//! What must hold, beside what the engine and the tables check themselves.
//!
//! Start at `World::prove_end`.
//!
//! Invariant: believes no number of the engine that can be found out otherwise.

use crate::client::Wish;
use crate::worker::LEASE;
use crate::world::World;
use hivemind_engine::{Batch, Violation};
use hivemind_ledger::{Reason, Replay};
use hivemind_model::rows::{AttemptPhase, AttemptRow};
use hivemind_model::state::Outcome;
use hivemind_model::{AttemptRef, Cpt, ElementRef, NodeId, Reply};
use std::collections::{BTreeMap, BTreeSet};

/// What really happened, as only the simulator knows.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    /// The journal as it reached the disk, believing nothing.
    replay: Replay,
    /// What workers really reported.
    reported: BTreeMap<AttemptRef, (NodeId, Outcome)>,
    /// Attempts that were accepted and paid, by element.
    paid: BTreeMap<ElementRef, AttemptRef>,
}

fn broken(invariant: &'static str, detail: String) -> Violation {
    Violation { invariant, detail }
}

impl Truth {
    pub(crate) fn reported(&mut self, attempt: AttemptRef, node: NodeId, outcome: &Outcome) {
        self.reported.insert(attempt, (node, outcome.clone()));
    }

    /// Follows what reaches the disk: the journal (L1, L2, L5, L7) and each accepted end (T3, L4).
    pub(crate) fn follow(&mut self, batch: &Batch) -> Result<(), Violation> {
        for entry in &batch.ledger.entries {
            self.replay.push(entry).map_err(|bad| broken("L7", bad.to_string()))?;
        }
        batch.rows.attempts.iter().try_for_each(|row| self.follow_end(row))
    }

    fn follow_end(&mut self, row: &AttemptRow) -> Result<(), Violation> {
        let AttemptPhase::Ended { report, cost, .. } = &row.phase else { return Ok(()) };
        let attempt = row.attempt;
        // The pool itself ends attempts as cancelled or as its own fault only.
        let from_node = !matches!(
            report.outcome,
            Outcome::Cancelled | Outcome::ImageUnavailable { .. } | Outcome::Infrastructure { .. }
        );
        let true_report = self.reported.get(&attempt);
        if from_node && true_report != Some(&(row.node, report.outcome.clone())) {
            return Err(broken(
                "T3",
                format!("{attempt} ended as {:?}, but its node reported {true_report:?}", report.outcome),
            ));
        }
        if cost.is_positive()
            && let Some(before) = self.paid.insert(attempt.element, attempt)
        {
            return Err(broken("L4", format!("{before} and {attempt} were both paid")));
        }
        Ok(())
    }
}

impl World {
    /// T6: no container outlives the lease of its worker.
    pub(crate) fn prove_leases(&self) -> Result<(), Violation> {
        for worker in &self.workers {
            if let Some(attempt) = worker.containers.keys().next()
                && self.now > worker.acked_at + LEASE
            {
                return Err(broken(
                    "T6",
                    format!(
                        "{attempt} still runs on {}, whose lease ended at {}",
                        worker.node,
                        worker.acked_at + LEASE
                    ),
                ));
            }
        }
        Ok(())
    }

    /// T6: when an attempt comes to a worker, no earlier one of the same element runs anywhere. Only
    /// one that hung may: it is being stopped because it is overdue, not because it was lost.
    pub(crate) fn prove_only_one_runs(&self, attempt: AttemptRef) -> Result<(), Violation> {
        for worker in &self.workers {
            for (other, container) in &worker.containers {
                if other.element == attempt.element && *other != attempt && !container.hangs {
                    return Err(broken("T6", format!("{attempt} begins while {other} runs on {}", worker.node)));
                }
            }
        }
        Ok(())
    }

    /// T1: what somebody was told is on the disk.
    pub(crate) fn prove_nothing_acknowledged_is_lost(&self) -> Result<(), Violation> {
        for (task, op) in self.clients.acknowledged() {
            let Some(row) = self.pool.tables.tasks.get(&task) else {
                return Err(broken("T1", format!("{task} was acknowledged and is lost")));
            };
            if row.user != op.user || !matches!(&op.wish, Wish::Submit { spec } if *spec == row.spec) {
                return Err(broken("T1", format!("{task} is not what was submitted")));
            }
        }
        Ok(())
    }

    /// True once everybody is answered and every task has ended on the disk.
    pub(crate) fn is_over(&self) -> bool {
        let idle = self.pool.process.as_ref().is_some_and(|process| {
            process.in_flight.is_empty() && process.engine.counts().pending + process.engine.counts().running == 0
        });
        let delivered = self.workers.iter().all(|worker| worker.spool.is_empty());
        idle && delivered
            && self.clients.ops.iter().all(|op| op.answer.is_some())
            && self.pool.tables.tasks.values().all(|row| row.progress.state.is_terminal())
    }

    /// T7, when patience has ended.
    pub(crate) fn not_over(&self) -> Violation {
        let open: Vec<String> = self
            .pool
            .tables
            .tasks
            .values()
            .filter(|row| !row.progress.state.is_terminal())
            .map(|row| format!("{} {}", row.progress.id, row.progress.state))
            .collect();
        let unanswered = self.clients.ops.iter().filter(|op| op.answer.is_none()).count();
        let spooled: usize = self.workers.iter().map(|worker| worker.spool.len()).sum();
        broken(
            "T7",
            format!(
                "long after the faults have stopped: open tasks {open:?}, {unanswered} unanswered requests, {spooled} results not delivered"
            ),
        )
    }

    /// Everything that must hold at the end.
    pub(crate) fn prove_end(&mut self) -> Result<(), Violation> {
        self.prove_nothing_acknowledged_is_lost()?;
        let tables = &self.pool.tables;
        let books = self.truth.replay.clone().finish().map_err(|bad| broken("L7", bad.to_string()))?;
        if books.balances != tables.balances || books.holds != tables.holds || !books.holds.is_empty() {
            return Err(broken("L7", "the journal does not amount to the stored books, or holds are left".into()));
        }
        let names: BTreeSet<&str> = tables.tasks.values().map(|row| row.spec.name.as_str()).collect();
        if names.len() != tables.tasks.len() {
            return Err(broken("L6", "one submission made two tasks".into()));
        }
        let mut settled: BTreeMap<_, Cpt> = BTreeMap::new();
        let mut transferred: BTreeMap<Cpt, u32> = BTreeMap::new();
        for entry in &tables.journal {
            match &entry.reason {
                Reason::Transfer { .. } => *transferred.entry(entry.postings[1].amount).or_default() += 1,
                Reason::Settlement { task, .. } => {
                    if settled.insert(*task, Cpt::ZERO).is_some() {
                        return Err(broken("L4", format!("{task} was settled twice")));
                    }
                }
                Reason::Genesis | Reason::SignUp { .. } | Reason::Hold { .. } | Reason::Release { .. } => {}
            }
        }
        for (number, op) in self.clients.ops.iter().enumerate() {
            let Wish::Transfer { amount, .. } = op.wish else { continue };
            let expected = u32::from(matches!(op.answer, Some(Ok(Reply::Transferred { .. }))));
            let made = transferred.get(&amount).copied().unwrap_or_default();
            if made != expected {
                return Err(broken(
                    "L6",
                    format!("transfer op-{number} was made {made} times, and answered {:?}", op.answer),
                ));
            }
        }
        self.summary.tasks = tables.tasks.len();
        self.summary.attempts = tables.attempts.len();
        let end = format!("{:?}", self.pool.tables);
        self.note(format_args!("{end}"));
        Ok(())
    }
}
