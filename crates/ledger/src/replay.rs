//! Proof of the books: the journal read from genesis, believing nothing.
//!
//! Start at [`Replay::push`]. It keeps its own accounts, holds and accruals, these two by what they were
//! taken from, so that what it ends with can be compared with what is stored (L7).
//!
//! Invariant: shares no arithmetic with the living ledger, only the types of an entry.

use crate::SUPPLY;
use crate::account::{Account, Kind, Purse};
use crate::entry::{Entry, Posting, Reason};
use crate::rules;
use hivemind_model::{AttemptRef, Cpt, ElementRef, TaskId, Timestamp, UserId};
use std::collections::{BTreeMap, BTreeSet};

/// An entry that cannot be true.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("journal entry {seq}: {why}")]
pub struct BadEntry {
    /// Its number, or the one it should have.
    pub seq: u64,
    /// What is wrong with it, beginning with the invariant.
    pub why: String,
}

/// The journal up to some entry.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    seq: u64,
    at: Timestamp,
    hash: [u8; 32],
    balances: BTreeMap<Account, i128>,
    holds: BTreeMap<TaskId, OpenHold>,
    pending: BTreeMap<AttemptRef, (UserId, Split)>,
}

/// Money that was set aside, by what it was taken from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Split {
    own: i128,
    promo: i128,
}

impl Split {
    const fn total(self) -> i128 {
        self.own + self.promo
    }

    const fn plus(self, other: Self) -> Self {
        Self { own: self.own + other.own, promo: self.promo + other.promo }
    }

    /// `amount` of it, free credit first, and the rest; `None` where it is not there.
    fn take(self, amount: i128) -> Option<(Self, Self)> {
        let promo = self.promo.min(amount);
        let taken = Self { own: amount - promo, promo };
        let rest = Self { own: self.own - taken.own, promo: self.promo - promo };
        (rest.own >= 0).then_some((taken, rest))
    }
}

/// A hold that has not ended.
#[derive(Debug, Clone)]
struct OpenHold {
    user: UserId,
    left: Split,
    /// The attempts it paid: none is paid again.
    paid: BTreeSet<AttemptRef>,
}

impl OpenHold {
    /// Takes `amount` out of it, and gives what that was.
    fn pay(&mut self, task: TaskId, amount: i128) -> Result<Split, String> {
        let taken = self.left.take(amount);
        let (taken, left) =
            taken.ok_or_else(|| format!("L4: it takes more out of the hold of {task} than is there"))?;
        self.left = left;
        Ok(taken)
    }
}

/// What the journal amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayedBooks {
    /// Every account that was ever posted to.
    pub balances: BTreeMap<Account, Cpt>,
    /// Whose the holds are that have not ended, and what they have left. A hold with nothing left
    /// leaves no trace in the journal and is not here.
    pub holds: BTreeMap<TaskId, (UserId, Purse)>,
    /// What attempts have earned that are not over, and for whom.
    pub accruals: BTreeMap<AttemptRef, (UserId, Purse)>,
    /// The sum of all accounts; always [`SUPPLY`].
    pub supply: Cpt,
    /// Number of entries.
    pub entries: u64,
    /// The hash of the newest.
    pub last_hash: [u8; 32],
}

/// Reads a whole journal.
///
/// # Errors
/// The first entry that cannot be true; an empty journal has no genesis.
pub fn replay<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<ReplayedBooks, BadEntry> {
    let mut replay = Replay::default();
    for entry in entries {
        replay.push(entry)?;
    }
    replay.finish()
}

