//! What nodes are handed in advance.

use super::fixture::*;
use crate::state::Stage;
use hivemind_model::rows::AttemptPhase;
use hivemind_model::service::NodeChange;
use hivemind_model::state::Outcome;
use hivemind_model::*;
use std::collections::BTreeMap;

const OK: Outcome = Outcome::Exited { code: 0 };

/// The policy with a backlog of the same length whatever the pace.
fn few() -> Policy {
    let mut policy = Policy::default();
    policy.backlog.ahead = Millis(0);
    policy
}

/// `box` has two cores, and one attempt on it was short.
fn ready() -> Pool {
    let mut pool = Pool::ready_with(few());
    quicken(&mut pool, "box");
    pool.sent();
    pool
}

/// Lets an idle node finish something short.
fn quicken(pool: &mut Pool, name: &str) {
    let task = pool.submit("bert", 1);
    let attempt = pool.current(ElementRef::only(task));
    assert_eq!(pool.whereabouts(attempt).as_deref(), Some(name));
    pool.finish(name, attempt, OK, 1).expect("it is current");
}

/// How many attempts of each node have room there, and how many are queued.
fn seats(pool: &Pool) -> String {
    let nodes = pool.engine.nodes_view().filter(|node| node.attempts > 0);
    let lines = nodes.map(|node| format!("{}: {} + {}", node.name, node.attempts - node.queued, node.queued));
    lines.collect::<Vec<_>>().join(", ")
}

fn many(pool: &mut Pool, user: &str, count: usize) -> Vec<TaskId> {
    (0..count).map(|_| pool.submit(user, 1)).collect()
}

#[test]
fn only_nodes_whose_attempts_are_short_have_a_backlog() {
    let mut pool = Pool::ready_with(few());
    let tasks = many(&mut pool, "anna", 10);
    assert_eq!(seats(&pool), "box: 2 + 0", "nothing is known of it");
    pool.pass(2_000);
    pool.finish("box", first(tasks[0], 1), OK, 2_000).expect("it is current");
    assert_eq!(seats(&pool), "box: 2 + 0", "two seconds are not short");
    pool.finish("box", first(tasks[1], 1), OK, 1_999).expect("it is current");
    assert_eq!(seats(&pool), "box: 2 + 4", "two for each core");
    assert_eq!(pool.engine.counts().waiting, 2);
    let queued = pool.engine.explain(tasks[4]).and_then(|told| told.first_live).map(|run| run.queued);
    assert_eq!(queued, Some(true));
}

#[test]
fn the_shorter_they_are_the_more_are_handed_out_ahead() {
    for (wall, expected) in [(2, "box: 2 + 50"), (10, "box: 2 + 10"), (30, "box: 2 + 4")] {
        let mut pool = Pool::ready_with(Policy::default());
        let task = pool.submit("bert", 1);
        pool.pass(wall);
        pool.finish("box", first(task, 1), OK, wall).expect("it is current");
        many(&mut pool, "anna", 60);
        assert_eq!(seats(&pool), expected, "{wall} ms");
    }
}

