//! What the batches say: how attempts and tasks end, who is caught.
//!
//! Start at [`World::follow`].
//!
//! Invariant: whether a result is right is asked of the truth, never of the engine.

use super::tally::{Ends, Fate, Wait};
use super::world::World;
use hivemind_model::rows::{AttemptPhase, AttemptRow, ChunkRow, ElementPhase, RowChanges, TaskProgress, TrustRow};
use hivemind_model::{AttemptRef, ElementRef, Outcome, TaskId};

/// What became of an element.
enum End {
    Accepted,
    Disputed,
    GivenUp,
}

fn end_of(outcome: &Outcome) -> End {
    match outcome {
        Outcome::Exited { .. } | Outcome::OutOfMemory | Outcome::TimedOut | Outcome::CannotStart { .. } => {
            End::Accepted
        }
        Outcome::Disputed { .. } => End::Disputed,
        Outcome::BadImage { .. }
        | Outcome::ImageUnavailable { .. }
        | Outcome::Cancelled
        | Outcome::Expired
        | Outcome::OutOfPatience { .. }
        | Outcome::Skipped { .. }
        | Outcome::Poison { .. }
        | Outcome::Infrastructure { .. } => End::GivenUp,
    }
}

impl World {
    /// Follows the rows of one batch.
    pub(super) fn follow(&mut self, rows: RowChanges) {
        for row in rows.trusts {
            self.trust_moves(row);
        }
        for row in &rows.attempts {
            self.attempt_moves(row);
        }
        for chunk in rows.chunks {
            if let Some(task) = self.tasks.get_mut(&chunk.task) {
                task.chunks.insert(chunk.chunk, chunk);
            }
        }
        for progress in rows.tasks.iter().chain(rows.new_tasks.iter().map(|row| &row.progress)) {
            self.task_moves(progress);
        }
    }

    /// Time passed since the last batch.
    pub(super) fn pass(&mut self, millis: u64) {
        self.tally.counts = self.is_measured();
        if self.tally.counts {
            self.tally.offered += u128::from(self.offered) * u128::from(millis);
            self.tally.busy += u128::from(self.busy) * u128::from(millis);
        }
    }

    /// An attempt starts; where it is the first of its element, that has waited until now.
    pub(super) fn has_started(&mut self, attempt: AttemptRef) {
        let (now, measured) = (self.now, self.config.warm_up * super::chance::HOUR);
        let Some(task) = self.tasks.get_mut(&attempt.element.task) else { return };
        if task.starts(attempt.element.index) && task.submitted_at >= measured {
            let millis = now - task.submitted_at;
            self.tally.waits.push(Wait { requester: task.requester, cores: task.cores, millis });
        }
    }

    fn trust_moves(&mut self, row: TrustRow) {
        let Some(index) = self.by_node.get(&row.node).copied() else { return };
        let before = self.machines[index].trust.replace(row).map_or(0, |row| row.wrong);
        if row.wrong <= before {
            return;
        }
        let owner = &mut self.owners[self.machines[index].owner];
        if owner.cheats {
            owner.caught_after.get_or_insert(owner.lies);
        } else {
            self.tally.blamed.insert(index);
        }
    }

    fn attempt_moves(&mut self, row: &AttemptRow) {
        let AttemptPhase::Ended { report, .. } = &row.phase else { return };
        let (attempt, lie) = (row.attempt, self.tally.lies.contains(&row.attempt));
        let fate = match &report.outcome {
            Outcome::Exited { .. } | Outcome::OutOfMemory | Outcome::TimedOut | Outcome::CannotStart { .. } => {
                self.is_accepted(attempt, lie)
            }
            Outcome::Disputed { .. } if lie => Fate::Cheated,
            Outcome::Disputed { .. } => Fate::Disagreed,
            Outcome::Infrastructure { .. } | Outcome::ImageUnavailable { .. } | Outcome::Poison { .. } => Fate::Lost,
            Outcome::Cancelled
            | Outcome::Expired
            | Outcome::OutOfPatience { .. }
            | Outcome::Skipped { .. }
            | Outcome::BadImage { .. } => Fate::Stopped,
        };
        self.tally.ended(attempt, fate);
    }

    fn is_accepted(&mut self, attempt: AttemptRef, lie: bool) -> Fate {
        let (batch, warm_up) = (self.batches, self.config.warm_up * super::chance::HOUR);
        let Some(task) = self.tasks.get_mut(&attempt.element.task) else { return Fate::Copy };
        let ends = match task.submitted_at >= warm_up {
            true => &mut self.tally.measured[usize::from(task.verified)],
            false => &mut self.tally.warm[usize::from(task.verified)],
        };
        let before = task.accepted_in.insert(attempt.element.index, batch);
        ends.rechecked += u64::from(before.is_some_and(|before| before != batch));
        ends.wrong_at_first += u64::from(before.is_none() && lie);
        match (lie, before) {
            (true, _) => Fate::Wrong,
            (false, None) => Fate::Useful,
            (false, Some(_)) => Fate::Copy,
        }
    }

    fn task_moves(&mut self, progress: &TaskProgress) {
        if !progress.state.is_terminal() {
            return;
        }
        let id = progress.id;
        self.count_elements(id);
        self.tally.tasks += u64::from(self.is_measured());
        let Some(task) = self.tasks.remove(&id) else { return };
        let spec = self.specs.remove(&id);
        if let Some(spec) = spec.filter(|_| task.stages_left > 0) {
            self.submit(task.requester, spec, task.median, task.stages_left - 1);
        }
    }

    /// Counts the elements of a task that have ended, as they are stored.
    pub(super) fn count_elements(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(&id) else { return };
        let mut ends = Ends::default();
        for chunk in task.chunks.values() {
            self.count_chunk(id, chunk, &mut ends);
        }
        let all = match task.submitted_at >= self.config.warm_up * super::chance::HOUR {
            true => &mut self.tally.measured[usize::from(task.verified)],
            false => &mut self.tally.warm[usize::from(task.verified)],
        };
        all.accepted += ends.accepted;
        all.wrong += ends.wrong;
        all.failed += ends.failed;
        all.disputed += ends.disputed;
        all.given_up += ends.given_up;
        all.attempts += ends.attempts;
        // No later task has a lower id.
        let first = ElementRef { task: id, index: 0 }.attempt(0);
        let behind = ElementRef { task: TaskId(id.0 + 1), index: 0 }.attempt(0);
        let told: Vec<AttemptRef> = self.tally.lies.range(first..behind).copied().collect();
        for attempt in told {
            self.tally.lies.remove(&attempt);
        }
    }

    fn count_chunk(&self, task: TaskId, chunk: &ChunkRow, ends: &mut Ends) {
        let mut index = chunk.chunk * hivemind_model::rows::CHUNK;
        for (count, element) in &chunk.runs {
            for index in index..index + count {
                let ElementPhase::Ended { outcome } = &element.phase else { break };
                ends.attempts += u64::from(element.attempts);
                match end_of(outcome) {
                    End::Accepted => {
                        let number = if element.accepted > 0 { element.accepted } else { element.attempts };
                        let lie = self.tally.lies.contains(&ElementRef { task, index }.attempt(number));
                        ends.accepted += 1;
                        ends.wrong += u64::from(lie);
                        ends.failed += u64::from(!outcome.is_success());
                    }
                    End::Disputed => ends.disputed += 1,
                    End::GivenUp => ends.given_up += 1,
                }
            }
            index += count;
        }
    }
}
