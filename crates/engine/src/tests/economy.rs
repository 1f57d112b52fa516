//! Pay while work runs, holds that expire, and price bounds.

use super::fixture::*;
use hivemind_ledger::{Account, Reason};
use hivemind_model::rows::AttemptPhase;
use hivemind_model::state::Outcome;
use hivemind_model::*;

const DONE: Outcome = Outcome::Exited { code: 0 };

/// One line per entry about a task: why, and the postings.
fn entries(pool: &Pool, task: TaskId) -> String {
    let about = pool.tables.journal.iter().filter(|entry| entry.reason.task() == Some(task));
    let lines = about.map(|entry| {
        let sides = entry.postings.iter().map(|side| format!("{} {}", side.account, side.amount));
        format!("{}: {}", entry.reason.as_str(), sides.collect::<Vec<_>>().join(", "))
    });
    lines.collect::<Vec<_>>().join("\n")
}

impl Pool {
    /// As `ready`, in a pool that rewards nobody for being there.
    fn unrewarded() -> Self {
        let mut policy = Policy::default();
        policy.economy.rewards.base = Cpt::ZERO;
        let mut pool = Self::ready();
        let (rows, books) = pool.tables.recover().expect("founded");
        pool.engine = crate::Engine::restore(policy, rows, books).expect("true");
        pool.connect("box", &[]).expect("enrolled");
        pool
    }
}

