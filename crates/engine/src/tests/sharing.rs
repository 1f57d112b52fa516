//! Fair share: who has much waiting does not keep others out.

use super::fixture::*;
use hivemind_model::spec::{BlobRef, Digest, InputFile};
use hivemind_model::state::Outcome;
use hivemind_model::*;

const DONE: Outcome = Outcome::Exited { code: 0 };

impl Pool {
    /// Ends everything that is handed out, each after so long; whose it was, in order.
    fn round(&mut self, millis: u64) -> String {
        let sent = std::mem::take(&mut self.effects);
        let assigned = sent.into_iter().filter_map(|effect| match effect {
            Effect::Assign { attempt, .. } => Some(attempt),
            Effect::Stop { .. } | Effect::Compare { .. } | Effect::Unlink { .. } | Effect::TaskMoved { .. } => None,
        });
        let assigned: Vec<AttemptRef> = assigned.collect();
        self.pass(millis);
        let mut whose = String::new();
        for attempt in assigned {
            let user = self.tables.tasks[&attempt.element.task].user;
            let name = &self.tables.users[&user].username;
            whose.push(name.chars().next().expect("no empty name"));
            self.finish("box", attempt, DONE, millis).expect("it is current");
        }
        whose
    }
}

#[test]
fn the_second_requester_waits_for_one_task_and_no_longer() {
    let mut pool = Pool::ready();
    for _ in 0..40 {
        pool.submit("anna", 1);
    }
    assert_eq!(pool.round(1_000), "aa");
    for _ in 0..10 {
        pool.submit("bert", 1);
    }
    // Two of anna's run already when bert comes; the next room is his, then they take turns.
    assert_eq!(pool.round(1_000), "aa");
    let mut order = String::new();
    for _ in 0..6 {
        order += &pool.round(1_000);
    }
    insta::assert_snapshot!(order, @"babababababa");
}

#[test]
fn what_was_used_is_forgiven_with_time_and_known_after_a_restart() {
    let mut pool = Pool::ready();
    for _ in 0..4 {
        pool.submit("anna", 1);
    }
    pool.round(3_000_000);
    pool.round(3_000_000);
    let shown = |pool: &Pool| {
        let order = ["anna", "bert"].map(|name| pool.engine.turn(pool.user(name)));
        if order[0] < order[1] { "anna first" } else { "bert first" }
    };
    assert_eq!(shown(&pool), "bert first");
    pool.restart();
    assert_eq!(shown(&pool), "bert first", "a restart forgives nothing");
}

#[test]
fn a_node_that_has_read_the_inputs_is_preferred() {
    let mut pool = Pool::ready();
    pool.register("carl");
    for name in ["one", "two", "three"] {
        pool.enroll("carl", name, 2);
        pool.connect(name, &[]).expect("enrolled");
    }
    let reads = |content: u8| {
        let blob = BlobRef { digest: Digest([content; 32]), size: Bytes::from_mib(1) };
        TaskSpec { files: vec![InputFile { path: "in".into(), blob }], ..(*spec(1)).clone() }
    };
    let placed = |pool: &Pool, task| pool.tables.attempts[&first(task, 1)].node;
    // Every node has the image, so that it tells none of them apart.
    let all: Vec<TaskId> = (0..4).map(|_| pool.submit("anna", 2)).collect();
    for task in all {
        let name = pool.tables.nodes[&placed(&pool, task)].name.clone();
        pool.finish(&name, first(task, 1), Outcome::Exited { code: 0 }, 5).expect("it is current");
    }
    for content in 1..=12 {
        let task = pool.submit_spec("anna", reads(content)).expect("accepted");
        let node = placed(&pool, task);
        let name = pool.tables.nodes[&node].name.clone();
        pool.finish(&name, first(task, 1), Outcome::Exited { code: 0 }, 5).expect("it is current");
        let again = pool.submit_spec("anna", reads(content)).expect("accepted");
        assert_eq!(placed(&pool, again), node, "content {content}");
        pool.finish(&name, first(again, 1), Outcome::Exited { code: 0 }, 5).expect("it is current");
    }
}
