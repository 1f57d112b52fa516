//! The living books.
//!
//! Start at [`Ledger::found`], then [`Ledger::open_hold`] and [`Ledger::settle_and_close`] for the
//! two entries that an ordinary task makes. `Ledger::record` is the only place that moves money.
//!
//! Invariant: no method changes anything when it refuses; a broken invariant is a bug and panics
//! with the invariant's name, in release builds too, so that nothing false is ever stored.

use crate::SUPPLY;
use crate::account::Account;
use crate::entry::{Entry, Posting, Reason};
use crate::hold::Hold;
use hivemind_model::{Cpt, TaskId, Timestamp, UserId};
use std::collections::{BTreeMap, BTreeSet};

/// What a batch changed in the books.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LedgerChanges {
    /// New entries, in order.
    pub entries: Vec<Entry>,
    /// Balances after the batch, of the accounts that it changed.
    pub balances: Vec<(Account, Cpt)>,
    /// New or changed holds.
    pub holds: Vec<Hold>,
    /// Holds that ended; only those that were there before the batch.
    pub ended_holds: Vec<TaskId>,
}

impl LedgerChanges {
    /// True where nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.balances.is_empty() && self.holds.is_empty() && self.ended_holds.is_empty()
    }
}

/// The books as they are stored.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerImage {
    /// All accounts.
    pub balances: Vec<(Account, Cpt)>,
    /// All open holds.
    pub holds: Vec<Hold>,
    /// Number of the newest entry.
    pub last_seq: u64,
    /// Its hash.
    pub last_hash: [u8; 32],
}

/// The books do not take this; nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The account has less than is needed.
    #[error("needs {needed}, {available} is available")]
    Insufficient {
        /// What it would take.
        needed: Cpt,
        /// What is there.
        available: Cpt,
    },
    /// The treasury has less than a grant.
    #[error("the treasury has {left} left, less than the grant of {needed}")]
    TreasuryEmpty {
        /// The grant.
        needed: Cpt,
        /// What is left in the treasury.
        left: Cpt,
    },
    /// An amount below zero, or of zero where something must move.
    #[error("{amount} is not an amount that can be moved")]
    BadAmount {
        /// What was given.
        amount: Cpt,
    },
    /// Both sides are the same user.
    #[error("{user} is both sides of the transfer")]
    SameUser {
        /// Who.
        user: UserId,
    },
    /// The task has a hold already.
    #[error("{task} has a hold already")]
    HoldExists {
        /// Which.
        task: TaskId,
    },
    /// The task has no open hold: it never had one, or it has ended.
    #[error("{task} has no open hold")]
    NoHold {
        /// Which.
        task: TaskId,
    },
    /// More than the hold has left.
    #[error("{amount} is more than the {left} that the hold of {task} has left")]
    AboveHold {
        /// Which.
        task: TaskId,
        /// What was to be paid.
        amount: Cpt,
        /// What is left.
        left: Cpt,
    },
}

/// Books that cannot be true.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the books break {invariant}: {detail}")]
pub struct Broken {
    /// Which invariant, `L1` to `L7`.
    pub invariant: &'static str,
    /// What was found.
    pub detail: String,
}

impl Broken {
    pub(crate) fn new(invariant: &'static str, detail: String) -> Self {
        Self { invariant, detail }
    }
}

/// Accounts, open holds and the end of the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    balances: BTreeMap<Account, Cpt>,
    holds: BTreeMap<TaskId, Hold>,
    last_seq: u64,
    last_hash: [u8; 32],
    fresh: Fresh,
}

/// What changed since the last [`Ledger::take_changes`].
#[derive(Debug, Clone, Default, PartialEq)]
struct Fresh {
    entries: Vec<Entry>,
    accounts: Vec<Account>,
    holds: Vec<TaskId>,
    opened: BTreeSet<TaskId>,
}

