use super::*;
use crate::args::{Cli, SubmitArgs, Verb};
use clap::Parser;

/// What `submit OPTIONS bb:1` would send.
fn sent(options: &str) -> Result<SubmitTaskRequest, String> {
    let words = shell_words::split(&format!("hivemind submit {options} bb:1")).unwrap();
    let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
    let Verb::Submit(SubmitArgs { options, array, conditions, program, .. }) = cli.verb else { panic!("not submit") };
    let program = Program { image: program.image.unwrap_or_default(), command: program.command };
    let asked = Asked { options: &options, array: &array, conditions: &conditions, program: &program };
    prepare(asked, Path::new("")).map(|prepared| prepared.request).map_err(|failure| failure.what)
}

#[test]
fn what_is_not_said_is_left_to_the_pool() {
    let program = Program { image: "bb:1".into(), command: vec!["sh".into(), "-c".into(), "a b".into()] };
    let (options, array, conditions) = Default::default();
    let asked = Asked { options: &options, array: &array, conditions: &conditions, program: &program };
    let request = prepare(asked, Path::new("")).unwrap().request;
    assert!(!request.request_id.is_empty());
    let rest = SubmitTaskRequest {
        docker_image: "bb:1".into(),
        argv: vec!["sh".into(), "-c".into(), "a b".into()],
        request_id: request.request_id.clone(),
        ..SubmitTaskRequest::default()
    };
    assert_eq!(request, rest);
}

#[test]
fn amounts_are_given_in_the_units_of_the_api() {
    let request = sent("--memory 1048577b --disk 2g --timeout 90s --gpus 1 --max-price 2.25 --min-level gold").unwrap();
    assert_eq!(
        (request.required_memory, request.required_disk_mb, request.max_runtime, request.required_gpus),
        (2, 2048, 90, 1)
    );
    assert_eq!((request.max_price_micro, request.min_level.as_str()), (2_250_000, "gold"));
}

#[test]
fn arrays_and_conditions_are_sent_as_they_are_said() {
    let request = sent(
        "--array 1-10,20 --max-fails 3 --after 7,task_8 --after-end 9 --after-each task_6 --if-dependency-fails cancel \
         --label b=2 --label a=1 --min-trust trusted --min-isolation sandboxed",
    )
    .unwrap();
    assert_eq!((request.array.as_str(), request.max_fails), ("1-10,20", Some(3)));
    let after: Vec<_> = request.after.iter().map(|on| (on.task_id.as_str(), on.when.as_str(), on.each)).collect();
    assert_eq!(
        after,
        [
            ("task_7", "success", false),
            ("task_8", "success", false),
            ("task_9", "end", false),
            ("task_6", "success", true)
        ]
    );
    assert_eq!(request.labels, ["a=1", "b=2"]);
    assert_eq!(
        (request.unmet.as_str(), request.min_trust.as_str(), request.min_isolation.as_str()),
        ("cancel", "trusted", "sandboxed")
    );
}

#[test]
fn patience_and_verification_are_sent_as_they_are_said() {
    let request = sent(
        "--retries 2 --max-wait 30m --max-total 2h --deadline 2026-01-31T12:00:00Z --lost-after 5m \
         --replicas 3 --quorum 2 --compare-tolerance 0.001",
    )
    .unwrap();
    assert_eq!(
        (request.retries, request.max_wait_seconds, request.max_total_seconds, request.lost_after_seconds),
        (2, 1800, 7200, 300)
    );
    assert_eq!(request.deadline_unix_ms, 1_769_860_800_000);
    assert_eq!((request.replicas, request.quorum, request.compare.as_str()), (3, 2, "numeric"));
    assert!((request.compare_tolerance - 0.001).abs() < 1e-12);
    let request = sent("--confidence 0.9990 --compare-command 'cmp /task/a \"/task/b\"'").unwrap();
    assert_eq!((request.confidence.as_str(), request.compare.as_str()), ("0.999", "command"));
    assert_eq!(request.compare_argv, ["cmp", "/task/a", "/task/b"]);
    let digest = format!("sha256:{}", "ab".repeat(32));
    assert_eq!(sent(&format!("--expect {digest}")).unwrap().expect_digest, digest);
    assert!(sent("--deadline 8h").unwrap().deadline_unix_ms > 0);
}

#[test]
fn what_cannot_be_is_refused_by_its_option() {
    for (options, part) in [
        ("--timeout 1500ms", "--timeout: give whole seconds"),
        ("--max-wait 1500ms", "--max-wait: give whole seconds"),
        ("--label a=1 --label a=2", "--label: the key `a` is given twice"),
        ("--label a", "`a` is not a label"),
        ("--array 5-1", "`5-1` ends before it begins"),
        ("--array ''", "it is empty"),
        ("--array 1-5,3", "overlaps"),
        ("--each-line no-such-file", "--each-line: no-such-file does not exist"),
        ("--each-line a --from-json b", "cannot be used with"),
        ("--max-fails 3", "--max-fails is about arrays"),
        ("--after node_1", "--after: `node_1` is not a task id"),
        ("--quorum 2", "--replicas"),
        ("--replicas 2 --confidence 0.9", "cannot be used with"),
        ("--confidence 1", "`1` is not a confidence"),
        ("--compare command", "--compare command: it is not said which"),
        ("--compare exact --compare-tolerance 0.1", "exclude each other"),
        ("--compare-tolerance 2", "above 0 and at most 1"),
        ("--compare-tolerance nan", "above 0 and at most 1"),
        ("--compare-command ' '", "it has no words"),
        ("--compare-command \"'\"", "a quotation mark is not closed"),
        ("--expect sha256:1", "64 lower-case hexadecimal digits"),
        ("--deadline soon", "or a moment such as"),
        ("--if-dependency-fails go", "[possible values: skip, cancel]"),
        ("--graph f.toml", "cannot be used with"),
    ] {
        let refused = sent(options).expect_err(options);
        assert!(refused.contains(part), "{options}: {refused}");
    }
}

#[test]
fn network_outputs_and_permissions_are_sent_as_they_are_said() {
    let request = sent(
        "--network Data.Example.NET:443 --network '*.a.org:80' --output /task/model --output ./log.txt --output out/ --warm \
         --array 1-2 --reuse",
    )
    .unwrap();
    assert_eq!(request.network, ["data.example.net:443", "*.a.org:80"]);
    assert_eq!(request.outputs, ["model", "log.txt", "out"]);
    assert!(request.warm && request.reuse);
    for (options, part) in [
        ("--network host", "leave it out for no network"),
        ("--network data.example.net", "write HOST:PORT"),
        ("--network http://a.org:1", "write HOST:PORT"),
    ] {
        let refused = sent(options).expect_err(options);
        assert!(refused.contains(part), "{options}: {refused}");
    }
}
