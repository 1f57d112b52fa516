//! The living books.
//!
//! Start at [`Ledger::found`]; what a task does to them is in `work`. `Ledger::record` is the only
//! place that moves money.
//!
//! Invariant: no method changes anything when it refuses; a broken invariant is a bug and panics
//! with the invariant's name, in release builds too, so that nothing false is ever stored.

use crate::SUPPLY;
use crate::account::{Account, Purse};
use crate::check::Broken;
use crate::entry::{Entry, Posting, Reason};
use crate::hold::{Accrual, Hold, Source, Vest, VestKey};
use crate::refusal::Refusal;
use hivemind_model::{AttemptRef, Cpt, NodeId, ProjectId, TaskId, Timestamp, UserId};
use std::collections::BTreeMap;

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
    /// New or changed accruals.
    pub accruals: Vec<Accrual>,
    /// Accruals that ended; only those that were there before the batch.
    pub ended_accruals: Vec<AttemptRef>,
    /// New or changed vests.
    pub vests: Vec<Vest>,
    /// Vests that ended; only those that were there before the batch.
    pub ended_vests: Vec<VestKey>,
}

impl LedgerChanges {
    /// True where nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The books as they are stored.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerImage {
    /// All accounts.
    pub balances: Vec<(Account, Cpt)>,
    /// All open holds.
    pub holds: Vec<Hold>,
    /// All accruals.
    pub accruals: Vec<Accrual>,
    /// All vests.
    pub vests: Vec<Vest>,
    /// Number of the newest entry.
    pub last_seq: u64,
    /// When it was made.
    pub last_at: Timestamp,
    /// Its hash.
    pub last_hash: [u8; 32],
}

/// Which of a user's money a transfer or a tip may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spend {
    /// Money only.
    Own,
    /// Money, then free credit; what arrives is money.
    OwnThenPromo,
}

/// Accounts, what is on its way, and the end of the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    balances: BTreeMap<Account, Cpt>,
    pub(crate) holds: BTreeMap<TaskId, Hold>,
    pub(crate) accruals: BTreeMap<AttemptRef, Accrual>,
    vests: BTreeMap<VestKey, Cpt>,
    last_seq: u64,
    last_at: Timestamp,
    last_hash: [u8; 32],
    pub(crate) fresh: Fresh,
}

/// What changed since the last [`Ledger::take_changes`].
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Fresh {
    entries: Vec<Entry>,
    accounts: Vec<Account>,
    pub(crate) holds: Touched<TaskId>,
    pub(crate) accruals: Touched<AttemptRef>,
    vests: Touched<VestKey>,
}

/// Keys that changed, each with whether it was there before.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Touched<K>(BTreeMap<K, Was>);

/// What a key was before the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Was {
    New,
    There,
}

impl<K> Default for Touched<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Copy + Ord> Touched<K> {
    /// Notes a key that was not there. One that ended in this batch and comes again was there before it.
    pub(crate) fn open(&mut self, key: K) {
        self.0.entry(key).or_insert(Was::New);
    }

    /// Notes a change or the end of a key that was there.
    pub(crate) fn touch(&mut self, key: K) {
        self.0.entry(key).or_insert(Was::There);
    }

    /// What is there of the touched, and the keys of what has ended and was there before.
    fn split<V>(self, get: impl Fn(K) -> Option<V>) -> (Vec<V>, Vec<K>) {
        let (mut changed, mut ended) = (Vec::new(), Vec::new());
        for (key, was) in self.0 {
            match (get(key), was) {
                (Some(value), Was::New | Was::There) => changed.push(value),
                (None, Was::New) => {}
                (None, Was::There) => ended.push(key),
            }
        }
        (changed, ended)
    }
}

impl Ledger {
    /// Opens the books: the genesis entry puts the whole [`SUPPLY`] into the treasury.
    #[must_use]
    pub fn found(now: Timestamp) -> Self {
        let mut ledger = Self {
            balances: BTreeMap::new(),
            holds: BTreeMap::new(),
            accruals: BTreeMap::new(),
            vests: BTreeMap::new(),
            last_seq: 0,
            last_at: now,
            last_hash: [0; 32],
            fresh: Fresh::default(),
        };
        ledger.record(Reason::Genesis, &[(Account::Treasury, SUPPLY.micro())], now);
        ledger
    }

    /// Goes on from stored books.
    ///
    /// # Errors
    /// The first of L1, L2, L3, L5 that they break.
    pub fn restore(image: LedgerImage) -> Result<Self, Broken> {
        let LedgerImage { balances, holds, accruals, vests, last_seq, last_at, last_hash } = image;
        let stored = (balances.len(), holds.len(), accruals.len(), vests.len());
        let ledger = Self {
            balances: balances.into_iter().collect(),
            holds: holds.into_iter().map(|hold| (hold.task, hold)).collect(),
            accruals: accruals.into_iter().map(|accrual| (accrual.attempt, accrual)).collect(),
            vests: vests.into_iter().map(|vest| (vest.key, vest.amount)).collect(),
            last_seq,
            last_at,
            last_hash,
            fresh: Fresh::default(),
        };
        if (ledger.balances.len(), ledger.holds.len(), ledger.accruals.len(), ledger.vests.len()) != stored {
            return Err(Broken::new("L3", "an account, a hold, an accrual or a vest is stored twice".into()));
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
            balances: self.balances().collect(),
            holds: self.holds.values().copied().collect(),
            accruals: self.accruals.values().copied().collect(),
            vests: self.vests().collect(),
            last_seq: self.last_seq,
            last_at: self.last_at,
            last_hash: self.last_hash,
        }
    }

