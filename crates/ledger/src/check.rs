//! The living books checked from scratch.
//!
//! Start at [`Ledger::check`].
//!
//! Invariant: nothing here changes anything.

use crate::SUPPLY;
use crate::account::Account;
use crate::hold::VestKey;
use crate::ledger::Ledger;
use hivemind_model::Cpt;
use std::collections::BTreeMap;

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

impl Ledger {
    /// Checks the books from scratch: L2 and L5, that what is held, pending and vesting is the sum of its
    /// parts (L1), that no part is below zero, and that every accrual has its hold (L3).
    ///
    /// # Errors
    /// The first that is broken.
    pub fn check(&self) -> Result<(), Broken> {
        self.check_balances()?;
        let mut parts: BTreeMap<Account, i128> = BTreeMap::new();
        let mut add = |account, amount: Cpt| *parts.entry(account).or_default() += i128::from(amount.micro());
        for hold in self.holds() {
            if hold.left.own.micro() < 0 || hold.left.promo.micro() < 0 {
                return Err(Broken::new("L3", format!("the hold of {} has {} left", hold.task, hold.left.total())));
            }
            add(Account::Held(hold.user), hold.left.total());
        }
        for accrual in self.accruals() {
            if self.hold(accrual.attempt.element.task).is_none() {
                return Err(Broken::new("L3", format!("{} earns from a hold that has ended", accrual.attempt)));
            }
            if accrual.amount.own.micro() < 0 || accrual.amount.promo.micro() < 0 {
                return Err(Broken::new("L4", format!("{} has earned {}", accrual.attempt, accrual.amount.total())));
            }
            add(Account::Pending(accrual.payee), accrual.amount.total());
        }
        for vest in self.vests() {
            if !vest.amount.is_positive() {
                let VestKey { due, user, .. } = vest.key;
                return Err(Broken::new("L2", format!("{} of {user} vests at {}", vest.amount, due.0)));
            }
            add(vest.key.source.account(vest.key.user), vest.amount);
        }
        let has_parts = |account: &Account| {
            matches!(account, Account::Held(_) | Account::Pending(_) | Account::Owner(_) | Account::Reward(_))
        };
        for (account, balance) in self.balances().filter(|(account, _)| has_parts(account)) {
            let together = parts.remove(&account).unwrap_or_default();
            if together != i128::from(balance.micro()) {
                return Err(Broken::new("L1", format!("{account} has {balance}, its parts have {together} micro-CPT")));
            }
        }
        match parts.into_iter().find(|(_, together)| *together != 0) {
            Some((account, together)) => {
                Err(Broken::new("L1", format!("parts of {account} have {together} micro-CPT, the account has none")))
            }
            None => Ok(()),
        }
    }

    fn check_balances(&self) -> Result<(), Broken> {
        let mut sum = 0i128;
        for (account, balance) in self.balances() {
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
        Ok(())
    }
}
