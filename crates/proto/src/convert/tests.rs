use super::*;
use hivemind_model::TaskId;

fn some_attempt() -> AttemptRef {
    ElementRef { task: TaskId(7), index: 3 }.attempt(2)
}

fn some_spec() -> TaskSpec {
    TaskSpec {
        name: "render".into(),
        image: "bb:1".into(),
        command: vec!["sh".into(), "-c".into(), "true".into()],
        files: vec![InputFile { path: "in/a.txt".into(), blob: BlobRef { digest: Digest([7; 32]), size: Bytes(12) } }],
        priority: 5,
        max_runtime: Millis::from_secs(60),
        resources: Resources { cpu: MilliCores(1500), memory: Bytes::from_mib(64), disk: Bytes::from_mib(32), gpus: 1 },
        patience: Patience { lost_after: Some(Millis(60_000)), ..Patience::default() },
        ..TaskSpec::default()
    }
}

fn some_report(outcome: Outcome) -> Report {
    Report {
        outcome,
        metering: Metering { wall: Millis(10), cpu: Millis(9), peak_memory: Bytes(8) },
        logs: LogLengths { stdout: Bytes(1), stderr: Bytes(2), cut: true },
        image_id: "sha256:abc".into(),
        output: Some(BlobRef { digest: Digest([9; 32]), size: Bytes(4096) }),
        digest: None,
    }
}

fn every_outcome() -> Vec<Outcome> {
    let reason = || "why".to_owned();
    vec![
        Outcome::Exited { code: 0 },
        Outcome::Exited { code: -1 },
        Outcome::OutOfMemory,
        Outcome::TimedOut,
        Outcome::CannotStart { reason: reason() },
        Outcome::BadImage { reason: reason() },
        Outcome::Cancelled,
        Outcome::Infrastructure { reason: reason() },
    ]
}

#[test]
fn what_is_sent_is_what_is_read() {
    assert_eq!(attempt(Some(some_attempt().into())), Ok(some_attempt()));
    assert_eq!(task_spec(Some((&some_spec()).into())), Ok(some_spec()));
    for outcome in every_outcome() {
        let sent = some_report(outcome);
        assert_eq!(report(&attempt_finished(some_attempt(), &sent)), Ok((some_attempt(), sent)));
    }
    let without = Report { output: None, ..some_report(Outcome::TimedOut) };
    assert_eq!(report(&attempt_finished(some_attempt(), &without)), Ok((some_attempt(), without)));
    let offer = NodeOffer {
        name: "box".into(),
        capacity: some_spec().resources,
        gpu_info: "none".into(),
        labels: Labels::parse(&["location=lab", "arch=arm64"]).expect("labels"),
        isolation: Isolation::Rootless,
        kinds: hivemind_model::Kinds::ALL,
        egress: hivemind_model::EgressPolicy::Public,
    };
    let set = vec![("HIVEMIND_INDEX".to_owned(), "7".to_owned())];
    assert_eq!(env(wire_env(&set)), Ok(set));
    assert_eq!(node_offer(Some(&wire_offer(&offer, "docker", "0.1.0"))), Ok(offer));
    let position = LogPosition { attempt: some_attempt(), stdout: Bytes(1), stderr: Bytes(2) };
    assert_eq!(log_position(Some(position.into())), Ok(position));
}

