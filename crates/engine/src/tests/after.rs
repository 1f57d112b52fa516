//! Tasks that wait for tasks.

use super::fixture::*;
use crate::BlockedBy;
use crate::recent::{Failed, Past};
use hivemind_model::after::{After, Dependency, Unmet, When};
use hivemind_model::command::{EndedTask, GraphDependency, GraphTask};
use hivemind_model::spec::Patience;
use hivemind_model::state::Outcome;
use hivemind_model::*;

const OK: Outcome = Outcome::Exited { code: 0 };
const BAD: Outcome = Outcome::Exited { code: 7 };

fn after(tasks: &[(TaskId, When, bool)], unmet: Unmet) -> After {
    let tasks = tasks.iter().map(|(task, when, each)| Dependency { task: *task, when: *when, each: *each });
    After { tasks: tasks.collect(), unmet }
}

fn whole(task: TaskId) -> After {
    after(&[(task, When::Success, false)], Unmet::Skip)
}

fn each(task: TaskId, when: When) -> After {
    after(&[(task, when, true)], Unmet::Skip)
}

fn submit(pool: &mut Pool, spec: TaskSpec, after: After) -> TaskId {
    pool.submit_spec("anna", TaskSpec { after, ..spec }).expect("it is accepted")
}

fn big() -> Pool {
    let mut pool = Pool::new(Policy::default());
    for name in ["anna", "bert"] {
        pool.register(name);
    }
    pool.enroll("bert", "box", 12);
    pool.connect("box", &[]).expect("enrolled");
    pool
}

fn place(place: usize, each: bool) -> GraphDependency {
    GraphDependency { place, when: When::Success, each }
}

