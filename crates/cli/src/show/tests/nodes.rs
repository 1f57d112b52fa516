use super::*;
use crate::show::pool::{Node, Nodes};
use hivemind_proto::v1::NodeSummary;

#[test]
fn a_node_tells_its_level_and_the_way_to_the_next() {
    let summary = NodeSummary {
        node_id: "lab-1".into(),
        owner: "ann".into(),
        state: "online".into(),
        cpu_millicores: 4000,
        free_cpu_millicores: 3000,
        memory_mb: 8192,
        free_memory_mb: 7680,
        disk_mb: 20_480,
        active_attempts: 1,
        seen_at_unix_ms: 9_999_000,
        runtime: "docker".into(),
        level: "bronze".into(),
        runtime_ms: 444_600_000,
        next_level_ms: 1_355_400_000,
        pending_micro: 10_000,
        service: "in service".into(),
        labels: vec!["arch=arm64".into(), "location=berlin".into()],
        isolation: "rootless".into(),
        trust: "new".into(),
        verified_results: 7,
        quota_left: 3,
        kinds: vec!["container".into(), "wasm".into()],
        network: vec!["data.example.net:443".into()],
        available: "paused".into(),
        available_reason: "somebody uses the machine".into(),
        speed: 1.25,
        speed_in_tasks: 0.5,
        temperature_celsius: 61.4,
        ..NodeSummary::default()
    };
    let node = Node::from(summary.clone());
    insta::assert_snapshot!(shown(Mode::Human, &node), @"
    node           lab-1
    owner          ann
    state          online
    service        in service
    owner lets it  stand still: somebody uses the machine
    level          bronze
    trust          new: 7 results verified in a row, 0 wrong ever; at most 3 more attempts today
    isolation      rootless
    labels         arch=arm64, location=berlin
    runtime        123.5 h
    next level     silver after 376.5 h more
    pending        0.01 CPT earned by what runs there now
    attempts       1
    cpu            4 cores, 3 cores of it free
    memory         8 GiB, 7.5 GiB of it free
    disk           20 GiB
    speed          1.25 of the mean machine's core, 0.50 in real tasks
    temperature    61 °C
    runs           container, wasm
    network        data.example.net:443
    runs tasks by  docker
    seen           1s ago
    ");
    let drained =
        NodeSummary { service: "draining".into(), service_until_unix_ms: 10_000_000, ..NodeSummary::default() };
    let banned = NodeSummary { service: "banned".into(), service_reason: "it lied".into(), ..NodeSummary::default() };
    let resting = NodeSummary {
        trust: "trusted".into(),
        verified_results: 400,
        wrong_results: 1,
        resting_until_unix_ms: 10_000_000,
        ..NodeSummary::default()
    };
    for (summary, line) in [
        (resting.clone(), "trusted: 400 results verified in a row, 1 wrong ever\n"),
        (resting, "gets no work until 1970-01-01 02:46:40 UTC: it failed too often in a row"),
        (drained, "draining: what still runs at 1970-01-01T02:46:40.000Z is tried elsewhere"),
        (banned, "banned: it lied"),
    ] {
        let text = shown(Mode::Human, &Node::from(summary));
        assert!(text.contains(line), "{text}");
    }
    let nodes = Nodes { nodes: vec![node] };
    insta::assert_snapshot!(shown(Mode::Human, &nodes), @"
    NODE    OWNER   STATE    SERVICE      LEVEL    TRUST       CPU   MEMORY     DISK   GPUS   ATTEMPTS     SEEN   LABELS
    lab-1   ann     online   in service   bronze   new     4 cores    8 GiB   20 GiB      0          1   1s ago   arch=arm64,location=berlin
    ");
    let json: serde_json::Value = serde_json::from_str(&shown(Mode::Json, &nodes)).unwrap();
    assert_eq!(json["nodes"][0]["labels"][1], "location=berlin");
    assert_eq!(
        (json["nodes"][0]["level"].as_str(), json["nodes"][0]["next_level_in_ms"].as_i64()),
        (Some("bronze"), Some(1_355_400_000))
    );
    assert_eq!(json["nodes"][0]["pending"]["cpt"], "0.01");
    let highest = Node::from(NodeSummary { level: "diamond".into(), next_level_ms: 0, ..summary });
    assert!(shown(Mode::Human, &highest).contains("none: this is the highest"));
}
