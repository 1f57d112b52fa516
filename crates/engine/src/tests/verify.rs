//! Copies of one element: agreed on, contradicted, lost, and looked at again.

use super::fixture::*;
use crate::Engine;
use hivemind_model::rows::{AttemptPhase, ElementPhase, Report};
use hivemind_model::service::NodeChange;
use hivemind_model::spec::Digest;
use hivemind_model::verify::{Compare, Doubt, Rule, Verification};
use hivemind_model::*;
use hivemind_trust::Secret;
use hivemind_trust::coin::throw;

/// A pool where `owners` people have a node of four cores each, and anna wants work done.
fn town(owners: usize) -> Pool {
    let mut pool = Pool::new(Policy::default());
    pool.register("anna");
    for owner in 0..owners {
        pool.register(&format!("owner{owner}"));
        pool.enroll(&format!("owner{owner}"), &format!("node{owner}"), 4);
        pool.connect(&format!("node{owner}"), &[]).expect("it is enrolled");
    }
    pool
}

fn verified(rule: Rule) -> TaskSpec {
    let verify = Verification { rule, compare: Compare::Exact };
    TaskSpec { verify, max_runtime: Millis::from_secs(60), ..(*spec(1)).clone() }
}

fn quorum(replicas: u8, quorum: u8) -> TaskSpec {
    verified(Rule::Quorum { replicas, quorum })
}

impl Pool {
    /// The live attempts of an element with their nodes' names.
    fn copies(&self, task: TaskId) -> Vec<(AttemptRef, String)> {
        let live = self.tables.attempts.values().filter(|row| {
            row.attempt.element.task == task
                && matches!(row.phase, AttemptPhase::Assigned | AttemptPhase::Running { .. })
        });
        live.map(|row| (row.attempt, self.tables.nodes[&row.node].name.clone())).collect()
    }

    fn say(&mut self, (attempt, node): &(AttemptRef, String), content: u8) {
        let report = Report { digest: Some(Digest([content; 32])), ..report(Outcome::Exited { code: 0 }, 500) };
        self.run(Command::Finished { node: self.node(node), attempt: *attempt, report }).expect("it is current");
    }

    /// Finds a node wrong by a known answer that it alone is asked for, and does not know.
    fn catch(&mut self, cheat: &str) {
        let others: Vec<String> =
            self.tables.nodes.values().map(|node| node.name.clone()).filter(|name| name != cheat).collect();
        let set = |pool: &mut Self, change: NodeChange| {
            for name in &others {
                let by = pool.tables.nodes[&pool.node(name)].owner;
                pool.run(Command::SetNode { by, node: name.clone(), change: change.clone() }).expect("it is their own");
            }
        };
        set(self, NodeChange::Cordon);
        let known = self.submit_spec("anna", verified(Rule::Known { digest: Digest([5; 32]) })).expect("accepted");
        let asked = self.copies(known);
        assert_eq!(asked.iter().map(|(_, node)| node.as_str()).collect::<Vec<_>>(), [cheat]);
        self.say(&asked[0], 6);
        set(self, NodeChange::Uncordon);
        let right = self.copies(known)[0].clone();
        self.say(&right, 5);
        assert_eq!(self.tables.trusts[&self.node(cheat)].wrong, 1);
    }

    fn cost(&self, attempt: AttemptRef) -> Option<Cpt> {
        match &self.tables.attempts[&attempt].phase {
            AttemptPhase::Ended { cost, .. } => Some(*cost),
            AttemptPhase::Assigned | AttemptPhase::Running { .. } | AttemptPhase::Reported { .. } => None,
        }
    }
}

#[test]
fn copies_go_to_different_owners_and_both_are_paid_when_they_agree() {
    let mut pool = town(4);
    let task = pool.submit_spec("anna", quorum(2, 2)).expect("accepted");
    let copies = pool.copies(task);
    assert_eq!(copies.len(), 2);
    assert_ne!(copies[0].1, copies[1].1);
    pool.pass(1000);
    pool.say(&copies[0], 7);
    assert_eq!((pool.cost(copies[0].0), pool.progress(task).state), (None, TaskState::Pending));
    pool.say(&copies[1], 7);
    assert_eq!(pool.progress(task).state, TaskState::Completed);
    let paid: Vec<bool> = copies.iter().map(|(attempt, _)| pool.cost(*attempt).is_some_and(Cpt::is_positive)).collect();
    assert_eq!(paid, [true, true]);
    assert_eq!(pool.element(ElementRef::only(task)).accepted, 1);
    let trust = |pool: &Pool, name: &str| pool.tables.trusts[&pool.node(name)].valid;
    assert_eq!((trust(&pool, &copies[0].1), trust(&pool, &copies[1].1)), (1, 1));
}

