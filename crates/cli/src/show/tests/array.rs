use super::*;
use crate::show::elements::{Element, ElementDetail, Elements, by_message};
use crate::show::graph::Graph;
use hivemind_client::{GraphSubmitted, Submitted};
use hivemind_model::{Cpt, TaskId};
use hivemind_proto::v1::{Dependency, ElementCounts, ElementSummary};

fn array() -> TaskSummary {
    TaskSummary {
        status: "running".into(),
        submitted_at_unix_ms: 9_000_000,
        ended_at_unix_ms: 0,
        price_cap_micro: 5_000_000,
        cost_micro: 1_000_000,
        accrued_micro: 250_000,
        exit_code: None,
        has_output: false,
        array: "1-10000".into(),
        elements: Some(ElementCounts { total: 10_000, completed: 2_480, failed: 20, cancelled: 0, running: 100 }),
        after: vec![
            Dependency { task_id: "task_7".into(), when: "success".into(), each: false },
            Dependency { task_id: "task_8".into(), when: "end".into(), each: true },
        ],
        verification: "2 of 3 copies agree".into(),
        labels: vec!["arch=arm64".into()],
        ..done()
    }
}

fn failed(index: u32, error: &str) -> Element {
    Element::from(ElementSummary {
        index,
        status: "failed".into(),
        attempts: 2,
        faults: 1,
        error_message: error.into(),
        exit_code: Some(3),
    })
}