#[test]
fn a_message_without_a_part_is_refused_by_the_name_of_the_part() {
    let good = attempt_finished(some_attempt(), &some_report(Outcome::TimedOut));
    let spec = worker::TaskSpec::from(&some_spec());
    let file = spec.files[0].clone();
    let with_file = |file: worker::InputFile| Some(worker::TaskSpec { files: vec![file], ..spec.clone() });
    let field = |bad: BadMessage| bad.field;
    for (found, expected) in [
        (attempt(None).map_err(field).err(), "attempt"),
        (attempt(Some(worker::AttemptRef { task: 1, index: 0, number: 0 })).map_err(field).err(), "attempt.number"),
        (
            attempt(Some(worker::AttemptRef { task: u64::MAX, index: 0, number: 1 })).map_err(field).err(),
            "attempt.task",
        ),
        (report(&worker::AttemptFinished { attempt: None, ..good.clone() }).map_err(field).err(), "attempt"),
        (report(&worker::AttemptFinished { outcome: None, ..good.clone() }).map_err(field).err(), "outcome"),
        (report(&worker::AttemptFinished { wall_ms: u64::MAX, ..good.clone() }).map_err(field).err(), "wall_ms"),
        (
            report(&worker::AttemptFinished { output_digest: String::new(), ..good.clone() }).map_err(field).err(),
            "output_digest",
        ),
        (
            report(&worker::AttemptFinished { output_digest: "sha256:xyz".into(), ..good.clone() })
                .map_err(field)
                .err(),
            "output_digest",
        ),
        (
            report(&worker::AttemptFinished { image_id: "i".repeat(513), ..good.clone() }).map_err(field).err(),
            "image_id",
        ),
        (node_offer(None).map_err(field).err(), "offer"),
        (task_spec(None).map_err(field).err(), "spec"),
        (task_spec(Some(worker::TaskSpec { image: String::new(), ..spec.clone() })).map_err(field).err(), "spec.image"),
        (task_spec(Some(worker::TaskSpec { priority: 11, ..spec.clone() })).map_err(field).err(), "spec.priority"),
        (task_spec(Some(worker::TaskSpec { priority: 0, ..spec.clone() })).map_err(field).err(), "spec.priority"),
        (
            task_spec(Some(worker::TaskSpec { max_runtime_ms: 0, ..spec.clone() })).map_err(field).err(),
            "spec.max_runtime_ms",
        ),
        (
            task_spec(with_file(worker::InputFile { path: "../x".into(), ..file.clone() })).map_err(field).err(),
            "spec.files.path",
        ),
        (
            task_spec(with_file(worker::InputFile { digest: "md5:1".into(), ..file.clone() })).map_err(field).err(),
            "spec.files.digest",
        ),
        (log_position(None).map_err(field).err(), "position"),
    ] {
        assert_eq!(found, Some(expected));
    }
}

#[test]
fn an_outcome_of_no_kind_is_refused() {
    for kind in [0, 9, -1] {
        let told = worker::Outcome { kind, exit_code: 0, reason: String::new() };
        assert_eq!(outcome(Some(&told)).map_err(|bad| bad.field), Err("outcome.kind"));
    }
}

#[test]
fn texts_are_cut_between_characters_and_cleaned() {
    let long = "é".repeat(MAX_TEXT_BYTES);
    let kept = bounded(&long);
    assert_eq!(kept.len(), MAX_TEXT_BYTES);
    assert!(long.starts_with(&kept));
    let odd = format!("x{}", "é".repeat(MAX_TEXT_BYTES));
    assert_eq!(bounded(&odd).len(), MAX_TEXT_BYTES - 1);
    assert_eq!(bounded("a\u{1b}[2Jb\nc\td"), "a\u{fffd}[2Jb\nc\td");
    let told = worker::Outcome { kind: 4, exit_code: 0, reason: long };
    assert!(matches!(outcome(Some(&told)), Ok(Outcome::CannotStart { reason }) if reason.len() == MAX_TEXT_BYTES));
}

#[test]
fn an_environment_that_is_not_ours_is_refused() {
    let one = |name: &str, value: &str| env(vec![worker::EnvVar { name: name.into(), value: value.into() }]);
    for name in ["PATH", "HIVEMIND_", "HIVEMIND_A=B", "HIVEMIND_a", ""] {
        assert_eq!(one(name, "1").map_err(|bad| bad.field), Err("env.name"), "{name:?}");
    }
    for value in ["\0".to_owned(), "x".repeat(MAX_ENV_BYTES + 1)] {
        assert_eq!(one("HIVEMIND_ENTRY", &value).map_err(|bad| bad.field), Err("env.value"));
    }
}