#[test]
fn who_is_contradicted_is_not_paid() {
    let mut pool = town(5);
    let task = pool.submit_spec("anna", quorum(3, 2)).expect("accepted");
    let copies = pool.copies(task);
    assert_eq!(copies.len(), 3);
    pool.pass(1000);
    pool.say(&copies[0], 1);
    pool.say(&copies[1], 2);
    assert_eq!(pool.progress(task).state, TaskState::Pending);
    pool.say(&copies[2], 2);
    assert_eq!(pool.progress(task).state, TaskState::Completed);
    assert_eq!(pool.cost(copies[0].0), Some(Cpt::ZERO));
    assert!(pool.cost(copies[1].0).is_some_and(Cpt::is_positive));
    assert_eq!(pool.element(ElementRef::only(task)).accepted, copies[1].0.number);
    assert!(pool.tables.holds.is_empty() && pool.tables.accruals.is_empty());
}

#[test]
fn further_copies_are_made_until_a_quorum_is_there() {
    let mut pool = town(6);
    let task = pool.submit_spec("anna", quorum(2, 2)).expect("accepted");
    pool.pass(1000);
    let first = pool.copies(task);
    pool.say(&first[0], 1);
    pool.say(&first[1], 2);
    let second = pool.copies(task);
    assert_eq!(second.len(), 1);
    assert!(first.iter().all(|(_, node)| *node != second[0].1));
    pool.say(&second[0], 2);
    assert_eq!(pool.progress(task).state, TaskState::Completed);
}

#[test]
fn confidence_asks_new_nodes_for_five_equal_results() {
    let mut pool = town(8);
    let task = pool.submit_spec("anna", verified(Rule::Confidence { doubt: Doubt(1000) })).expect("accepted");
    let mut said = 0;
    while pool.progress(task).state != TaskState::Completed {
        let copies = pool.copies(task);
        assert!(!copies.is_empty(), "nobody is asked after {said} results");
        pool.pass(100);
        pool.say(&copies[0], 9);
        said += 1;
    }
    assert_eq!(said, 5);
}

#[test]
fn a_lost_copy_is_replaced_and_a_cancelled_task_pays_what_is_here() {
    let mut pool = town(4);
    let task = pool.submit_spec("anna", quorum(2, 2)).expect("accepted");
    let copies = pool.copies(task);
    pool.pass(1000);
    pool.say(&copies[0], 1);
    pool.run(Command::Lost { node: pool.node(&copies[1].1) }).expect("known");
    let after = pool.copies(task);
    assert_eq!(after.len(), 1);
    assert!(after[0].1 != copies[0].1 && after[0].1 != copies[1].1);
    pool.run(Command::Cancel { user: pool.user("anna"), task, elements: None }).expect("open");
    assert_eq!(pool.progress(task).state, TaskState::Cancelled);
    assert!(pool.cost(copies[0].0).is_some_and(Cpt::is_positive));
    assert_eq!(pool.cost(after[0].0), Some(Cpt::ZERO));
    assert!(pool.tables.holds.is_empty());
}

#[test]
fn a_known_answer_finds_who_is_wrong_once_another_is_right() {
    let mut pool = town(3);
    let task = pool.submit_spec("anna", verified(Rule::Known { digest: Digest([5; 32]) })).expect("accepted");
    pool.pass(1000);
    let wrong = pool.copies(task)[0].clone();
    pool.say(&wrong, 4);
    let right = pool.copies(task)[0].clone();
    assert_ne!(wrong.1, right.1);
    pool.say(&right, 5);
    assert_eq!(pool.progress(task).state, TaskState::Completed);
    assert_eq!(pool.tables.trusts[&pool.node(&wrong.1)].wrong, 1);
    assert_eq!(pool.tables.trusts[&pool.node(&right.1)].valid, 1);
    assert_eq!(pool.cost(wrong.0), Some(Cpt::ZERO));
}

