//! What must hold of stored tables, whoever wrote them.
//!
//! Start at [`prove_books`].
//!
//! Invariant: believes no number of the engine that can be found out otherwise.

use hivemind_engine::Violation;
use hivemind_engine::tables::Tables;
use hivemind_ledger::{Account, Entry, Reason, SUPPLY};
use hivemind_model::policy::Prices;
use hivemind_model::rows::{AttemptPhase, AttemptRow};
use hivemind_model::{Cpt, ElementRef, Millis, NodeId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn broken(invariant: &'static str, detail: String) -> Violation {
    Violation { invariant, detail }
}

/// What the journal tells of one thing each: settlements, transfers by amount, rewards.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) settled: BTreeSet<ElementRef>,
    pub(crate) transferred: BTreeMap<Cpt, u32>,
    pub(crate) rewarded: BTreeMap<(Timestamp, NodeId), Cpt>,
}

impl Told {
    /// Reads the journal; refuses what may be there once and is there twice.
    pub(crate) fn by(journal: &[Entry]) -> Result<Self, Violation> {
        let mut told = Self::default();
        for entry in journal {
            let moved = Cpt::from_micro(entry.postings.iter().map(|side| side.amount.micro().max(0)).sum());
            match entry.reason {
                Reason::Transfer { .. } => *told.transferred.entry(moved).or_default() += 1,
                Reason::Settlement { attempt } => {
                    if !told.settled.insert(attempt.element) {
                        return Err(broken("L4", format!("{} was settled twice", attempt.element)));
                    }
                }
                Reason::Reward { node, from } => {
                    if told.rewarded.insert((from, node), moved).is_some() {
                        return Err(broken("L6", format!("{node} was rewarded twice for the period from {from:?}")));
                    }
                }
                Reason::Genesis
                | Reason::SignUp { .. }
                | Reason::Hold { .. }
                | Reason::Accrual { .. }
                | Reason::Return { .. }
                | Reason::Release { .. }
                | Reason::Expiry { .. }
                | Reason::Vest { .. }
                | Reason::Tip { .. }
                | Reason::Collect { .. } => {}
            }
        }
        Ok(told)
    }
}

/// What is stored, after every commit: no balance below zero (L2), all accounts together are the
/// supply (L5), and what is held, pending and vesting is the sum of its parts (L1).
pub(crate) fn prove_books(tables: &Tables) -> Result<(), Violation> {
    let mut supply = 0i128;
    for (account, balance) in &tables.balances {
        if balance.micro() < 0 {
            return Err(broken("L2", format!("{account} is stored with {balance}")));
        }
        supply += i128::from(balance.micro());
    }
    if supply != i128::from(SUPPLY.micro()) {
        return Err(broken("L5", format!("the stored accounts have {supply} micro-CPT together")));
    }
    let mut parts: BTreeMap<Account, i64> = BTreeMap::new();
    let holds = tables.holds.values().map(|hold| (Account::Held(hold.user), hold.left.total()));
    let accruals = tables.accruals.values().map(|earned| (Account::Pending(earned.payee), earned.amount.total()));
    let vests = tables.vests.iter().map(|(key, amount)| (key.source.account(key.user), *amount));
    for (account, amount) in holds.chain(accruals).chain(vests) {
        *parts.entry(account).or_default() += amount.micro();
    }
    for (account, balance) in &tables.balances {
        let has_parts = match account {
            Account::Treasury | Account::Available(_) | Account::Promo(_) | Account::Project(_) => false,
            Account::Held(_) | Account::Pending(_) | Account::Owner(_) | Account::Reward(_) => true,
        };
        let together = parts.remove(account).unwrap_or_default();
        if has_parts && together != balance.micro() {
            return Err(broken("L1", format!("{account} is stored with {balance}, its parts with {together}")));
        }
    }
    match parts.first_key_value() {
        Some((account, together)) => Err(broken("L1", format!("{account} is not stored, {together} of it are"))),
        None => Ok(()),
    }
}

/// L4: an attempt that has ended cost no more than the time since it was handed out, whatever its
/// node reported. `prices` are those of the pool that ended it.
pub(crate) fn prove_cost(row: &AttemptRow, tables: &Tables, prices: &Prices) -> Result<(), Violation> {
    let AttemptPhase::Ended { ended_at, cost, .. } = &row.phase else { return Ok(()) };
    let Some(task) = tables.tasks.get(&row.attempt.element.task) else {
        return Err(broken("T1", format!("{} is of a task that is not there", row.attempt)));
    };
    let seen = ended_at.since(row.assigned_at);
    match prices.price(&task.spec.resources, seen) {
        Some(most) if *cost > most => {
            Err(broken("L4", format!("{} cost {cost} for {} ms, worth {most}", row.attempt, seen.0)))
        }
        Some(_) | None => Ok(()),
    }
}

/// Rewards: one line, one entry; no node was alive for longer than the pool was `awake`.
pub(crate) fn prove_rewards(tables: &Tables, told: &Told, awake: Millis) -> Result<(), Violation> {
    let paid = tables.rewards.iter().filter(|(_, row)| row.total.is_positive());
    let lines: BTreeMap<(Timestamp, NodeId), Cpt> = paid.map(|(key, row)| (*key, row.total)).collect();
    if lines != told.rewarded {
        return Err(broken("L7", "the lines of the rewards are not the entries of the journal".into()));
    }
    let mut alive: BTreeMap<NodeId, u64> = BTreeMap::new();
    for row in tables.rewards.values() {
        if row.tally.alive > row.registered || row.registered > row.to.since(row.from) {
            return Err(broken("L5", format!("{} is rewarded for more time than there was: {row:?}", row.node)));
        }
        *alive.entry(row.node).or_default() += row.tally.alive.0;
    }
    for (node, standing) in &tables.standings {
        let rewarded = alive.get(node).copied().unwrap_or_default();
        if standing.runtime.0 > awake.0 || rewarded > standing.runtime.0 {
            let runtime = standing.runtime.0;
            return Err(broken(
                "L5",
                format!("{node} was alive for {runtime} ms of {}, and is rewarded for {rewarded} ms", awake.0),
            ));
        }
    }
    Ok(())
}
