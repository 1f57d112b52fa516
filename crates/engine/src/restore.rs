//! The way back from stored rows.
//!
//! Start at [`Engine::restore`]. Counters and indexes are built again; what may be forgotten (where
//! an element failed, which tasks ended lately, how nodes fail and how short their attempts are) is.
//!
//! Invariant: rows that cannot be true are refused, never mended.

use crate::check::{ensure, violation};
use crate::shares::Charge;
use crate::spans::{self, Spans};
use crate::state::{Live, Node, Stage, Task, User};
use crate::{Engine, Violation};
use hivemind_ledger::{Ledger, LedgerImage};
use hivemind_model::rows::{
    AttemptPhase, AttemptRow, ChunkRow, ElementPhase, InvitationRow, NodeRow, ProjectRow, Recovered, StandingRow,
    TaskRow, TrustRow, UserRow,
};
use hivemind_model::service::Service;
use hivemind_model::verify::Rule;
use hivemind_model::{AttemptRef, ElementRef, Level, NodeId, Policy, TaskId, TaskState, Timestamp};
use hivemind_trust::Secret;
use hivemind_trust::standing::enrolled;
use std::collections::BTreeMap;

impl Engine {
    /// Goes on from what was stored. Every node is offline until it connects; live attempts stay
    /// with their nodes until those are back or are declared [lost](hivemind_model::Command::Lost).
    ///
    /// # Errors
    /// The first invariant that the stored state breaks.
    pub fn restore(policy: Policy, rows: Recovered, books: LedgerImage) -> Result<Self, Violation> {
        Self::restore_with(policy, Secret::new([0; 32]), rows, books)
    }

