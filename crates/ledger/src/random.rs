//! Whatever happens, in any order, the books are true.
//!
//! Invariant: nothing here knows what an operation should do; it knows what must hold after each.

use crate::{
    Account, Accrual, Entry, Hold, Kind, Ledger, LedgerChanges, Paid, PromoPay, SUPPLY, Spend, Terms, Vest, VestKey,
    replay,
};
use hivemind_model::{AttemptRef, Cpt, ElementRef, NodeId, ProjectId, TaskId, Timestamp, UserId};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What users may do with free credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    Guarded,
}

#[derive(Debug, Clone)]
enum Act {
    SignUp(u64, i64),
    Transfer(u64, u64, i64),
    Tip(u64, u64, i64),
    Collect(u64, u64),
    Reward(u64, i64, Option<i64>),
    Vest,
    Hold(u64, u64, i64),
    Accrue(AttemptRef, u64, i64),
    Return(AttemptRef),
    Settle(AttemptRef, u64, i64, bool, Option<i64>),
    Close(AttemptRef, u64, i64, bool, Option<i64>),
    Release(u64),
    Expire(u64),
    Clock(i64),
    Batch,
}

fn act() -> impl Strategy<Value = Act> {
    let user = || 1u64..5;
    let task = || 1u64..4;
    let micro = || prop_oneof![1 => -2i64..3, 6 => 1i64..60, 2 => 1i64..1_000];
    let wait = || prop_oneof![2 => Just(None), 3 => (0i64..3).prop_map(|steps| Some(steps * 10))];
    let attempt = || {
        (1u64..4, 0u32..2, 1u32..3)
            .prop_map(|(task, index, number)| ElementRef { task: TaskId(task), index }.attempt(number))
    };
    prop_oneof![
        2 => (user(), micro()).prop_map(|(u, m)| Act::SignUp(u, m)),
        3 => (user(), user(), micro()).prop_map(|(a, b, m)| Act::Transfer(a, b, m)),
        2 => (user(), 1u64..3, micro()).prop_map(|(u, p, m)| Act::Tip(u, p, m)),
        1 => (1u64..3, user()).prop_map(|(p, u)| Act::Collect(p, u)),
        2 => (user(), micro(), wait()).prop_map(|(u, m, w)| Act::Reward(u, m, w)),
        3 => Just(Act::Vest),
        5 => (task(), user(), micro()).prop_map(|(t, u, m)| Act::Hold(t, u, m)),
        8 => (attempt(), user(), micro()).prop_map(|(a, u, m)| Act::Accrue(a, u, m)),
        2 => attempt().prop_map(Act::Return),
        4 => (attempt(), user(), micro(), any::<bool>(), wait()).prop_map(|(a, u, m, b, w)| Act::Settle(a, u, m, b, w)),
        4 => (attempt(), user(), micro(), any::<bool>(), wait()).prop_map(|(a, u, m, b, w)| Act::Close(a, u, m, b, w)),
        1 => task().prop_map(Act::Release),
        1 => task().prop_map(Act::Expire),
        2 => (-10i64..21).prop_map(Act::Clock),
        4 => Just(Act::Batch),
    ]
}

/// What a store has after it wrote every batch, and what must hold beside the ledger's own checks.
struct World {
    ledger: Ledger,
    mode: Mode,
    now: i64,
    /// Attempts that were paid; the pool pays each once.
    paid: BTreeSet<AttemptRef>,
    rewarded: i64,
    granted: i64,
    entries: Vec<Entry>,
    balances: BTreeMap<Account, Cpt>,
    holds: BTreeMap<TaskId, Hold>,
    accruals: BTreeMap<AttemptRef, Accrual>,
    vests: BTreeMap<VestKey, Vest>,
}

impl World {
    fn new(mode: Mode) -> Self {
        Self {
            ledger: Ledger::found(Timestamp(100)),
            mode,
            now: 100,
            paid: BTreeSet::new(),
            rewarded: 0,
            granted: 0,
            entries: Vec::new(),
            balances: BTreeMap::new(),
            holds: BTreeMap::new(),
            accruals: BTreeMap::new(),
            vests: BTreeMap::new(),
        }
    }

