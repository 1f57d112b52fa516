//! A pool that is started again with another policy while money is on its way.

use super::fixture::*;
use crate::Engine;
use hivemind_ledger::{Account, replay};
use hivemind_model::economy::Mode;
use hivemind_model::state::Outcome;
use hivemind_model::*;

impl Pool {
    /// Stops, and starts with the policy changed; the node is back with what it had.
    fn again(&mut self, change: impl FnOnce(&mut Policy), holds: &[AttemptRef]) {
        let mut policy = self.engine.policy().clone();
        change(&mut policy);
        policy.check().expect("it makes sense");
        let (rows, books) = self.tables.recover().expect("founded");
        self.engine = Engine::restore(policy, rows, books).expect("what was stored is true");
        self.connect("box", holds).expect("enrolled");
    }

    fn balances_of(&self, name: &str) -> String {
        let user = self.user(name);
        let kinds = [Account::Available, Account::Promo, Account::Held, Account::Pending, Account::Owner];
        let parts = kinds.map(|kind| self.engine.ledger().balance(kind(user)).micro().to_string());
        format!("{name}: {}", parts.join(" "))
    }

    fn books_are_true(&self) {
        let books = replay(&self.tables.journal).expect("the journal is true");
        assert_eq!(books.compare(&self.engine.ledger().image()), Ok(()));
    }
}

/// Everything costs a tenth from half-way on: what has accrued beyond the new price goes back.
#[test]
fn a_price_that_falls_below_what_has_accrued_is_what_is_paid() {
    let mut pool = Pool::ready();
    let task = pool.submit("anna", 1);
    pool.start("box", first(task, 1)).expect("handed out");
    pool.pass(60_000);
    assert_eq!(pool.balances_of("bert"), "bert: 0 150000000 0 37500 0");
    let cheap = |policy: &mut Policy| {
        policy.prices.core_hour = Cpt::from_micro(200_000);
        policy.prices.gib_hour = Cpt::from_micro(50_000);
        policy.economy.meter_every = Millis(100);
    };
    pool.again(cheap, &[first(task, 1)]);
    pool.pass(60_000);
    assert_eq!(pool.balances_of("bert"), "bert: 0 150000000 0 37500 0", "it has earned more than it costs now");
    pool.finish("box", first(task, 1), Outcome::Exited { code: 0 }, 120_000).expect("it is current");
    assert_eq!(pool.balances_of("bert"), "bert: 7500 150000000 0 0 0");
    assert_eq!(pool.balances_of("anna"), "anna: 0 149992500 0 0 0");
    pool.books_are_true();
}

/// Everything costs a thousand times as much: the cap is what was agreed.
#[test]
fn a_price_that_rises_is_paid_up_to_the_cap() {
    let mut pool = Pool::ready();
    let task = pool.submit("anna", 1);
    pool.start("box", first(task, 1)).expect("handed out");
    pool.pass(30_000);
    let dear = |policy: &mut Policy| {
        policy.prices.core_hour = Cpt::from_micro(1_000_000_000_000_000);
        policy.prices.minimum = Cpt::from_micro(1_000_000_000_000_000);
    };
    pool.again(dear, &[first(task, 1)]);
    pool.pass(1_000);
    assert_eq!(pool.balances_of("bert"), "bert: 0 150000000 0 2250000 0");
    pool.run(Command::Lost { node: pool.node("box") }).expect("enrolled");
    assert_eq!(pool.balances_of("anna"), "anna: 0 147750000 2250000 0 0");
    pool.books_are_true();
}

/// Free credit that was held when the mode changed is judged by the mode in which the work is accepted; what
/// was to vest still does, when it was due.
#[test]
fn the_mode_is_changed_with_holds_accruals_and_vests_on_their_way() {
    let mut pool = Pool::ready();
    let guarded = |policy: &mut Policy| policy.economy.mode = Mode::Guarded;
    let open = |policy: &mut Policy| policy.economy.mode = Mode::Open;
    // In the open mode bert gets money for it.
    let task = pool.submit("anna", 1);
    pool.start("box", first(task, 1)).expect("handed out");
    pool.pass(60_000);
    pool.finish("box", first(task, 1), Outcome::Exited { code: 0 }, 60_000).expect("it is current");
    // Begun in the open mode, accepted in the guarded one: free credit.
    let task = pool.submit("anna", 1);
    pool.start("box", first(task, 1)).expect("handed out");
    pool.pass(30_000);
    pool.again(guarded, &[first(task, 1)]);
    pool.pass(30_000);
    pool.finish("box", first(task, 1), Outcome::Exited { code: 0 }, 60_000).expect("it is current");
    assert_eq!(pool.balances_of("bert"), "bert: 37500 150037500 0 0 0");
    // The reward of the hour vests although the mode is open again when it is due.
    for _ in 0..60 {
        pool.pass(60_000);
    }
    let bert = pool.user("bert");
    let waits = pool.engine.ledger().balance(Account::Reward(bert));
    assert!(waits.is_positive());
    pool.again(open, &[]);
    pool.now = pool.now.after(Millis(26 * 3_600_000));
    pool.run(Command::Tick).expect("a tick is never refused");
    pool.run(Command::Tick).expect("a tick is never refused");
    assert_eq!(pool.engine.ledger().balance(Account::Reward(bert)), Cpt::ZERO);
    assert!(pool.engine.ledger().available(bert) >= waits);
    pool.books_are_true();
}

/// Reward periods that grow, shrink and end while the pool is down: none is rewarded twice, and nobody for more
/// than there was.
#[test]
fn reward_periods_of_all_lengths_never_overlap() {
    let mut pool = Pool::ready();
    let lengths = [1_000, 59_999, 3_600_000, 1_001, 7_777, 86_400_000, 60_000, 1_000];
    for (turn, length) in lengths.into_iter().enumerate() {
        pool.now = pool.now.after(Millis([0, 1, 179_000, 181_000][turn % 4]));
        pool.again(|policy| policy.economy.rewards.period = Millis(length), &[]);
        for _ in 0..40 {
            pool.pass(1_500);
        }
    }
    let rows: Vec<_> = pool.tables.rewards.values().copied().collect();
    let overlap = rows.windows(2).find(|pair| pair[0].to > pair[1].from);
    assert_eq!((overlap, rows.len() > 10), (None, true));
    assert!(rows.iter().all(|row| row.tally.alive <= row.registered && row.from < row.to));
    let alive: u64 = rows.iter().map(|row| row.tally.alive.0).sum();
    let standing = pool.tables.standings[&pool.node("box")];
    assert_eq!(alive + standing.period.alive.0, standing.runtime.0);
    pool.books_are_true();
}
