//! Rewards as they are paid: periods, uptime, levels, and time in which the pool was away.

use super::fixture::*;
use hivemind_ledger::{Account, Reason};
use hivemind_model::rows::RewardRow;
use hivemind_model::state::Outcome;
use hivemind_model::*;

const HOUR: u64 = 3_600_000;

impl Pool {
    /// Lets time pass in the small steps in which it passes.
    fn live(&mut self, millis: u64) {
        for _ in 0..millis / 60_000 {
            self.pass(60_000);
        }
        self.pass(millis % 60_000);
    }

    /// A pool at the very beginning of a period.
    fn at_full_hour() -> Self {
        let mut pool = Self::new(Policy::default());
        let length = i64::try_from(HOUR).expect("small");
        let rest = length - pool.now.0.rem_euclid(length);
        pool.live(rest.unsigned_abs());
        pool.register("anna");
        pool.register("bert");
        pool.enroll("bert", "box", 4);
        pool
    }

    fn rewards(&self) -> String {
        let line = |row: &RewardRow| {
            let RewardRow { tally, base, performance, stability, quality, level, total, .. } = row;
            format!(
                "{} alive {} min of {}, {}/{} accepted, {} complex: {base} + {performance} + {stability} + {quality}, {level}: {total}",
                row.node,
                tally.alive.secs() / 60,
                row.registered.secs() / 60,
                tally.completed,
                tally.ended,
                tally.complex
            )
        };
        self.tables.rewards.values().map(line).collect::<Vec<_>>().join("\n")
    }

    /// What the journal says was paid as rewards.
    fn paid(&self) -> Vec<i64> {
        let rewards = self.tables.journal.iter().filter(|entry| matches!(entry.reason, Reason::Reward { .. }));
        rewards.map(|entry| entry.postings[1].amount.micro()).collect()
    }

    fn work(&mut self, cores: u32, outcome: Outcome, millis: u64) {
        let task = self.submit("anna", cores);
        self.start("box", first(task, 1)).expect("handed out");
        self.live(millis);
        self.finish("box", first(task, 1), outcome, millis).expect("it is current");
    }
}

/// 45 minutes alive of 60: base 7.5; 3 of 4 accepted: 7.5 x 3/4 x 0.5 = 2.8125; uptime 75 %: 7.5 x 0.75 x 0.3 = 1.6875;
/// complex are the four cores and the ten minutes, not the failed ten minutes: 2 x 5 = 10. Together 22.
#[test]
fn an_hour_by_hand() {
    let mut pool = Pool::at_full_hour();
    pool.connect("box", &[]).expect("enrolled");
    pool.work(1, Outcome::Exited { code: 0 }, 600_000);
    pool.work(4, Outcome::Exited { code: 0 }, 1_000);
    pool.work(1, Outcome::Exited { code: 1 }, 600_000);
    pool.work(1, Outcome::Infrastructure { reason: "no disk".into() }, 1_000);
    pool.live(45 * 60_000 - 1_202_000);
    pool.run(Command::Disconnected { node: pool.node("box"), session: pool.sessions }).expect("enrolled");
    pool.live(15 * 60_000);
    insta::assert_snapshot!(pool.rewards(), @"node_1 alive 45 min of 60, 3/4 accepted, 2 complex: 7.50 CPT + 2.8125 CPT + 1.6875 CPT + 10.00 CPT, none: 22.00 CPT");
    assert_eq!(pool.paid(), [22_000_000]);
    pool.live(HOUR);
    assert_eq!(pool.paid(), [22_000_000], "a node that is away is not rewarded");
}

#[test]
fn a_level_multiplies_from_the_period_in_which_it_is_reached() {
    let mut pool = Pool::at_full_hour();
    let node = pool.node("box");
    pool.tables.standings.get_mut(&node).expect("enrolled").runtime = Millis(Level::Silver.needs().0 - HOUR);
    pool.restart();
    pool.connect("box", &[]).expect("enrolled");
    pool.live(HOUR);
    insta::assert_snapshot!(pool.rewards(), @"node_1 alive 60 min of 60, 0/0 accepted, 0 complex: 10.00 CPT + 0.00 CPT + 3.00 CPT + 0.00 CPT, silver: 15.60 CPT");
    assert_eq!(pool.paid(), [15_600_000]);
    assert_eq!(pool.tables.standings[&node].runtime, Level::Silver.needs());
}

#[test]
fn a_lost_node_was_alive_until_it_fell_silent() {
    let mut pool = Pool::at_full_hour();
    pool.connect("box", &[]).expect("enrolled");
    pool.live(600_000 + 10_000);
    pool.run(Command::Lost { node: pool.node("box") }).expect("enrolled");
    assert_eq!(pool.tables.standings[&pool.node("box")].runtime, Millis(600_000));
}

