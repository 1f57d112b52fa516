use super::*;
use hivemind_model::units::{Bytes, MilliCores, Millis};
use hivemind_model::{ElementRef, Resources, TaskId};
use serde_json::{Value, json};

fn job() -> Job {
    Job {
        attempt: ElementRef { task: TaskId(12), index: 7 }.attempt(3),
        kind: hivemind_model::Kind::Container,
        image: crate::Image::Named("python:3.12".into()),
        command: vec!["python".into(), "-c".into(), "1".into()],
        env: Vec::new(),
        files: Vec::new(),
        outputs: vec!["output".into()],
        egress: hivemind_model::Egress::default(),
        warm: false,
        max_runtime: Millis(1000),
        resources: Resources { cpu: MilliCores(1500), memory: Bytes::from_mib(512), disk: Bytes::from_gib(1), gpus: 0 },
    }
}

fn image(volumes: &[&str]) -> Image {
    Image {
        id: format!("sha256:{}", "a".repeat(64)),
        volumes: volumes.iter().map(|path| (*path).to_owned()).collect(),
        entrypoint: vec!["/entry".into()],
        command: Vec::new(),
    }
}

fn made(job: &Job, volumes: &[&str], device: Option<&str>) -> Value {
    let image = image(volumes);
    let volume = TaskVolume { name: name_of("node_1", job.attempt), device: device.map(str::to_owned) };
    serde_json::to_value(request(job, &image, &volume, "node_1")).expect("a request")
}

/// Every line of the container profile.
#[test]
fn the_profile_says_every_line() {
    let request = made(&job(), &[], Some("/dev/loop7"));
    let memory = 512 << 20;
    for (line, pointer, value) in [
        ("no network", "/HostConfig/NetworkMode", json!("none")),
        ("all capabilities dropped", "/HostConfig/CapDrop", json!(["ALL"])),
        ("no capability added", "/HostConfig/CapAdd", Value::Null),
        (
            "no new privileges; seccomp and AppArmor as the daemon has them",
            "/HostConfig/SecurityOpt",
            json!(["no-new-privileges:true"]),
        ),
        ("not privileged", "/HostConfig/Privileged", json!(false)),
        ("read-only root", "/HostConfig/ReadonlyRootfs", json!(true)),
        ("size-limited noexec /tmp", "/HostConfig/Tmpfs", json!({"/tmp": "rw,noexec,nosuid,nodev,size=64m,mode=1777"})),
        ("/task on a volume", "/HostConfig/Mounts/0/Target", json!("/task")),
        ("/task on a volume", "/HostConfig/Mounts/0/Type", json!("volume")),
        ("/task on a volume of its own", "/HostConfig/Mounts/0/Source", json!("hivemind-node_1-att_12.7.3")),
        (
            "/task on a size-limited file system",
            "/HostConfig/Mounts/0/VolumeOptions/DriverConfig",
            json!({"Name": "local", "Options": {"type": "ext4", "device": "/dev/loop7", "o": "nosuid,nodev,noatime,noinit_itable"}}),
        ),
        ("the volume is labelled", "/HostConfig/Mounts/0/VolumeOptions/Labels/hivemind.instance", json!("node_1")),
        ("no other mount", "/HostConfig/Mounts/1", Value::Null),
        ("working directory", "/WorkingDir", json!("/task")),
        ("non-root user", "/User", json!("65534:65534")),
        ("pids limit", "/HostConfig/PidsLimit", json!(256)),
        ("memory limit", "/HostConfig/Memory", json!(memory)),
        ("no swap", "/HostConfig/MemorySwap", json!(memory)),
        ("killed, not frozen, when out of memory", "/HostConfig/OomKillDisable", json!(false)),
        ("CPU limit", "/HostConfig/NanoCpus", json!(1_500_000_000)),
        (
            "nofile limit, no core dumps",
            "/HostConfig/Ulimits",
            json!([{"Name": "nofile", "Soft": 4096, "Hard": 4096}, {"Name": "core", "Soft": 0, "Hard": 0}]),
        ),
        ("shared memory limit", "/HostConfig/ShmSize", json!(64 << 20)),
        ("no host paths", "/HostConfig/Binds", Value::Null),
        ("no other container's volumes", "/HostConfig/VolumesFrom", Value::Null),
        ("no devices", "/HostConfig/Devices", Value::Null),
        ("no device requests", "/HostConfig/DeviceRequests", Value::Null),
        ("no device rules", "/HostConfig/DeviceCgroupRules", Value::Null),
        ("own IPC namespace", "/HostConfig/IpcMode", json!("private")),
        ("own cgroup namespace", "/HostConfig/CgroupnsMode", json!("private")),
        ("own PID namespace", "/HostConfig/PidMode", Value::Null),
        ("own UTS namespace", "/HostConfig/UTSMode", Value::Null),
        ("the daemon's user namespace", "/HostConfig/UsernsMode", Value::Null),
        ("masked paths as the daemon has them", "/HostConfig/MaskedPaths", Value::Null),
        ("read-only paths as the daemon has them", "/HostConfig/ReadonlyPaths", Value::Null),
        ("no ports", "/HostConfig/PortBindings", Value::Null),
        ("no further groups", "/HostConfig/GroupAdd", Value::Null),
        ("no sysctls", "/HostConfig/Sysctls", Value::Null),
        ("log driver none", "/HostConfig/LogConfig", json!({"Type": "none"})),
        ("no init process", "/HostConfig/Init", json!(false)),
        ("removed by the agent, which reads it first", "/HostConfig/AutoRemove", json!(false)),
        ("never restarted", "/HostConfig/RestartPolicy", Value::Null),
        ("digest-pinned image", "/Image", json!(format!("sha256:{}", "a".repeat(64)))),
        ("the image's entry point", "/Entrypoint", Value::Null),
        ("the command", "/Cmd", json!(["python", "-c", "1"])),
        ("no health check", "/Healthcheck", json!({"Test": ["NONE"]})),
        ("no terminal", "/Tty", json!(false)),
        ("no standard input", "/OpenStdin", json!(false)),
        (
            "labelled",
            "/Labels",
            json!({"hivemind.instance": "node_1", "hivemind.attempt": "att_12.7.3", "hivemind.task": "task_12"}),
        ),
        (
            "environment",
            "/Env",
            json!([
                "HIVEMIND_TASK=task_12",
                "HIVEMIND_INDEX=7",
                "HIVEMIND_ATTEMPT=att_12.7.3",
                "HOME=/task",
                "TMPDIR=/tmp"
            ]),
        ),
    ] {
        assert_eq!(request.pointer(pointer).unwrap_or(&Value::Null), &value, "{line} ({pointer})");
    }
}

