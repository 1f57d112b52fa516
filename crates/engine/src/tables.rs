//! What a store must do with a batch, written down as code over maps.
//!
//! Start at [`Tables::apply`]. The durable store does the same in SQL; the simulator and the tests
//! use this one. It refuses batches that break a promise about stored rows, which makes it a
//! check of the engine as well.
//!
//! Invariant: no rule of scheduling or money, only what is written where.

use crate::check::ensure;
use crate::{Batch, Violation};
use hivemind_ledger::{Account, Accrual, Entry, Hold, LedgerChanges, LedgerImage, Vest, VestKey};
use hivemind_model::rows::{
    AttemptPhase, AttemptRow, ChunkRow, ClockRow, Counters, InvitationRow, NodeRow, ProjectRow, Recovered, RequestKey,
    RequestRow, RewardRow, RowChanges, SessionRow, StandingRow, TaskRow, TipRow, TrustRow, UsageRow, UserRow,
};
use hivemind_model::{AttemptRef, Cpt, NodeId, ProjectId, SessionId, TaskId, Timestamp, UserId};
use std::collections::BTreeMap;

/// All tables of a pool in memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tables {
    /// Users.
    pub users: BTreeMap<UserId, UserRow>,
    /// Nodes.
    pub nodes: BTreeMap<NodeId, NodeRow>,
    /// Tasks, ended ones too.
    pub tasks: BTreeMap<TaskId, TaskRow>,
    /// Elements, ended ones too.
    pub chunks: BTreeMap<(TaskId, u32), ChunkRow>,
    /// Attempts, ended ones too.
    pub attempts: BTreeMap<AttemptRef, AttemptRow>,
    /// Answers to requests with a client-made id.
    pub requests: BTreeMap<RequestKey, RequestRow>,
    /// Used join tokens.
    pub used_tokens: BTreeMap<String, Timestamp>,
    /// The next ids; `None` before the first batch.
    pub counters: Option<Counters>,
    /// The journal.
    pub journal: Vec<Entry>,
    /// Balances.
    pub balances: BTreeMap<Account, Cpt>,
    /// Open holds.
    pub holds: BTreeMap<TaskId, Hold>,
    /// What running attempts have earned.
    pub accruals: BTreeMap<AttemptRef, Accrual>,
    /// Earnings that cannot be spent yet.
    pub vests: BTreeMap<VestKey, Cpt>,
    /// What nodes did.
    pub standings: BTreeMap<NodeId, StandingRow>,
    /// What nodes were rewarded, by beginning of the period.
    pub rewards: BTreeMap<(Timestamp, NodeId), RewardRow>,
    /// Projects.
    pub projects: BTreeMap<ProjectId, ProjectRow>,
    /// Tips.
    pub tips: BTreeMap<(ProjectId, u64), TipRow>,
    /// Invitations that can be used.
    pub invitations: BTreeMap<[u8; 32], InvitationRow>,
    /// Sessions and keys that live.
    pub sessions: BTreeMap<SessionId, SessionRow>,
    /// What the verified work of nodes has shown.
    pub trusts: BTreeMap<NodeId, TrustRow>,
    /// What requesters have used.
    pub usages: BTreeMap<UserId, UsageRow>,
    /// Where the pool stands in time; `None` before the first batch.
    pub clock: Option<ClockRow>,
}

impl Tables {
    /// Writes one batch.
    ///
    /// # Errors
    /// The promise that the batch breaks; the tables must not be used any further.
    pub fn apply(&mut self, batch: &Batch) -> Result<(), Violation> {
        self.apply_rows(&batch.rows)?;
        self.apply_ledger(&batch.ledger)
    }

    /// What an engine needs to go on from here; `None` before the first batch.
    #[must_use]
    pub fn recover(&self) -> Option<(Recovered, LedgerImage)> {
        let newest = self.journal.last()?;
        let rows = Recovered {
            users: self.users.values().cloned().collect(),
            nodes: self.nodes.values().cloned().collect(),
            tasks: self.tasks.values().filter(|task| !task.progress.state.is_terminal()).cloned().collect(),
            chunks: self.chunks.values().filter(|chunk| self.is_open(chunk.task)).cloned().collect(),
            attempts: self
                .attempts
                .values()
                .filter(|attempt| !matches!(attempt.phase, AttemptPhase::Ended { .. }))
                .cloned()
                .collect(),
            used_tokens: self
                .used_tokens
                .iter()
                .map(|(id, at)| hivemind_model::rows::UsedToken { id: id.clone(), expires_at: *at })
                .collect(),
            counters: self.counters?,
            standings: self.standings.values().copied().collect(),
            projects: self.projects.values().cloned().collect(),
            invitations: self.invitations.values().copied().collect(),
            sessions: self.sessions.values().cloned().collect(),
            clock: self.clock?,
            usages: self.usages.values().copied().collect(),
            trusts: self.trusts.values().copied().collect(),
        };
        let books = LedgerImage {
            balances: self.balances.iter().map(|(account, balance)| (*account, *balance)).collect(),
            holds: self.holds.values().copied().collect(),
            accruals: self.accruals.values().copied().collect(),
            vests: self.vests.iter().map(|(key, amount)| Vest { key: *key, amount: *amount }).collect(),
            last_seq: newest.seq,
            last_at: newest.at,
            last_hash: newest.hash,
        };
        Some((rows, books))
    }

