//! A task's way from pending to its end.

use super::fixture::*;
use hivemind_model::state::Outcome;
use hivemind_model::*;

const OK: Outcome = Outcome::Exited { code: 0 };

fn fault() -> Outcome {
    Outcome::Infrastructure { reason: "the disk broke".into() }
}

#[test]
fn a_task_runs_is_paid_and_leaves_memory() {
    let mut pool = Pool::ready();
    let task = pool.submit("anna", 1);
    assert_eq!(pool.money("anna"), "147.75 CPT + 2.25 CPT");
    pool.start("box", first(task, 1)).expect("it is current");
    pool.pass(1_800_000);
    pool.finish("box", first(task, 1), OK, 1_800_000).expect("it is current");
    insta::assert_snapshot!(pool.sent(), @r"
    node_1/1: run att_1.0.1
    task_1 running
    task_1 completed
    ");
    assert_eq!(
        (pool.money("anna").as_str(), pool.money("bert").as_str()),
        ("148.875 CPT + 0.00 CPT", "151.125 CPT + 0.00 CPT")
    );
    assert_eq!(
        (pool.progress(task).state, pool.progress(task).cost),
        (TaskState::Completed, Cpt::from_micro(1_125_000))
    );
    assert_eq!(pool.engine.counts().pending + pool.engine.counts().running, 0);
    hivemind_ledger::replay(&pool.tables.journal).expect("the journal is true");
}

#[test]
fn outcomes_decide_state_and_price() {
    let reason = || "x".to_owned();
    let mut table = String::new();
    for outcome in [
        OK,
        Outcome::Exited { code: 3 },
        Outcome::OutOfMemory,
        Outcome::TimedOut,
        Outcome::CannotStart { reason: reason() },
        Outcome::BadImage { reason: reason() },
        Outcome::ImageUnavailable { reason: reason() },
        Outcome::Cancelled,
        Outcome::Infrastructure { reason: reason() },
    ] {
        let mut pool = Pool::ready();
        let task = pool.submit("anna", 1);
        pool.pass(2_000);
        pool.finish("box", first(task, 1), outcome.clone(), 1_000).expect("it is current");
        let (progress, element) = (pool.progress(task), pool.element(ElementRef::only(task)));
        table += &format!("{outcome:?}: {} {} {:?}\n", progress.state, progress.cost, element.phase);
    }
    insta::assert_snapshot!(table, @r#"
    Exited { code: 0 }: completed 0.000625 CPT Ended { outcome: Exited { code: 0 } }
    Exited { code: 3 }: failed 0.000625 CPT Ended { outcome: Exited { code: 3 } }
    OutOfMemory: failed 0.000625 CPT Ended { outcome: OutOfMemory }
    TimedOut: failed 0.000625 CPT Ended { outcome: TimedOut }
    CannotStart { reason: "x" }: failed 0.000625 CPT Ended { outcome: CannotStart { reason: "x" } }
    BadImage { reason: "x" }: failed 0.00 CPT Ended { outcome: BadImage { reason: "x" } }
    ImageUnavailable { reason: "x" }: pending 0.00 CPT Waiting { not_before: Timestamp(1002500) }
    Cancelled: pending 0.00 CPT Waiting { not_before: Timestamp(1002500) }
    Infrastructure { reason: "x" }: pending 0.00 CPT Waiting { not_before: Timestamp(1002500) }
    "#);
}

#[test]
fn a_node_cannot_bill_more_time_than_the_pool_saw() {
    let mut pool = Pool::ready();
    let task = pool.submit("anna", 1);
    pool.pass(1_000);
    pool.finish("box", first(task, 1), OK, u64::MAX).expect("it is current");
    assert_eq!(pool.progress(task).cost, Cpt::from_micro(625));

    let task = pool.submit("anna", 1);
    pool.pass(3_600_000 + 500_000);
    pool.finish("box", first(task, 1), Outcome::TimedOut, u64::MAX).expect("it is current");
    assert_eq!(pool.progress(task).cost, Cpt::from_micro(2_250_000));
}

#[test]
fn what_is_stale_changes_nothing() {
    let mut pool = Pool::ready();
    pool.enroll("anna", "other", 2);
    pool.connect("other", &[]).expect("it is enrolled");
    let task = pool.submit("anna", 1);
    let node = pool.tables.attempts[&first(task, 1)].node;
    let (mine, foreign) = if node == pool.node("box") { ("box", "other") } else { ("other", "box") };
    pool.sent();
    let before = pool.tables.clone();
    for (name, attempt) in
        [(foreign, first(task, 1)), (mine, first(task, 2)), (mine, first(task, 0)), (mine, first(TaskId(99), 1))]
    {
        assert_eq!(pool.start(name, attempt).map_err(|no| no.code), Err(Code::Stale));
        assert_eq!(pool.finish(name, attempt, OK, 5).map_err(|no| no.code), Err(Code::Stale));
    }
    pool.finish(mine, first(task, 1), OK, 5).expect("it is current");
    assert_eq!(pool.finish(mine, first(task, 1), OK, 5).map_err(|no| no.code), Err(Code::Stale));
    assert_eq!(before.journal.len() + 1, pool.tables.journal.len());
}

#[test]
fn a_fault_pauses_and_another_node_is_preferred() {
    let mut pool = Pool::ready();
    pool.enroll("anna", "other", 2);
    let task = pool.submit("anna", 1);
    pool.finish("box", first(task, 1), fault(), 5).expect("it is current");
    pool.connect("other", &[]).expect("it is enrolled");
    pool.sent();
    assert_eq!(
        pool.engine.waiting_reason(task).as_deref(),
        Some("it failed 1 of 10 times through no fault of its own, and is tried again shortly")
    );
    assert_eq!(pool.engine.next_due(), Some(pool.now.after(Millis(500))));
    pool.pass(499);
    assert_eq!(pool.sent(), "");
    pool.pass(1);
    assert_eq!(pool.sent(), "node_2/2: run att_1.0.2");
}

#[test]
fn an_image_that_cannot_be_fetched_fails_the_task_sooner() {
    let mut pool = Pool::ready();
    let task = pool.submit("anna", 1);
    pool.finish("box", first(task, 1), fault(), 5).expect("it is current");
    pool.pass(60_000);
    for number in 2..=4 {
        assert_eq!(pool.progress(task).state, TaskState::Pending);
        let away = Outcome::ImageUnavailable { reason: "no way to the registry".into() };
        pool.finish("box", first(task, number), away, 5).expect("it is current");
        pool.pass(60_000);
    }
    assert_eq!(pool.progress(task).state, TaskState::Failed);
    insta::assert_snapshot!(format!("{:?}", pool.element(ElementRef::only(task)).phase), @r#"Ended { outcome: ImageUnavailable { reason: "failed 4 times through no fault of the task, and is not tried again; the last time: no way to the registry" } }"#);
    assert_eq!(pool.money("anna"), "150.00 CPT + 0.00 CPT");
}

#[test]
fn too_many_faults_fail_the_task_and_release_the_hold() {
    let mut pool = Pool::ready();
    let task = pool.submit("anna", 1);
    for number in 1..=10 {
        assert_eq!(pool.progress(task).state, TaskState::Pending);
        pool.finish("box", first(task, number), fault(), 5).expect("it is current");
        pool.pass(60_000);
    }
    assert_eq!(pool.progress(task).state, TaskState::Failed);
    insta::assert_snapshot!(format!("{:?}", pool.element(ElementRef::only(task)).phase), @r#"Ended { outcome: Infrastructure { reason: "failed 10 times through no fault of the task, and is not tried again; the last time: the disk broke" } }"#);
    assert_eq!(
        (pool.money("anna").as_str(), pool.money("bert").as_str()),
        ("150.00 CPT + 0.00 CPT", "150.00 CPT + 0.00 CPT")
    );
}

#[test]
fn cancelling_pays_what_ran_and_is_harmless_afterwards() {
    let mut pool = Pool::ready();
    let (anna, bert) = (pool.user("anna"), pool.user("bert"));
    let tasks: Vec<TaskId> = (0..3).map(|_| pool.submit("anna", 1)).collect();
    pool.start("box", first(tasks[0], 1)).expect("it is current");
    pool.pass(1_000);
    pool.sent();
    for task in &tasks {
        assert_eq!(
            pool.run(Command::Cancel { user: bert, task: *task, elements: None }).map_err(|no| no.code),
            Err(Code::NotFound)
        );
        assert_eq!(pool.run(Command::Cancel { user: anna, task: *task, elements: None }), Ok(Reply::Done));
        assert_eq!(pool.run(Command::Cancel { user: anna, task: *task, elements: None }), Ok(Reply::Done));
        assert_eq!(
            pool.run(Command::Cancel { user: bert, task: *task, elements: None }).map_err(|no| no.code),
            Err(Code::NotFound)
        );
    }
    insta::assert_snapshot!(pool.sent(), @r"
    node_1/1: stop att_1.0.1
    task_1 cancelled
    node_1/1: run att_3.0.1
    node_1/1: stop att_2.0.1
    task_2 cancelled
    node_1/1: stop att_3.0.1
    task_3 cancelled
    ");
    let costs: Vec<String> = tasks.iter().map(|task| pool.progress(*task).cost.to_string()).collect();
    assert_eq!(costs, ["0.000625 CPT", "0.00 CPT", "0.00 CPT"]);
    assert_eq!(pool.finish("box", first(tasks[0], 1), Outcome::Cancelled, 5).map_err(|no| no.code), Err(Code::Stale));
    assert_eq!(
        pool.run(Command::Cancel { user: anna, task: TaskId(99), elements: None }).map_err(|no| no.code),
        Err(Code::NotFound)
    );
}

#[test]
fn an_overdue_attempt_is_stopped_and_tried_again() {
    let mut pool = Pool::ready();
    let task = pool.submit("anna", 1);
    pool.start("box", first(task, 1)).expect("it is current");
    pool.sent();
    pool.pass(3_600_000 + 600_000 - 1);
    assert_eq!(pool.sent(), "");
    pool.pass(1);
    insta::assert_snapshot!(pool.sent(), @r"
    node_1/1: stop att_1.0.1
    task_1 pending
    node_1/1: run att_1.0.2
    ");
}

#[test]
fn an_attempt_that_outlived_the_pools_absence_is_not_overdue_at_once() {
    let mut pool = Pool::ready();
    let task = pool.submit("anna", 1);
    pool.restart();
    pool.pass(100_000_000);
    assert_eq!(pool.engine.nodes_with_attempts().collect::<Vec<_>>(), [pool.node("box")]);
    pool.connect("box", &[first(task, 1)]).expect("it is enrolled");
    pool.pass(600_000 - 1);
    pool.finish("box", first(task, 1), OK, 5).expect("it is current");
    assert_eq!(pool.progress(task).state, TaskState::Completed);
}

#[test]
fn waiting_tasks_say_why() {
    let mut pool = Pool::ready();
    let tasks = [pool.submit("anna", 2), pool.submit("anna", 1), pool.submit("anna", 3)];
    let reasons: Vec<String> =
        tasks.iter().map(|task| format!("{task}: {:?}", pool.engine.waiting_reason(*task))).collect();
    insta::assert_snapshot!(reasons.join("\n"), @r#"
    task_1: None
    task_2: Some("the only node that is big enough is busy")
    task_3: Some("no node is big enough: it needs 3 cores, the largest has 2 cores; ask for less or wait for a larger node")
    "#);
    pool.run(Command::Disconnected { node: pool.node("box"), session: 1 }).expect("known");
    assert_eq!(
        pool.engine.waiting_reason(tasks[1]).as_deref(),
        Some("no node is linked and takes work; the task starts when one does")
    );
}

#[test]
fn a_batch_has_one_row_per_key() {
    let mut pool = Pool::ready();
    let (anna, node) = (pool.user("anna"), pool.node("box"));
    let now = pool.now;
    for _ in 0..2 {
        pool.engine
            .apply(Command::Submit { user: anna, spec: spec(1), max_price: None, ended: Vec::new(), once: None }, now)
            .expect("enough CPT");
    }
    pool.engine.schedule(now);
    pool.engine.apply(Command::Started { node, attempt: first(TaskId(1), 1) }, now).expect("it is current");
    pool.engine
        .apply(Command::Finished { node, attempt: first(TaskId(1), 1), report: report(OK, 0) }, now)
        .expect("it is current");
    let batch = pool.engine.take_batch();
    assert_eq!((batch.rows.new_tasks.len(), batch.rows.tasks.len(), batch.rows.attempts.len()), (2, 0, 2));
    assert_eq!(batch.rows.new_tasks[0].progress.state, TaskState::Completed);
    assert_eq!(batch.ledger.holds.len() + batch.ledger.ended_holds.len(), 1);
}