#[test]
fn what_becomes_of_a_dependant() {
    let mut table = String::new();
    for (outcome, when, unmet) in [
        (OK, When::Success, Unmet::Skip),
        (OK, When::End, Unmet::Cancel),
        (BAD, When::Success, Unmet::Skip),
        (BAD, When::Success, Unmet::Cancel),
        (BAD, When::End, Unmet::Skip),
        (Outcome::Cancelled, When::Success, Unmet::Skip),
        (Outcome::Cancelled, When::End, Unmet::Cancel),
    ] {
        let mut pool = big();
        let one = submit(&mut pool, short(), After::default());
        let two = submit(&mut pool, array("1-3", None), after(&[(one, when, false)], unmet));
        assert_eq!((pool.outcomes(one).as_str(), pool.outcomes(two).as_str()), ("0 live", "1-3 waits"));
        match outcome {
            Outcome::Cancelled => {
                pool.run(Command::Cancel { user: pool.user("anna"), task: one, elements: None }).expect("open");
            }
            _ => pool.end_all(one, &outcome),
        }
        let (state, held) = (pool.progress(two).state, pool.money("anna"));
        table += &format!("{outcome:?} {when:?} {unmet:?}: {state}, {}, {held}\n", pool.outcomes(two));
    }
    insta::assert_snapshot!(table, @r"
    Exited { code: 0 } Success Skip: pending, 1-3 live, 149.998124 CPT + 0.001875 CPT
    Exited { code: 0 } End Cancel: pending, 1-3 live, 149.998124 CPT + 0.001875 CPT
    Exited { code: 7 } Success Skip: failed, 1-3 skipped, 149.999999 CPT + 0.00 CPT
    Exited { code: 7 } Success Cancel: cancelled, 1-3 cancelled, 149.999999 CPT + 0.00 CPT
    Exited { code: 7 } End Skip: pending, 1-3 live, 149.998124 CPT + 0.001875 CPT
    Cancelled Success Skip: failed, 1-3 skipped, 150.00 CPT + 0.00 CPT
    Cancelled End Cancel: pending, 1-3 live, 149.998125 CPT + 0.001875 CPT
    ");
}

#[test]
fn elements_wait_for_their_own_only() {
    let mut pool = big();
    let one = submit(&mut pool, array("0-5", None), After::default());
    let success = submit(&mut pool, array("1-3,5", None), each(one, When::Success));
    let end = submit(&mut pool, array("2-4", None), each(one, When::End));
    assert_eq!(pool.outcomes(one), "0-5 live");
    let mut table = String::new();
    for (index, outcome) in [(2, OK), (3, BAD), (0, OK), (4, OK)] {
        let attempt = ElementRef { task: one, index }.attempt(1);
        pool.finish("box", attempt, outcome, 0).expect("current");
        table += &format!("{index}: {} | {}\n", pool.outcomes(success), pool.outcomes(end));
        pool.restart();
        pool.connect("box", &pool.engine.live.keys().copied().collect::<Vec<_>>()).expect("enrolled");
    }
    pool.run(Command::Cancel { user: pool.user("anna"), task: one, elements: None }).expect("open");
    table += &format!("cancelled: {} | {}", pool.outcomes(success), pool.outcomes(end));
    insta::assert_snapshot!(table, @r"
    2: 1 waits, 2 live, 3 waits, 5 waits | 2 live, 3-4 waits
    3: 1 waits, 2 live, 3 skipped, 5 waits | 2-3 live, 4 waits
    0: 1 waits, 2 live, 3 skipped, 5 waits | 2-3 live, 4 waits
    4: 1 waits, 2 live, 3 skipped, 5 waits | 2-4 live
    cancelled: 1 skipped, 2 live, 3 skipped, 5 skipped | 2-4 live
    ");
}

#[test]
fn what_failed_before_is_not_waited_for() {
    let mut pool = big();
    let one = submit(&mut pool, array("1-5", None), After::default());
    for (index, outcome) in [(1, OK), (2, BAD), (4, BAD)] {
        pool.finish("box", ElementRef { task: one, index }.attempt(1), outcome, 0).expect("current");
    }
    let success = submit(&mut pool, array("1-4", None), each(one, When::Success));
    assert_eq!(pool.outcomes(success), "1 live, 2 skipped, 3 waits, 4 skipped");
    let end = submit(&mut pool, array("1-3", None), each(one, When::End));
    assert_eq!(pool.outcomes(end), "1-2 live, 3 waits");
    let all = submit(&mut pool, array("1-3", None), after(&[(one, When::Success, true)], Unmet::Cancel));
    assert_eq!(pool.outcomes(all), "1-3 cancelled");
}

#[test]
fn all_of_several_must_hold() {
    let mut pool = big();
    let firsts =
        [array("0-2", None), array("0-3", None), short()].map(|spec| submit(&mut pool, spec, After::default()));
    let [one, two, three] = firsts;
    let all = after(&[(one, When::Success, true), (two, When::End, true), (three, When::End, false)], Unmet::Skip);
    let last = submit(&mut pool, array("0-2", None), all);
    pool.finish("box", ElementRef { task: one, index: 0 }.attempt(1), OK, 0).expect("current");
    pool.finish("box", ElementRef { task: two, index: 0 }.attempt(1), BAD, 0).expect("current");
    assert_eq!(pool.outcomes(last), "0-2 waits");
    pool.finish("box", first(three, 1), BAD, 0).expect("current");
    assert_eq!(pool.outcomes(last), "0 live, 1-2 waits");
    pool.finish("box", ElementRef { task: one, index: 1 }.attempt(1), BAD, 0).expect("current");
    assert_eq!(pool.outcomes(last), "0 live, 1 skipped, 2 waits", "one that is unmet is enough");
    pool.end_all(one, &OK);
    assert_eq!(pool.outcomes(last), "0 live, 1 skipped, 2 waits");
    pool.end_all(two, &OK);
    assert_eq!(pool.outcomes(last), "0 live, 1 skipped, 2 live");
    pool.end_all(last, &OK);
    assert_eq!(pool.progress(last).state, TaskState::Failed, "what is skipped counts as failed");
}

#[test]
fn what_cannot_be_waited_for_is_refused_and_nothing_is_queued() {
    let mut pool = big();
    let (mine, foreign) = (submit(&mut pool, array("1-3", None), After::default()), pool.submit("bert", 1));
    let gone = pool.submit("bert", 1);
    pool.run(Command::Cancel { user: pool.user("bert"), task: gone, elements: None }).expect("open");
    let before = pool.tables.clone();
    let mut table = String::new();
    for (spec, waits) in [
        (short(), whole(TaskId(99))),
        (short(), whole(TaskId(pool.engine.counters.task))),
        (short(), whole(foreign)),
        (short(), whole(gone)),
        (short(), each(mine, When::Success)),
        (array("3-4", None), each(mine, When::End)),
        (short(), after(&[(mine, When::End, false), (mine, When::End, false)], Unmet::Skip)),
    ] {
        let refused = pool.submit_spec("anna", TaskSpec { after: waits, ..spec }).expect_err("refused");
        table += &format!("{} [{}] {}\n", refused.code, refused.field, refused.text);
    }
    let task = |spec: TaskSpec, after: &[GraphDependency]| GraphTask { spec: spec.into(), after: after.to_vec() };
    for graph in [
        vec![],
        vec![task(short(), &[place(0, false)])],
        vec![task(short(), &[]), task(short(), &[place(0, false), place(0, true)])],
        vec![task(short(), &[]), task(array("1-2", None), &[place(0, true)])],
        vec![task(short(), &[]), task(TaskSpec { after: whole(foreign), ..short() }, &[])],
        vec![task(short(), &[]), task(TaskSpec { priority: 0, ..short() }, &[])],
        vec![task(short(), &[]), task(TaskSpec { max_runtime: Millis::from_secs(2_500_000), ..short() }, &[])],
    ] {
        let refused = pool.submit_graph("anna", graph).expect_err("refused");
        table += &format!("graph: {} [{}] {}\n", refused.code, refused.field, refused.text);
    }
    let wide = (0..=1001).map(|at| {
        let after: &[GraphDependency] = if at > 0 { &[place(0, true)] } else { &[] };
        task(array("1", None), after)
    });
    let refused = pool.submit_graph("anna", wide.collect()).expect_err("too many wait for one");
    table += &format!("graph: {} [{}] {}\n", refused.code, refused.field, refused.text);
    let (user, ranges) = (pool.user("anna"), vec![(1, 3)].into());
    pool.engine.recent.push(TaskId(90), Past { user, ranges, failed: Failed::TooMany });
    let refused = pool.submit_spec("anna", TaskSpec { after: each(TaskId(90), When::Success), ..array("1", None) });
    let refused = refused.expect_err("not known");
    table += &format!("{} [{}] {}\n", refused.code, refused.field, refused.text);
    assert_eq!(pool.tables, before, "all or nothing");
    insta::assert_snapshot!(table, @r"
    E_NOT_FOUND [after] after: task_99 does not exist, or is not yours
    E_NOT_FOUND [after] after: task_4 does not exist, or is not yours
    E_NOT_FOUND [after] after: task_2 does not exist, or is not yours
    E_NOT_FOUND [after] after: task_3 does not exist, or is not yours
    E_INVALID [after] after: task_1 has not every index of the task that waits for it element by element; give both the same array
    E_INVALID [after] after: task_1 has not every index of the task that waits for it element by element; give both the same array
    E_INVALID [after] after: task_1 is named twice
    graph: E_INVALID [tasks] tasks: is empty; a graph has at least one task
    graph: E_INVALID [tasks[0].after] tasks[0].after: tasks[0] does not stand before it; list each task after those that it waits for
    graph: E_INVALID [tasks[1].after] tasks[1].after: tasks[0] is named twice
    graph: E_INVALID [tasks[1].after] tasks[1].after: tasks[0] has not every index of the task that waits for it element by element; give both the same array
    graph: E_NOT_FOUND [tasks[1].after] tasks[1].after: task_2 does not exist, or is not yours
    graph: E_INVALID [tasks[1].priority] tasks[1].priority: 0 is outside 1 to 10 (10 is the most urgent)
    graph: E_INSUFFICIENT_CPT [] needs 1562.500625 CPT (the price cap), 149.998125 CPT is available; lower max_runtime or the resources, or wait for open tasks to end
    graph: E_TOO_LARGE [tasks[1001].after] tasks[1001].after: more than 1000 tasks would wait for tasks[0] element by element; let one array do so, or wait for all of it
    E_TOO_LARGE [after] after: the elements of task_90 that failed lie in too many ranges to wait for the others one by one; wait for its end instead, or submit only the elements that can run
    ");
}

#[test]
fn a_graph_is_taken_whole_and_runs_in_order() {
    let mut pool = big();
    let task = |spec: TaskSpec, after: &[GraphDependency]| GraphTask { spec: spec.into(), after: after.to_vec() };
    let graph = vec![
        task(array("1-2", None), &[]),
        task(array("1-2", None), &[place(0, true)]),
        task(short(), &[place(0, false), place(1, false)]),
    ];
    let ids = pool.submit_graph("anna", graph).expect("it is accepted");
    let shown = |pool: &Pool| ids.iter().map(|id| pool.outcomes(*id)).collect::<Vec<_>>().join(" | ");
    assert_eq!(shown(&pool), "1-2 live | 1-2 waits | 0 waits");
    assert_eq!(pool.tables.tasks[&ids[1]].spec.after, each(ids[0], When::Success));
    pool.finish("box", ElementRef { task: ids[0], index: 2 }.attempt(1), OK, 0).expect("current");
    assert_eq!(shown(&pool), "1 live, 2 completed | 1 waits, 2 live | 0 waits");
    pool.end_all(ids[0], &OK);
    pool.end_all(ids[1], &OK);
    assert_eq!(shown(&pool), "1-2 completed | 1-2 completed | 0 live");
    pool.end_all(ids[2], &OK);
    assert_eq!(pool.engine.counts().pending + pool.engine.counts().running, 0);
}

#[test]
fn what_had_ended_is_known_from_the_store_or_from_memory() {
    let mut pool = big();
    let one = submit(&mut pool, array("1-4", None), After::default());
    for (index, outcome) in [(1, OK), (2, BAD), (3, BAD), (4, OK)] {
        pool.finish("box", ElementRef { task: one, index }.attempt(1), outcome, 0).expect("current");
    }
    let stored = |user| EndedTask {
        task: one,
        user,
        indices: "1-4".parse().expect("a set"),
        failed: Some("2-3".parse().expect("a set")),
    };
    let mut ask = |ended: Vec<EndedTask>, restart: bool, after: After| {
        if restart {
            pool.restart();
            pool.connect("box", &[]).expect("enrolled");
        }
        let user = pool.user("anna");
        let spec = TaskSpec { after, ..array("1-3", None) }.into();
        match pool.run(Command::Submit { user, spec, max_price: None, ended, once: None }) {
            Ok(Reply::Submitted { task, .. }) => {
                let told = format!("{} {}", pool.progress(task).state, pool.outcomes(task));
                let _ = pool.run(Command::Cancel { user, task, elements: None });
                told
            }
            Ok(other) => panic!("to a submission: {other:?}"),
            Err(refused) => refused.to_string(),
        }
    };
    let (anna, bert) = (UserId(1), UserId(2));
    let table = [
        ask(Vec::new(), false, whole(one)),
        ask(Vec::new(), false, each(one, When::Success)),
        ask(Vec::new(), false, each(one, When::End)),
        ask(Vec::new(), false, after(&[(one, When::Success, true)], Unmet::Cancel)),
        ask(Vec::new(), true, each(one, When::Success)),
        ask(vec![stored(anna)], true, each(one, When::Success)),
        ask(vec![stored(anna)], true, whole(one)),
        ask(vec![stored(bert)], true, whole(one)),
    ];
    insta::assert_snapshot!(table.join("\n"), @r"
    failed 1-3 skipped
    running 1 live, 2-3 skipped
    pending 1-3 live
    cancelled 1-3 cancelled
    E_NOT_FOUND: after: task_1 does not exist, or is not yours
    running 1 live, 2-3 skipped
    failed 1-3 skipped
    E_NOT_FOUND: after: task_1 does not exist, or is not yours
    ");
}

#[test]
fn blocked_tasks_say_for_what_they_wait() {
    let mut pool = big();
    let one = submit(&mut pool, array("1-4", None), After::default());
    let two = submit(&mut pool, short(), After::default());
    let patience = Patience { total: Some(Millis::from_secs(60)), ..Patience::default() };
    let spec = TaskSpec { patience, ..short() };
    let waits = submit(&mut pool, spec, after(&[(one, When::Success, false), (two, When::End, false)], Unmet::Skip));
    let own = submit(&mut pool, array("2-3", None), each(one, When::End));
    pool.finish("box", ElementRef { task: one, index: 4 }.attempt(1), OK, 0).expect("current");
    let mut table = String::new();
    for task in [waits, own] {
        table += &format!("{}\n", pool.engine.waiting_reason(task).expect("it waits"));
    }
    let told = pool.engine.explain(waits).expect("open");
    assert_eq!((told.waiting, told.blocked, told.blocked_by.len()), (1, 1, 2));
    assert_eq!(told.blocked_by[0], BlockedBy { task: one, when: When::Success, each: false, done: 1, elements: 4 });
    assert_eq!(told.gives_up_at, Some(pool.now.after(Millis::from_secs(60))));
    assert_eq!(told.first_waiting.and_then(|waits| waits.place), None);
    pool.run(Command::Disconnected { node: pool.node("box"), session: 1 }).expect("known");
    pool.run(Command::Cancel { user: pool.user("anna"), task: one, elements: "2".parse().ok() }).expect("open");
    table += &pool.engine.waiting_reason(own).expect("it waits");
    assert_eq!(pool.engine.explain(own).map(|told| (told.waiting, told.blocked)), Some((2, 1)));
    insta::assert_snapshot!(table, @r"
    waits for task_1 to complete (1 of 4 elements have), and for 1 more task; it is given up in 60 s
    waits for the element of the same index of task_1 to end (1 of 4 elements have)
    no node is linked and takes work; the task starts when one does
    ");
}

#[test]
fn a_long_chain_is_skipped_in_one_go() {
    const LONG: usize = 10_000;
    let mut pool = Pool::new(Policy { signup_grant: Cpt::from_micro(1_000_000_000_000), ..Policy::default() });
    pool.register("anna");
    pool.enroll("anna", "box", 1);
    pool.connect("box", &[]).expect("enrolled");
    let before = |at: usize| at.checked_sub(1).map(|before| place(before, false));
    let graph = (0..LONG).map(|at| GraphTask { spec: short().into(), after: before(at).into_iter().collect() });
    let ids = pool.submit_graph("anna", graph.collect()).expect("it is accepted");
    pool.finish("box", first(ids[0], 1), BAD, 0).expect("current");
    assert!(pool.engine.tasks.is_empty() && pool.engine.dependants.is_empty());
    assert!(ids.iter().all(|id| pool.progress(*id).state == TaskState::Failed));
    assert_eq!(pool.engine.ledger().held(pool.user("anna")), Cpt::ZERO);
}