impl Replay {
    /// Takes the next entry.
    ///
    /// It has the next number, its hash follows from the entry before and its time is not before
    /// that entry's (L7), its postings sum to zero but for genesis (L1, L5), no account falls below
    /// zero (L2) or differs from the balance that the posting names (L7), it moves only what its reason
    /// moves (L7), and does to holds and accruals only what its reason allows, paying for an attempt at
    /// most once (L3, L4).
    ///
    /// # Errors
    /// What is wrong with it; the replay must not be used any further.
    pub fn push(&mut self, entry: &Entry) -> Result<(), BadEntry> {
        let seq = self.seq + 1;
        let bad = |why: String| BadEntry { seq, why };
        if entry.seq != seq {
            return Err(bad(format!("L7: the next entry has number {}; one is missing or doubled", entry.seq)));
        }
        if entry.hash != entry.hash_after(&self.hash) {
            return Err(bad(
                "L7: its hash does not follow from the entry before and its own content; it was changed".into()
            ));
        }
        if seq > 1 && entry.at < self.at {
            return Err(bad("L7: its time is before that of the entry before".into()));
        }
        let genesis = entry.reason == Reason::Genesis;
        if genesis != (seq == 1) {
            return Err(bad("L5: genesis is the first entry, and only that".into()));
        }
        let expected = if genesis { i128::from(SUPPLY.micro()) } else { 0 };
        if entry.sum() != expected {
            return Err(bad(format!("L1: its postings sum to {} micro-CPT instead of {expected}", entry.sum())));
        }
        for posting in &entry.postings {
            let balance = self.balances.entry(posting.account).or_default();
            *balance += i128::from(posting.amount.micro());
            if *balance < 0 {
                return Err(bad(format!("L2: it takes {} below zero", posting.account)));
            }
            if *balance != i128::from(posting.balance.micro()) {
                return Err(bad(format!(
                    "L7: it says that {} has {} afterwards; it has {balance} micro-CPT",
                    posting.account, posting.balance
                )));
            }
        }
        rules::check(entry).and_then(|()| self.follow(entry)).map_err(bad)?;
        self.seq = seq;
        self.at = entry.at;
        self.hash = entry.hash;
        Ok(())
    }

    /// The books after the last entry.
    ///
    /// # Errors
    /// No entry was given at all.
    pub fn finish(self) -> Result<ReplayedBooks, BadEntry> {
        let bad = |why: String| BadEntry { seq: self.seq, why };
        if self.seq == 0 {
            return Err(bad("L5: the journal is empty; it must begin with genesis".into()));
        }
        let money = |micro: i128| {
            i64::try_from(micro)
                .map(Cpt::from_micro)
                .map_err(|_| bad(format!("L5: {micro} micro-CPT is more than there is")))
        };
        let purse = |split: Split| Ok(Purse { own: money(split.own)?, promo: money(split.promo)? });
        let supply: i128 = self.balances.values().sum();
        let balances = self.balances.iter().map(|(account, micro)| Ok((*account, money(*micro)?)));
        let holds = self.holds.iter().filter(|(_, hold)| hold.left.total() != 0);
        let holds = holds.map(|(task, hold)| Ok((*task, (hold.user, purse(hold.left)?))));
        let accruals = self.pending.iter().map(|(attempt, (payee, earned))| Ok((*attempt, (*payee, purse(*earned)?))));
        Ok(ReplayedBooks {
            balances: balances.collect::<Result<_, _>>()?,
            holds: holds.collect::<Result<_, _>>()?,
            accruals: accruals.collect::<Result<_, _>>()?,
            supply: money(supply)?,
            entries: self.seq,
            last_hash: self.hash,
        })
    }

