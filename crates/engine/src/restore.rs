//! The way back from stored rows.
//!
//! Start at [`Engine::restore`]. Counters and indexes are built again; what may be forgotten (where
//! an element failed, which tasks ended lately) is.
//!
//! Invariant: rows that cannot be true are refused, never mended.

use crate::check::ensure;
use crate::shares::Charge;
use crate::spans::{self, Spans};
use crate::state::{Live, Node, Stage, Task, User};
use crate::{Engine, Violation};
use hivemind_ledger::{Ledger, LedgerImage};
use hivemind_model::rows::{
    AttemptPhase, AttemptRow, ChunkRow, ElementPhase, InvitationRow, NodeRow, ProjectRow, Recovered, StandingRow,
    TaskRow, UserRow,
};
use hivemind_model::service::Service;
use hivemind_model::{ElementRef, Level, Policy, TaskId, TaskState, Timestamp};

impl Engine {
    /// Goes on from what was stored. Every node is offline until it connects; live attempts stay
    /// with their nodes until those are back or are declared [lost](hivemind_model::Command::Lost).
    ///
    /// # Errors
    /// The first invariant that the stored state breaks.
    pub fn restore(policy: Policy, rows: Recovered, books: LedgerImage) -> Result<Self, Violation> {
        let mut engine = Self::empty(policy, Ledger::restore(books)?, rows.counters, rows.clock);
        rows.usages.into_iter().for_each(|row| engine.shares.restore(row));
        for user in rows.users {
            engine.restore_user(user)?;
        }
        for node in rows.nodes {
            engine.restore_node(node)?;
        }
        for task in rows.tasks {
            engine.restore_task(task)?;
        }
        engine.restore_chunks(rows.chunks)?;
        engine.restore_waits()?;
        for attempt in rows.attempts {
            engine.restore_attempt(attempt)?;
        }
        for token in rows.used_tokens {
            engine.token_expiry.insert((token.expires_at, token.id.clone()));
            engine.used_tokens.insert(token.id, token.expires_at);
        }
        engine.restore_money(rows.standings, rows.projects, rows.invitations)?;
        for node in engine.nodes.values_mut() {
            node.refresh_ceiling();
        }
        engine.running_tasks =
            engine.tasks.values().filter(|task| task.row.progress.state == TaskState::Running).count();
        engine.stirred = engine.queue.len() > 0;
        engine.check()?;
        Ok(engine)
    }

    fn restore_user(&mut self, row: UserRow) -> Result<(), Violation> {
        let twice = self.usernames.insert(row.username.to_ascii_lowercase(), row.id).is_some();
        ensure(!twice, "T2", format_args!("two users are called `{}`", row.username))?;
        let person = self.person(&row.email, row.id);
        if !row.registered_from.is_empty() {
            self.signups.note(&row.registered_from, row.registered_at);
        }
        let twice = self.users.insert(row.id, User::new(row.username, row.role, person)).is_some();
        ensure(!twice, "T2", format_args!("{} is stored twice", row.id))
    }

    fn restore_node(&mut self, row: NodeRow) -> Result<(), Violation> {
        let id = row.id;
        let twice = self.node_names.insert(row.name.to_ascii_lowercase(), id).is_some();
        ensure(!twice, "T2", format_args!("two nodes are called `{}`", row.name))?;
        match self.users.get_mut(&row.owner) {
            Some(owner) => owner.nodes += 1,
            None => ensure(false, "T2", format_args!("{id} belongs to {}, who is nobody", row.owner))?,
        }
        if let Service::Draining { until } = row.service {
            self.drains.insert((until, id));
        }
        let twice = self.nodes.insert(id, Node::new(row)).is_some();
        ensure(!twice, "T2", format_args!("{id} is stored twice"))
    }

    fn restore_task(&mut self, row: TaskRow) -> Result<(), Violation> {
        let id = row.progress.id;
        match self.users.get_mut(&row.user) {
            Some(user) => user.open_tasks += 1,
            None => ensure(false, "T2", format_args!("{id} belongs to {}, who is nobody", row.user))?,
        }
        if let Some(user) = self.users.get_mut(&row.user) {
            user.open_elements += u64::from(row.spec.elements());
        }
        let task = Task { stored: true, ..Task::new(row) };
        let twice = self.tasks.insert(id, task).is_some();
        ensure(!twice, "T2", format_args!("{id} is stored twice"))
    }

    fn restore_chunks(&mut self, chunks: Vec<ChunkRow>) -> Result<(), Violation> {
        for row in chunks {
            let (id, chunk) = (row.task, row.chunk);
            let Some(task) = self.tasks.get_mut(&id) else {
                return ensure(false, "T2", format_args!("chunk {chunk} of {id} is stored, but that is not open"));
            };
            let fits = task.elements.restore(row).is_ok();
            ensure(fits, "T2", format_args!("chunk {chunk} of {id} has not the elements that it must have"))?;
        }
        Ok(())
    }

