//! What is stored beside the journal, against what the journal amounts to.
//!
//! Start at [`ReplayedBooks::compare`].
//!
//! Invariant: nothing here mends anything.

use crate::SUPPLY;
use crate::account::{Account, Kind, Purse};
use crate::check::Broken;
use crate::ledger::{Ledger, LedgerImage};
use crate::replay::ReplayedBooks;
use hivemind_model::{AttemptRef, Cpt, TaskId, UserId};
use std::collections::BTreeMap;
use std::fmt::{self, Display};

impl ReplayedBooks {
    /// Compares what the journal gives with what is stored: the end of the chain, the supply, balances,
    /// holds, accruals, that what vests is the sum of its parts, and what [`Ledger::restore`] checks.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare(&self, image: &LedgerImage) -> Result<(), Broken> {
        if self.entries != image.last_seq || self.last_hash != image.last_hash {
            let detail = format!("the journal does not end at entry {} with the hash that is stored", image.last_seq);
            return Err(Broken::new("L7", detail));
        }
        if self.supply != SUPPLY {
            return Err(Broken::new("L5", format!("the accounts hold {} instead of {SUPPLY}", self.supply)));
        }
        // Accounts, holds and accruals with nothing in them leave no trace in the journal.
        let money = |amount: &Cpt| *amount != Cpt::ZERO;
        let some = |owned: &Owned| owned.1 != Purse::default();
        let stored: BTreeMap<Account, Cpt> = image.balances.iter().copied().filter(|(_, have)| money(have)).collect();
        let expect = self.balances.iter().filter(|(_, have)| money(have)).map(|(account, have)| (*account, *have));
        same("L7", "the balance of", &stored, &expect.collect())?;
        let holds = image.holds.iter().map(|hold| (hold.task, Owned(hold.user, hold.left)));
        let stored: BTreeMap<TaskId, Owned> = holds.filter(|(_, owned)| some(owned)).collect();
        let expect = self.holds.iter().map(|(task, (user, left))| (*task, Owned(*user, *left)));
        same("L3", "the hold of", &stored, &expect.collect())?;
        let accruals = image.accruals.iter().map(|accrual| (accrual.attempt, Owned(accrual.payee, accrual.amount)));
        let stored: BTreeMap<AttemptRef, Owned> = accruals.filter(|(_, owned)| some(owned)).collect();
        let expect = self.accruals.iter().map(|(attempt, (payee, earned))| (*attempt, Owned(*payee, *earned)));
        same("L4", "what was earned by", &stored, &expect.collect())?;
        self.compare_vests(image)?;
        Ledger::restore(image.clone()).map(drop)
    }

    fn compare_vests(&self, image: &LedgerImage) -> Result<(), Broken> {
        let mut stored: BTreeMap<Account, Micro> = BTreeMap::new();
        for vest in &image.vests {
            stored.entry(vest.key.source.account(vest.key.user)).or_default().0 += i128::from(vest.amount.micro());
        }
        let waits = |account: &Account| matches!(account.kind(), Kind::Owner | Kind::Reward);
        let expect = self.balances.iter().filter(|(account, have)| waits(account) && **have != Cpt::ZERO);
        let expect = expect.map(|(account, have)| (*account, Micro(have.micro().into()))).collect();
        stored.retain(|_, sum| *sum != Micro(0));
        same("L7", "what is to vest of", &stored, &expect)
    }
}

/// Whose money it is, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owned(UserId, Purse);

impl Display for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.1.total(), self.0)?;
        if self.1.promo == Cpt::ZERO { Ok(()) } else { write!(f, " ({} of it free credit)", self.1.promo) }
    }
}

/// A sum of stored amounts, which may be anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Micro(i128);

impl Display for Micro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match i64::try_from(self.0) {
            Ok(micro) => Cpt::from_micro(micro).fmt(f),
            Err(_) => write!(f, "{} micro-CPT", self.0),
        }
    }
}

/// Refuses at the first key that is on one side only, or with another value.
fn same<K, V>(
    invariant: &'static str,
    what: &str,
    stored: &BTreeMap<K, V>,
    expect: &BTreeMap<K, V>,
) -> Result<(), Broken>
where
    K: Ord + Display,
    V: PartialEq + Display,
{
    let shown = |value: Option<&V>| value.map_or_else(|| "nothing".into(), ToString::to_string);
    match stored.keys().chain(expect.keys()).find(|key| stored.get(key) != expect.get(key)) {
        None => Ok(()),
        Some(key) => {
            let (have, give) = (shown(stored.get(key)), shown(expect.get(key)));
            Err(Broken::new(invariant, format!("{what} {key} is stored as {have}, the journal gives {give}")))
        }
    }
}