    fn is_open(&self, task: TaskId) -> bool {
        self.tasks.get(&task).is_some_and(|task| !task.progress.state.is_terminal())
    }

    fn apply_rows(&mut self, rows: &RowChanges) -> Result<(), Violation> {
        self.users.extend(rows.users.iter().map(|row| (row.id, row.clone())));
        self.nodes.extend(rows.nodes.iter().map(|row| (row.id, row.clone())));
        for row in &rows.new_tasks {
            let id = row.progress.id;
            ensure(
                self.tasks.insert(id, row.clone()).is_none(),
                "T1",
                format_args!("{id} is new, but was stored before"),
            )?;
        }
        for progress in &rows.tasks {
            let Some(row) = self.tasks.get_mut(&progress.id) else {
                return ensure(false, "T1", format_args!("{} changed, but was never stored", progress.id));
            };
            ensure(
                !row.progress.state.is_terminal(),
                "T2",
                format_args!("{} changed after it had ended", progress.id),
            )?;
            row.progress = progress.clone();
        }
        for row in &rows.chunks {
            ensure(
                self.tasks.contains_key(&row.task),
                "T1",
                format_args!("{} changed, but was never stored", row.task),
            )?;
            self.chunks.insert((row.task, row.chunk), row.clone());
        }
        for row in &rows.attempts {
            let before = self.attempts.insert(row.attempt, row.clone());
            let ended = matches!(before.map(|row| row.phase), Some(AttemptPhase::Ended { .. }));
            ensure(!ended, "T3", format_args!("{} changed after it had ended", row.attempt))?;
        }
        for row in &rows.requests {
            let twice = self.requests.insert(row.key.clone(), row.clone()).is_some();
            ensure(!twice, "L6", format_args!("request `{}` was answered twice", row.key.id))?;
        }
        self.used_tokens.extend(rows.used_tokens.iter().map(|token| (token.id.clone(), token.expires_at)));
        for id in &rows.expired_tokens {
            self.used_tokens.remove(id);
        }
        self.counters = rows.counters.or(self.counters);
        self.apply_money(rows)
    }

    fn apply_money(&mut self, rows: &RowChanges) -> Result<(), Violation> {
        self.standings.extend(rows.standings.iter().map(|row| (row.node, *row)));
        self.projects.extend(rows.projects.iter().map(|row| (row.id, row.clone())));
        self.invitations.extend(rows.invitations.iter().map(|row| (row.digest, *row)));
        for digest in &rows.ended_invitations {
            self.invitations.remove(digest);
        }
        self.sessions.extend(rows.sessions.iter().map(|row| (row.id, row.clone())));
        for id in &rows.ended_sessions {
            self.sessions.remove(id);
        }
        for row in &rows.rewards {
            let twice = self.rewards.insert((row.from, row.node), *row).is_some();
            ensure(!twice, "L6", format_args!("{} is rewarded twice for one period", row.node))?;
        }
        for row in &rows.tips {
            let twice = self.tips.insert((row.project, row.number), row.clone()).is_some();
            ensure(!twice, "L6", format_args!("tip {} of {} is stored twice", row.number, row.project))?;
        }
        self.trusts.extend(rows.trusts.iter().map(|row| (row.node, *row)));
        self.usages.extend(rows.usages.iter().map(|row| (row.user, *row)));
        self.clock = rows.clock.or(self.clock);
        Ok(())
    }

    fn apply_ledger(&mut self, ledger: &LedgerChanges) -> Result<(), Violation> {
        for entry in &ledger.entries {
            let next = self.journal.last().map_or(1, |newest| newest.seq + 1);
            ensure(entry.seq == next, "L7", format_args!("journal entry {} comes where {next} is due", entry.seq))?;
            self.journal.push(entry.clone());
        }
        self.balances.extend(ledger.balances.iter().copied());
        for hold in &ledger.holds {
            self.holds.insert(hold.task, *hold);
        }
        for task in &ledger.ended_holds {
            ensure(
                self.holds.remove(task).is_some(),
                "L3",
                format_args!("the hold of {task} ended, but was not stored"),
            )?;
        }
        self.accruals.extend(ledger.accruals.iter().map(|accrual| (accrual.attempt, *accrual)));
        for attempt in &ledger.ended_accruals {
            let stored = self.accruals.remove(attempt).is_some();
            ensure(stored, "L3", format_args!("what {attempt} earned has ended, but was not stored"))?;
        }
        self.vests.extend(ledger.vests.iter().map(|vest| (vest.key, vest.amount)));
        for key in &ledger.ended_vests {
            ensure(self.vests.remove(key).is_some(), "L3", format_args!("{key:?} vested, but was not stored"))?;
        }
        Ok(())
    }
}