impl Ledger {
    /// Opens the books: the genesis entry puts the whole [`SUPPLY`] into the treasury.
    #[must_use]
    pub fn found(now: Timestamp) -> Self {
        let mut ledger = Self {
            balances: BTreeMap::new(),
            holds: BTreeMap::new(),
            last_seq: 0,
            last_hash: [0; 32],
            fresh: Fresh::default(),
        };
        ledger.record(Reason::Genesis, &[(Account::Treasury, SUPPLY.micro())], now);
        ledger
    }

    /// Goes on from stored books.
    ///
    /// # Errors
    /// The first of L2, L3, L5 that they break.
    pub fn restore(image: LedgerImage) -> Result<Self, Broken> {
        let LedgerImage { balances, holds, last_seq, last_hash } = image;
        let (accounts, open) = (balances.len(), holds.len());
        let ledger = Self {
            balances: balances.into_iter().collect(),
            holds: holds.into_iter().map(|hold| (hold.task, hold)).collect(),
            last_seq,
            last_hash,
            fresh: Fresh::default(),
        };
        if ledger.balances.len() != accounts {
            return Err(Broken::new("L5", "an account is stored twice".into()));
        }
        if ledger.holds.len() != open {
            return Err(Broken::new("L3", "a task has two holds".into()));
        }
        if last_seq == 0 {
            return Err(Broken::new("L7", "the journal has no genesis entry".into()));
        }
        ledger.check()?;
        Ok(ledger)
    }

    /// The books as they would be stored now.
    #[must_use]
    pub fn image(&self) -> LedgerImage {
        LedgerImage {
            balances: self.balances.iter().map(|(account, balance)| (*account, *balance)).collect(),
            holds: self.holds.values().copied().collect(),
            last_seq: self.last_seq,
            last_hash: self.last_hash,
        }
    }

    /// Gives a new user `grant` out of the treasury. A grant of zero makes no entry.
    ///
    /// # Errors
    /// [`Refusal::TreasuryEmpty`], [`Refusal::BadAmount`] below zero.
    pub fn sign_up(&mut self, user: UserId, grant: Cpt, now: Timestamp) -> Result<(), Refusal> {
        not_negative(grant)?;
        let left = self.balance(Account::Treasury);
        if left < grant {
            return Err(Refusal::TreasuryEmpty { needed: grant, left });
        }
        self.record(
            Reason::SignUp { user },
            &[(Account::Treasury, -grant.micro()), (Account::Available(user), grant.micro())],
            now,
        );
        Ok(())
    }

    /// Moves `amount` from one user to another.
    ///
    /// # Errors
    /// [`Refusal::BadAmount`] unless above zero, [`Refusal::SameUser`], [`Refusal::Insufficient`].
    pub fn transfer(&mut self, from: UserId, to: UserId, amount: Cpt, now: Timestamp) -> Result<(), Refusal> {
        if !amount.is_positive() {
            return Err(Refusal::BadAmount { amount });
        }
        if from == to {
            return Err(Refusal::SameUser { user: from });
        }
        self.needs(from, amount)?;
        let postings = [(Account::Available(from), -amount.micro()), (Account::Available(to), amount.micro())];
        self.record(Reason::Transfer { from, to }, &postings, now);
        Ok(())
    }

    /// Sets `amount` of a user's money aside for a task.
    ///
    /// # Errors
    /// [`Refusal::HoldExists`], [`Refusal::Insufficient`], [`Refusal::BadAmount`] below zero.
    pub fn open_hold(&mut self, task: TaskId, user: UserId, amount: Cpt, now: Timestamp) -> Result<(), Refusal> {
        not_negative(amount)?;
        if self.holds.contains_key(&task) {
            return Err(Refusal::HoldExists { task });
        }
        self.needs(user, amount)?;
        let postings = [(Account::Available(user), -amount.micro()), (Account::Held(user), amount.micro())];
        self.record(Reason::Hold { task }, &postings, now);
        self.holds.insert(task, Hold { task, user, left: amount });
        self.fresh.opened.insert(task);
        self.fresh.holds.push(task);
        Ok(())
    }