    /// Gives a new user `grant` of free credit out of the treasury. A grant of zero makes no entry.
    ///
    /// # Errors
    /// [`Refusal::TreasuryEmpty`], [`Refusal::BadAmount`] below zero.
    pub fn sign_up(&mut self, user: UserId, grant: Cpt, now: Timestamp) -> Result<(), Refusal> {
        self.treasury_has(grant)?;
        let postings = [(Account::Treasury, -grant.micro()), (Account::Promo(user), grant.micro())];
        self.record(Reason::SignUp { user }, &postings, now);
        Ok(())
    }

    /// Moves `amount` from one user to another.
    ///
    /// # Errors
    /// [`Refusal::BadAmount`] unless above zero, [`Refusal::SameUser`], [`Refusal::Insufficient`].
    pub fn transfer(
        &mut self,
        from: UserId,
        to: UserId,
        amount: Cpt,
        spend: Spend,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        positive(amount)?;
        if from == to {
            return Err(Refusal::SameUser { user: from });
        }
        let taken = self.spend(from, amount, spend)?;
        let postings = [
            (Account::Available(from), -taken.own.micro()),
            (Account::Promo(from), -taken.promo.micro()),
            (Account::Available(to), amount.micro()),
        ];
        self.record(Reason::Transfer { from, to }, &postings, now);
        Ok(())
    }

    /// Moves `amount` from a user to a project, as its tip of that number.
    ///
    /// # Errors
    /// [`Refusal::BadAmount`] unless above zero, [`Refusal::Insufficient`].
    pub fn tip(
        &mut self,
        from: UserId,
        (project, number): (ProjectId, u64),
        amount: Cpt,
        spend: Spend,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        positive(amount)?;
        let taken = self.spend(from, amount, spend)?;
        let postings = [
            (Account::Available(from), -taken.own.micro()),
            (Account::Promo(from), -taken.promo.micro()),
            (Account::Project(project), amount.micro()),
        ];
        self.record(Reason::Tip { project, number }, &postings, now);
        Ok(())
    }

    /// Gives everything that a project was tipped and that was not collected to its owner, and
    /// returns how much that was; nothing makes no entry.
    pub fn collect(&mut self, project: ProjectId, owner: UserId, now: Timestamp) -> Cpt {
        let tipped = self.balance(Account::Project(project));
        let postings = [(Account::Project(project), -tipped.micro()), (Account::Available(owner), tipped.micro())];
        self.record(Reason::Collect { project, owner }, &postings, now);
        tipped
    }

    /// Rewards the owner of a node for a period, to be spent from `vests_at` on (`None`: at once).
    /// A reward of zero makes no entry.
    ///
    /// # Errors
    /// [`Refusal::TreasuryEmpty`], [`Refusal::BadAmount`] below zero.
    pub fn reward(
        &mut self,
        owner: UserId,
        (node, from): (NodeId, Timestamp),
        amount: Cpt,
        vests_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.treasury_has(amount)?;
        let account = self.earn(owner, amount, Source::Reward, vests_at);
        let postings = [(Account::Treasury, -amount.micro()), (account, amount.micro())];
        self.record(Reason::Reward { node, from }, &postings, now);
        Ok(())
    }

    /// When the next earnings vest; `None` where nothing waits for it.
    #[must_use]
    pub fn next_vest(&self) -> Option<Timestamp> {
        self.vests.keys().next().map(|key| key.due)
    }

    /// Lets the earliest earnings that are due by `now` be spent; false where none are due.
    pub fn vest_one(&mut self, now: Timestamp) -> bool {
        let Some((&key, &amount)) = self.vests.first_key_value().filter(|(key, _)| key.due <= now) else {
            return false;
        };
        let VestKey { due, user, source } = key;
        let postings = [(source.account(user), -amount.micro()), (Account::Available(user), amount.micro())];
        self.record(Reason::Vest { user, due }, &postings, now);
        self.vests.remove(&key);
        self.fresh.vests.touch(key);
        true
    }

    /// What a user can spend on anything.
    #[must_use]
    pub fn available(&self, user: UserId) -> Cpt {
        self.balance(Account::Available(user))
    }