#[test]
fn an_array_tells_how_it_gets_on_and_what_failed() {
    let answer = TaskStatusResponse { task: Some(array()), progress: 25, ..TaskStatusResponse::default() };
    let mut detail = TaskDetail::of(answer, look().now).unwrap();
    let elements =
        [failed(17, "E_EXIT: exit code 3"), failed(18, "E_TIMED_OUT: too long"), failed(99, "E_EXIT: exit code 3")];
    let progress = detail.array_progress.as_mut().unwrap();
    progress.failures = by_message(&elements);
    progress.more_failures = true;
    insta::assert_snapshot!(shown(Mode::Human, &detail), @"
    task       task_12
    name       render
    state      running (25 %)
    indices    1-10000
    elements   [#####x..................] 2,480 of 10,000 completed, 20 failed, 100 running, 7,400 waiting
    left       about 50m at 2.5 elements a second
    waits for  task_7, task_8 to end element by element
    image      bb:1
    command    sh -c 'echo hi'
    needs      1 core, 512 MiB memory, 1 GiB disk, at most 1h, arch=arm64
    verified   2 of 3 copies agree
    priority   5
    submitted  1970-01-01 02:30:00 UTC
    cost       so far 1.25 CPT of at most 5.00 CPT
    price cap  5.00 CPT

    FAILED   FIRST         ERROR
         2   task_12[17]   E_EXIT: exit code 3
         1   task_12[18]   E_TIMED_OUT: too long
    only the first failed elements are counted; `hivemind status task_12 --failed` lists them
    ");
    assert_eq!(detail.fix, None, "it still runs");
    let json: serde_json::Value = serde_json::from_str(&shown(Mode::Json, &detail)).unwrap();
    assert_eq!(json["elements"]["waiting"], 7_400);
    assert_eq!(json["array_progress"]["left_ms"], 3_000_000);
    assert_eq!(json["array_progress"]["failures"][0]["count"], 2);
    assert_eq!(json["after"][1], serde_json::json!({"task": "task_8", "when": "end", "each": true}));
    assert_eq!(shown(Mode::Quiet, &detail), "running\n");
}

#[test]
fn what_failed_of_an_array_can_be_tried_again() {
    let ended = TaskSummary {
        status: "failed".into(),
        ended_at_unix_ms: 9_500_000,
        error_message: "E_EXIT: 20 of 10000 elements failed".into(),
        ..array()
    };
    let answer = TaskStatusResponse { task: Some(ended), ..TaskStatusResponse::default() };
    let detail = TaskDetail::of(answer, look().now).unwrap();
    assert_eq!(
        detail.fix.as_deref(),
        Some("`hivemind retry task_12` submits what did not complete again, as a new task")
    );
}

#[test]
fn nothing_is_foretold_before_something_has_ended() {
    let at = |elements: ElementCounts, ended_at_unix_ms: i64| {
        let task = TaskSummary { elements: Some(elements), ended_at_unix_ms, ..array() };
        let answer = TaskStatusResponse { task: Some(task), ..TaskStatusResponse::default() };
        TaskDetail::of(answer, look().now).unwrap().array_progress.unwrap()
    };
    let waiting = ElementCounts { total: 5, ..ElementCounts::default() };
    assert_eq!((at(waiting, 0).left_ms, at(waiting, 0).rate_per_second, at(waiting, 0).percent), (None, None, 0));
    let over = ElementCounts { total: 5, completed: 5, ..ElementCounts::default() };
    let over = at(over, 9_001_000);
    assert_eq!((over.left_ms, over.rate_per_second, over.percent, over.left()), (None, Some(5.0), 100, None));
    let slow = ElementCounts { total: 5, completed: 1, ..ElementCounts::default() };
    assert_eq!(at(slow, 0).left().as_deref(), Some("about 1h 6m at 3.6 elements an hour"));
    let skipped = ElementCounts { total: 5, completed: 1, cancelled: 3, ..ElementCounts::default() };
    assert_eq!(at(skipped, 0).left().as_deref(), Some("about 16m 40s at 3.6 elements an hour"));
    let fast = ElementCounts { total: 5_000_001, completed: 5_000_000, ..ElementCounts::default() };
    assert_eq!(at(fast, 0).left().as_deref(), Some("less than 1s at 5,000 elements a second"));
    // What a newer pool counts elsewhere does not make the rest negative.
    let odd = ElementCounts { total: 5, completed: u32::MAX, running: 7, ..ElementCounts::default() };
    assert_eq!(at(odd, 0).left_ms, None);
}

#[test]
fn a_list_with_an_array_has_one_more_column() {
    let tasks = Tasks { tasks: vec![Task::from(array()), Task::from(done())], more: false };
    insta::assert_snapshot!(shown(Mode::Human, &tasks), @"
    TASK      NAME     STATE            ENDED   NODE    TIME            COST/CAP   AGE
    task_12   render   running     2500/10000   lab-1    12s     1.25 / 5.00 CPT   16m
    task_12   render   completed            -   lab-1    12s   0.0075 / 2.25 CPT   16m
    ");
}

#[test]
fn elements_are_listed_and_told_one_by_one() {
    let live = Element { index: 4_000_000_000, state: "live".into(), attempts: 1, ..Element::default() };
    let list = Elements {
        task: "task_12".into(),
        elements: vec![failed(17, "E_EXIT: \u{1b}[2Jexit code 3"), live],
        more: false,
    };
    insta::assert_snapshot!(shown(Mode::Human, &list), @"
    ELEMENT               STATE    ATTEMPTS   FAULTS   EXIT CODE   ERROR
    task_12[17]           failed          2        1           3   E_EXIT: ?[2Jexit code 3
    task_12[4000000000]   live            1        0           -   -
    ");
    assert_eq!(shown(Mode::Quiet, &list), "17\n4000000000\n");
    let attempt =
        AttemptSummary { attempt_id: "att_12.17.2".into(), state: "ended".into(), ..AttemptSummary::default() };
    let one = ElementDetail::of("task_12".into(), failed(17, "E_EXIT: exit code 3"), vec![attempt]);
    insta::assert_snapshot!(shown(Mode::Human, &one), @"
    element    task_12[17]
    state      failed
    error      E_EXIT: exit code 3
    exit code  3
    attempts   2
    logs       hivemind logs 'task_12[17]'

    ATTEMPT       NODE   STATE   TIME   CPU   MEMORY   COST   OUTCOME
    att_12.17.2          ended      -     -        -      -   -
    ");
}

#[test]
fn a_graph_shows_ids_and_what_all_cost_at_most() {
    let one =
        |name: &str, task: u64| (name.to_owned(), Submitted { task: TaskId(task), cap: Cpt::from_micro(1_500_000) });
    let graph = GraphSubmitted { tasks: vec![one("prepare", 3), one("work", 4)], cap: Cpt::from_micro(3_000_000) };
    let graph = Graph::from(graph);
    insta::assert_snapshot!(shown(Mode::Human, &graph), @"
    TASK     NAME      PRICE CAP
    task_3   prepare    1.50 CPT
    task_4   work       1.50 CPT
    all      2 tasks    3.00 CPT
    ");
    assert_eq!(shown(Mode::Quiet, &graph), "task_3\ntask_4\n");
    let json: serde_json::Value = serde_json::from_str(&shown(Mode::Json, &graph)).unwrap();
    assert_eq!(
        (json["schema"].as_str(), json["price_cap"]["micro"].as_i64()),
        (Some("hivemind.graph/1"), Some(3_000_000))
    );
}
