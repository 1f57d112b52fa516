//! Why a task stands where it stands.

use super::fixture::*;
use crate::{Faults, LinkState, Place, WhyItWaits};
use hivemind_model::state::Outcome;
use hivemind_model::*;
use hivemind_placement::{Ask, Constraint, Remedy, WhyWaiting};

fn waits(pool: &Pool, task: TaskId) -> WhyItWaits {
    let told = pool.engine.explain(task).expect("it is open");
    assert_eq!((told.waiting, told.live), (1, 0));
    told.first_waiting.expect("it waits")
}

#[test]
fn sixty_four_cores_are_named_with_the_largest_ask_that_would_run() {
    let mut pool = Pool::ready();
    pool.enroll("bert", "big", 8);
    pool.connect("big", &[]).expect("enrolled");
    pool.enroll("bert", "away", 64);
    let task = pool.submit("anna", 64);
    let told = waits(&pool, task);
    let cores = &told.constraints.standings[0];
    assert_eq!((cores.constraint, cores.too_small, told.constraints.linked), (Constraint::Cores, 2, 2));
    assert_eq!(cores.largest, Some(Ask::Cores(MilliCores::from_cores(8))));
    assert_eq!(told.constraints.remedy.to_string(), "ask for 8 cores instead of 64 cores");
    assert!(matches!(told.why, WhyWaiting::TooBig { .. }), "{}", told.why);
    assert_eq!((told.place, told.faults, told.node_reserved), (Some(Place::default()), None, false));
    let expires_at = pool.engine.explain(task).and_then(|told| told.expires_at);
    assert!(expires_at.is_some_and(|at| at > pool.now), "the hold lasts for a while");
}

#[test]
fn the_place_counts_requesters_by_turn_and_ones_own_by_rank() {
    let mut pool = Pool::ready();
    pool.submit("bert", 1);
    pool.submit("bert", 1);
    let bert = pool.submit("bert", 1);
    let anna = [pool.submit("anna", 1), pool.submit("anna", 2), pool.submit("anna", 1)];
    let place = |task| waits(&pool, task).place.map(|place| (place.requesters_before, place.own_before));
    assert_eq!(anna.map(place), [Some((0, 0)), Some((0, 1)), Some((0, 2))], "who has used nothing comes first");
    assert_eq!(place(bert), Some((1, 0)));
    assert_eq!(waits(&pool, bert).constraints.remedy, Remedy::Wait { big_enough: 1 });
}

#[test]
fn a_fault_a_second_try_and_the_end() {
    let mut pool = Pool::ready();
    let task = pool.submit("anna", 1);
    let (broke, at) = (Outcome::Infrastructure { reason: "the disk broke".into() }, pool.now);
    pool.finish("box", first(task, 1), broke, 0).expect("current");
    let told = waits(&pool, task);
    let Faults { count, most, not_before } = told.faults.expect("it failed");
    assert_eq!((count, most, told.place), (1, pool.engine.policy().max_infrastructure_failures, None));
    let not_before = not_before.expect("it pauses");
    assert!(not_before > at);
    pool.pass(not_before.since(at).0);
    let run = |pool: &Pool| {
        let told = pool.engine.explain(task).expect("it is open");
        assert_eq!((told.waiting, told.live, told.first_waiting), (0, 1, None));
        told.first_live.expect("it is handed out")
    };
    let handed_out = run(&pool);
    assert_eq!((handed_out.attempt, handed_out.node), (first(task, 2), pool.node("box")));
    assert_eq!((handed_out.assigned_at, handed_out.started_at), (not_before, None));
    pool.pass(10);
    pool.start("box", first(task, 2)).expect("current");
    assert_eq!(run(&pool).started_at, Some(pool.now));
    assert_eq!(run(&pool).link, LinkState::Online);
    let session = pool.sessions;
    pool.run(Command::Disconnected { node: pool.node("box"), session }).expect("known");
    assert_eq!(run(&pool).link, LinkState::Away);
    pool.connect("box", &[first(task, 2)]).expect("enrolled");
    pool.finish("box", first(task, 2), Outcome::Exited { code: 0 }, 10).expect("current");
    assert_eq!((pool.engine.explain(task), pool.engine.explain(TaskId(99))), (None, None));
}

#[test]
fn a_node_that_is_kept_free_is_told() {
    let mut pool = Pool::ready();
    pool.submit("bert", 1);
    let large = pool.submit("anna", 2);
    assert!(!waits(&pool, large).node_reserved);
    pool.pass(pool.engine.policy().scheduling.reserve_after.0);
    let small = pool.submit("bert", 1);
    assert!(waits(&pool, large).node_reserved);
    assert!(!waits(&pool, small).node_reserved);
}

#[test]
fn a_node_that_may_take_nothing_more_today_is_no_node_with_room() {
    let mut policy = Policy::default();
    (policy.trust.first_quota, policy.trust.most_quota, policy.trust.least_quota) = (1, 1, 1);
    let mut pool = Pool::ready_with(policy);
    let waiting = |pool: &mut Pool| {
        let task = pool.submit("anna", 1);
        let waits = pool.engine.explain(task).expect("it is open").first_waiting;
        if waits.is_none() {
            pool.finish("box", first(task, 1), Outcome::Exited { code: 0 }, 5).expect("current");
        }
        waits
    };
    let waits = (0..100).find_map(|_| waiting(&mut pool)).expect("its quota ends");
    assert_eq!((waits.why, waits.constraints.linked, waits.spent), (WhyWaiting::NoNode, 0, 1));
}
