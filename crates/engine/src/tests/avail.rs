//! Machines whose owners let them work, or not, and results that are taken over.

use super::fixture::*;
use hivemind_model::rows::AttemptPhase;
use hivemind_model::spec::Digest;
use hivemind_model::state::Outcome;
use hivemind_model::*;

impl Pool {
    fn avail(&mut self, node: &str, state: Availability) -> Result<Reply, Rejection> {
        let session = self.sessions;
        self.avail_over(node, session, state)
    }

    fn avail_over(&mut self, node: &str, session: u64, state: Availability) -> Result<Reply, Rejection> {
        self.run(Command::Avail { node: self.node(node), session, state })
    }

    fn wall(&self, attempt: AttemptRef) -> u64 {
        match &self.tables.attempts[&attempt].phase {
            AttemptPhase::Ended { report, .. } => report.metering.wall.0,
            other => panic!("{attempt} has not ended: {other:?}"),
        }
    }
}

fn paused() -> Availability {
    Availability::Paused { reason: "somebody uses the machine".into() }
}

fn finishing() -> Availability {
    Availability::Finishing { reason: "the owner said so".into() }
}

#[test]
fn a_machine_that_finishes_or_stands_still_gets_nothing_new() {
    for state in [finishing(), paused()] {
        let mut pool = Pool::ready();
        let running = pool.submit("anna", 1);
        pool.start("box", first(running, 1)).expect("handed out");
        pool.sent();
        pool.avail("box", state.clone()).expect("its own link");
        let waiting = pool.submit("anna", 1);
        assert_eq!(pool.sent(), "", "{state:?}: nothing is handed out");
        assert_eq!(pool.engine.merits(&[pool.node("box")])[0].available, state);
        let waits = pool.engine.explain(waiting).expect("open").first_waiting.expect("it waits");
        assert_eq!(
            (waits.kept_by_owners, waits.constraints.linked),
            (1, 0),
            "{state:?}: the owner is told of, not a label"
        );
        let reason = pool.engine.waiting_reason(waiting).expect("it waits");
        assert!(reason.starts_with("the only node that could run it takes nothing new now"), "{reason}");
        pool.finish("box", first(running, 1), Outcome::Exited { code: 0 }, 0).expect("what ran goes on");
        pool.avail("box", Availability::Open).expect("its own link");
        assert!(pool.sent().ends_with(&format!("run {}", first(waiting, 1))));
    }
}

#[test]
fn what_waits_on_a_machine_that_is_taken_goes_back_and_nobody_is_blamed() {
    let mut pool = Pool::ready_with(Policy::default());
    // A machine whose attempts are short is handed more than it has room for.
    let quick = pool.submit("bert", 1);
    pool.finish("box", first(quick, 1), Outcome::Exited { code: 0 }, 1).expect("it is current");
    pool.sent();
    let tasks: Vec<TaskId> = (0..4).map(|_| pool.submit_spec("anna", short()).expect("accepted")).collect();
    assert_eq!(pool.sent().lines().filter(|line| line.contains("run")).count(), 4, "two run, two are in the backlog");
    pool.avail("box", paused()).expect("its own link");
    for task in &tasks[2..] {
        let at = ElementRef::only(*task);
        assert!(pool.engine.attempt_of(at).is_none() && pool.element(at).faults == 0, "{at}");
    }
    assert!(tasks[..2].iter().all(|task| pool.engine.attempt_of(ElementRef::only(*task)).is_some()));
}

#[test]
fn time_in_which_a_machine_stands_still_is_not_paid() {
    let mut pool = Pool::ready();
    let task = pool.submit("anna", 1);
    let attempt = first(task, 1);
    pool.start("box", attempt).expect("handed out");
    pool.pass(60_000);
    let before = pool.money("bert");
    pool.avail("box", paused()).expect("its own link");
    for _ in 0..5 {
        pool.pass(60_000);
    }
    assert_eq!(pool.money("bert"), before, "nothing is earned meanwhile");
    pool.avail("box", Availability::Open).expect("its own link");
    pool.pass(60_000);
    pool.finish("box", attempt, Outcome::Exited { code: 0 }, u64::MAX).expect("it is current");
    assert_eq!(pool.wall(attempt), 120_000, "a report of more is cut to what the pool saw run");
}

#[test]
fn what_is_cancelled_while_it_stands_still_is_paid_for_what_it_ran() {
    let mut pool = Pool::ready();
    let task = pool.submit("anna", 1);
    pool.start("box", first(task, 1)).expect("handed out");
    pool.pass(30_000);
    pool.avail("box", paused()).expect("its own link");
    pool.pass(300_000);
    pool.run(Command::Cancel { user: pool.user("anna"), task, elements: None }).expect("it is open");
    assert_eq!(pool.wall(first(task, 1)), 30_000);
}

