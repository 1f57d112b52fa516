//! What must hold, beside what the engine and the tables check themselves.
//!
//! Start at `World::prove_end`.
//!
//! Invariant: believes no number of the engine that can be found out otherwise.

use crate::client::Wish;
use crate::stored::{Told, broken, prove_rewards};
use crate::worker::LEASE;
use crate::world::World;
use hivemind_engine::{Batch, Violation};
use hivemind_ledger::{LedgerImage, Reason, Replay};
use hivemind_model::rows::{AttemptPhase, AttemptRow};
use hivemind_model::state::Outcome;
use hivemind_model::{AttemptRef, ElementRef, Millis, NodeId, Reply};
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
        // The pool itself ends attempts as cancelled, expired or as its own fault only.
        let from_node = !matches!(
            report.outcome,
            Outcome::Cancelled | Outcome::Expired | Outcome::ImageUnavailable { .. } | Outcome::Infrastructure { .. }
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

/// Why the pool takes an attempt from a node that may have begun it.
const TAKEN: [&str; 9] = [
    "its node was drained",
    "its node was banned",
    "its node was taken out of service",
    "its node takes no more work",
    "its node fails everything and rests",
    "its node is kept free for something large",
    "it waited too long in the backlog of its node",
    "another node has room for it",
    "somebody who has nothing running comes first",
];

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

    /// True where the pool took the attempt from its node, without a fault of that: its word may come late.
    fn was_taken(&self, attempt: AttemptRef) -> bool {
        self.pool.tables.attempts.get(&attempt).is_some_and(|row| match &row.phase {
            AttemptPhase::Ended { report, .. } => {
                TAKEN.iter().any(|reason| report.outcome == Outcome::Infrastructure { reason: (*reason).into() })
            }
            AttemptPhase::Assigned | AttemptPhase::Running { .. } | AttemptPhase::Reported { .. } => false,
        })
    }

    /// T6: when an attempt begins on a worker, no other one of the same element runs anywhere. Only
    /// one that hung may: it is being stopped because it is overdue, not because it was lost. So is one that
    /// was taken from its node; one of the two is stopped, and only the current one is paid.
    pub(crate) fn prove_only_one_runs(&self, attempt: AttemptRef) -> Result<(), Violation> {
        if self.was_taken(attempt) {
            return Ok(());
        }
        for worker in &self.workers {
            for (other, container) in &worker.containers {
                if other.element == attempt.element && *other != attempt && !container.hangs && !self.was_taken(*other)
                {
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

    /// What a pool goes on from is what the journal amounts to: balances, holds, accruals (L7).
    pub(crate) fn prove_recovery(&self, stored: &LedgerImage) -> Result<(), Violation> {
        let books = self.truth.replay.clone().finish().map_err(|bad| broken("L7", bad.to_string()))?;
        books.compare(stored).map_err(Violation::from)
    }

    /// Everything that must hold at the end.
    pub(crate) fn prove_end(&mut self) -> Result<(), Violation> {
        self.prove_nothing_acknowledged_is_lost()?;
        let tables = &self.pool.tables;
        let Some((_, image)) = tables.recover() else {
            return Err(broken("T1", "the store is empty".into()));
        };
        self.prove_recovery(&image)?;
        if !(tables.holds.is_empty() && tables.accruals.is_empty()) {
            return Err(broken("L3", "every task has ended, and money is still held or pending".into()));
        }
        let names: BTreeSet<&str> = tables.tasks.values().map(|row| row.spec.name.as_str()).collect();
        if names.len() != tables.tasks.len() {
            return Err(broken("L6", "one submission made two tasks".into()));
        }
        let told = Told::by(&tables.journal)?;
        prove_rewards(&self.pool.tables, &told, Millis(self.now))?;
        self.prove_paid(&told)?;
        for (number, op) in self.clients.ops.iter().enumerate() {
            let Wish::Transfer { amount, .. } = op.wish else { continue };
            let expected = u32::from(matches!(op.answer, Some(Ok(Reply::Transferred { .. }))));
            let made = told.transferred.get(&amount).copied().unwrap_or_default();
            if made != expected {
                return Err(broken(
                    "L6",
                    format!("transfer op-{number} was made {made} times, and answered {:?}", op.answer),
                ));
            }
        }
        self.count_money();
        self.summary.tasks = self.pool.tables.tasks.len();
        self.summary.attempts = self.pool.tables.attempts.len();
        let end = format!("{:?}", self.pool.tables);
        self.note(format_args!("{end}"));
        Ok(())
    }

    /// L4: what attempts cost is what was settled, and no task costs more than its cap.
    fn prove_paid(&self, told: &Told) -> Result<(), Violation> {
        let tables = &self.pool.tables;
        let paid: BTreeSet<ElementRef> = self.truth.paid.keys().copied().collect();
        if paid != told.settled {
            return Err(broken("L4", "what was settled is not what was paid for".into()));
        }
        for (id, row) in &tables.tasks {
            if row.progress.cost > row.cap {
                return Err(broken("L4", format!("{id} cost {} of {}", row.progress.cost, row.cap)));
            }
        }
        Ok(())
    }

    /// Counts what became of money, to see that the world is rough enough.
    fn count_money(&mut self) {
        for entry in &self.pool.tables.journal {
            match entry.reason {
                Reason::Accrual { .. } => self.summary.accruals += 1,
                Reason::Return { .. } => self.summary.returns += 1,
                Reason::Expiry { .. } => self.summary.expiries += 1,
                Reason::Reward { .. } => self.summary.rewards += 1,
                Reason::Genesis
                | Reason::SignUp { .. }
                | Reason::Transfer { .. }
                | Reason::Hold { .. }
                | Reason::Settlement { .. }
                | Reason::Release { .. }
                | Reason::Vest { .. }
                | Reason::Tip { .. }
                | Reason::Collect { .. } => {}
            }
        }
    }
}
