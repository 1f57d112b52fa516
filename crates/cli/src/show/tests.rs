mod array;
mod economy;
mod explain;
mod nodes;

use super::pool::Checks;
use super::task::TaskDetail;
use super::tasks::{Task, Tasks};
use super::*;
use crate::face::{Face, Look, Mode};
use crate::failure::Failure;
use hivemind_model::Timestamp;
use hivemind_proto::v1::{AttemptSummary, TaskStatusResponse, TaskSummary};
use hivemind_runtime::{Check, Verdict};
use parking::Shared;

/// A writer whose content can be looked at afterwards.
mod parking {
    use std::io::{Result, Write};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    pub(super) struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Shared {
        pub(super) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Shared {
        fn write(&mut self, data: &[u8]) -> Result<usize> {
            self.0.lock().unwrap().extend_from_slice(data);
            Ok(data.len())
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }
}

fn look() -> Look {
    Look { now: Timestamp(10_000_000), zone: jiff::tz::TimeZone::UTC, colour: false }
}

fn shown<D: Document>(mode: Mode, document: &D) -> String {
    let (out, err) = (Shared::default(), Shared::default());
    let mut face = Face::new(mode, look(), Box::new(out.clone()), Box::new(err.clone()));
    face.show(document).unwrap();
    face.say("talk");
    let talk = if mode == Mode::Human { "talk\n" } else { "" };
    assert_eq!(err.text(), talk, "talk goes to standard error, and only for people");
    out.text()
}

fn done() -> TaskSummary {
    TaskSummary {
        task_id: "task_12".into(),
        task_name: "render".into(),
        docker_image: "bb:1".into(),
        argv: vec!["sh".into(), "-c".into(), "echo hi".into()],
        status: "completed".into(),
        priority: 5,
        submitted_at_unix_ms: 9_000_000,
        ended_at_unix_ms: 9_012_300,
        price_cap_micro: 2_250_000,
        cost_micro: 7_500,
        node: "lab-1".into(),
        attempts: 1,
        max_runtime_seconds: 3600,
        required_memory_mb: 512,
        required_cpu_millicores: 1000,
        required_disk_mb: 1024,
        exit_code: Some(0),
        has_output: true,
        wall_ms: 12_000,
        ..TaskSummary::default()
    }
}

fn waiting() -> TaskSummary {
    TaskSummary {
        task_id: "task_13".into(),
        task_name: "evil\u{1b}[31m\nname".into(),
        status: "pending".into(),
        submitted_at_unix_ms: 9_940_000,
        price_cap_micro: 1,
        ..TaskSummary::default()
    }
}

#[test]
fn a_list_of_tasks_has_three_faces() {
    let tasks = Tasks { tasks: vec![Task::from(waiting()), Task::from(done())], more: false };
    insta::assert_snapshot!(shown(Mode::Human, &tasks), @"
    TASK      NAME             STATE       NODE    TIME            COST/CAP   AGE
    task_13   evil?[31m?name   pending     -          -    - / 0.000001 CPT    1m
    task_12   render           completed   lab-1    12s   0.0075 / 2.25 CPT   16m
    ");
    assert_eq!(shown(Mode::Quiet, &tasks), "task_13\ntask_12\n");
    let json: serde_json::Value = serde_json::from_str(&shown(Mode::Json, &tasks)).unwrap();
    assert_eq!(json["schema"], "hivemind.tasks/1");
    assert_eq!(json["tasks"][1]["cost"]["micro"], 7_500);
    assert_eq!(json["tasks"][1]["submitted_at"], "1970-01-01T02:30:00.000Z");
    assert_eq!(json["tasks"][0]["ended_at"], serde_json::Value::Null);
}

#[test]
fn an_empty_list_keeps_its_header() {
    assert!(shown(Mode::Human, &Tasks::default()).starts_with("TASK "));
    assert_eq!(shown(Mode::Quiet, &Tasks::default()), "");
}

#[test]
fn a_running_task_tells_what_has_come_together() {
    let running = |accrued_micro: i64| TaskSummary {
        status: "running".into(),
        ended_at_unix_ms: 0,
        cost_micro: 0,
        accrued_micro,
        min_level: "gold".into(),
        exit_code: None,
        ..done()
    };
    let detail =
        TaskDetail::of(TaskStatusResponse { task: Some(running(10_000)), ..TaskStatusResponse::default() }, look().now);
    let detail = detail.unwrap();
    let human = shown(Mode::Human, &detail);
    assert!(human.contains("cost       so far 0.01 CPT of at most 2.25 CPT\n"), "{human}");
    assert!(human.contains(", at most 1h, a node of level gold or higher\n"), "{human}");
    let json: serde_json::Value = serde_json::from_str(&shown(Mode::Json, &detail)).unwrap();
    assert_eq!((json["accrued"]["micro"].as_i64(), json["min_level"].as_str()), (Some(10_000), Some("gold")));
    let tasks = Tasks { tasks: vec![Task::from(running(10_000)), Task::from(running(0))], more: false };
    let listed = shown(Mode::Human, &tasks);
    assert!(listed.contains(" 0.01 / 2.25 CPT ") && listed.contains(" - / 2.25 CPT "), "{listed}");
}

#[test]
fn an_attempt_that_stands_still_shows_so_and_what_it_uses_now() {
    let attempt = AttemptSummary {
        attempt_id: "att_12.0.1".into(),
        node: "lab-1".into(),
        state: "running".into(),
        memory_bytes: 5 << 20,
        suspended: true,
        ..AttemptSummary::default()
    };
    let answer = TaskStatusResponse {
        success: true,
        status: "running".into(),
        task: Some(TaskSummary { status: "running".into(), ..done() }),
        attempts: vec![attempt],
        ..TaskStatusResponse::default()
    };
    let text = shown(Mode::Human, &TaskDetail::of(answer, look().now).unwrap());
    let line = text.lines().find(|line| line.starts_with("att_12.0.1")).expect("it is shown");
    assert!(line.contains("stands still") && line.contains("5 MiB"), "{line}");
}

#[test]
fn a_failed_task_tells_what_to_do() {
    let task = TaskSummary {
        status: "failed".into(),
        error_message: "E_OUT_OF_MEMORY: the task used more memory than required_memory; ask for more".into(),
        exit_code: None,
        has_output: false,
        ..done()
    };
    let attempt = AttemptSummary {
        attempt_id: "att_12.0.1".into(),
        node: "lab-1".into(),
        state: "ended".into(),
        ended_at_unix_ms: 9_012_300,
        outcome: "E_OUT_OF_MEMORY: too much".into(),
        cost_micro: 7_500,
        wall_ms: 12_000,
        cpu_ms: 3_000,
        peak_memory_bytes: 512 << 20,
        ..AttemptSummary::default()
    };
    let answer = TaskStatusResponse {
        success: true,
        status: "failed".into(),
        task: Some(task),
        attempts: vec![attempt],
        ..TaskStatusResponse::default()
    };
    let detail = TaskDetail::of(answer, look().now).unwrap();
    insta::assert_snapshot!(shown(Mode::Human, &detail), @"
    task       task_12
    name       render
    state      failed
    error      E_OUT_OF_MEMORY: the task used more memory than required_memory; ask for more
    fix        submit it again with --memory 1024m
    image      bb:1
    command    sh -c 'echo hi'
    needs      1 core, 512 MiB memory, 1 GiB disk, at most 1h
    priority   5
    node       lab-1
    submitted  1970-01-01 02:30:00 UTC
    ended      1970-01-01 02:30:12 UTC
    cost       0.0075 CPT
    price cap  2.25 CPT

    ATTEMPT      NODE    STATE   TIME   CPU    MEMORY         COST   OUTCOME
    att_12.0.1   lab-1   ended    12s    3s   512 MiB   0.0075 CPT   E_OUT_OF_MEMORY: too much
    ");
    let json: serde_json::Value = serde_json::from_str(&shown(Mode::Json, &detail)).unwrap();
    assert_eq!(
        (json["schema"].as_str(), json["fix"].as_str()),
        (Some("hivemind.task/1"), Some("submit it again with --memory 1024m"))
    );
}

#[test]
fn checks_tell_the_fix_under_the_finding() {
    let check = |name: &str, verdict, detail: &str, fix: &str| Check {
        name: name.into(),
        verdict,
        detail: detail.into(),
        fix: fix.into(),
    };
    let checks = Checks::from(vec![
        check("disk space", Verdict::Good, "9 GiB free", ""),
        check("pool", Verdict::Bad, "does not answer", "hivemind up"),
    ]);
    assert!(!checks.ok);
    insta::assert_snapshot!(shown(Mode::Human, &checks), @"
    CHECK              FOUND
    disk space   ok    9 GiB free
    pool         bad   does not answer
                       fix: hivemind up
    ");
    assert_eq!(shown(Mode::Quiet, &checks), "pool\n");
}

#[test]
fn a_word_stands_alone() {
    let word = Word::new("task", "task_7").with("price_cap", serde_json::json!({"micro": 5}));
    assert_eq!(shown(Mode::Human, &word), "task_7\n");
    assert_eq!(shown(Mode::Quiet, &word), "task_7\n");
    assert_eq!(
        shown(Mode::Json, &word),
        "{\"price_cap\":{\"micro\":5},\"schema\":\"hivemind.result/1\",\"task\":\"task_7\"}\n"
    );
}

#[test]
fn errors_follow_the_face() {
    let failure = Failure::login("nobody is logged in").fix("hivemind login USERNAME");
    for (mode, wanted) in [
        (Mode::Human, "error: nobody is logged in\n  fix: hivemind login USERNAME\n  code: E_LOGIN (exit 4)\n"),
        (Mode::Quiet, "error: nobody is logged in\n  fix: hivemind login USERNAME\n  code: E_LOGIN (exit 4)\n"),
        (
            Mode::Json,
            "{\"code\":\"E_LOGIN\",\"exit_code\":4,\"field\":\"\",\"fix\":\"hivemind login USERNAME\",\"message\":\"nobody is logged in\",\"schema\":\"hivemind.error/1\"}\n",
        ),
    ] {
        let (out, err) = (Shared::default(), Shared::default());
        Face::new(mode, look(), Box::new(out.clone()), Box::new(err.clone())).fail(&failure);
        assert_eq!((out.text().as_str(), err.text().as_str()), ("", wanted));
    }
}