/// One core and 512 MiB cost 625 micro-CPT a second.
#[test]
fn an_owner_earns_while_the_work_runs() {
    let mut pool = Pool::ready();
    let task = pool.submit("anna", 1);
    pool.start("box", first(task, 1)).expect("handed out");
    let mut seen = vec![pool.money("bert")];
    for _ in 0..6 {
        pool.pass(10_000);
        seen.push(pool.money("bert"));
    }
    pool.finish("box", first(task, 1), DONE, 60_000).expect("it is current");
    seen.push(pool.money("bert"));
    insta::assert_snapshot!(seen.join("\n"), @r"
    150.00 CPT + 0.00 CPT
    150.00 CPT + 0.00 CPT (0.00625 CPT pending)
    150.00 CPT + 0.00 CPT (0.0125 CPT pending)
    150.00 CPT + 0.00 CPT (0.01875 CPT pending)
    150.00 CPT + 0.00 CPT (0.025 CPT pending)
    150.00 CPT + 0.00 CPT (0.03125 CPT pending)
    150.00 CPT + 0.00 CPT (0.0375 CPT pending)
    150.0375 CPT + 0.00 CPT
    ");
    insta::assert_snapshot!(entries(&pool, task), @r"
    hold: promo:user_1 -2.25 CPT, held:user_1 2.25 CPT
    accrual: held:user_1 -0.00625 CPT, pending:user_2 0.00625 CPT
    accrual: held:user_1 -0.00625 CPT, pending:user_2 0.00625 CPT
    accrual: held:user_1 -0.00625 CPT, pending:user_2 0.00625 CPT
    accrual: held:user_1 -0.00625 CPT, pending:user_2 0.00625 CPT
    accrual: held:user_1 -0.00625 CPT, pending:user_2 0.00625 CPT
    accrual: held:user_1 -0.00625 CPT, pending:user_2 0.00625 CPT
    settlement: pending:user_2 -0.0375 CPT, held:user_1 -2.2125 CPT, available:user_2 0.0375 CPT, promo:user_1 2.2125 CPT
    ");
}

#[test]
fn a_lost_node_gives_back_what_was_pending() {
    let mut pool = Pool::ready();
    let task = pool.submit("anna", 1);
    pool.start("box", first(task, 1)).expect("handed out");
    pool.pass(30_000);
    assert_eq!(pool.money("bert"), "150.00 CPT + 0.00 CPT (0.01875 CPT pending)");
    pool.run(Command::Lost { node: pool.node("box") }).expect("enrolled");
    assert_eq!(
        (pool.money("anna").as_str(), pool.money("bert").as_str()),
        ("147.75 CPT + 2.25 CPT", "150.00 CPT + 0.00 CPT")
    );
    insta::assert_snapshot!(entries(&pool, task), @r"
    hold: promo:user_1 -2.25 CPT, held:user_1 2.25 CPT
    accrual: held:user_1 -0.01875 CPT, pending:user_2 0.01875 CPT
    return: pending:user_2 -0.01875 CPT, held:user_1 0.01875 CPT
    ");
}

#[test]
fn a_late_tick_meters_once_and_a_restart_goes_on() {
    let mut pool = Pool::ready();
    let task = pool.submit("anna", 1);
    pool.start("box", first(task, 1)).expect("handed out");
    pool.pass(25_000);
    assert_eq!(pool.engine.next_due(), Some(pool.now.after(Millis(5_000))));
    pool.restart();
    pool.connect("box", &[first(task, 1)]).expect("enrolled");
    pool.pass(5_000);
    assert_eq!(pool.money("bert"), "150.00 CPT + 0.00 CPT (0.01875 CPT pending)");
    pool.run(Command::Cancel { user: pool.user("anna"), task, elements: None }).expect("open");
    assert_eq!(pool.money("bert"), "150.01875 CPT + 0.00 CPT");
}

#[test]
fn metering_ends_at_the_cap() {
    let mut pool = Pool::unrewarded();
    let task = pool.submit("anna", 1);
    pool.start("box", first(task, 1)).expect("handed out");
    for _ in 0..30 {
        pool.pass(130_000);
    }
    assert_eq!(pool.money("bert"), "150.00 CPT + 0.00 CPT (2.25 CPT pending)");
    let last = pool.tables.journal.len();
    pool.pass(60_000);
    assert_eq!(pool.tables.journal.len(), last, "there is nothing left to meter");
    pool.finish("box", first(task, 1), Outcome::TimedOut, u64::MAX).expect("it is current");
    assert_eq!(
        (pool.money("anna").as_str(), pool.money("bert").as_str()),
        ("147.75 CPT + 0.00 CPT", "152.25 CPT + 0.00 CPT")
    );
}

#[test]
fn a_node_that_says_it_ran_shorter_gives_back_the_rest() {
    let mut pool = Pool::ready();
    let task = pool.submit("anna", 1);
    pool.start("box", first(task, 1)).expect("handed out");
    pool.pass(30_000);
    pool.finish("box", first(task, 1), DONE, 1_000).expect("it is current");
    assert_eq!(
        (pool.money("anna").as_str(), pool.money("bert").as_str()),
        ("149.999375 CPT + 0.00 CPT", "150.000625 CPT + 0.00 CPT")
    );
}

#[test]
fn a_hold_expires_and_ends_its_task() {
    let mut pool = Pool::ready();
    let waits = pool.submit("anna", 4);
    let runs = pool.submit("anna", 1);
    pool.start("box", first(runs, 1)).expect("handed out");
    pool.now = pool.now.after(pool.engine.policy().economy.hold_lifetime);
    pool.pass(3_600_000 - 1);
    // The attempt that hung was given up long before and tried again; it ends with the hold.
    assert_eq!((pool.progress(waits).state, pool.progress(runs).state), (TaskState::Pending, TaskState::Pending));
    pool.pass(1);
    assert_eq!((pool.progress(waits).state, pool.progress(runs).state), (TaskState::Failed, TaskState::Failed));
    assert!(pool.tables.journal.iter().any(|entry| entry.reason == Reason::Expiry { task: waits }));
    assert!(pool.tables.holds.is_empty());
    let text = pool.element(ElementRef::only(waits));
    assert!(matches!(text.phase, rows::ElementPhase::Ended { outcome: Outcome::Expired }), "{text:?}");
}

#[test]
fn a_price_bound_is_kept() {
    let mut pool = Pool::ready();
    let anna = pool.user("anna");
    let mut submit = |micro| {
        let max_price = Some(Cpt::from_micro(micro));
        pool.run(Command::Submit { user: anna, spec: spec(1), max_price, ended: Vec::new(), once: None })
    };
    let refused = submit(2_249_999).expect_err("it can cost more");
    insta::assert_snapshot!(refused.to_string(), @"E_MAX_PRICE: max_price_micro: it can cost 2.25 CPT, more than your bound of 2.249999 CPT; raise it, or lower max_runtime, the resources or the number of elements");
    assert!(submit(2_250_000).is_ok());
}

#[test]
fn time_never_goes_back() {
    let mut pool = Pool::ready();
    let task = pool.submit("anna", 1);
    pool.start("box", first(task, 1)).expect("handed out");
    pool.pass(20_000);
    let real = pool.now;
    pool.now = Timestamp(5);
    pool.run(Command::Tick).expect("a tick is never refused");
    let transfer = Command::Transfer {
        from: pool.user("anna"),
        to_username: "bert".into(),
        amount: Cpt::from_micro(1),
        once: None,
    };
    pool.run(transfer).expect("enough");
    pool.finish("box", first(task, 1), DONE, 20_000).expect("it is current");
    assert!(pool.tables.journal.windows(2).all(|pair| pair[0].at <= pair[1].at));
    let ended = pool.tables.attempts.values().find_map(|row| match &row.phase {
        AttemptPhase::Ended { ended_at, .. } => Some(*ended_at),
        AttemptPhase::Assigned | AttemptPhase::Running { .. } | AttemptPhase::Reported { .. } => None,
    });
    assert_eq!(ended, Some(real));
}

#[test]
fn a_level_is_asked_for() {
    let mut pool = Pool::ready();
    let mut gold = TaskSpec::clone(&spec(1));
    gold.min_level = Level::Gold;
    let submit =
        Command::Submit { user: pool.user("anna"), spec: gold.into(), max_price: None, ended: Vec::new(), once: None };
    let Ok(Reply::Submitted { task, .. }) = pool.run(submit) else { panic!("it is not accepted") };
    assert_eq!(pool.progress(task).state, TaskState::Pending);
    let why = pool.engine.waiting_reason(task).expect("it waits");
    insta::assert_snapshot!(why, @"it needs a node of level gold, and none that is big enough has any level; ask for less or wait for one");
    // A thousand hours later.
    let box_id = pool.node("box");
    pool.tables.standings.get_mut(&box_id).expect("enrolled").runtime = Level::Gold.needs();
    pool.restart();
    pool.connect("box", &[]).expect("enrolled");
    pool.start("box", first(task, 1)).expect("it is handed out");
    assert_eq!(pool.engine.ledger().balance(Account::Pending(pool.user("bert"))), Cpt::ZERO);
}