    /// Pays `amount` of a task's hold to `payee` for one attempt; the hold goes on with the rest.
    ///
    /// # Errors
    /// [`Refusal::NoHold`], [`Refusal::AboveHold`] (nothing is paid then), [`Refusal::BadAmount`] below zero.
    pub fn settle(&mut self, paid: Paid, amount: Cpt, now: Timestamp) -> Result<(), Refusal> {
        let hold = self.payable(paid.task, amount)?;
        let left = Cpt::from_micro(hold.left.micro() - amount.micro());
        let postings = [(Account::Held(hold.user), -amount.micro()), (Account::Available(paid.payee), amount.micro())];
        self.record(paid.reason(), &postings, now);
        self.holds.insert(paid.task, Hold { left, ..hold });
        self.fresh.holds.push(paid.task);
        Ok(())
    }

    /// Pays `amount` for the last attempt of a task, gives the rest of the hold back and ends it,
    /// all in one entry. Returns what went back.
    ///
    /// # Errors
    /// As [`Ledger::settle`].
    pub fn settle_and_close(&mut self, paid: Paid, amount: Cpt, now: Timestamp) -> Result<Cpt, Refusal> {
        let hold = self.payable(paid.task, amount)?;
        let rest = hold.left.micro() - amount.micro();
        let postings = [
            (Account::Held(hold.user), -hold.left.micro()),
            (Account::Available(paid.payee), amount.micro()),
            (Account::Available(hold.user), rest),
        ];
        self.record(paid.reason(), &postings, now);
        self.end_hold(paid.task);
        Ok(Cpt::from_micro(rest))
    }

    /// Gives back what a task's hold has left and ends it. Returns what went back.
    ///
    /// # Errors
    /// [`Refusal::NoHold`].
    pub fn release(&mut self, task: TaskId, now: Timestamp) -> Result<Cpt, Refusal> {
        let hold = self.hold(task).ok_or(Refusal::NoHold { task })?;
        let left = hold.left.micro();
        self.record(
            Reason::Release { task },
            &[(Account::Held(hold.user), -left), (Account::Available(hold.user), left)],
            now,
        );
        self.end_hold(task);
        Ok(hold.left)
    }

    /// What a user can spend.
    #[must_use]
    pub fn available(&self, user: UserId) -> Cpt {
        self.balance(Account::Available(user))
    }

    /// What is set aside for a user's open tasks.
    #[must_use]
    pub fn held(&self, user: UserId) -> Cpt {
        self.balance(Account::Held(user))
    }

    /// The balance of an account; zero where nothing was ever posted to it.
    #[must_use]
    pub fn balance(&self, account: Account) -> Cpt {
        self.balances.get(&account).copied().unwrap_or_default()
    }

    /// The open hold of a task.
    #[must_use]
    pub fn hold(&self, task: TaskId) -> Option<Hold> {
        self.holds.get(&task).copied()
    }

    /// All open holds, by task.
    pub fn holds(&self) -> impl ExactSizeIterator<Item = &Hold> {
        self.holds.values()
    }

    /// What changed since the last call: entries in order, one balance per account, one line per hold.
    #[must_use]
    pub fn take_changes(&mut self) -> LedgerChanges {
        let Fresh { entries, mut accounts, holds: mut touched, opened } = std::mem::take(&mut self.fresh);
        accounts.sort_unstable();
        accounts.dedup();
        touched.sort_unstable();
        touched.dedup();
        let mut changes = LedgerChanges {
            entries,
            balances: accounts.into_iter().map(|account| (account, self.balance(account))).collect(),
            ..LedgerChanges::default()
        };
        for task in touched {
            match self.holds.get(&task) {
                Some(hold) => changes.holds.push(*hold),
                None if opened.contains(&task) => {}
                None => changes.ended_holds.push(task),
            }
        }
        changes
    }