    /// What a user can spend on tasks: money and free credit.
    #[must_use]
    pub fn spendable(&self, user: UserId) -> Cpt {
        Purse { own: self.available(user), promo: self.balance(Account::Promo(user)) }.total()
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

    /// All accounts that were ever posted to, by account.
    pub fn balances(&self) -> impl Iterator<Item = (Account, Cpt)> {
        self.balances.iter().map(|(account, balance)| (*account, *balance))
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

    /// All accruals, by attempt.
    pub fn accruals(&self) -> impl ExactSizeIterator<Item = &Accrual> {
        self.accruals.values()
    }

    /// All vests, the earliest first.
    pub fn vests(&self) -> impl Iterator<Item = Vest> {
        self.vests.iter().map(|(key, amount)| Vest { key: *key, amount: *amount })
    }

    /// When the newest entry was made; no entry is made at an earlier time.
    #[must_use]
    pub fn last_at(&self) -> Timestamp {
        self.last_at
    }

    /// What changed since the last call: entries in order, one line per account, hold, accrual and vest.
    #[must_use]
    pub fn take_changes(&mut self) -> LedgerChanges {
        let Fresh { entries, mut accounts, holds, accruals, vests } = std::mem::take(&mut self.fresh);
        accounts.sort_unstable();
        accounts.dedup();
        let (holds, ended_holds) = holds.split(|task| self.hold(task));
        let (accruals, ended_accruals) = accruals.split(|attempt| self.accruals.get(&attempt).copied());
        let (vests, ended_vests) = vests.split(|key| self.vests.get(&key).map(|amount| Vest { key, amount: *amount }));
        let balances = accounts.into_iter().map(|account| (account, self.balance(account))).collect();
        LedgerChanges { entries, balances, holds, ended_holds, accruals, ended_accruals, vests, ended_vests }
    }

    /// The account that earnings of `user` go to, with the vest noted where they wait.
    pub(crate) fn earn(&mut self, user: UserId, amount: Cpt, source: Source, due: Option<Timestamp>) -> Account {
        let Some(due) = due else { return Account::Available(user) };
        if amount.is_positive() {
            let key = VestKey { due, user, source };
            let before = self.vests.get(&key).copied();
            if before.is_none() {
                self.fresh.vests.open(key);
            } else {
                self.fresh.vests.touch(key);
            }
            let together = before.unwrap_or_default().micro() + amount.micro();
            self.vests.insert(key, Cpt::from_micro(together));
        }
        source.account(user)
    }

    fn spend(&self, user: UserId, amount: Cpt, spend: Spend) -> Result<Purse, Refusal> {
        let own = self.available(user);
        let promo = match spend {
            Spend::Own => Cpt::ZERO,
            Spend::OwnThenPromo => self.balance(Account::Promo(user)),
        };
        let available = Purse { own, promo }.total();
        if available < amount {
            return Err(Refusal::Insufficient { needed: amount, available });
        }
        let own = own.min(amount);
        Ok(Purse { own, promo: Cpt::from_micro(amount.micro() - own.micro()) })
    }

    fn treasury_has(&self, needed: Cpt) -> Result<(), Refusal> {
        not_negative(needed)?;
        let left = self.balance(Account::Treasury);
        if left < needed { Err(Refusal::TreasuryEmpty { needed, left }) } else { Ok(()) }
    }

    /// Moves money. Sides of one account are merged and sides of zero left out; where nothing is
    /// left there is no entry.
    pub(crate) fn record(&mut self, reason: Reason, sides: &[(Account, i64)], now: Timestamp) {
        let mut postings: Vec<Posting> = Vec::with_capacity(sides.len());
        for &(account, micro) in sides {
            match postings.iter_mut().find(|posting| posting.account == account) {
                Some(posting) => posting.amount = Cpt::from_micro(posting.amount.micro() + micro),
                None => postings.push(Posting { account, amount: Cpt::from_micro(micro), balance: Cpt::ZERO }),
            }
        }
        postings.retain(|posting| posting.amount != Cpt::ZERO);
        if postings.is_empty() {
            return;
        }
        let seq = self.last_seq + 1;
        let sum: i128 = postings.iter().map(|posting| i128::from(posting.amount.micro())).sum();
        let expected = if seq == 1 { i128::from(SUPPLY.micro()) } else { 0 };
        assert!(sum == expected, "L1: entry {seq} does not balance: {reason:?} {postings:?}");
        for posting in &mut postings {
            let balance = self.balances.entry(posting.account).or_default();
            let after = balance.micro() + posting.amount.micro();
            assert!(after >= 0, "L2: entry {seq} takes {} below zero", posting.account);
            *balance = Cpt::from_micro(after);
            posting.balance = *balance;
            self.fresh.accounts.push(posting.account);
        }
        self.last_at = self.last_at.max(now);
        let mut entry = Entry { seq, at: self.last_at, reason, postings, hash: [0; 32] };
        entry.hash = entry.hash_after(&self.last_hash);
        self.last_seq = seq;
        self.last_hash = entry.hash;
        self.fresh.entries.push(entry);
    }
}

pub(crate) fn not_negative(amount: Cpt) -> Result<(), Refusal> {
    if amount < Cpt::ZERO { Err(Refusal::BadAmount { amount }) } else { Ok(()) }
}

fn positive(amount: Cpt) -> Result<(), Refusal> {
    if amount.is_positive() { Ok(()) } else { Err(Refusal::BadAmount { amount }) }
}

#[cfg(test)]
mod tests;