#[test]
fn copies_that_differ_for_ever_are_disputed_and_unpaid() {
    let mut pool = town(20);
    let task = pool.submit_spec("anna", quorum(2, 2)).expect("accepted");
    pool.pass(1000);
    let mut content = 0;
    while let Some(copy) = pool.copies(task).first().cloned() {
        content += 1;
        pool.say(&copy, content);
    }
    assert_eq!((pool.progress(task).state, content), (TaskState::Failed, 16));
    assert_eq!(pool.progress(task).cost, Cpt::ZERO);
    assert!(matches!(
        pool.element(ElementRef::only(task)).phase,
        ElementPhase::Ended { outcome: Outcome::Disputed { .. } }
    ));
}

#[test]
fn results_that_are_compared_elsewhere_wait_for_the_answer() {
    let mut pool = town(4);
    let mut spec = quorum(2, 2);
    spec.verify.compare = Compare::Numeric { tolerance: 1000 };
    let task = pool.submit_spec("anna", spec).expect("accepted");
    pool.pass(1000);
    let copies = pool.copies(task);
    pool.sent();
    pool.say(&copies[0], 1);
    pool.say(&copies[1], 2);
    assert!(pool.sent().contains("compare"), "a comparison is asked for");
    assert_eq!(pool.progress(task).state, TaskState::Pending);
    pool.run(Command::Compared { attempt: copies[1].0, same_as: Some(copies[0].0) }).expect("asked for");
    assert_eq!(pool.progress(task).state, TaskState::Completed);
}

#[test]
fn who_is_caught_loses_all_trust_and_what_rested_on_them_is_done_again() {
    let mut pool = town(12);
    // An array, so that its task is open while its first element is decided.
    let array = array::Array { indices: "0-3".parse().expect("indices"), entries: None, max_fails: None };
    let spec = TaskSpec { array: Some(array), ..quorum(2, 2) };
    let task = pool.submit_spec("anna", spec).expect("accepted");
    pool.pass(1000);
    let of = |pool: &Pool, index: u32| -> Vec<(AttemptRef, String)> {
        pool.copies(task).into_iter().filter(|(attempt, _)| attempt.element.index == index).collect()
    };
    let both = of(&pool, 0);
    both.iter().for_each(|copy| pool.say(copy, 1));
    for index in [1, 2] {
        of(&pool, index).iter().for_each(|copy| pool.say(copy, 1));
    }
    let cheat = both[0].1.clone();
    pool.catch(&cheat);
    let row = pool.tables.trusts[&pool.node(&cheat)];
    assert_eq!((row.valid, row.wrong), (0, 1));
    // As many as the hold can pay for, whatever the others still cost.
    let again: Vec<_> = pool.copies(task).into_iter().filter(|(attempt, _)| attempt.element.index < 3).collect();
    assert!(!again.is_empty() && again.iter().all(|(_, node)| *node != cheat), "{again:?}");
    again.iter().for_each(|copy| pool.say(copy, 2));
    let (first, _) = again[0];
    assert_eq!(pool.element(first.element).accepted, first.number);
    while let Some(copy) = pool.copies(task).first().cloned() {
        pool.say(&copy, 2);
    }
    assert_eq!(pool.progress(task).state, TaskState::Completed);
}

#[test]
fn what_a_node_was_kept_free_for_gets_no_second_copy_from_its_owner() {
    let mut pool = town(1);
    pool.enroll("owner0", "other0", 4);
    pool.connect("other0", &[]).expect("it is enrolled");
    let long = TaskSpec { max_runtime: Millis::from_secs(3600), ..(*spec(4)).clone() };
    let fills: Vec<TaskId> = (0..2).map(|_| pool.submit_spec("anna", long.clone()).expect("accepted")).collect();
    let large = TaskSpec { resources: spec(4).resources, ..quorum(2, 2) };
    let task = pool.submit_spec("anna", large).expect("accepted");
    let fills: Vec<(AttemptRef, String)> = fills.into_iter().flat_map(|task| pool.copies(task)).collect();
    assert_eq!(fills.len(), 2);
    // It has waited for so long that one of the two nodes is kept free for it; the pass that finds out is thorough.
    pool.pass(700_000);
    pool.submit("anna", 4);
    // Then both have room, in one batch.
    for (attempt, node) in &fills {
        let (node, report) = (pool.node(node), report(Outcome::Exited { code: 0 }, 1000));
        pool.engine.apply(Command::Finished { node, attempt: *attempt, report }, pool.now).expect("it is current");
    }
    pool.engine.schedule(pool.now);
    pool.settle();
    assert_eq!(pool.copies(task).len(), 1);
}

