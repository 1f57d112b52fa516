use super::*;
use crate::units::MilliCores;

fn good() -> TaskSpec {
    TaskSpec {
        name: "render".into(),
        image: "busybox:1.36".into(),
        command: vec!["true".into()],
        files: vec![],
        priority: 5,
        max_runtime: Millis::from_secs(60),
        resources: Resources { cpu: MilliCores(1000), memory: Bytes::from_mib(512), disk: Bytes::from_gib(1), gpus: 0 },
        ..TaskSpec::default()
    }
}

fn file(path: &str, size: u64) -> InputFile {
    InputFile { path: path.into(), blob: BlobRef { digest: Digest([7; 32]), size: Bytes(size) } }
}

fn refusal(change: impl FnOnce(&mut TaskSpec)) -> String {
    let mut spec = good();
    change(&mut spec);
    spec.check(&Policy::default()).err().map_or_else(|| "taken".into(), |r| format!("{} {}", r.code, r.field))
}

#[test]
fn a_plain_task_is_taken() {
    assert_eq!(good().check(&Policy::default()), Ok(()));
}

#[test]
fn every_bad_field_is_named() {
    assert_eq!(refusal(|s| s.image.clear()), "E_INVALID docker_image");
    assert_eq!(refusal(|s| s.image = "a b".into()), "E_INVALID docker_image");
    assert_eq!(refusal(|s| s.image = "a@sha256:12".into()), "E_INVALID docker_image");
    assert_eq!(refusal(|s| s.priority = 0), "E_INVALID priority");
    assert_eq!(refusal(|s| s.priority = 11), "E_INVALID priority");
    assert_eq!(refusal(|s| s.max_runtime = Millis(0)), "E_INVALID max_runtime");
    assert_eq!(refusal(|s| s.max_runtime = Millis(u64::MAX)), "E_INVALID max_runtime");
    assert_eq!(refusal(|s| s.resources.cpu = MilliCores(0)), "E_INVALID required_cpu_cores");
    assert_eq!(refusal(|s| s.resources.memory = Bytes(1)), "E_INVALID required_memory");
    assert_eq!(refusal(|s| s.resources.memory = Bytes(u64::MAX)), "E_INVALID required_memory");
    assert_eq!(refusal(|s| s.resources.gpus = 1000), "E_INVALID required_gpus");
    assert_eq!(refusal(|s| s.command = vec!["a\0".into()]), "E_INVALID command");
    assert_eq!(refusal(|s| s.command = vec![String::new()]), "E_INVALID command");
    assert_eq!(refusal(|s| s.command = vec!["x".repeat(70_000)]), "E_TOO_LARGE command");
    assert_eq!(refusal(|s| s.name = "x".repeat(201)), "E_TOO_LARGE task_name");
    assert_eq!(refusal(|s| s.name = "a\nb".into()), "E_INVALID task_name");
    assert_eq!(refusal(|s| s.files = vec![file("a", 2 << 30)]), "E_TOO_LARGE files");
    assert_eq!(refusal(|s| s.files = vec![file("a", u64::MAX), file("b", u64::MAX)]), "E_TOO_LARGE files");
}

#[test]
fn every_bad_wish_is_named() {
    use crate::verify::{Compare, Doubt, Rule};
    let array = |indices: &str, entries| Array { indices: indices.parse().expect("indices"), entries, max_fails: None };
    let blob = |size| BlobRef { digest: Digest([7; 32]), size: Bytes(size) };
    assert_eq!(refusal(|s| s.array = Some(array("1-1000000", None))), "taken");
    assert_eq!(refusal(|s| s.array = Some(array("1-1000000000", None))), "E_TOO_LARGE array");
    assert_eq!(refusal(|s| s.array = Some(array("0-5", Some(blob(9))))), "E_INVALID array");
    assert_eq!(refusal(|s| s.array = Some(array("1-5", Some(blob(1 << 40))))), "E_TOO_LARGE entries_digest");
    assert_eq!(refusal(|s| s.retries = 101), "E_INVALID retries");
    assert_eq!(refusal(|s| s.patience.queue = Some(Millis(1))), "E_INVALID max_wait_seconds");
    assert_eq!(refusal(|s| s.patience.total = Some(Millis(u64::MAX))), "E_INVALID max_total_seconds");
    assert_eq!(refusal(|s| s.patience.lost_after = Some(Millis(0))), "E_INVALID lost_after_seconds");
    assert_eq!(refusal(|s| s.verify.rule = Rule::Quorum { replicas: 2, quorum: 3 }), "E_INVALID quorum");
    assert_eq!(refusal(|s| s.verify.rule = Rule::Quorum { replicas: 2, quorum: 0 }), "E_INVALID quorum");
    assert_eq!(refusal(|s| s.verify.rule = Rule::Quorum { replicas: 17, quorum: 3 }), "E_INVALID replicas");
    assert_eq!(refusal(|s| s.verify.rule = Rule::Confidence { doubt: Doubt(1000) }), "taken");
    assert_eq!(refusal(|s| s.verify.compare = Compare::Numeric { tolerance: 1 }), "E_INVALID compare");
    let command = |argv: &[&str]| Verification {
        rule: Rule::Quorum { replicas: 2, quorum: 2 },
        compare: Compare::Command { argv: argv.iter().map(|word| (*word).into()).collect() },
    };
    assert_eq!(refusal(|s| s.verify = command(&["same"])), "taken");
    assert_eq!(refusal(|s| s.verify = command(&[])), "E_INVALID compare_argv");
    assert_eq!(refusal(|s| s.verify = command(&[""])), "E_INVALID compare_argv");
}

#[test]
fn paths_stay_inside() {
    for path in ["", "/etc/passwd", "..", "a/../b", "a//b", "./a", "a/.", "a\\b", "a\0b", "a/"] {
        assert_eq!(refusal(|s| s.files = vec![file(path, 1)]), "E_INVALID files", "{path:?}");
    }
    assert_eq!(refusal(|s| s.files = vec![file("a", 1), file("a", 1)]), "E_INVALID files");
    assert_eq!(refusal(|s| s.files = vec![file("a", 1), file("a/b", 1)]), "E_INVALID files");
    assert_eq!(refusal(|s| s.files = vec![file("a/b", 1), file("a/c", 1), file("..a", 1)]), "taken");
}

#[test]
fn digests_read_back() {
    let digest = Digest([0xab; 32]);
    assert_eq!(digest.to_string().parse(), Ok(digest));
    for text in ["", "sha256:", "sha256:zz", &"sha256:AB".repeat(32)] {
        assert_eq!(text.parse::<Digest>(), Err(BadDigest));
    }
}
