//! How often a task is tried, how many of an array may fail, and how long requesters wait.

use super::fixture::*;
use hivemind_model::after::{After, Dependency, Unmet, When};
use hivemind_model::rows::ElementPhase;
use hivemind_model::spec::Patience;
use hivemind_model::state::Outcome;
use hivemind_model::*;

const OK: Outcome = Outcome::Exited { code: 0 };
const BAD: Outcome = Outcome::Exited { code: 7 };

fn seconds(seconds: u64) -> Option<Millis> {
    Some(Millis::from_secs(seconds))
}

fn reason(pool: &Pool, at: ElementRef) -> String {
    match pool.element(at).phase {
        ElementPhase::Ended { outcome } => outcome.explain(),
        other => panic!("{at} is {other:?}"),
    }
}

#[test]
fn own_failures_are_paid_and_tried_again() {
    let mut table = String::new();
    for outcomes in [
        vec![BAD, OK],
        vec![BAD, Outcome::OutOfMemory, Outcome::TimedOut],
        vec![BAD, Outcome::Infrastructure { reason: "gone".into() }, BAD, OK],
        vec![Outcome::CannotStart { reason: "no such file".into() }],
        vec![BAD, Outcome::BadImage { reason: "it was deleted".into() }],
    ] {
        let mut pool = Pool::ready();
        let task = pool.submit_spec("anna", TaskSpec { retries: 2, ..TaskSpec::clone(&spec(1)) }).expect("accepted");
        let held = pool.money("anna");
        for (number, outcome) in (1..).zip(outcomes) {
            pool.pass(60_000);
            pool.start("box", first(task, number)).expect("current");
            pool.pass(2_000);
            pool.finish("box", first(task, number), outcome, 1_000).expect("current");
        }
        let (element, progress) = (pool.element(ElementRef::only(task)), pool.progress(task));
        table += &format!(
            "{held}: {} attempts, {} faults, {} failures, {} {}, {}\n",
            element.attempts,
            element.faults,
            element.failures,
            progress.state,
            progress.cost,
            pool.money("anna")
        );
        paid_once(&pool.tables);
        hivemind_ledger::replay(&pool.tables.journal).expect("the journal is true");
    }
    insta::assert_snapshot!(table, @r"
    143.25 CPT + 6.75 CPT: 2 attempts, 0 faults, 1 failures, completed 0.00125 CPT, 149.99875 CPT + 0.00 CPT
    143.25 CPT + 6.75 CPT: 3 attempts, 0 faults, 2 failures, failed 0.001875 CPT, 149.998125 CPT + 0.00 CPT
    143.25 CPT + 6.75 CPT: 4 attempts, 1 faults, 2 failures, completed 0.001875 CPT, 149.998125 CPT + 0.00 CPT
    143.25 CPT + 6.75 CPT: 1 attempts, 0 faults, 0 failures, failed 0.000625 CPT, 149.999375 CPT + 0.00 CPT
    143.25 CPT + 6.75 CPT: 2 attempts, 0 faults, 1 failures, failed 0.000625 CPT, 149.999375 CPT + 0.00 CPT
    ");
}

#[test]
fn the_pause_grows_and_is_told() {
    let mut pool = Pool::ready();
    let task = pool.submit_spec("anna", TaskSpec { retries: 3, ..TaskSpec::clone(&spec(1)) }).expect("accepted");
    let mut table = String::new();
    for number in 1..=3 {
        pool.finish("box", first(task, number), BAD, 0).expect("current");
        let due = pool.engine.next_due().expect("a retry is due");
        table += &format!("{} ms: {}\n", due.since(pool.now).0, pool.engine.waiting_reason(task).expect("it waits"));
        let told = pool.engine.explain(task).and_then(|told| told.first_waiting).and_then(|first| first.failures);
        assert_eq!(told.map(|told| (told.count, told.most, told.not_before)), Some((number, 3, Some(due))));
        pool.restart();
        pool.connect("box", &[]).expect("enrolled");
        pool.pass(due.since(pool.now).0);
    }
    insta::assert_snapshot!(table, @r"
    500 ms: it failed, retry 1 of 3 comes shortly
    1000 ms: it failed, retry 2 of 3 comes shortly
    2000 ms: it failed, retry 3 of 3 comes shortly
    ");
    pool.finish("box", first(task, 4), BAD, 0).expect("current");
    assert_eq!(pool.progress(task).state, TaskState::Failed);
}

#[test]
fn more_failures_than_an_array_takes_skip_the_rest() {
    let mut pool = Pool::ready();
    let task = pool.submit_spec("anna", TaskSpec { max_runtime: Millis(60_000), ..array("1-9", Some(1)) });
    let task = task.expect("accepted");
    let attempt = |index| ElementRef { task, index }.attempt(1);
    pool.finish("box", attempt(1), BAD, 0).expect("current");
    pool.finish("box", attempt(2), OK, 0).expect("current");
    assert_eq!(pool.outcomes(task), "1 exit, 2 completed, 3-4 live, 5-9 waits");
    pool.start("box", attempt(3)).expect("current");
    pool.pass(1_000);
    pool.sent();
    pool.finish("box", attempt(4), BAD, 0).expect("current");
    assert_eq!(pool.outcomes(task), "1 exit, 2 completed, 3 skipped, 4 exit, 5-9 skipped");
    assert_eq!(
        (pool.progress(task).state, pool.progress(task).cost.micro()),
        (TaskState::Failed, 628),
        "3 is paid up to there"
    );
    insta::assert_snapshot!(reason(&pool, ElementRef { task, index: 9 }), @"E_SKIPPED: more than 1 of its elements failed, as many as max_fails takes; see why, then submit the rest again");
    insta::assert_snapshot!(pool.sent(), @r"
    task_1 running
    node_1/1: stop att_1.3.1
    task_1 running
    task_1 failed
    ");
    let strict = pool.submit_spec("anna", array("1-3", Some(0))).expect("accepted");
    pool.finish("box", ElementRef { task: strict, index: 1 }.attempt(1), BAD, 0).expect("current");
    assert_eq!(pool.outcomes(strict), "1 exit, 2-3 skipped");
}

#[test]
fn patience_ends_at_its_bound() {
    let now = Pool::ready().now;
    let deadline = Some(now.after(Millis::from_secs(50)));
    let mut table = String::new();
    for patience in [
        Patience { queue: seconds(20), ..Patience::default() },
        Patience { total: seconds(30), ..Patience::default() },
        Patience { deadline, ..Patience::default() },
        Patience { queue: Some(Millis(20_500)), total: seconds(40), deadline, ..Patience::default() },
    ] {
        let mut pool = Pool::ready();
        let spec = TaskSpec { patience, max_runtime: Millis::from_secs(600), ..array("1-4", None) };
        let task = pool.submit_spec("anna", spec).expect("accepted");
        pool.start("box", ElementRef { task, index: 1 }.attempt(1)).expect("current");
        let mut shown = String::new();
        for step in [0, 19_999, 1, 9_999, 1, 9_999, 1, 9_999, 1] {
            pool.pass(step);
            let is = if pool.engine.tasks.contains_key(&task) { pool.outcomes(task) } else { "over".into() };
            if shown != is {
                table += &format!("{} ms {is}\n", pool.now.since(now).0);
                shown = is;
            }
        }
        let last = ElementRef { task, index: 4 };
        table += &format!("{}\n{}, {}\n", pool.outcomes(task), pool.progress(task).cost, reason(&pool, last));
    }
    insta::assert_snapshot!(table, @r"
    0 ms 1-2 live, 3-4 waits
    20000 ms 1-2 live, 3-4 out_of_patience
    1-2 live, 3-4 out_of_patience
    0.00 CPT, E_OUT_OF_PATIENCE: no node had room for it within 20 s, as long as max_wait_seconds allows; raise that, or ask for less
    0 ms 1-2 live, 3-4 waits
    30000 ms over
    1-4 out_of_patience
    0.01875 CPT, E_OUT_OF_PATIENCE: it had not ended 30 s after it was submitted, as long as max_total_seconds allows; raise that, or ask for less so that nodes are found sooner
    0 ms 1-2 live, 3-4 waits
    50000 ms over
    1-4 out_of_patience
    0.03125 CPT, E_OUT_OF_PATIENCE: it had not ended by its deadline (deadline_unix_ms 1050000); set a later one, or ask for less so that nodes are found sooner
    0 ms 1-2 live, 3-4 waits
    29999 ms 1-2 live, 3-4 out_of_patience
    40000 ms over
    1-4 out_of_patience
    0.025 CPT, E_OUT_OF_PATIENCE: no node had room for it within 20.500 s, as long as max_wait_seconds allows; raise that, or ask for less
    ");
}

#[test]
fn a_deadline_in_the_past_is_refused() {
    let mut pool = Pool::ready();
    let patience = Patience { deadline: Some(pool.now), ..Patience::default() };
    let refused = pool.submit_spec("anna", TaskSpec { patience, ..short() }).expect_err("it is over");
    insta::assert_snapshot!(refused.to_string(), @"E_INVALID: deadline_unix_ms: is in the past; nothing could run by then, give a later moment");
}

#[test]
fn who_waits_for_others_queues_from_their_end_on() {
    let mut pool = Pool::ready();
    let one = pool.submit("anna", 2);
    let patience = Patience { queue: seconds(10), ..Patience::default() };
    let tasks = vec![Dependency { task: one, when: When::End, each: false }];
    let spec = TaskSpec { patience, after: After { tasks, unmet: Unmet::Skip }, ..TaskSpec::clone(&spec(2)) };
    let two = pool.submit_spec("anna", spec).expect("accepted");
    pool.pass(60_000);
    assert_eq!(pool.engine.explain(two).and_then(|told| told.gives_up_at), None);
    pool.submit("bert", 2);
    pool.run(Command::Disconnected { node: pool.node("box"), session: 1 }).expect("known");
    pool.finish("box", first(one, 1), BAD, 0).expect("current");
    pool.pass(9_999);
    insta::assert_snapshot!(pool.engine.waiting_reason(two).expect("it waits"), @"no node is linked and takes work; the task starts when one does; it is given up in 1 s");
    assert_eq!(pool.outcomes(two), "0 waits");
    pool.pass(1);
    assert_eq!(pool.outcomes(two), "0 out_of_patience");
}

#[test]
fn what_was_handed_out_once_is_waited_for() {
    let mut pool = Pool::ready();
    let patience = Patience { queue: seconds(10), ..Patience::default() };
    let task = pool.submit_spec("anna", TaskSpec { patience, ..TaskSpec::clone(&spec(1)) }).expect("accepted");
    pool.run(Command::Lost { node: pool.node("box") }).expect("enrolled");
    pool.pass(60_000);
    assert_eq!(pool.outcomes(task), "0 waits");
    pool.restart();
    pool.pass(60_000);
    assert_eq!(pool.outcomes(task), "0 waits");
}
