use super::shown;
use crate::face::Mode;
use crate::show::explain::Explanation;
use hivemind_proto::v1::*;
use serde_json::Value;

fn constraint(name: &str, asked: &str, nodes_too_small: i64, nodes_busy: i64, largest: &str) -> Constraint {
    let (name, asked, largest) = (name.into(), asked.into(), largest.into());
    Constraint { name, asked, nodes_too_small, nodes_busy, largest, ..Constraint::default() }
}

fn change(name: &str, from: &str, to: &str, to_amount: i64) -> AskChange {
    AskChange { name: name.into(), from: from.into(), to: to.into(), from_amount: 0, to_amount }
}

fn large() -> ExplainResponse {
    ExplainResponse {
        task_id: "task_7".into(),
        status: "pending".into(),
        reason: "no node is big enough: it needs 64 cores, the largest has 2 cores".into(),
        advice: "cancel it and submit it again: ask for 2 cores instead of 64 cores".into(),
        nodes_linked: 3,
        constraints: vec![
            constraint("cores", "64 cores", 3, 0, "2 cores"),
            constraint("memory", "512 MiB memory", 0, 1, ""),
            constraint("together", "", 3, 0, ""),
        ],
        changes: vec![change("cores", "64 cores", "2 cores", 2000)],
        place: Some(QueuePlace { requesters_before: 1, own_before: 0 }),
        submitted_at_unix_ms: 9_000_000,
        hold_expires_at_unix_ms: 11_000_000,
        price_cap_micro: 128_250_000,
        balance_micro: 21_750_000,
        held_micro: 128_250_000,
        ..ExplainResponse::default()
    }
}

#[test]
fn what_waits_is_told_constraint_by_constraint() {
    insta::assert_snapshot!(shown(Mode::Human, &Explanation::from(large())), @"
    task_7 (pending): no node is big enough: it needs 64 cores, the largest has 2 cores

    CONSTRAINT     ASKED            NODES THAT FAIL IT   BUSY NOW   LARGEST THAT WOULD RUN
    cores          64 cores         3 of 3                      0   2 cores
    memory         512 MiB memory   0 of 3                      1   -
    all together   on one node      3 of 3                      0   -

    cheapest change  cancel it and submit it again: ask for 2 cores instead of 64 cores
    with             --cpus 2
    place            1 other requester comes before you, nothing of your own comes before it
    price            128.25 CPT are held until 1970-01-01 03:03:20 UTC
    your balance     21.75 CPT available, 128.25 CPT held for open tasks
    ");
    let json: Value = serde_json::from_str(&shown(Mode::Json, &Explanation::from(large()))).unwrap();
    assert_eq!(json["schema"], "hivemind.explain/1");
    assert_eq!(json["nodes"]["constraints"][0]["largest"], "2 cores");
    assert_eq!((&json["changes"][0]["option"], &json["run"]), (&Value::from("--cpus 2"), &Value::Null));
    let quiet = shown(Mode::Quiet, &Explanation::from(large()));
    assert_eq!(quiet, "no node is big enough: it needs 64 cores, the largest has 2 cores\n");
}

#[test]
fn every_change_names_its_option() {
    for (name, amount, option) in [
        ("cores", 2000, "--cpus 2"),
        ("memory", 512 << 20, "--memory 512m"),
        ("disk", 1 << 30, "--disk 1024m"),
        ("gpus", 1, "--gpus 1"),
        ("level", 2, "--min-level silver"),
        ("level", 0, "no --min-level"),
        ("level", 77, ""),
        ("trust", 2, "--min-trust trusted"),
        ("trust", 0, "no --min-trust"),
        ("isolation", 1, "--min-isolation rootless"),
        ("isolation", 77, ""),
        ("labels", 0, "no --label gpu=a100"),
        ("colour", 1, ""),
    ] {
        let told = ExplainResponse { changes: vec![change(name, "label gpu=a100", "", amount)], ..large() };
        assert_eq!(Explanation::from(told).changes[0].option, option, "{name}");
    }
}

#[test]
fn what_failed_and_what_runs_is_one_sentence_and_facts() {
    let failed = ExplainResponse {
        task_id: "task_8".into(),
        status: "failed".into(),
        reason: "E_CANNOT_START: command could not be started: \u{1b}[2Jno".into(),
        advice: "check that the program is in the image".into(),
        ended_at_unix_ms: 9_500_000,
        price_cap_micro: 2_250_000,
        cost_micro: 40_000,
        ..ExplainResponse::default()
    };
    insta::assert_snapshot!(shown(Mode::Human, &Explanation::from(failed)), @"
    task_8 (failed): E_CANNOT_START: command could not be started: ?[2Jno

    what to do    check that the program is in the image
    price         0.04 CPT paid of at most 2.25 CPT
    your balance  0.00 CPT available, 0.00 CPT held for open tasks
    ");
    let runs = ExplainResponse {
        task_id: "task_9".into(),
        status: "running".into(),
        reason: "attempt 2 runs on node lab".into(),
        faults: Some(Faults { count: 1, most: 10, not_before_unix_ms: 9_100_000 }),
        run: Some(RunPlace { node: "lab".into(), attempt: 2, started_at_unix_ms: 9_000_000, ..RunPlace::default() }),
        node_reserved: true,
        ..ExplainResponse::default()
    };
    insta::assert_snapshot!(shown(Mode::Human, &Explanation::from(runs)), @"
    task_9 (running): attempt 2 runs on node lab

    reserved      a node is kept free for it
    tried again   at 1970-01-01 02:31:40 UTC; failed 1 of 10 times, not its own fault
    node          lab, since 1970-01-01 02:30:00 UTC
    your balance  0.00 CPT available, 0.00 CPT held for open tasks
    ");
}