#[test]
fn freed_room_goes_to_the_first_of_the_backlog() {
    let mut pool = ready();
    let tasks = many(&mut pool, "anna", 7);
    insta::assert_snapshot!(pool.sent(), @r"
    node_1/1: run att_2.0.1
    node_1/1: run att_3.0.1
    node_1/1: run att_4.0.1
    node_1/1: run att_5.0.1
    node_1/1: run att_6.0.1
    node_1/1: run att_7.0.1
    ");
    pool.start("box", first(tasks[0], 1)).expect("it is current");
    pool.finish("box", first(tasks[0], 1), OK, 1).expect("it is current");
    insta::assert_snapshot!(pool.sent(), @r"
    task_2 running
    task_2 completed
    node_1/1: run att_8.0.1
    ");
    assert_eq!(seats(&pool), "box: 2 + 4");
    pool.start("box", first(tasks[2], 1)).expect("it has room now");
    pool.finish("box", first(tasks[2], 1), OK, 1).expect("it is current");
    // Its word goes before the engine's guess: what does not run yet gives way.
    pool.start("box", first(tasks[6], 1)).expect("it has begun it");
    assert_eq!((seats(&pool), pool.progress(tasks[6]).state), ("box: 2 + 3".into(), TaskState::Running));
    pool.finish("box", first(tasks[5], 1), OK, 1).expect("it has run it already");
    assert_eq!((pool.progress(tasks[5]).state, seats(&pool)), (TaskState::Completed, "box: 2 + 2".into()));
}

#[test]
fn what_is_begun_before_the_end_that_made_room_is_known_runs_once() {
    let mut pool = ready();
    let tasks = many(&mut pool, "anna", 4);
    for task in &tasks[..2] {
        pool.start("box", first(*task, 1)).expect("it is current");
    }
    pool.sent();
    pool.start("box", first(tasks[2], 1)).expect("its node knows of an end that is not told yet");
    assert_eq!((seats(&pool), pool.progress(tasks[2]).state), ("box: 2 + 2".into(), TaskState::Pending));
    pool.finish("box", first(tasks[0], 1), OK, 1).expect("it is current");
    assert_eq!((seats(&pool), pool.progress(tasks[2]).state), ("box: 2 + 1".into(), TaskState::Running));
    pool.finish("box", first(tasks[3], 1), OK, 1).expect("that, too, was begun and has ended");
    assert_eq!((seats(&pool), pool.progress(tasks[3]).state), ("box: 2 + 0".into(), TaskState::Completed));
    for task in &tasks[1..3] {
        pool.finish("box", first(*task, 1), OK, 1).expect("it is current");
    }
    assert!(!pool.sent().contains("stop"), "nothing is run twice");
    assert!(tasks.iter().all(|task| pool.progress(*task).state == TaskState::Completed));
}

#[test]
fn a_node_with_room_takes_what_is_queued_elsewhere() {
    let mut pool = ready();
    let tasks = many(&mut pool, "anna", 6);
    assert_eq!(seats(&pool), "box: 2 + 4");
    pool.join(&["other"], 3);
    assert_eq!(seats(&pool), "box: 2 + 1, other: 3 + 0");
    insta::assert_snapshot!(pool.sent().lines().skip(6).collect::<Vec<_>>().join("\n"), @r"
    node_1/1: stop att_7.0.1
    node_1/1: stop att_6.0.1
    node_1/1: stop att_5.0.1
    node_2/2: run att_5.0.2
    node_2/2: run att_6.0.2
    node_2/2: run att_7.0.2
    ");
    assert_eq!(pool.start("box", first(tasks[5], 1)).map_err(|no| no.code), Err(Code::Stale), "it learns so in time");
    assert_eq!(pool.element(ElementRef::only(tasks[5])).faults, 0);
}

#[test]
fn who_has_nothing_running_waits_for_one_task_only() {
    let mut pool = ready();
    let tasks = many(&mut pool, "anna", 20);
    assert_eq!(seats(&pool), "box: 2 + 4");
    let bert = many(&mut pool, "bert", 3);
    pool.finish("box", first(tasks[0], 1), OK, 1).expect("it is current");
    pool.start("box", pool.current(ElementRef::only(bert[0]))).expect("the next room is his");
    assert_eq!(seats(&pool), "box: 2 + 4");
}

/// What becomes of a full backlog, and of what has room.
fn after(change: impl Fn(&mut Pool)) -> String {
    let mut pool = ready();
    let tasks = many(&mut pool, "anna", 6);
    pool.sent();
    change(&mut pool);
    let faults: u32 = tasks.iter().map(|task| pool.element(ElementRef::only(*task)).faults).sum();
    let stops = pool.sent().matches("stop").count();
    let waiting = pool.engine.counts().waiting;
    format!("{} | waiting {waiting}, stopped {stops}, faults {faults}", seats(&pool))
}

#[test]
fn who_takes_no_more_work_has_no_backlog() {
    let set = |change: NodeChange| {
        move |pool: &mut Pool| {
            let by = pool.user("bert");
            pool.run(Command::SetNode { by, node: "box".into(), change: change.clone() }).expect("it is his");
        }
    };
    let drain = |pool: &mut Pool| {
        let (node, session) = (pool.node("box"), pool.sessions);
        pool.run(Command::Drain { node, session }).expect("known");
    };
    let rest = |pool: &mut Pool| {
        pool.pass(0);
        for task in 2..=4 {
            let broke = Outcome::Infrastructure { reason: "broke".into() };
            pool.finish("box", first(TaskId(task), 1), broke, 1).expect("it is current");
        }
    };
    let table = [
        ("nothing", after(|_| ())),
        ("cordon", after(set(NodeChange::Cordon))),
        ("drain by people", after(set(NodeChange::Drain { within: Millis(9_000) }))),
        ("drain by its worker", after(drain)),
        ("lost", after(|pool| pool.lose("box"))),
        ("rest", after(rest)),
        ("away", after(|pool| drop(pool.run(Command::Disconnected { node: NodeId(1), session: 1 })))),
        ("back without any", after(|pool| drop(pool.connect("box", &[])))),
        ("waited for long", after(|pool| pool.pass(16_000))),
    ];
    let table: Vec<String> = table.into_iter().map(|(what, told)| format!("{what}: {told}")).collect();
    insta::assert_snapshot!(table.join("\n"), @r"
    nothing: box: 2 + 4 | waiting 0, stopped 0, faults 0
    cordon: box: 2 + 0 | waiting 4, stopped 4, faults 0
    drain by people: box: 2 + 0 | waiting 4, stopped 4, faults 0
    drain by its worker: box: 2 + 0 | waiting 4, stopped 4, faults 0
    lost:  | waiting 6, stopped 0, faults 2
    rest: box: 2 + 0 | waiting 4, stopped 1, faults 3
    away: box: 2 + 4 | waiting 0, stopped 0, faults 0
    back without any: box: 2 + 4 | waiting 0, stopped 0, faults 2
    waited for long: box: 2 + 0 | waiting 4, stopped 4, faults 0
    ");
}

#[test]
fn a_start_gives_room_in_the_order_of_the_hand_out() {
    let mut pool = ready();
    let tasks = many(&mut pool, "anna", 6);
    pool.start("box", first(tasks[1], 1)).expect("it is current");
    pool.restart();
    assert_eq!(seats(&pool), "box: 2 + 4");
    let holds: Vec<AttemptRef> = tasks.iter().map(|task| first(*task, 1)).collect();
    pool.connect("box", &holds).expect("enrolled");
    assert_eq!(seats(&pool), "box: 2 + 4");
    for task in [0, 2, 3] {
        pool.start("box", first(tasks[task], 1)).expect("there is room");
        pool.finish("box", first(tasks[task], 1), OK, 1).expect("it is current");
    }
    assert_eq!(seats(&pool), "box: 2 + 1");
}

#[test]
fn what_is_queued_has_used_nothing() {
    let mut pool = ready();
    let used = |pool: &Pool| pool.engine.turn(pool.user("anna")).used;
    let tasks = many(&mut pool, "anna", 6);
    let anna = pool.user("anna");
    for task in &tasks {
        assert!(used(&pool) > 0, "what is handed out counts");
        pool.run(Command::Cancel { user: anna, task: *task, elements: None }).expect("it is hers");
    }
    assert_eq!(used(&pool), 0);
}

#[test]
fn what_is_large_is_not_kept_out_by_what_is_queued() {
    let mut policy = few();
    policy.scheduling.reserve_after = Millis(20_000);
    let mut pool = Pool::ready_with(policy);
    quicken(&mut pool, "box");
    many(&mut pool, "bert", 2);
    pool.join(&["other"], 2);
    quicken(&mut pool, "other");
    many(&mut pool, "bert", 14);
    let large = ElementRef::only(pool.submit("anna", 2));
    for round in 0.. {
        // Always more of what is small, and one core of the two at a time.
        let missing = 6usize.saturating_sub(pool.engine.counts().waiting);
        many(&mut pool, "bert", missing);
        pool.pass(1_000);
        let has_room = |at: &AttemptRef| pool.engine.live[at].stage != Stage::Queued;
        let runs: Vec<AttemptRef> = pool.engine.live.keys().filter(|at| has_room(at)).copied().collect();
        if runs.iter().any(|attempt| attempt.element == large) {
            break;
        }
        for attempt in runs {
            let name = pool.whereabouts(attempt).expect("it is current");
            pool.finish(&name, attempt, OK, 1).expect("it is current");
        }
        assert!(round < 50, "it starves: {}", seats(&pool));
    }
}

/// What ran there was short, what runs there now is not.
#[test]
fn a_node_on_which_things_wait_for_long_has_no_backlog() {
    let mut pool = ready();
    let tasks = many(&mut pool, "anna", 6);
    pool.pass(16_000);
    assert_eq!((seats(&pool), pool.engine.counts().waiting), ("box: 2 + 0".into(), 4));
    pool.finish("box", first(tasks[0], 1), OK, 1).expect("it is current");
    many(&mut pool, "anna", 2);
    assert_eq!((seats(&pool), pool.engine.counts().waiting), ("box: 2 + 4".into(), 1));
    assert_eq!(pool.element(ElementRef::only(tasks[3])).attempts, 2);
}

#[test]
fn a_killed_worker_with_fifty_running_elements() {
    let mut pool = Pool::ready_with(few());
    pool.enroll("bert", "fifty", 50);
    pool.connect("fifty", &[]).expect("enrolled");
    let mut array = (*spec(1)).clone();
    let indices = "1-60".parse().expect("a range");
    array.array = Some(array::Array { indices, entries: None, max_fails: None });
    (array.max_runtime, array.resources.memory) = (Millis(60_000), Bytes::from_mib(64));
    let task = pool.submit_spec("anna", array).expect("there is money");
    let on = |pool: &Pool, name: &str| -> Vec<AttemptRef> {
        let live = pool.engine.live.iter().filter(|(_, live)| live.node == pool.node(name));
        live.map(|(attempt, _)| *attempt).collect()
    };
    let killed = on(&pool, "fifty");
    assert_eq!(killed.len(), 50);
    killed.iter().for_each(|attempt| drop(pool.start("fifty", *attempt)));
    pool.join(&["new"], 60);
    pool.pass(10_000);
    pool.lose("fifty");
    let again = on(&pool, "new");
    assert!(killed.iter().all(|old| again.iter().any(|new| new.element == old.element)), "all of them, at once");
    // The old ones were only cut off, and report when they are back.
    assert!(matches!(pool.connect("fifty", &killed), Ok(Reply::Connected { stale }) if stale == killed));
    for old in killed {
        assert_eq!(pool.finish("fifty", old, OK, 10_000).map_err(|no| no.code), Err(Code::Stale));
    }
    while let Some(attempt) = pool.engine.live.keys().next().copied() {
        let name = pool.whereabouts(attempt).expect("it is current");
        pool.finish(&name, attempt, OK, 10).expect("it is current");
    }
    assert_eq!(pool.progress(task).ended.completed, 60);
    let mut accepted: BTreeMap<ElementRef, u32> = BTreeMap::new();
    for row in pool.tables.attempts.values() {
        let done = matches!(&row.phase, AttemptPhase::Ended { report, .. } if report.outcome.is_success());
        *accepted.entry(row.attempt.element).or_default() += u32::from(done);
    }
    assert!(accepted.values().all(|times| *times == 1), "none twice");
}