    /// Finds what blocks what, and queues the rest of what waits. What a task waits for and is not open any more became
    /// what it had to: otherwise the task, or the elements that waited for it, had ended in the same batch.
    fn restore_waits(&mut self) -> Result<(), Violation> {
        let ids: Vec<TaskId> = self.tasks.keys().copied().collect();
        for id in &ids {
            self.check_order(*id)?;
            self.link_dependencies(*id);
        }
        for id in ids {
            self.queue_restored(id);
            self.watch_restored(id);
        }
        Ok(())
    }

    /// T2: a task waits for older ones of the same user only, so that there is no cycle.
    fn check_order(&self, id: TaskId) -> Result<(), Violation> {
        let Some(task) = self.tasks.get(&id) else { return Ok(()) };
        for dependency in &task.row.spec.after.tasks {
            let older = dependency.task < id;
            let other = self.tasks.get(&dependency.task);
            let own = other.is_none_or(|other| other.row.user == task.row.user);
            ensure(older && own, "T2", format_args!("{id} waits for {}, which it cannot", dependency.task))?;
        }
        Ok(())
    }

    /// Queues what waits and is not blocked, neighbours together.
    fn queue_restored(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(&id) else { return };
        let (mut ready, mut waiting) = (Spans::new(), 0);
        for (first, last, element) in task.runs(task.ranges()) {
            let ElementPhase::Waiting { not_before } = element.phase else { continue };
            waiting += last - first + 1;
            if not_before == Timestamp(0) {
                spans::push(&mut ready, first, last);
                continue;
            }
            let later = (first..=last).map(|index| ((not_before, ElementRef { task: id, index }), Vec::new()));
            self.delayed.extend(later);
        }
        let turn = self.turn(task.row.user);
        for (first, last) in self.unblocked(task, ready) {
            let first = task.rank(ElementRef { task: id, index: first });
            self.queue.push_run(turn, first, last, &task.need);
        }
        if let Some(task) = self.tasks.get_mut(&id) {
            task.waiting = waiting;
        }
    }

    fn restore_attempt(&mut self, row: AttemptRow) -> Result<(), Violation> {
        let (attempt, at) = (row.attempt, row.attempt.element);
        let stage = match row.phase {
            AttemptPhase::Assigned => Stage::Assigned,
            AttemptPhase::Running { started_at } => Stage::Running { started_at },
            AttemptPhase::Ended { .. } => {
                return ensure(false, "T3", format_args!("{attempt} has ended, but is to be live"));
            }
        };
        let Some(task) = self.tasks.get_mut(&at.task) else {
            return ensure(false, "T3", format_args!("{attempt} is live, but its task is not open"));
        };
        let need = task.row.spec.resources;
        task.running += u32::from(matches!(stage, Stage::Running { .. }));
        let Some(node) = self.nodes.get_mut(&row.node) else {
            return ensure(false, "T3", format_args!("{attempt} is live on {}, which is not enrolled", row.node));
        };
        node.live.insert(attempt);
        match node.reserved.checked_add(&need) {
            Some(reserved) => node.reserved = reserved,
            None => ensure(false, "T5", format_args!("what is reserved on {} overflows", row.node))?,
        }
        let live = Live {
            node: row.node,
            assigned_at: row.assigned_at,
            stage,
            deadline: None,
            meter: None,
            charge: Charge::default(),
            failed_on: Vec::new(),
            dirty: false,
        };
        let twice = self.live.insert(attempt, live).is_some();
        ensure(!twice, "T3", format_args!("{attempt} is stored twice"))?;
        if let Stage::Running { started_at } = stage {
            self.meter_from(attempt, started_at);
        }
        Ok(())
    }

    /// What nodes did, projects and invitations. How long the pool was away counts for nobody.
    fn restore_money(
        &mut self,
        standings: Vec<StandingRow>,
        projects: Vec<ProjectRow>,
        invitations: Vec<InvitationRow>,
    ) -> Result<(), Violation> {
        for row in standings {
            let Some(node) = self.nodes.get_mut(&row.node) else {
                return ensure(false, "T2", format_args!("{} has a standing, but is not enrolled", row.node));
            };
            node.standing = row;
            node.level = Level::of(row.runtime);
        }
        for row in projects {
            let twice = self.project_names.insert(row.name.to_ascii_lowercase(), row.id).is_some();
            ensure(!twice, "T2", format_args!("two projects are called `{}`", row.name))?;
            match self.users.get_mut(&row.owner) {
                Some(owner) => owner.projects += 1,
                None => ensure(false, "T2", format_args!("{} belongs to {}, who is nobody", row.id, row.owner))?,
            }
            let twice = self.projects.insert(row.id, row).is_some();
            ensure(!twice, "T2", "a project is stored twice")?;
        }
        for row in invitations {
            let new = self.invitations.insert(row);
            ensure(new, "T2", "an invitation is stored twice")?;
        }
        self.expiries = self.ledger.holds().map(|hold| (hold.expires_at, hold.task)).collect();
        self.shorten_period();
        let since = self.seen_at;
        self.interrupt(since, since);
        Ok(())
    }
}
