//! What a task does to the books: its hold, what its attempts earn, and the end.
//!
//! Start at [`Ledger::open_hold`]; a short task makes two entries, that and
//! [`Ledger::settle_and_close`]. A long one accrues in between, and an attempt that is not accepted
//! gives back what it had accrued.
//!
//! Invariant: a hold and its accruals never give more than was set aside (L4), whatever is metered.

use crate::account::{Account, Purse};
use crate::entry::Reason;
use crate::hold::{Accrual, Hold, Source};
use crate::ledger::{Ledger, not_negative};
use crate::refusal::Refusal;
use hivemind_model::{AttemptRef, Cpt, ElementRef, TaskId, Timestamp, UserId};

/// What an owner gets for work that free credit paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromoPay {
    /// Money.
    Money,
    /// Free credit.
    Promo,
    /// Nothing: it goes back to the treasury.
    Treasury,
}

/// How an accepted attempt is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What becomes of the free credit in it.
    pub promo: PromoPay,
    /// When the money in it can be spent; `None`: at once.
    pub vests_at: Option<Timestamp>,
}

/// What is paid for, and to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paid {
    /// For this attempt, out of the hold of its task.
    pub attempt: AttemptRef,
    /// The owner of the node.
    pub payee: UserId,
    /// On these terms.
    pub terms: Terms,
}

/// Whether a settlement ends the hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Stays,
    GoesBack,
}

impl Ledger {
    /// Sets `amount` of a user's money aside for a task, free credit first.
    ///
    /// # Errors
    /// [`Refusal::HoldExists`], [`Refusal::Insufficient`], [`Refusal::BadAmount`] below zero.
    pub fn open_hold(
        &mut self,
        task: TaskId,
        user: UserId,
        amount: Cpt,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        not_negative(amount)?;
        if self.holds.contains_key(&task) {
            return Err(Refusal::HoldExists { task });
        }
        let purse = Purse { own: self.available(user), promo: self.balance(Account::Promo(user)) };
        let left = purse.take(amount).ok_or(Refusal::Insufficient { needed: amount, available: purse.total() })?;
        let postings = [
            (Account::Promo(user), -left.promo.micro()),
            (Account::Available(user), -left.own.micro()),
            (Account::Held(user), amount.micro()),
        ];
        self.record(Reason::Hold { task }, &postings, now);
        self.holds.insert(task, Hold { task, user, left, expires_at });
        self.fresh.holds.open(task);
        Ok(())
    }

    /// What an attempt has earned so far.
    #[must_use]
    pub fn accrued(&self, attempt: AttemptRef) -> Cpt {
        self.accruals.get(&attempt).map(|accrual| accrual.amount.total()).unwrap_or_default()
    }

    /// True where free credit pays for some of an attempt: it is taken first, so its hold, or what the
    /// attempt has accrued, has some.
    #[must_use]
    pub fn has_promo(&self, attempt: AttemptRef) -> bool {
        let held = self.holds.get(&attempt.element.task).is_some_and(|hold| hold.left.promo.is_positive());
        held || self.accruals.get(&attempt).is_some_and(|accrual| accrual.amount.promo.is_positive())
    }

    /// Moves `amount` more from the hold to what a running attempt has earned; zero makes no entry.
    ///
    /// # Errors
    /// [`Refusal::NoHold`], [`Refusal::AboveHold`], [`Refusal::OtherPayee`], [`Refusal::BadAmount`] below zero.
    pub fn accrue(&mut self, attempt: AttemptRef, payee: UserId, amount: Cpt, now: Timestamp) -> Result<(), Refusal> {
        let hold = self.open(attempt.element.task, amount)?;
        let before = self.accruals.get(&attempt).copied();
        if let Some(Accrual { payee: other, .. }) = before.filter(|before| before.payee != payee) {
            return Err(Refusal::OtherPayee { attempt, payee: other });
        }
        let task = hold.task;
        let more = hold.left.take(amount).ok_or(Refusal::AboveHold { task, amount, left: hold.left.total() })?;
        if amount == Cpt::ZERO {
            return Ok(());
        }
        let postings = [(Account::Held(hold.user), -amount.micro()), (Account::Pending(payee), amount.micro())];
        self.record(Reason::Accrual { attempt }, &postings, now);
        self.set_hold(Hold { left: hold.left.minus(more), ..hold });
        let so_far = before.map(|before| before.amount).unwrap_or_default();
        self.accruals.insert(attempt, Accrual { attempt, payee, amount: so_far.plus(more) });
        if before.is_none() {
            self.fresh.accruals.open(attempt)
        } else {
            self.fresh.accruals.touch(attempt)
        }
        Ok(())
    }

    /// Gives back to the hold what an attempt had earned that is not accepted. Returns how much; zero
    /// makes no entry.
    pub fn return_accrual(&mut self, attempt: AttemptRef, now: Timestamp) -> Cpt {
        let Some(accrual) = self.end_accrual(attempt) else { return Cpt::ZERO };
        let task = attempt.element.task;
        let Some(hold) = self.hold(task) else { panic!("L3: {attempt} earned from a hold that has ended") };
        let amount = accrual.amount.total();
        let postings = [(Account::Pending(accrual.payee), -amount.micro()), (Account::Held(hold.user), amount.micro())];
        self.record(Reason::Return { attempt }, &postings, now);
        self.set_hold(Hold { left: hold.left.plus(accrual.amount), ..hold });
        amount
    }

