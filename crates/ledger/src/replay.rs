//! Proof of the books: the journal read from genesis, believing nothing.
//!
//! Start at [`Replay::push`]. It keeps its own accounts and holds, so that what it ends with can
//! be compared with what is stored (L7).
//!
//! Invariant: shares no arithmetic with the living ledger, only the types of an entry.

use crate::SUPPLY;
use crate::account::Account;
use crate::entry::{Entry, Reason};
use crate::hold::Hold;
use hivemind_model::{Cpt, TaskId, UserId};
use std::collections::BTreeMap;

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
    hash: [u8; 32],
    balances: BTreeMap<Account, i128>,
    holds: BTreeMap<TaskId, (UserId, i128)>,
}

/// What the journal amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayedBooks {
    /// Every account that was ever posted to.
    pub balances: BTreeMap<Account, Cpt>,
    /// Holds that have not ended. A hold of zero leaves no trace in the journal and is not here.
    pub holds: BTreeMap<TaskId, Hold>,
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
    /// It has the next number, its hash follows from the entry before (L7), its postings sum to
    /// zero but for genesis (L1, L5), no account falls below zero (L2), and it does to the holds
    /// only what its reason allows (L3, L4).
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
                "L7: its hash does not follow from the entry before; it or one before it was changed".into()
            ));
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
        }
        self.follow_hold(entry).map_err(bad)?;
        self.seq = seq;
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
        let supply: i128 = self.balances.values().sum();
        let balances =
            self.balances.iter().map(|(account, micro)| Ok((*account, money(*micro)?))).collect::<Result<_, _>>()?;
        let holds = self
            .holds
            .iter()
            .map(|(task, (user, left))| Ok((*task, Hold { task: *task, user: *user, left: money(*left)? })));
        Ok(ReplayedBooks {
            balances,
            holds: holds.collect::<Result<_, _>>()?,
            supply: money(supply)?,
            entries: self.seq,
            last_hash: self.hash,
        })
    }

    fn follow_hold(&mut self, entry: &Entry) -> Result<(), String> {
        let mut held = entry.postings.iter().filter_map(|posting| match posting.account {
            Account::Held(user) => Some((user, i128::from(posting.amount.micro()))),
            Account::Treasury | Account::Available(_) => None,
        });
        let (posting, more) = (held.next(), held.next());
        if more.is_some() {
            return Err("L3: it moves the held money of two users".into());
        }
        match (&entry.reason, posting) {
            (Reason::Genesis | Reason::SignUp { .. } | Reason::Transfer { .. }, None) => Ok(()),
            (Reason::Genesis | Reason::SignUp { .. } | Reason::Transfer { .. }, Some(_)) => {
                Err("L3: it moves held money".into())
            }
            (Reason::Hold { task }, Some((user, amount))) if amount > 0 => {
                match self.holds.insert(*task, (user, amount)) {
                    None => Ok(()),
                    Some(_) => Err(format!("L3: {task} has a hold already")),
                }
            }
            (Reason::Settlement { task, .. } | Reason::Release { task }, Some((user, amount))) if amount < 0 => {
                let Some((holder, left)) = self.holds.get_mut(task) else {
                    return Err(format!("L3: {task} has no open hold"));
                };
                *left += amount;
                if *holder != user || *left < 0 {
                    return Err(format!("L4: it takes more out of the hold of {task} than is there"));
                }
                if *left == 0 {
                    self.holds.remove(task);
                }
                Ok(())
            }
            (Reason::Hold { .. } | Reason::Settlement { .. } | Reason::Release { .. }, _) => {
                Err("L3: it does not move held money as its reason says".into())
            }
        }
    }
}

#[cfg(test)]
mod tests;