    /// Checks the books from scratch: L2, L3 and L5, and that what is held is the sum of the holds (L1).
    ///
    /// # Errors
    /// The first that is broken.
    pub fn check(&self) -> Result<(), Broken> {
        let mut sum = 0i128;
        for (account, balance) in &self.balances {
            if balance.micro() < 0 {
                return Err(Broken::new("L2", format!("{account} has {balance}")));
            }
            sum += i128::from(balance.micro());
        }
        if sum != i128::from(SUPPLY.micro()) {
            return Err(Broken::new(
                "L5",
                format!("all accounts together have {sum} micro-CPT instead of {}", SUPPLY.micro()),
            ));
        }
        let mut held: BTreeMap<UserId, i128> = BTreeMap::new();
        for hold in self.holds.values() {
            if hold.left.micro() < 0 {
                return Err(Broken::new("L3", format!("the hold of {} has {} left", hold.task, hold.left)));
            }
            *held.entry(hold.user).or_default() += i128::from(hold.left.micro());
        }
        for (account, balance) in &self.balances {
            if let Account::Held(user) = account {
                let holds = held.remove(user).unwrap_or_default();
                if holds != i128::from(balance.micro()) {
                    return Err(Broken::new(
                        "L1",
                        format!("{account} has {balance}, its holds have {holds} micro-CPT"),
                    ));
                }
            }
        }
        match held.into_iter().find(|(_, left)| *left != 0) {
            Some((user, left)) => {
                Err(Broken::new("L1", format!("holds of {user} have {left} micro-CPT, its account has none")))
            }
            None => Ok(()),
        }
    }

    fn needs(&self, user: UserId, needed: Cpt) -> Result<(), Refusal> {
        let available = self.available(user);
        if available < needed { Err(Refusal::Insufficient { needed, available }) } else { Ok(()) }
    }

    fn payable(&self, task: TaskId, amount: Cpt) -> Result<Hold, Refusal> {
        not_negative(amount)?;
        let hold = self.hold(task).ok_or(Refusal::NoHold { task })?;
        if amount > hold.left {
            return Err(Refusal::AboveHold { task, amount, left: hold.left });
        }
        Ok(hold)
    }

    fn end_hold(&mut self, task: TaskId) {
        self.holds.remove(&task);
        self.fresh.holds.push(task);
    }

    /// Moves money. Sides of one account are merged and sides of zero left out; where nothing is
    /// left there is no entry.
    fn record(&mut self, reason: Reason, sides: &[(Account, i64)], now: Timestamp) {
        let mut postings: Vec<Posting> = Vec::with_capacity(sides.len());
        for &(account, micro) in sides {
            match postings.iter_mut().find(|posting| posting.account == account) {
                Some(posting) => posting.amount = Cpt::from_micro(posting.amount.micro() + micro),
                None => postings.push(Posting { account, amount: Cpt::from_micro(micro) }),
            }
        }
        postings.retain(|posting| posting.amount != Cpt::ZERO);
        if postings.is_empty() {
            return;
        }
        let mut entry = Entry { seq: self.last_seq + 1, at: now, reason, postings, hash: [0; 32] };
        let expected = if entry.seq == 1 { i128::from(SUPPLY.micro()) } else { 0 };
        assert!(entry.sum() == expected, "L1: entry {} does not balance: {entry:?}", entry.seq);
        for posting in &entry.postings {
            let balance = self.balances.entry(posting.account).or_default();
            let after = balance.micro() + posting.amount.micro();
            assert!(after >= 0, "L2: entry {} takes {} below zero", entry.seq, posting.account);
            *balance = Cpt::from_micro(after);
            self.fresh.accounts.push(posting.account);
        }
        entry.hash = entry.hash_after(&self.last_hash);
        self.last_seq = entry.seq;
        self.last_hash = entry.hash;
        self.fresh.entries.push(entry);
    }
}

/// What is paid for, and to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paid {
    /// Out of the hold of this task.
    pub task: TaskId,
    /// For this element.
    pub index: u32,
    /// For this attempt of it.
    pub attempt: u32,
    /// The owner of the node.
    pub payee: UserId,
}

impl Paid {
    fn reason(self) -> Reason {
        Reason::Settlement { task: self.task, index: self.index, attempt: self.attempt }
    }
}

fn not_negative(amount: Cpt) -> Result<(), Refusal> {
    if amount < Cpt::ZERO { Err(Refusal::BadAmount { amount }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