#[test]
fn that_a_copy_failed_is_one_nodes_word_too() {
    let mut pool = town(4);
    let task = pool.submit_spec("anna", quorum(2, 2)).expect("accepted");
    pool.pass(1000);
    let copies = pool.copies(task);
    for (at, (attempt, node)) in copies.iter().enumerate() {
        assert_eq!((pool.progress(task).state, pool.cost(copies[0].0)), (TaskState::Pending, None), "{at} are here");
        let report = report(state::Outcome::Exited { code: 3 }, 500);
        let report = Report { digest: Some(Digest([7; 32])), ..report };
        pool.run(Command::Finished { node: pool.node(node), attempt: *attempt, report }).expect("it is current");
    }
    assert_eq!(pool.progress(task).state, TaskState::Failed);
    assert!(copies.iter().all(|(attempt, _)| pool.cost(*attempt).is_some_and(Cpt::is_positive)));
}

#[test]
fn wrong_tries_for_a_known_answer_leave_the_hold_to_the_next() {
    let mut pool = town(4);
    let task = pool.submit_spec("anna", verified(Rule::Known { digest: Digest([5; 32]) })).expect("accepted");
    for wrong in 1..=3 {
        let (attempt, node) = pool.copies(task)[0].clone();
        pool.start(&node, attempt).expect("it is current");
        // All of its time, and so all of the hold.
        (0..6).for_each(|_| pool.pass(10_000));
        let report = Report { digest: Some(Digest([wrong; 32])), ..report(Outcome::Exited { code: 0 }, 60_000) };
        pool.run(Command::Finished { node: pool.node(&node), attempt, report }).expect("it is current");
        assert!(pool.tables.accruals.is_empty(), "what is not the answer earns nothing");
    }
    let (attempt, node) = pool.copies(task)[0].clone();
    pool.start(&node, attempt).expect("it is current");
    pool.pass(60_000);
    pool.run(Command::Cancel { user: pool.user("anna"), task, elements: None }).expect("open");
    let paid: Vec<bool> = (1..=4).map(|n| pool.cost(first(task, n)).is_some_and(Cpt::is_positive)).collect();
    assert_eq!(paid, [false, false, false, true], "only what ran when it was cancelled");
    assert!(pool.tables.holds.is_empty());
}

#[test]
fn what_waits_for_a_spot_check_waits_for_it_after_a_restart() {
    let mut pool = town(3);
    for id in pool.tables.nodes.keys() {
        let node = pool.engine.nodes.get_mut(id).expect("enrolled");
        node.trust.valid = 900;
        pool.tables.trusts.insert(*id, node.trust);
    }
    pool.restart();
    (0..3).for_each(|n| drop(pool.connect(&format!("node{n}"), &[])));
    let task = pool.submit_spec("anna", verified(Rule::Confidence { doubt: Doubt(50_000) })).expect("accepted");
    let after = after::After {
        tasks: vec![after::Dependency { task, when: after::When::Success, each: false }],
        ..after::After::default()
    };
    pool.submit_spec("anna", TaskSpec { after, ..short() }).expect("accepted");
    let copy = pool.copies(task)[0].clone();
    let checks = |secret: &Secret| throw(secret, copy.0, pool.engine.policy().trust.spot_floor);
    let secret = (1..=255).map(|n| Secret::new([n; 32])).find(checks).expect("one in twenty does");
    assert!(!checks(&Secret::new([0; 32])));
    pool.engine = std::mem::replace(&mut pool.engine, Engine::found(Policy::default(), pool.now)).with_secret(secret);
    pool.pass(1000);
    let report = Report { digest: Some(Digest([1; 32])), ..report(Outcome::Exited { code: 0 }, 500) };
    let node = pool.node(&copy.1);
    pool.engine.apply(Command::Finished { node, attempt: copy.0, report }, pool.now).expect("it is current");
    pool.engine.schedule(pool.now);
    let batch = pool.engine.take_batch();
    pool.tables.apply(&batch).expect("the batch keeps every promise");
    let restore = |pool: &Pool, secret| {
        let (rows, books) = pool.tables.recover().expect("founded");
        Engine::restore_with(Policy::default(), secret, rows, books).expect("what was stored is true")
    };
    let state = |engine: &Engine| engine.tasks.get(&task).map(|task| task.row.progress.state);
    assert_eq!(state(&restore(&pool, secret)), Some(TaskState::Pending), "its check is out");
    // By another secret it is decided at the start, and so is what waits for it.
    assert_eq!(state(&restore(&pool, Secret::new([0; 32]))), None);
}

