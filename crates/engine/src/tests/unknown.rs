//! Tasks that wait for lost nodes.

use super::fixture::*;
use crate::KeptWhy;
use hivemind_model::rows::AttemptPhase;
use hivemind_model::state::Outcome;
use hivemind_model::*;

const OK: Outcome = Outcome::Exited { code: 0 };

/// A task that waits for a minute is running on `box`, since ten seconds ago, and is now lost there; `other` is linked.
fn lost() -> (Pool, TaskId) {
    let mut pool = Pool::ready();
    let mut patient = (*spec(1)).clone();
    patient.patience.lost_after = Some(Millis::from_secs(60));
    let task = pool.submit_spec("anna", patient).expect("there is money");
    pool.start("box", first(task, 1)).expect("it is current");
    pool.pass(10_000);
    pool.join(&["other"], 2);
    pool.lose("box");
    pool.sent();
    (pool, task)
}

fn stale(pool: &mut Pool, holds: &[AttemptRef]) -> Vec<AttemptRef> {
    match pool.connect("box", holds) {
        Ok(Reply::Connected { stale }) => stale,
        other => panic!("not connected: {other:?}"),
    }
}

fn ended(pool: &Pool, attempt: AttemptRef) -> bool {
    matches!(pool.tables.attempts[&attempt].phase, AttemptPhase::Ended { .. })
}

#[test]
fn a_node_that_is_back_in_time_goes_on() {
    let (mut pool, task) = lost();
    let told = pool.engine.explain(task).and_then(|told| told.first_live).expect("it stays there");
    // It was silent for ten seconds before that counted as a loss.
    assert_eq!(told.kept, Some((KeptWhy::Patience, pool.now.after(Millis(50_000)))));
    let earned = pool.money("bert");
    pool.pass(49_999);
    assert_eq!((pool.sent().as_str(), pool.money("bert")), ("", earned), "it earns nothing meanwhile");
    assert_eq!(stale(&mut pool, &[first(task, 1)]), []);
    pool.finish("box", first(task, 1), OK, 59_999).expect("it is current");
    assert_eq!(pool.progress(task).state, TaskState::Completed);
    assert_eq!(pool.element(ElementRef::only(task)).faults, 0);
}

#[test]
fn a_node_that_is_back_in_time_without_it_has_lost_it() {
    let (mut pool, task) = lost();
    assert_eq!(stale(&mut pool, &[]), []);
    assert!(ended(&pool, first(task, 1)));
    assert_eq!(pool.element(ElementRef::only(task)).faults, 1);
    assert_eq!(pool.current(ElementRef::only(task)), first(task, 2));
}

/// After so long on its new node, `None` where it has not begun there, `box` is back: who goes on.
fn who_goes_on(ran: Option<u64>, restart: bool) -> (u32, String) {
    let (mut pool, task) = lost();
    pool.pass(50_000);
    assert_eq!(pool.sent(), "task_1 pending\nnode_2/2: run att_1.0.2");
    assert!(!ended(&pool, first(task, 1)));
    if let Some(ran) = ran {
        pool.start("other", first(task, 2)).expect("it is current");
        pool.pass(ran);
    }
    if restart {
        pool.restart();
        pool.connect("other", &[first(task, 2)]).expect("enrolled");
    }
    pool.sent();
    let refused = stale(&mut pool, &[first(task, 1)]);
    let current = pool.current(ElementRef::only(task));
    assert_eq!(refused.is_empty(), current.number == 1);
    let (loser, winner) = if current.number == 1 { (2, "box") } else { (1, "other") };
    assert!(ended(&pool, first(task, loser)));
    let sent = pool.sent();
    pool.finish(winner, current, OK, 1_000).expect("it is current");
    let late = pool.finish(if winner == "box" { "other" } else { "box" }, first(task, loser), OK, 1_000);
    assert_eq!(late.map_err(|no| no.code), Err(Code::Stale));
    assert_eq!(pool.element(ElementRef::only(task)).attempts, 2, "no number is given back");
    paid_once(&pool.tables);
    (current.number, sent)
}

#[test]
fn the_better_copy_is_kept() {
    // The old one has run for a minute when the new one is handed out.
    for restart in [false, true] {
        let stopped = |link| format!("node_2/{link}: stop att_1.0.2");
        let link = if restart { 3 } else { 2 };
        let (number, sent) = who_goes_on(None, restart);
        assert_eq!((number, sent), (1, format!("{}\ntask_1 running", stopped(link))));
        assert_eq!(who_goes_on(Some(59_000), restart), (1, stopped(link)));
        assert_eq!(who_goes_on(Some(60_000), restart), (2, String::new()));
    }
}

#[test]
fn what_waits_for_a_node_goes_on_where_it_was() {
    let (mut pool, task) = lost();
    pool.submit("bert", 2);
    pool.pass(50_000);
    assert_eq!(pool.engine.counts().waiting, 1);
    pool.restart();
    assert_eq!(stale(&mut pool, &[first(task, 1)]), []);
    assert_eq!((pool.engine.counts().waiting, pool.whereabouts(first(task, 1)).as_deref()), (0, Some("box")));
    pool.pass(1_000);
    pool.finish("box", first(task, 1), OK, 1_000).expect("it is current");
    assert_eq!(pool.progress(task).state, TaskState::Completed);
}

#[test]
fn a_ghost_ends_with_its_element_and_with_its_time() {
    let (mut pool, task) = lost();
    pool.pass(50_000);
    pool.finish("other", first(task, 2), OK, 10).expect("it is current");
    assert!(ended(&pool, first(task, 1)));
    assert_eq!(stale(&mut pool, &[first(task, 1)]), [first(task, 1)]);

    let (mut pool, task) = lost();
    pool.pass(50_000);
    pool.start("other", first(task, 2)).expect("it is current");
    let remember = pool.engine.policy().remember_lost.0;
    pool.pass(remember - 1);
    assert!(!ended(&pool, first(task, 1)));
    pool.pass(1);
    assert!(ended(&pool, first(task, 1)) && !ended(&pool, first(task, 2)));
}

#[test]
fn patience_does_not_outlast_a_ban_nor_a_cancellation() {
    let (mut pool, task) = lost();
    let anna = pool.user("anna");
    pool.run(Command::Cancel { user: anna, task, elements: None }).expect("it is hers");
    assert!(ended(&pool, first(task, 1)));

    let (mut pool, task) = lost();
    pool.pass(50_000);
    let by = pool.register_as("carl", rows::Role::Operator);
    let change = service::NodeChange::Ban { reason: "out".into() };
    pool.run(Command::SetNode { by, node: "box".into(), change }).expect("an operator may");
    assert!(ended(&pool, first(task, 1)) && !ended(&pool, first(task, 2)));
}
