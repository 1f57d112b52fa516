use super::*;
use crate::Stream;
use hivemind_model::{Egress, ElementRef, TaskId};
use serde_json::{Value, json};

fn plan() -> Plan {
    Gate::plan(&Egress::parse(&["data.example.net:443", "*.example.org:443", "a.org:1"]).expect("endpoints"))
}

fn attempt() -> AttemptRef {
    ElementRef { task: TaskId(12), index: 7 }.attempt(3)
}

/// Every line of a holder's profile.
#[test]
fn a_holder_may_do_nothing() {
    let request = serde_json::to_value(holder(&plan(), "node_1", attempt())).expect("a request");
    for (line, pointer, value) in [
        ("nothing but loopback", "/HostConfig/NetworkMode", json!("none")),
        ("the hosts by name", "/HostConfig/ExtraHosts", json!(["a.org:127.64.1.1", "data.example.net:127.64.1.2"])),
        ("no name server", "/HostConfig/Dns", json!(["127.64.0.1"])),
        ("no domain of the machine", "/HostConfig/DnsSearch", json!(["."])),
        ("it waits", "/Cmd", json!(["pause"])),
        ("non-root user", "/User", json!("65534:65534")),
        ("all capabilities dropped", "/HostConfig/CapDrop", json!(["ALL"])),
        ("no capability added", "/HostConfig/CapAdd", Value::Null),
        ("no new privileges", "/HostConfig/SecurityOpt", json!(["no-new-privileges:true"])),
        ("not privileged", "/HostConfig/Privileged", json!(false)),
        ("read-only root", "/HostConfig/ReadonlyRootfs", json!(true)),
        ("pids limit", "/HostConfig/PidsLimit", json!(32)),
        ("memory limit", "/HostConfig/Memory", json!(32 << 20)),
        ("no swap", "/HostConfig/MemorySwap", json!(32 << 20)),
        ("no mounts", "/HostConfig/Mounts", Value::Null),
        ("no host paths", "/HostConfig/Binds", Value::Null),
        ("no ports", "/HostConfig/PortBindings", Value::Null),
        ("own IPC namespace", "/HostConfig/IpcMode", json!("private")),
        ("own PID namespace", "/HostConfig/PidMode", Value::Null),
        ("log driver none", "/HostConfig/LogConfig", json!({"Type": "none"})),
        ("never restarted", "/HostConfig/RestartPolicy", Value::Null),
        (
            "labelled, so that every sweep finds it",
            "/Labels",
            json!({"hivemind.instance": "node_1", "hivemind.attempt": "att_12.7.3", "hivemind.task": "task_12"}),
        ),
    ] {
        assert_eq!(request.pointer(pointer).unwrap_or(&Value::Null), &value, "{line} ({pointer})");
    }
    assert_eq!(holder_of("node_1", attempt()), "hivemind-node_1-att_12.7.3-network");
}

/// Network, hostname and proxies; nothing else of a job's profile changes.
#[test]
fn a_job_enters_with_its_own_profile() {
    let before = ContainerCreateBody {
        hostname: Some("task".into()),
        env: Some(vec!["HIVEMIND_INDEX=0".into()]),
        user: Some("65534:65534".into()),
        host_config: Some(HostConfig {
            network_mode: Some("none".into()),
            cap_drop: Some(vec!["ALL".into()]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let mut after = before.clone();
    enter(&mut after, &plan(), "0123456789ab");
    let mode = after.host_config.as_ref().and_then(|config| config.network_mode.as_deref());
    assert_eq!(mode, Some("container:0123456789ab"));
    let env = after.env.clone().expect("an environment");
    assert_eq!((env.len(), env[0].as_str()), (9, "HIVEMIND_INDEX=0"));
    assert!(env.contains(&"https_proxy=http://127.64.0.1:3128".to_owned()), "{env:?}");
    after.env.clone_from(&before.env);
    after.hostname.clone_from(&before.hostname);
    after.host_config.clone_from(&before.host_config);
    assert_eq!(after, before);
}

#[test]
fn the_image_is_known_by_its_content() {
    let (archive, digests) = packed().expect("packed");
    assert!(archive.len() > hivemind_guest::PROGRAM.len());
    assert!(digests.len() > 2 && digests.iter().all(|digest| digest.len() == 7 + 64), "{digests:?}");
    assert_eq!(packed().expect("packed").1, digests);
}

#[tokio::test]
async fn where_nothing_is_asked_for_nothing_is_opened() {
    let mut way = Way::default();
    assert_eq!(way.used(), Used::default());
    let quiet = tokio::time::timeout(std::time::Duration::ZERO, way.line()).await;
    assert!(quiet.is_err());
    struct Deaf;
    impl Sink for Deaf {
        fn note(&self, _: &str) {}
        fn started(&self) {}
        fn output(&self, _: Stream, _: &[u8]) {}
        fn progress(&self, _: u8) {}
        fn usage(&self, _: crate::Usage) {}
    }
    way.close(&Deaf).await;
    assert_eq!(way.used(), Used::default());
}