#[test]
fn after_a_restart_no_result_is_judged_before_all_of_them_are_counted() {
    let mut pool = town(8);
    let task = pool.submit_spec("anna", verified(Rule::Confidence { doubt: Doubt(50_000) })).expect("accepted");
    let cheat = pool.copies(task)[0].clone();
    pool.pass(1000);
    pool.say(&cheat, 2);
    let copies = pool.copies(task);
    let trusted = pool.node(&copies[0].1);
    let node = pool.engine.nodes.get_mut(&trusted).expect("enrolled");
    node.trust.valid = 900;
    pool.engine.touch_trust(trusted, pool.now);
    pool.say(&copies[0], 1);
    let copies = pool.copies(task);
    pool.say(&copies[0], 2);
    // Until the word of the cheat is struck; each step is compared with a restart.
    pool.catch(&cheat.1);
    assert_eq!(pool.progress(task).state, TaskState::Pending);
}

#[test]
fn of_equal_results_one_of_a_cheat_is_not_the_one_that_is_kept() {
    let mut pool = town(5);
    let task = pool.submit_spec("anna", quorum(3, 2)).expect("accepted");
    let copies = pool.copies(task);
    pool.pass(1000);
    pool.say(&copies[0], 1);
    pool.catch(&copies[0].1);
    pool.say(&copies[1], 1);
    pool.say(&copies[2], 1);
    assert_eq!(pool.progress(task).state, TaskState::Completed);
    assert_eq!(pool.element(ElementRef::only(task)).accepted, copies[1].0.number);
    assert_eq!(pool.cost(copies[0].0), Some(Cpt::ZERO));
}

#[test]
fn a_comparison_that_goes_on_when_its_cheat_is_caught_counts_for_nothing() {
    let mut pool = town(6);
    let mut spec = quorum(2, 2);
    spec.verify.compare = Compare::Numeric { tolerance: 1000 };
    let task = pool.submit_spec("anna", spec).expect("accepted");
    let copies = pool.copies(task);
    pool.pass(1000);
    pool.say(&copies[0], 1);
    pool.say(&copies[1], 2);
    pool.catch(&copies[1].1);
    pool.run(Command::Compared { attempt: copies[1].0, same_as: Some(copies[0].0) }).expect("asked for");
    assert_eq!(pool.progress(task).state, TaskState::Pending, "its vote was struck before it was one");
    let further = pool.copies(task);
    pool.say(&further[0], 1);
    assert_eq!(pool.progress(task).state, TaskState::Completed);
    assert_eq!(pool.cost(copies[1].0), Some(Cpt::ZERO));
}

#[test]
fn what_is_being_compared_when_others_decide_is_paid() {
    let mut pool = town(4);
    let mut spec = quorum(3, 2);
    spec.verify.compare = Compare::Numeric { tolerance: 1000 };
    let task = pool.submit_spec("anna", spec).expect("accepted");
    let copies = pool.copies(task);
    pool.pass(1000);
    (1..).zip(&copies).for_each(|(content, copy)| pool.say(copy, content));
    pool.run(Command::Compared { attempt: copies[1].0, same_as: Some(copies[0].0) }).expect("asked for");
    assert_eq!(pool.progress(task).state, TaskState::Completed);
    assert!(copies.iter().all(|(attempt, _)| pool.cost(*attempt).is_some_and(Cpt::is_positive)));
}

#[test]
fn a_copy_that_waits_on_the_only_owner_left_stays_there() {
    let mut pool = town(3);
    let short: Vec<TaskId> = (0..12).map(|_| pool.submit("anna", 1)).collect();
    for task in short {
        let (attempt, node) = pool.copies(task).remove(0);
        pool.finish(&node, attempt, Outcome::Exited { code: 0 }, 1).expect("it is current");
    }
    let task = pool.submit_spec("anna", quorum(2, 2)).expect("accepted");
    let copies = pool.copies(task);
    let large = pool.submit("anna", 4);
    let full = pool.copies(large).remove(0).1;
    assert!(copies.iter().all(|(_, node)| *node != full), "the third node is full");
    pool.say(&copies[0], 1);
    pool.say(&copies[1], 2);
    for _ in 0..5 {
        let other = pool.submit("anna", 1);
        let (attempt, node) = pool.copies(other).remove(0);
        pool.pass(100);
        pool.finish(&node, attempt, Outcome::Exited { code: 0 }, 1).expect("it is current");
    }
    let third = pool.copies(task).remove(0);
    assert_eq!((third.0.number, third.1), (3, full), "the others have room, but a copy already");
}