    /// Follows what the entry does to holds and accruals.
    fn follow(&mut self, entry: &Entry) -> Result<(), String> {
        let held = only(entry, Kind::Held)?;
        let pending = only(entry, Kind::Pending)?;
        let (held_by, earned) = (held.map_or(0, micro), pending.map_or(0, micro));
        let promo = only(entry, Kind::Promo).ok().flatten().map_or(0, micro);
        match entry.reason {
            Reason::Hold { task } => match held.and_then(|posting| posting.account.user()) {
                Some(user) if held_by > 0 => {
                    let left = Split { own: held_by + promo, promo: -promo };
                    let hold = OpenHold { user, left, paid: BTreeSet::new() };
                    match self.holds.insert(task, hold) {
                        None => Ok(()),
                        Some(_) => Err(format!("L3: {task} has a hold already")),
                    }
                }
                _ => Err(format!("L3: it does not set money aside for {task}")),
            },
            Reason::Accrual { attempt } => {
                if held_by >= 0 || earned != -held_by {
                    return Err(format!("L4: it does not move money from the hold of {attempt} to its earnings"));
                }
                let hold = self.hold(attempt.element.task, held)?;
                let more = hold.pay(attempt.element.task, earned)?;
                if hold.paid.contains(&attempt) {
                    return Err(format!("L4: {attempt} was paid before"));
                }
                let Some(payee) = pending.and_then(|posting| posting.account.user()) else {
                    return Err(format!("L4: {attempt} earns for nobody"));
                };
                let (before, so_far) = self.pending.entry(attempt).or_insert((payee, Split::default()));
                *so_far = so_far.plus(more);
                if *before == payee { Ok(()) } else { Err(format!("L4: {attempt} earns for two users")) }
            }
            Reason::Return { attempt } => {
                if held_by <= 0 || earned != -held_by {
                    return Err(format!("L4: it does not give back what {attempt} had earned"));
                }
                let accrued = self.end_pending(attempt, pending)?;
                let hold = self.hold(attempt.element.task, held)?;
                hold.left = hold.left.plus(accrued);
                Ok(())
            }
            Reason::Settlement { attempt } => {
                let accrued = self.end_pending(attempt, pending)?;
                let hold = self.hold(attempt.element.task, held)?;
                hold.left = hold.left.plus(accrued);
                // What is paid, and what goes back where the hold ends with it.
                hold.pay(attempt.element.task, accrued.total() - held_by)?;
                if !hold.paid.insert(attempt) {
                    return Err(format!("L4: {attempt} was paid before"));
                }
                self.forget_empty(attempt.element.task);
                Ok(())
            }
            Reason::Release { task } | Reason::Expiry { task } => {
                let back = self.hold(task, held)?.pay(task, -held_by)?;
                if self.hold(task, held)?.left != Split::default() || self.earns(task) {
                    return Err(format!("L3: it ends the hold of {task}, which has something left"));
                }
                if back.promo != promo {
                    let had = back.promo;
                    return Err(format!(
                        "L3: it gives {promo} micro-CPT of free credit back, the hold of {task} has {had}"
                    ));
                }
                self.forget_empty(task);
                Ok(())
            }
            Reason::Genesis
            | Reason::SignUp { .. }
            | Reason::Transfer { .. }
            | Reason::Reward { .. }
            | Reason::Vest { .. }
            | Reason::Tip { .. }
            | Reason::Collect { .. } => Ok(()),
        }
    }

    /// The hold of `task`, where the held money that an entry moves is of the same user.
    fn hold(&mut self, task: TaskId, held: Option<&Posting>) -> Result<&mut OpenHold, String> {
        let hold = self.holds.get_mut(&task).ok_or_else(|| format!("L3: {task} has no open hold"))?;
        match held.filter(|posting| posting.account.user() != Some(hold.user)) {
            None => Ok(hold),
            Some(Posting { account, .. }) => {
                Err(format!("L4: it moves money of {account} by the hold of {task}, which is of {}", hold.user))
            }
        }
    }

    /// The attempt is over: the entry must move exactly what it had earned. Gives that.
    fn end_pending(&mut self, attempt: AttemptRef, pending: Option<&Posting>) -> Result<Split, String> {
        let moved = pending.map(|posting| (posting.account.user(), -micro(posting)));
        let accrued = self.pending.remove(&attempt);
        if moved == accrued.map(|(payee, earned)| (Some(payee), earned.total())) {
            Ok(accrued.map(|(_, earned)| earned).unwrap_or_default())
        } else {
            Err(format!("L4: it does not move what {attempt} had earned"))
        }
    }

    fn earns(&self, task: TaskId) -> bool {
        let first = ElementRef { task, index: 0 }.attempt(0);
        self.pending.range(first..).next().is_some_and(|(attempt, _)| attempt.element.task == task)
    }

    /// Forgets a hold that has nothing left and gets nothing back.
    fn forget_empty(&mut self, task: TaskId) {
        if self.holds.get(&task).is_some_and(|hold| hold.left == Split::default()) && !self.earns(task) {
            self.holds.remove(&task);
        }
    }
}

fn micro(posting: &Posting) -> i128 {
    i128::from(posting.amount.micro())
}

/// The posting to an account of that kind; two are one too many.
fn only(entry: &Entry, kind: Kind) -> Result<Option<&Posting>, String> {
    let mut found = entry.postings.iter().filter(|posting| posting.account.kind() == kind);
    match (found.next(), found.next()) {
        (posting, None) => Ok(posting),
        (_, Some(_)) => Err(format!("L3: it moves {} money of two users", kind.as_str())),
    }
}

#[cfg(test)]
mod tests;