    /// As [`Engine::restore`], of a pool that throws its spot checks with this [secret](Engine::with_secret): results that
    /// wait for a check are decided anew at once, and would pass unchecked by any other.
    ///
    /// # Errors
    /// As [`Engine::restore`].
    pub fn restore_with(
        policy: Policy,
        secret: Secret,
        rows: Recovered,
        books: LedgerImage,
    ) -> Result<Self, Violation> {
        let mut engine = Self::empty(policy, Ledger::restore(books)?, rows.counters, rows.clock).with_secret(secret);
        rows.usages.into_iter().for_each(|row| engine.shares.restore(row));
        for user in rows.users {
            engine.restore_user(user)?;
        }
        let mut trusts: BTreeMap<NodeId, TrustRow> = rows.trusts.into_iter().map(|row| (row.node, row)).collect();
        for node in rows.nodes {
            let trust = trusts.remove(&node.id);
            engine.restore_node(node, trust)?;
        }
        for task in rows.tasks {
            engine.restore_task(task)?;
        }
        engine.restore_chunks(rows.chunks)?;
        engine.restore_waits()?;
        let (votes, live): (Vec<_>, Vec<_>) =
            rows.attempts.into_iter().partition(|row| matches!(row.phase, AttemptPhase::Reported { .. }));
        engine.restore_attempts(live)?;
        for token in rows.used_tokens {
            engine.token_expiry.insert((token.expires_at, token.id.clone()));
            engine.used_tokens.insert(token.id, token.expires_at);
        }
        engine.restore_sessions(rows.sessions)?;
        engine.restore_money(rows.standings, rows.projects, rows.invitations)?;
        engine.running_tasks =
            engine.tasks.values().filter(|task| task.row.progress.state == TaskState::Running).count();
        engine.restore_panels(votes);
        engine.renew_tiers();
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

    fn restore_node(&mut self, row: NodeRow, trust: Option<TrustRow>) -> Result<(), Violation> {
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
        let fresh = || enrolled(id, row.capacity.cpu, row.enrolled_at, &self.policy.trust);
        let trust = trust.unwrap_or_else(fresh);
        if trust.wrong > 0 {
            self.offenders.entry(row.owner).or_default().insert(id);
        }
        let twice = self.nodes.insert(id, Node::new(row, trust)).is_some();
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
        self.queue.set_inputs(id, task.inputs());
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

    /// Those that run have their room; the others get it in the order in which they were handed out. What is not the
    /// newest of its element, or of an element that waits, is its [ghost](crate::unknown).
    fn restore_attempts(&mut self, mut rows: Vec<AttemptRow>) -> Result<(), Violation> {
        rows.sort_unstable_by_key(|row| (row.assigned_at, row.attempt));
        let mut newest: BTreeMap<ElementRef, u32> = BTreeMap::new();
        for row in &rows {
            let number = newest.entry(row.attempt.element).or_default();
            *number = row.attempt.number.max(*number);
        }
        let mut assigned = Vec::new();
        for row in rows {
            let (attempt, at) = (row.attempt, row.attempt.element);
            let task = self.tasks.get(&at.task);
            // Of an element of which copies are compared several attempts may live.
            let is_alone = task.is_none_or(|task| task.row.spec.verify.rule == Rule::First);
            let phase = task.and_then(|task| task.element(at.index)).map(|element| &element.phase);
            let waits = matches!(phase, Some(ElementPhase::Waiting { .. }));
            let (node, live) = (row.node, self.restored(row)?);
            if is_alone && (waits || newest.get(&at).is_some_and(|newest| attempt.number < *newest)) {
                self.restore_as_ghost(attempt, live)?;
                continue;
            }
            self.losses.expect(node);
            assigned.extend((live.stage == Stage::Assigned).then_some(attempt));
            self.restore_live(attempt, live)?;
        }
        for node in self.nodes.values_mut() {
            node.refresh_ceiling();
        }
        assigned.into_iter().for_each(|attempt| self.restore_assigned(attempt));
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        ids.into_iter().for_each(|id| self.refresh_backlog(id));
        Ok(())
    }

    /// An attempt that has not ended, as it is kept in memory.
    fn restored(&mut self, row: AttemptRow) -> Result<Live, Violation> {
        let attempt = row.attempt;
        let stage = match row.phase {
            AttemptPhase::Assigned => Stage::Assigned,
            AttemptPhase::Running { started_at } => Stage::Running { started_at },
            AttemptPhase::Reported { .. } | AttemptPhase::Ended { .. } => {
                return Err(violation("T3", format_args!("{attempt} has ended, but is to be live")));
            }
        };
        if !self.tasks.contains_key(&attempt.element.task) {
            return Err(violation("T3", format_args!("{attempt} is live, but its task is not open")));
        }
        if !self.nodes.contains_key(&row.node) {
            return Err(violation("T3", format_args!("{attempt} is live on {}, which is not enrolled", row.node)));
        }
        Ok(Live {
            node: row.node,
            assigned_at: row.assigned_at,
            stage,
            order: self.backlogs.next_order(),
            begun: false,
            reserved_at: row.assigned_at,
            unknown: None,
            deadline: None,
            stood: hivemind_model::Millis(0),
            meter: None,
            charge: Charge::default(),
            failed_on: Vec::new(),
            dirty: false,
        })
    }

    fn restore_as_ghost(&mut self, attempt: AttemptRef, live: Live) -> Result<(), Violation> {
        let task = self.tasks.get(&attempt.element.task);
        let waits = task.is_some_and(|task| task.row.spec.patience.lost_after.is_some());
        ensure(
            waits,
            "T3",
            format_args!("{attempt} is live beside another, but its task does not wait for lost nodes"),
        )?;
        let twice = self.ghosts.has(attempt.element);
        ensure(!twice, "T3", format_args!("{} has two ghosts", attempt.element))?;
        self.restore_ghost(attempt, live);
        Ok(())
    }

    fn restore_live(&mut self, attempt: AttemptRef, live: Live) -> Result<(), Violation> {
        let (stage, id) = (live.stage, live.node);
        let (Some(task), Some(node)) = (self.tasks.get_mut(&attempt.element.task), self.nodes.get_mut(&id)) else {
            return ensure(false, "T3", format_args!("{attempt} is live, but its task or its node is not there"));
        };
        let user = task.row.user;
        node.live.insert(attempt);
        match stage {
            Stage::Running { .. } => {
                task.running += 1;
                match node.reserved.checked_add(&task.row.spec.resources) {
                    Some(reserved) => node.reserved = reserved,
                    None => ensure(false, "T5", format_args!("what is reserved on {id} overflows"))?,
                }
            }
            Stage::Queued | Stage::Assigned => {}
        }
        self.hold_one_more(user);
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
