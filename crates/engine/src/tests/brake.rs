//! Most nodes vanish at once.

use super::fixture::*;
use crate::{BrakeView, KeptWhy};
use hivemind_model::state::Outcome;
use hivemind_model::*;

/// Four nodes with one core each, each with a running attempt; in the order of the nodes.
fn four() -> (Pool, Vec<TaskId>) {
    let mut policy = Policy::default();
    policy.backlog.depth_per_core = 0;
    let mut pool = Pool::new(policy);
    pool.register("anna");
    pool.register("bert");
    pool.join(&["one", "two", "three", "four"], 1);
    let mut tasks: Vec<TaskId> = (0..4).map(|_| pool.submit("anna", 1)).collect();
    tasks.sort_by_key(|task| pool.tables.attempts[&first(*task, 1)].node);
    for (task, name) in tasks.iter().zip(["one", "two", "three", "four"]) {
        pool.start(name, first(*task, 1)).expect("it is current");
    }
    pool.sent();
    (pool, tasks)
}

#[test]
fn the_first_half_is_tried_elsewhere_and_the_rest_is_held_back() {
    let (mut pool, tasks) = four();
    for name in ["one", "two", "three"] {
        assert_eq!(pool.engine.brake(), None);
        pool.lose(name);
    }
    let until = pool.now.after(Millis(30_000));
    let nodes = vec![pool.node("three")];
    assert_eq!(pool.engine.brake(), Some(BrakeView { since: pool.now, until, nodes }));
    assert_eq!(pool.engine.next_due().filter(|due| *due <= until), Some(pool.now.after(Millis(10_000))), "metering");
    let told = pool.engine.explain(tasks[2]).and_then(|told| told.first_live).expect("it stays");
    assert_eq!((told.attempt, told.kept), (first(tasks[2], 1), Some((KeptWhy::Brake, until))));
    assert_eq!(pool.engine.counts().waiting, 2, "what the first two had");
    pool.pass(5_000);
    pool.lose("four");
    pool.lose("four");
    assert_eq!(pool.engine.brake().map(|brake| (brake.until, brake.nodes.len())), Some((until, 2)), "no longer for it");
    pool.sent();
    // One is back in time with what it had: nothing happens to that.
    pool.connect("three", &[first(tasks[2], 1)]).expect("enrolled");
    assert_eq!(pool.sent(), "");
    pool.finish("three", first(tasks[2], 1), Outcome::Exited { code: 0 }, 5_000).expect("it is current");
    pool.pass(24_999);
    assert_eq!(pool.whereabouts(first(tasks[3], 1)).as_deref(), Some("four"));
    pool.pass(1);
    assert_eq!((pool.engine.brake(), pool.whereabouts(first(tasks[3], 1))), (None, None));
    let element = pool.element(ElementRef::only(tasks[3]));
    assert_eq!((element.attempts, element.faults), (1, 1));
}

#[test]
fn after_a_start_nodes_with_attempts_are_expected() {
    let (mut pool, tasks) = four();
    pool.restart();
    ["one", "two", "three", "four"].into_iter().for_each(|name| pool.lose(name));
    assert_eq!(pool.engine.brake().map(|brake| brake.nodes.len()), Some(2));
    pool.connect("three", &[first(tasks[2], 1)]).expect("enrolled");
    pool.finish("three", first(tasks[2], 1), Outcome::Exited { code: 0 }, 5).expect("it is current");
}

#[test]
fn a_banned_node_is_not_waited_for() {
    let (mut pool, tasks) = four();
    let operator = pool.register_as("carl", rows::Role::Operator);
    ["one", "two", "three"].into_iter().for_each(|name| pool.lose(name));
    let change = service::NodeChange::Ban { reason: "out".into() };
    pool.run(Command::SetNode { by: operator, node: "three".into(), change }).expect("an operator may");
    assert_eq!((pool.engine.brake(), pool.whereabouts(first(tasks[2], 1))), (None, None));
}