/// A job adds names of ours, each once, and touches no other variable.
#[test]
fn a_job_adds_only_its_own_names_to_the_environment() {
    let pairs = [
        ("HIVEMIND_INDEX", "8"),
        ("HIVEMIND_ENTRY", "a \"b\" 'c' $d \\ é="),
        ("HIVEMIND_ENTRY", "the last one counts"),
        ("HIVEMIND_X=Y", "z"),
        ("LD_PRELOAD", "/task/evil.so"),
        ("PATH", "/task"),
        ("HOME", "/root"),
        ("", "x"),
    ];
    let env = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let plain = made(&job(), &[], None);
    let mut request = made(&Job { env: env(&pairs[..2]), ..job() }, &[], None);
    let expected = json!([
        "HIVEMIND_TASK=task_12",
        "HIVEMIND_INDEX=8",
        "HIVEMIND_ATTEMPT=att_12.7.3",
        "HIVEMIND_ENTRY=a \"b\" 'c' $d \\ é=",
        "HOME=/task",
        "TMPDIR=/tmp"
    ]);
    assert_eq!(request["Env"], expected);
    request["Env"] = plain["Env"].clone();
    assert_eq!(request, plain, "and nothing else changes");
    let request = made(&Job { env: env(&pairs), ..job() }, &[], None);
    let names: Vec<_> = request["Env"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(
        names,
        [
            "HIVEMIND_TASK=task_12",
            "HIVEMIND_INDEX=8",
            "HIVEMIND_ATTEMPT=att_12.7.3",
            "HIVEMIND_ENTRY=the last one counts",
            "HOME=/task",
            "TMPDIR=/tmp"
        ]
    );
}

#[test]
fn without_a_command_the_image_s_own_is_used() {
    let request = made(&Job { command: Vec::new(), ..job() }, &[], None);
    assert_eq!(request.pointer("/Cmd"), None);
}

#[test]
fn folders_that_the_image_declares_get_a_small_file_system_each() {
    let request = made(&job(), &["/data", "/task", "/tmp"], Some("/dev/loop7"));
    let mounts = request.pointer("/HostConfig/Mounts").and_then(Value::as_array).expect("mounts");
    let targets: Vec<_> = mounts.iter().map(|mount| mount["Target"].as_str().unwrap_or_default()).collect();
    assert_eq!(targets, ["/task", "/data", "/tmp"]);
    assert_eq!(mounts[1]["TmpfsOptions"], json!({"SizeBytes": 16 << 20, "Mode": 0o1777}));
    assert_eq!(request.pointer("/HostConfig/Tmpfs"), None, "/tmp would be mounted twice");
}

#[test]
fn a_plain_volume_names_no_device_and_a_tiny_share_is_raised() {
    let resources = Resources { cpu: MilliCores(1), ..job().resources };
    let request = made(&Job { resources, ..job() }, &[], None);
    assert_eq!(request.pointer("/HostConfig/Mounts/0/VolumeOptions/DriverConfig"), Some(&json!({"Name": "local"})));
    assert_eq!(request.pointer("/HostConfig/NanoCpus"), Some(&json!(10_000_000)));
}

/// A warm container may do nothing that another one may not.
#[test]
fn a_warm_container_has_the_same_profile() {
    let job = Job { warm: true, env: vec![("HIVEMIND_X".into(), "1".into())], ..job() };
    let volume = TaskVolume { name: name_of("node_1", job.attempt), device: Some("/dev/loop7".into()) };
    let image = image(&["/data"]);
    let value = |request| serde_json::to_value(request).expect("a request");
    let mut warm = value(warm_request(&job, &image, &volume, "node_1"));
    let mut usual = value(request(&job, &image, &volume, "node_1"));
    assert_eq!(warm["Entrypoint"], json!([GUEST, "warm", "/tmp", "/dev/shm", "/dev/mqueue", "/data"]));
    assert_eq!(warm["Env"], json!(["HOME=/task", "TMPDIR=/tmp"]), "what is an element's own is not its neighbour's");
    for stream in ["AttachStdin", "OpenStdin", "StdinOnce"] {
        assert_eq!(warm[stream], json!(true), "{stream}");
    }
    for differs in ["Entrypoint", "Cmd", "Env", "AttachStdin", "OpenStdin", "StdinOnce"] {
        for request in [&mut warm, &mut usual] {
            request.as_object_mut().expect("an object").remove(differs);
        }
    }
    assert_eq!(warm, usual);
}