    fn terms(&self, own_work: bool, wait: Option<i64>) -> Terms {
        let promo = match (self.mode, own_work) {
            (Mode::Open, _) => PromoPay::Money,
            (Mode::Guarded, false) => PromoPay::Promo,
            (Mode::Guarded, true) => PromoPay::Treasury,
        };
        Terms { promo, vests_at: self.due(wait) }
    }

    fn due(&self, wait: Option<i64>) -> Option<Timestamp> {
        wait.map(|wait| Timestamp(self.now + wait))
    }

    /// Does it; true where it was not refused.
    fn act(&mut self, act: &Act) -> bool {
        let now = Timestamp(self.now);
        let spend = match self.mode {
            Mode::Open => Spend::OwnThenPromo,
            Mode::Guarded => Spend::Own,
        };
        let money = Cpt::from_micro;
        let ledger = &mut self.ledger;
        match *act {
            Act::SignUp(user, micro) => {
                let done = ledger.sign_up(UserId(user), money(micro), now).is_ok();
                self.granted += if done { micro } else { 0 };
                done
            }
            Act::Transfer(from, to, micro) => {
                ledger.transfer(UserId(from), UserId(to), money(micro), spend, now).is_ok()
            }
            Act::Tip(user, project, micro) => {
                ledger.tip(UserId(user), (ProjectId(project), 1), money(micro), spend, now).is_ok()
            }
            Act::Collect(project, owner) => {
                let there = ledger.balance(Account::Project(ProjectId(project)));
                ledger.collect(ProjectId(project), UserId(owner), now) == there
            }
            Act::Reward(owner, micro, wait) => {
                let due = wait.map(|wait| Timestamp(self.now + wait));
                let done = ledger.reward(UserId(owner), (NodeId(1), now), money(micro), due, now).is_ok();
                self.rewarded += if done { micro } else { 0 };
                done
            }
            Act::Vest => ledger.vest_one(now),
            Act::Hold(task, user, micro) => {
                ledger.open_hold(TaskId(task), UserId(user), money(micro), Timestamp(1_000), now).is_ok()
            }
            Act::Accrue(attempt, payee, micro) => {
                !self.paid.contains(&attempt) && ledger.accrue(attempt, UserId(payee), money(micro), now).is_ok()
            }
            Act::Return(attempt) => {
                let accrued = ledger.accrued(attempt);
                ledger.return_accrual(attempt, now) == accrued
            }
            Act::Settle(attempt, payee, micro, own_work, wait) => {
                let paid = Paid { attempt, payee: UserId(payee), terms: self.terms(own_work, wait) };
                let first = !self.paid.contains(&attempt);
                first && self.ledger.settle(paid, money(micro), now).is_ok() && self.paid.insert(attempt)
            }
            Act::Close(attempt, payee, micro, own_work, wait) => {
                let paid = Paid { attempt, payee: UserId(payee), terms: self.terms(own_work, wait) };
                let first = !self.paid.contains(&attempt);
                first && self.ledger.settle_and_close(paid, money(micro), now).is_ok()
            }
            Act::Release(task) => ledger.release(TaskId(task), now).is_ok(),
            Act::Expire(task) => ledger.expire(TaskId(task), now).is_ok(),
            Act::Clock(by) => {
                self.now += by;
                true
            }
            Act::Batch => {
                self.store();
                true
            }
        }
    }

    /// Writes the batch into the maps; they must be what the ledger would store as a whole.
    fn store(&mut self) {
        let LedgerChanges { entries, balances, holds, ended_holds, accruals, ended_accruals, vests, ended_vests } =
            self.ledger.take_changes();
        self.entries.extend(entries);
        self.balances.extend(balances);
        for task in ended_holds {
            assert!(self.holds.remove(&task).is_some(), "{task} ended and was never stored");
        }
        for attempt in ended_accruals {
            assert!(self.accruals.remove(&attempt).is_some(), "{attempt} ended and was never stored");
        }
        for key in ended_vests {
            assert!(self.vests.remove(&key).is_some(), "{key:?} ended and was never stored");
        }
        self.holds.extend(holds.into_iter().map(|hold| (hold.task, hold)));
        self.accruals.extend(accruals.into_iter().map(|accrual| (accrual.attempt, accrual)));
        self.vests.extend(vests.into_iter().map(|vest| (vest.key, vest)));
        let image = self.ledger.image();
        assert_eq!(self.balances.clone().into_iter().collect::<Vec<_>>(), image.balances);
        assert_eq!(self.holds.values().copied().collect::<Vec<_>>(), image.holds);
        assert_eq!(self.accruals.values().copied().collect::<Vec<_>>(), image.accruals);
        assert_eq!(self.vests.values().copied().collect::<Vec<_>>(), image.vests);
        assert_eq!(self.entries.len() as u64, image.last_seq);
        assert_eq!(Ledger::restore(image), Ok(self.ledger.clone()));
        assert!(self.ledger.take_changes().is_empty());
    }

