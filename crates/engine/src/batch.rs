//! What changed since the last batch, one row per key.
//!
//! Start at [`Engine::take_batch`].
//!
//! Invariant: a row leaves as it stands at the end of the batch; what came and went within the
//! batch leaves once.

use crate::Engine;
use crate::state::Task;
use hivemind_ledger::LedgerChanges;
use hivemind_model::rows::{AttemptRow, RequestRow, RewardRow, RowChanges, TipRow, UsedToken, UserRow};
use hivemind_model::{AttemptRef, Effect, NodeId, ProjectId, SessionId, TaskId, UserId};
use std::collections::BTreeSet;

/// Everything one batch changed, to be written in one transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Rows.
    pub rows: RowChanges,
    /// Books.
    pub ledger: LedgerChanges,
    /// To be sent once the rest is durable, in order.
    pub effects: Vec<Effect>,
}

impl Batch {
    /// True where there is nothing to write and nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == RowChanges::default() && self.ledger.is_empty() && self.effects.is_empty()
    }
}

/// Changes that have not left yet. Keys of things that are still in memory; whole rows of those
/// that are not.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) users: Vec<UserRow>,
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) tasks: Vec<TaskId>,
    pub(crate) ended_tasks: Vec<Task>,
    pub(crate) live: Vec<AttemptRef>,
    /// Of attempts that live no longer; the last one of each counts.
    pub(crate) attempts: Vec<AttemptRow>,
    pub(crate) requests: Vec<RequestRow>,
    pub(crate) used_tokens: Vec<UsedToken>,
    pub(crate) expired_tokens: Vec<String>,
    pub(crate) counters_moved: bool,
    pub(crate) standings: Vec<NodeId>,
    pub(crate) trusts: Vec<NodeId>,
    pub(crate) rewards: Vec<RewardRow>,
    pub(crate) projects: BTreeSet<ProjectId>,
    pub(crate) tips: Vec<TipRow>,
    /// Changed, used up or expired.
    pub(crate) invitations: BTreeSet<[u8; 32]>,
    /// Changed or ended.
    pub(crate) sessions: BTreeSet<SessionId>,
    pub(crate) clock_moved: bool,
    /// Whose use of the pool changed.
    pub(crate) usages: BTreeSet<UserId>,
    pub(crate) effects: Vec<Effect>,
}

impl Engine {
    /// What has changed since the last call, one row per key, in the order of the keys.
    #[must_use]
    pub fn take_batch(&mut self) -> Batch {
        let pending = std::mem::take(&mut self.pending);
        let mut rows = RowChanges {
            users: pending.users,
            attempts: pending.attempts,
            requests: pending.requests,
            used_tokens: pending.used_tokens,
            expired_tokens: pending.expired_tokens,
            counters: pending.counters_moved.then_some(self.counters),
            rewards: pending.rewards,
            tips: pending.tips,
            clock: pending.clock_moved.then_some(self.clock),
            ..RowChanges::default()
        };
        for id in pending.nodes {
            if let Some(node) = self.nodes.get_mut(&id).filter(|node| node.dirty) {
                node.dirty = false;
                rows.nodes.push(node.row.clone());
            }
        }
        for id in pending.standings {
            if let Some(node) = self.nodes.get_mut(&id).filter(|node| node.standing_dirty) {
                node.standing_dirty = false;
                rows.standings.push(node.standing);
            }
        }
        for id in pending.trusts {
            if let Some(node) = self.nodes.get_mut(&id).filter(|node| node.trust_dirty) {
                node.trust_dirty = false;
                rows.trusts.push(node.trust);
            }
        }
        rows.trusts.sort_unstable_by_key(|row| row.node);
        rows.usages.extend(pending.usages.iter().map(|user| self.shares.row(*user, self.seen_at)));
        rows.projects.extend(pending.projects.iter().filter_map(|id| self.projects.get(id).cloned()));
        for digest in pending.invitations {
            match self.invitations.get(&digest) {
                Some(row) => rows.invitations.push(*row),
                None => rows.ended_invitations.push(digest),
            }
        }
        for id in pending.sessions {
            match self.sessions.get(id) {
                Some(row) => rows.sessions.push(row.clone()),
                None => rows.ended_sessions.push(id),
            }
        }
        for attempt in pending.live {
            let live = self.live.get_mut(&attempt).or_else(|| self.ghosts.live_mut(attempt));
            if let Some(live) = live.filter(|live| live.dirty) {
                live.dirty = false;
                rows.attempts.push(live.row(attempt));
            }
        }
        for mut task in pending.ended_tasks {
            rows.chunks.extend(task.elements.take_dirty(task.row.progress.id));
            match task.stored {
                true => rows.tasks.push(task.row.progress),
                false => rows.new_tasks.push(task.row),
            }
        }
        for id in pending.tasks {
            let Some(task) = self.tasks.get_mut(&id).filter(|task| task.listed) else { continue };
            task.listed = false;
            rows.chunks.extend(task.elements.take_dirty(id));
            if std::mem::take(&mut task.dirty) {
                match std::mem::replace(&mut task.stored, true) {
                    true => rows.tasks.push(task.row.progress.clone()),
                    false => rows.new_tasks.push(task.row.clone()),
                }
            }
        }
        rows.nodes.sort_unstable_by_key(|row| row.id);
        rows.standings.sort_unstable_by_key(|row| row.node);
        // Stable, so that of several rows of one attempt the last is the newest.
        rows.attempts.reverse();
        rows.attempts.sort_by_key(|row| row.attempt);
        rows.attempts.dedup_by_key(|row| row.attempt);
        rows.new_tasks.sort_unstable_by_key(|row| row.progress.id);
        rows.tasks.sort_unstable_by_key(|row| row.id);
        rows.chunks.sort_unstable_by_key(|row| (row.task, row.chunk));
        Batch { rows, ledger: self.ledger.take_changes(), effects: pending.effects }
    }

    /// Marks a task's row as changed.
    pub(crate) fn touch_task(&mut self, id: TaskId) {
        if let Some(task) = self.tasks.get_mut(&id) {
            task.dirty = true;
        }
        self.list_task(id);
    }

    /// Puts a task of which the row or an element changed among those that are written.
    pub(crate) fn list_task(&mut self, id: TaskId) {
        if let Some(task) = self.tasks.get_mut(&id)
            && !std::mem::replace(&mut task.listed, true)
        {
            self.pending.tasks.push(id);
        }
    }

    /// Marks a live attempt's row as changed.
    pub(crate) fn touch_live(&mut self, attempt: AttemptRef) {
        if let Some(live) = self.live.get_mut(&attempt)
            && !std::mem::replace(&mut live.dirty, true)
        {
            self.pending.live.push(attempt);
        }
    }

    /// Marks a node's row as changed.
    pub(crate) fn touch_node(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id)
            && !std::mem::replace(&mut node.dirty, true)
        {
            self.pending.nodes.push(id);
        }
    }
}