#[test]
fn what_stands_still_is_overdue_only_after_the_longest_pause() {
    let policy = || Policy { overdue_after: Millis(10_000), most_pause: Millis(100_000), ..Policy::default() };
    let ready = || {
        let mut pool = Pool::ready_with(policy());
        let task = pool.submit_spec("anna", TaskSpec { max_runtime: Millis(10_000), ..TaskSpec::clone(&spec(1)) });
        let attempt = first(task.expect("accepted"), 1);
        pool.start("box", attempt).expect("handed out");
        pool.pass(5000);
        pool.avail("box", paused()).expect("its own link");
        (pool, attempt)
    };
    let (mut pool, attempt) = ready();
    pool.pass(99_000);
    assert!(pool.whereabouts(attempt).is_some());
    pool.avail("box", Availability::Open).expect("its own link");
    pool.pass(14_000);
    assert!(pool.whereabouts(attempt).is_some(), "it has the rest of its time, and what an end may be late");
    pool.pass(2000);
    assert!(pool.whereabouts(attempt).is_none());

    let (mut pool, attempt) = ready();
    pool.pass(116_000);
    assert!(pool.whereabouts(attempt).is_none(), "a machine that never goes on keeps nothing for ever");
}

#[test]
fn a_machine_that_pauses_again_and_again_keeps_nothing_for_ever() {
    let policy = Policy { overdue_after: Millis(10_000), most_pause: Millis(100_000), ..Policy::default() };
    let mut pool = Pool::ready_with(policy);
    let task = pool.submit_spec("anna", TaskSpec { max_runtime: Millis(10_000), ..TaskSpec::clone(&spec(1)) });
    let attempt = first(task.expect("accepted"), 1);
    pool.start("box", attempt).expect("handed out");
    let mut pauses = 0;
    while pool.whereabouts(attempt).is_some() {
        pool.avail("box", paused()).expect("its own link");
        pool.pass(99_000);
        pool.avail("box", Availability::Open).expect("its own link");
        pool.pass(100);
        pauses += 1;
        assert!(pauses < 12, "it was never taken back");
    }
    assert!(pauses >= 8, "honest machines have room for some: {pauses}");
}

#[test]
fn news_of_an_older_link_change_nothing() {
    let mut pool = Pool::ready();
    let old = pool.sessions;
    pool.connect("box", &[]).expect("it is enrolled");
    pool.avail_over("box", old, paused()).expect("ignored");
    pool.submit("anna", 1);
    assert!(pool.sent().contains("run"));
    let unknown = Command::Avail { node: NodeId(99), session: 1, state: paused() };
    assert_eq!(pool.run(unknown).map_err(|refused| refused.code), Err(Code::NotFound));
}

#[test]
fn a_known_result_is_taken_at_once_and_costs_nothing() {
    let mut pool = Pool::ready();
    let spec = TaskSpec { reuse: Some(Digest([7; 32])), ..short() };
    let task = pool.submit_spec("anna", spec.clone()).expect("accepted");
    pool.start("box", first(task, 1)).expect("handed out");
    pool.finish("box", first(task, 1), Outcome::Exited { code: 0 }, 500).expect("it is current");
    let before = (pool.money("anna"), pool.money("bert"));
    let anna = pool.user("anna");
    pool.sent();
    let take = |known, once| Command::Reuse { user: anna, spec: spec.clone().into(), known, once };
    let answer = pool.run(take(first(task, 1), once(anna, "again", 1))).expect("taken");
    let Reply::Submitted { task: copy, cap } = answer else { panic!("{answer:?}") };
    assert_eq!((cap, pool.sent()), (Cpt::ZERO, format!("{copy} completed")));
    let row = &pool.tables.tasks[&copy];
    assert_eq!((row.progress.state, row.progress.cost), (TaskState::Completed, Cpt::ZERO));
    assert_eq!(row.source(row.first()), ElementRef::only(task));
    assert_eq!(pool.outcomes(copy), "0 completed");
    assert_eq!((pool.money("anna"), pool.money("bert")), before);
    // A retry of the request makes no second task.
    assert_eq!(pool.run(take(first(task, 1), once(anna, "again", 1))), Ok(Reply::Submitted { task: copy, cap }));
    // Another waits for it like for any other completed task.
    pool.restart();
    assert_eq!(pool.engine.counts().pending, 0);
}

#[test]
fn a_result_that_cannot_be_one_is_refused() {
    let mut pool = Pool::ready();
    let task = pool.submit_spec("anna", short()).expect("accepted");
    let anna = pool.user("anna");
    let mut refused = |spec: TaskSpec, known| {
        let command = Command::Reuse { user: anna, spec: spec.into(), known, once: None };
        pool.run(command).expect_err("refused").code
    };
    let allowed = || TaskSpec { reuse: Some(Digest([7; 32])), ..short() };
    assert_eq!(refused(short(), first(task, 1)), Code::Invalid);
    assert_eq!(refused(TaskSpec { priority: 11, ..allowed() }, first(task, 1)), Code::Invalid);
    assert_eq!(refused(allowed(), first(TaskId(99), 1)), Code::NotFound);
    assert_eq!(refused(allowed(), ElementRef { task, index: 3 }.attempt(1)), Code::NotFound);
}