    /// Pays `amount` for one attempt, out of what it accrued and the rest out of its task's hold,
    /// free credit first; what it accrued above that goes back to the hold, which goes on.
    ///
    /// # Errors
    /// [`Refusal::NoHold`], [`Refusal::AboveHold`] (nothing is paid then), [`Refusal::OtherPayee`],
    /// [`Refusal::BadAmount`] below zero.
    pub fn settle(&mut self, paid: Paid, amount: Cpt, now: Timestamp) -> Result<(), Refusal> {
        self.pay(paid, amount, Rest::Stays, now).map(drop)
    }

    /// Pays `amount` for the last attempt of a task as [`Ledger::settle`] does, gives the rest of
    /// the hold back and ends it, all in one entry. Returns what went back.
    ///
    /// # Errors
    /// As [`Ledger::settle`]; [`Refusal::StillEarning`] where another attempt accrues from the hold.
    pub fn settle_and_close(&mut self, paid: Paid, amount: Cpt, now: Timestamp) -> Result<Cpt, Refusal> {
        self.pay(paid, amount, Rest::GoesBack, now)
    }

    /// Gives back what a task's hold has left and ends it. Returns what went back.
    ///
    /// # Errors
    /// [`Refusal::NoHold`], [`Refusal::StillEarning`].
    pub fn release(&mut self, task: TaskId, now: Timestamp) -> Result<Cpt, Refusal> {
        self.give_back(task, Reason::Release { task }, now)
    }

    /// As [`Ledger::release`], where the time of the hold is over.
    ///
    /// # Errors
    /// As [`Ledger::release`].
    pub fn expire(&mut self, task: TaskId, now: Timestamp) -> Result<Cpt, Refusal> {
        self.give_back(task, Reason::Expiry { task }, now)
    }

    fn give_back(&mut self, task: TaskId, reason: Reason, now: Timestamp) -> Result<Cpt, Refusal> {
        let hold = self.hold(task).ok_or(Refusal::NoHold { task })?;
        self.nobody_earns(task, None)?;
        let left = hold.left;
        let postings = [
            (Account::Held(hold.user), -left.total().micro()),
            (Account::Promo(hold.user), left.promo.micro()),
            (Account::Available(hold.user), left.own.micro()),
        ];
        self.record(reason, &postings, now);
        self.end_hold(task);
        Ok(left.total())
    }

    fn pay(&mut self, paid: Paid, amount: Cpt, rest: Rest, now: Timestamp) -> Result<Cpt, Refusal> {
        let Paid { attempt, payee, terms } = paid;
        let task = attempt.element.task;
        let hold = self.open(task, amount)?;
        if rest == Rest::GoesBack {
            self.nobody_earns(task, Some(attempt))?;
        }
        let accrued = match self.accruals.get(&attempt) {
            Some(accrual) if accrual.payee != payee => {
                return Err(Refusal::OtherPayee { attempt, payee: accrual.payee });
            }
            Some(accrual) => accrual.amount,
            None => Purse::default(),
        };
        let all = hold.left.plus(accrued);
        let price = all.take(amount).ok_or(Refusal::AboveHold { task, amount, left: all.total() })?;
        let left = all.minus(price);
        let (stays, back) = match rest {
            Rest::Stays => (left, Purse::default()),
            Rest::GoesBack => (Purse::default(), left),
        };
        let promo_to = match terms.promo {
            PromoPay::Money => self.earn(payee, price.promo, Source::Work, terms.vests_at),
            PromoPay::Promo => Account::Promo(payee),
            PromoPay::Treasury => Account::Treasury,
        };
        let own_to = self.earn(payee, price.own, Source::Work, terms.vests_at);
        let postings = [
            (Account::Pending(payee), -accrued.total().micro()),
            (Account::Held(hold.user), stays.total().micro() - hold.left.total().micro()),
            (own_to, price.own.micro()),
            (promo_to, price.promo.micro()),
            (Account::Promo(hold.user), back.promo.micro()),
            (Account::Available(hold.user), back.own.micro()),
        ];
        self.record(Reason::Settlement { attempt }, &postings, now);
        self.end_accrual(attempt);
        match rest {
            Rest::Stays => self.set_hold(Hold { left: stays, ..hold }),
            Rest::GoesBack => self.end_hold(task),
        }
        Ok(back.total())
    }

    fn open(&self, task: TaskId, amount: Cpt) -> Result<Hold, Refusal> {
        not_negative(amount)?;
        self.hold(task).ok_or(Refusal::NoHold { task })
    }

    /// Refuses where an attempt of the task but `exempt` accrues.
    fn nobody_earns(&self, task: TaskId, exempt: Option<AttemptRef>) -> Result<(), Refusal> {
        let first = ElementRef { task, index: 0 }.attempt(0);
        let mut earning = self.accruals.range(first..).map(|(attempt, _)| *attempt);
        match earning.by_ref().take_while(|attempt| attempt.element.task == task).find(|at| Some(*at) != exempt) {
            Some(attempt) => Err(Refusal::StillEarning { attempt }),
            None => Ok(()),
        }
    }

    fn set_hold(&mut self, hold: Hold) {
        self.holds.insert(hold.task, hold);
        self.fresh.holds.touch(hold.task);
    }

    fn end_hold(&mut self, task: TaskId) {
        self.holds.remove(&task);
        self.fresh.holds.touch(task);
    }

    fn end_accrual(&mut self, attempt: AttemptRef) -> Option<Accrual> {
        let accrual = self.accruals.remove(&attempt)?;
        self.fresh.accruals.touch(attempt);
        Some(accrual)
    }
}

#[cfg(test)]
mod tests;