    fn check(&mut self) {
        assert_eq!(self.ledger.check(), Ok(()));
        let balances: Vec<(Account, Cpt)> = self.ledger.balances().collect();
        assert!(balances.iter().all(|(_, balance)| *balance >= Cpt::ZERO), "{balances:?}");
        assert_eq!(balances.iter().map(|(_, balance)| balance.micro()).sum::<i64>(), SUPPLY.micro());
        // A hold that has ended may come again under the number of its task, and then so may its attempts.
        let ledger = &self.ledger;
        self.paid.retain(|attempt| ledger.hold(attempt.element.task).is_some());
        match self.mode {
            Mode::Open => {}
            Mode::Guarded => {
                assert_eq!(self.money(), self.rewarded, "money came from somewhere else than rewards, or went");
                assert!(self.free_credit() <= self.granted, "free credit came from somewhere else than sign-ups");
            }
        }
    }

    fn parts(&self, of: fn(crate::Purse) -> Cpt) -> i64 {
        let holds = self.ledger.holds().map(|hold| of(hold.left).micro());
        holds.chain(self.ledger.accruals().map(|accrual| of(accrual.amount).micro())).sum()
    }

    fn all_of(&self, kinds: &[Kind]) -> i64 {
        self.ledger
            .balances()
            .filter(|(account, _)| kinds.contains(&account.kind()))
            .map(|(_, balance)| balance.micro())
            .sum()
    }

    fn money(&self) -> i64 {
        self.all_of(&[Kind::Available, Kind::Owner, Kind::Reward, Kind::Project]) + self.parts(|purse| purse.own)
    }

    fn free_credit(&self) -> i64 {
        self.all_of(&[Kind::Promo]) + self.parts(|purse| purse.promo)
    }

    fn finish(mut self) {
        self.store();
        let books = replay(&self.entries).expect("the journal is true");
        assert_eq!(books.balances, self.balances);
        let holds: BTreeMap<_, _> = self.holds.into_iter().map(|(task, h)| (task, (h.user, h.left))).collect();
        let (holds, empty): (BTreeMap<_, _>, BTreeMap<_, _>) =
            holds.into_iter().partition(|(_, (_, left))| left.total().is_positive());
        assert_eq!(books.holds, holds, "beside those with nothing left: {empty:?}");
        let accruals = self.accruals.into_iter().map(|(attempt, a)| (attempt, (a.payee, a.amount)));
        assert_eq!(books.accruals, accruals.collect());
        assert_eq!((books.supply, books.entries), (SUPPLY, self.entries.len() as u64));
    }
}

fn live(mode: Mode, acts: &[Act]) {
    let mut world = World::new(mode);
    for user in 1..4 {
        world.act(&Act::SignUp(user, 500));
        world.act(&Act::Reward(user, 300, None));
    }
    for act in acts {
        let before = world.ledger.clone();
        let done = world.act(act);
        if !done {
            assert_eq!(world.ledger, before, "{act:?} was refused and changed something");
        }
        world.check();
    }
    world.finish();
}

proptest! {
    #[test]
    fn the_books_are_true_where_free_credit_is_money(acts in proptest::collection::vec(act(), 0..120)) {
        live(Mode::Open, &acts);
    }

    #[test]
    fn no_money_comes_of_free_credit_where_it_is_guarded(acts in proptest::collection::vec(act(), 0..120)) {
        live(Mode::Guarded, &acts);
    }
}
