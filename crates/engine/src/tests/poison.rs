//! Elements that bring nodes down, and nodes that fail everything.

use super::fixture::*;
use crate::Resting;
use hivemind_model::state::Outcome;
use hivemind_model::*;

fn broke() -> Outcome {
    Outcome::Infrastructure { reason: "the runtime died".into() }
}

fn ready() -> Pool {
    let mut policy = Policy::default();
    policy.backlog.depth_per_core = 0;
    let mut pool = Pool::ready_with(policy);
    pool.join(&["two", "three", "four"], 2);
    pool
}

/// How a task stands after its first three attempts ended as `end` says, each on another node.
fn after_three(end: impl Fn(&mut Pool, &str, AttemptRef)) -> String {
    let mut pool = ready();
    let task = pool.submit("anna", 1);
    for number in 1..=3 {
        let attempt = first(task, number);
        let name = pool.whereabouts(attempt).expect("it is tried again");
        end(&mut pool, &name, attempt);
        pool.pass(60_000);
    }
    let element = pool.element(ElementRef::only(task));
    match pool.progress(task).failure.as_ref().map(Outcome::explain) {
        Some(failure) => failure,
        None => format!("attempt {}, {} faults", element.attempts, element.faults),
    }
}

#[test]
fn an_element_that_fails_on_three_nodes_is_tried_no_further() {
    let report = |outcome: Outcome| {
        move |pool: &mut Pool, name: &str, attempt| {
            pool.finish(name, attempt, outcome.clone(), 5).expect("it is current");
        }
    };
    let lose_after = |millis| {
        move |pool: &mut Pool, name: &str, attempt| {
            pool.start(name, attempt).expect("it is current");
            pool.pass(millis);
            pool.lose(name);
        }
    };
    let image = Outcome::ImageUnavailable { reason: "no way".into() };
    let table = [
        ("reported", after_three(report(broke()))),
        ("stopped by the owner", after_three(report(Outcome::Cancelled))),
        ("no image", after_three(report(image))),
        ("lost soon", after_three(lose_after(70_000))),
        ("lost late", after_three(lose_after(70_001))),
        ("lost before it ran", after_three(|pool, name, _| pool.lose(name))),
        ("went while its worker wound down", {
            after_three(|pool, name, attempt| {
                let (node, session) = (pool.node(name), pool.engine.node_sessions().find(|it| it.0 == pool.node(name)));
                let session = session.expect("linked").1;
                pool.run(Command::Drain { node, session }).expect("known");
                pool.finish(name, attempt, broke(), 5).expect("it is current");
            })
        }),
    ];
    let table: Vec<String> = table.into_iter().map(|(what, told)| format!("{what}: {told}")).collect();
    insta::assert_snapshot!(table.join("\n"), @r"
    reported: E_POISON: it failed on 3 different nodes, or brought them down, and is not tried on more; the last time: the runtime died
    stopped by the owner: attempt 4, 3 faults
    no image: E_IMAGE_UNAVAILABLE: docker_image: failed 3 times through no fault of the task, and is not tried again; the last time: no way
    lost soon: E_POISON: it failed on 3 different nodes, or brought them down, and is not tried on more; the last time: the node was lost
    lost late: attempt 4, 3 faults
    lost before it ran: attempt 4, 3 faults
    went while its worker wound down: attempt 4, 3 faults
    ");
}

#[test]
fn one_bad_node_is_not_the_elements_fault_and_a_restart_forgets() {
    let mut pool = ready();
    let task = pool.submit("anna", 1);
    for number in 1..=3 {
        let name = pool.whereabouts(first(task, number)).expect("it is tried again");
        pool.finish(&name, first(task, number), broke(), 5).expect("it is current");
        if number == 2 {
            pool.restart();
            for name in ["box", "two", "three", "four"] {
                pool.connect(name, &[]).expect("enrolled");
            }
        }
        pool.pass(60_000);
    }
    assert_eq!(pool.progress(task).failure, None);
}

fn only_box() -> Pool {
    let mut policy = Policy::default();
    policy.backlog.depth_per_core = 0;
    Pool::ready_with(policy)
}

fn resting(pool: &Pool) -> Option<u64> {
    let box_ = pool.engine.nodes_view().find(|node| node.name == "box").expect("enrolled");
    box_.resting_until.map(|until| until.since(pool.now).0)
}

/// Fails one fresh task on `box`.
fn fail(pool: &mut Pool, outcome: Outcome) {
    let task = pool.submit("anna", 1);
    pool.finish("box", first(task, 1), outcome, 5).expect("it is current");
    let anna = pool.user("anna");
    pool.run(Command::Cancel { user: anna, task, elements: None }).expect("it is hers");
}

#[test]
fn rests_double_and_a_success_ends_them() {
    let mut pool = only_box();
    let mut rests = Vec::new();
    for _ in 0..12 {
        fail(&mut pool, broke());
        rests.push(resting(&pool).map(|millis| millis / 1000));
        if let Some(millis) = resting(&pool) {
            pool.pass(millis - 1);
            assert_eq!(resting(&pool), Some(1));
            pool.pass(1);
        }
    }
    let doubled = [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600].map(Some);
    assert_eq!(rests, [&[None, None][..], &doubled[..]].concat());
    fail(&mut pool, Outcome::Exited { code: 1 });
    fail(&mut pool, broke());
    fail(&mut pool, Outcome::ImageUnavailable { reason: "no way".into() });
    fail(&mut pool, Outcome::Cancelled);
    fail(&mut pool, broke());
    assert_eq!(resting(&pool), None, "two in a row");
    fail(&mut pool, broke());
    assert_eq!(resting(&pool), Some(30_000));
}

#[test]
fn what_was_handed_out_before_a_rest_counts_once() {
    let mut pool = only_box();
    pool.enroll("bert", "box", 8);
    let tasks: Vec<TaskId> = (0..8).map(|_| pool.submit("anna", 1)).collect();
    for task in &tasks[..6] {
        pool.finish("box", first(*task, 1), broke(), 5).expect("it is current");
    }
    pool.pass(30_000);
    assert_eq!(resting(&pool), None);
    pool.finish("box", first(tasks[6], 1), broke(), 5).expect("it is current");
    assert_eq!(resting(&pool), None);
    // What is tried again after the rest counts.
    pool.finish("box", first(tasks[0], 2), broke(), 5).expect("it is current");
    assert_eq!(resting(&pool), Some(60_000));
    pool.finish("box", first(tasks[7], 1), Outcome::Exited { code: 0 }, 5).expect("it is current");
    assert_eq!(resting(&pool), None, "it can do something after all");
}

#[test]
fn who_waits_for_the_only_node_is_told_that_it_rests() {
    let mut pool = only_box();
    (0..3).for_each(|_| fail(&mut pool, broke()));
    let (small, large) = (pool.submit("anna", 1), pool.submit("anna", 9));
    let told = pool.engine.waiting_reason(small);
    insta::assert_snapshot!(told.expect("it waits"), @"the only node that could run it rests, because of failures in a row; the next try is in 30 s");
    insta::assert_snapshot!(pool.engine.waiting_reason(large).expect("it waits"), @"no node is linked and takes work; the task starts when one does");
    let rests = pool.engine.explain(small).and_then(|told| told.first_waiting).and_then(|waits| waits.resting);
    assert_eq!(rests, Some(Resting { nodes: 1, until: pool.now.after(Millis(30_000)) }));
    pool.sent();
    pool.pass(30_000);
    assert_eq!(pool.sent(), format!("node_1/1: run {}", first(small, 1)));
}

#[test]
fn a_node_that_is_lost_under_many_elements_made_one_error() {
    let mut pool = only_box();
    pool.enroll("bert", "box", 8);
    let quota = |pool: &Pool| pool.engine.nodes.values().next().expect("enrolled").trust.quota;
    let tasks: Vec<TaskId> = (0..8).map(|_| pool.submit("anna", 1)).collect();
    let before = quota(&pool);
    for task in &tasks[..7] {
        pool.finish("box", first(*task, 1), broke(), 5).expect("it is current");
    }
    assert_eq!(quota(&pool), before / 2, "halved once");
    pool.pass(30_000);
    pool.finish("box", first(tasks[0], 2), broke(), 5).expect("it is current");
    let floor = pool.engine.policy().trust.least_quota * 8;
    assert_eq!(quota(&pool), (before / 4).max(floor), "what it was handed after that counts");
}