#[test]
fn nobody_is_paid_for_time_in_which_the_pool_was_down() {
    let mut pool = Pool::at_full_hour();
    pool.connect("box", &[]).expect("enrolled");
    pool.live(600_000);
    pool.restart();
    pool.now = pool.now.after(Millis(5 * HOUR));
    pool.connect("box", &[]).expect("enrolled");
    pool.live(HOUR);
    let alive: Vec<u64> = pool.tables.rewards.values().map(|row| row.tally.alive.0 / 60_000).collect();
    assert_eq!(alive, [10, 50], "{}", pool.rewards());
}

#[test]
fn nobody_is_paid_for_time_in_which_the_machine_slept() {
    let mut pool = Pool::at_full_hour();
    pool.connect("box", &[]).expect("enrolled");
    pool.live(600_000);
    pool.pass(7 * HOUR);
    let node = pool.node("box");
    let standing = pool.tables.standings[&node];
    assert_eq!((standing.runtime, standing.alive_since), (Millis(600_000), Some(pool.now)));
    assert_eq!(pool.paid().len(), 1, "{}", pool.rewards());
}

/// From one hour to three at half past five: the period that goes on then would begin at three, like one
/// that was rewarded.
#[test]
fn a_period_of_another_length_does_not_reach_back_into_rewarded_ones() {
    let mut pool = Pool::at_full_hour();
    pool.connect("box", &[]).expect("enrolled");
    pool.live(3 * HOUR);
    let mut policy = Policy::default();
    policy.economy.rewards.period = Millis(3 * HOUR);
    let (rows, books) = pool.tables.recover().expect("founded");
    pool.engine = crate::Engine::restore(policy, rows, books).expect("true");
    pool.now = pool.now.after(Millis(HOUR + HOUR / 2));
    pool.connect("box", &[]).expect("enrolled");
    pool.live(HOUR / 2);
    let hours = |at: Timestamp| at.0 / 3_600_000;
    let periods: Vec<_> = pool.tables.rewards.values().map(|row| (hours(row.from), hours(row.to))).collect();
    assert_eq!(periods, [(1, 2), (2, 3), (3, 4), (5, 6)], "{}", pool.rewards());
}

/// From a year to one hour: the hour is not made to wait for the year.
#[test]
fn a_shorter_period_begins_with_the_start_of_the_pool() {
    let mut policy = Policy::default();
    policy.economy.rewards.period = Millis(365 * 24 * HOUR);
    let mut pool = Pool::new(policy);
    pool.register("bert");
    pool.enroll("bert", "box", 4);
    pool.connect("box", &[]).expect("enrolled");
    pool.live(2 * HOUR);
    let (rows, books) = pool.tables.recover().expect("founded");
    pool.engine = crate::Engine::restore(Policy::default(), rows, books).expect("true");
    pool.connect("box", &[]).expect("enrolled");
    pool.live(2 * HOUR);
    let alive: Vec<u64> = pool.tables.rewards.values().map(|row| row.tally.alive.0 / 60_000).collect();
    assert_eq!((alive.len(), alive.iter().sum::<u64>()), (2, 180 + 43), "{}", pool.rewards());
}

#[test]
fn a_withdrawn_attempt_is_no_failure_and_a_stopped_one_is_paid_work() {
    let mut pool = Pool::at_full_hour();
    pool.connect("box", &[]).expect("enrolled");
    let never = pool.submit("anna", 1);
    pool.run(Command::Cancel { user: pool.user("anna"), task: never, elements: None }).expect("open");
    let ran = pool.submit("anna", 1);
    pool.start("box", first(ran, 1)).expect("handed out");
    pool.pass(5_000);
    pool.run(Command::Cancel { user: pool.user("anna"), task: ran, elements: None }).expect("open");
    let tally = pool.tables.standings[&pool.node("box")].period;
    assert_eq!((tally.ended, tally.completed), (1, 1));
}

/// Such tasks cost their requester nothing: a thousand of them must not cost the nodes their rewards.
#[test]
fn an_attempt_that_could_not_run_because_of_its_image_is_no_attempt() {
    let mut pool = Pool::at_full_hour();
    pool.connect("box", &[]).expect("enrolled");
    pool.work(1, Outcome::Exited { code: 0 }, 1_000);
    pool.work(1, Outcome::ImageUnavailable { reason: "there is no such image".into() }, 0);
    pool.work(1, Outcome::BadImage { reason: "no such program".into() }, 0);
    let tally = pool.tables.standings[&pool.node("box")].period;
    assert_eq!((tally.ended, tally.completed), (1, 1));
}

#[test]
fn an_empty_treasury_pays_nothing_and_says_so() {
    let mut pool = Pool::at_full_hour();
    let left = pool.engine.ledger().balance(Account::Treasury);
    let policy = Policy { signup_grant: left, ..Policy::default() };
    let (rows, books) = pool.tables.recover().expect("founded");
    pool.engine = crate::Engine::restore(policy, rows, books).expect("true");
    pool.register("rich");
    pool.connect("box", &[]).expect("enrolled");
    pool.live(HOUR);
    let row = pool.tables.rewards.values().next().expect("a line");
    assert_eq!((row.base.micro(), row.total, pool.paid()), (10_000_000, Cpt::ZERO, Vec::new()));
}
