//! The container profile, seen from inside and by the daemon.

use crate::rig::{IMAGE, Rig, make_image};
use hivemind_model::Resources;
use hivemind_model::state::Outcome;
use hivemind_model::units::Bytes;
use hivemind_runtime::Job;
use serde_json::{Value, json};

/// Runs `script` to exit code 0 and gives its output.
async fn says(rig: &Rig, script: &str) -> String {
    let (finished, ear) = rig.run(rig.script(script)).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 0 }, "{script}: {}", ear.err());
    ear.out()
}

#[tokio::test]
async fn there_is_no_network() {
    let Some(rig) = Rig::up("network").await else { return };
    assert_eq!(says(&rig, "ls /sys/class/net").await, "lo\n");
    rig.down().await;
}

#[tokio::test]
async fn the_user_is_nobody_and_can_become_nobody_else() {
    let Some(rig) = Rig::up("user").await else { return };
    assert_eq!(says(&rig, "id -u; id -g").await, "65534\n65534\n");
    let status = says(&rig, "grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status").await;
    for line in [
        "CapEff:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
    ] {
        assert!(status.contains(line), "{line} is not in {status}");
    }
    rig.down().await;
}

/// Index and entry arrive as they are, whatever is in them, beside what the image sets.
#[tokio::test]
async fn the_environment_is_the_image_s_and_the_job_s() {
    let Some(rig) = Rig::up("element").await else { return };
    let image = "hivemind-runtime-test:env";
    make_image(&rig.docker, image, &["ENV OF_THE_IMAGE=kept", "ENV HIVEMIND_ENTRY=of-the-image"]).await;
    let short = " two  spaces, 'single' and \"double\" quotes, $HOME `id` \\n %s = é \u{1f41d} ".to_owned();
    let long = short.chars().cycle().scan(0, |size, c| {
        *size += c.len_utf8();
        (*size <= 32 << 10).then_some(c)
    });
    for entry in [short.clone(), long.collect(), String::new()] {
        let env = vec![
            ("HIVEMIND_INDEX".to_owned(), "4294967294".to_owned()),
            ("HIVEMIND_ENTRY".to_owned(), entry.clone()),
            ("OF_THE_IMAGE".to_owned(), "not ours to set".to_owned()),
        ];
        let script = r#"echo "$HIVEMIND_INDEX $OF_THE_IMAGE"; env | grep -c -E '^(HIVEMIND_ENTRY|HIVEMIND_INDEX)='; echo -n "$HIVEMIND_ENTRY" > entry; cat entry"#;
        let (finished, ear) = rig.run(Job { image: image.into(), env, ..rig.script(script) }).await;
        assert_eq!(finished.outcome, Outcome::Exited { code: 0 }, "{}", ear.err());
        assert_eq!(ear.out(), format!("4294967294 kept\n2\n{entry}"));
    }
    rig.down().await;
}

#[tokio::test]
async fn the_root_is_read_only_and_tmp_executes_nothing() {
    let Some(rig) = Rig::up("root").await else { return };
    let (finished, ear) = rig.run(rig.script("touch /x || touch /bin/x || touch /etc/x")).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 1 });
    assert_eq!(ear.err().matches("Read-only file system").count(), 3, "{}", ear.err());
    let (finished, ear) = rig.run(rig.script("cp /bin/busybox /tmp/sh && /tmp/sh -c true")).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 126 });
    assert!(ear.err().contains("Permission denied"), "{}", ear.err());
    let resources = Resources { memory: Bytes::from_mib(200), ..rig.job(&[]).resources };
    let (finished, ear) = rig.run(Job { resources, ..rig.script("dd if=/dev/zero of=/tmp/x bs=1M count=80") }).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 1 });
    assert!(ear.err().contains("No space left on device"), "{}", ear.err());
    rig.down().await;
}

#[tokio::test]
async fn task_is_empty_writable_executable_and_exactly_as_large_as_promised() {
    let Some(rig) = Rig::up("disk").await else { return };
    assert_eq!(
        says(&rig, "pwd; ls -A /task; cp /bin/busybox busybox && ./busybox echo runs").await,
        "/task\n.hivemind\nruns\n"
    );
    says(&rig, "dd if=/dev/zero of=x bs=1M count=8").await;
    for _ in 0..2 {
        // The second disk of a size is copied from the first.
        let (finished, ear) = rig.run(rig.script("dd if=/dev/zero of=x bs=1M count=16")).await;
        assert_eq!(finished.outcome, Outcome::Exited { code: 1 });
        assert!(ear.err().contains("No space left on device"), "{}", ear.err());
    }
    rig.down().await;
}

#[tokio::test]
async fn processes_and_files_are_counted() {
    let Some(rig) = Rig::up("counts").await else { return };
    let (finished, ear) = rig.run(rig.script("i=0; while [ $i -lt 300 ]; do sleep 30 & i=$((i+1)); done")).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 2 });
    assert!(ear.err().contains("can't fork"), "{}", ear.err());
    assert_eq!(says(&rig, "ulimit -n; ulimit -c").await, "4096\n0\n");
    rig.down().await;
}

#[tokio::test]
async fn the_environment_names_the_attempt_and_nothing_of_the_machine() {
    let Some(rig) = Rig::up("env").await else { return };
    let mut lines: Vec<String> =
        says(&rig, "env").await.lines().filter(|line| !line.starts_with("PATH=")).map(str::to_owned).collect();
    lines.sort();
    let attempt = rig.job(&[]).attempt.element.task.0 - 1;
    let expected = [
        format!("HIVEMIND_ATTEMPT=att_{attempt}.0.1"),
        "HIVEMIND_INDEX=0".into(),
        format!("HIVEMIND_TASK=task_{attempt}"),
        "HOME=/task".into(),
        "HOSTNAME=task".into(),
        "PWD=/task".into(),
        "SHLVL=1".into(),
        "TMPDIR=/tmp".into(),
    ];
    assert_eq!(lines, expected);
    rig.down().await;
}

#[tokio::test]
async fn folders_that_an_image_declares_are_small() {
    let Some(rig) = Rig::up("declared").await else { return };
    let image = "hivemind-runtime-test:volumes";
    make_image(
        &rig.docker,
        image,
        &["VOLUME /data", "VOLUME /tmp", "VOLUME /task/cache", "HEALTHCHECK CMD touch /data/health"],
    )
    .await;
    for folder in ["/data", "/tmp", "/task/cache"] {
        let (finished, ear) = rig
            .run(Job { image: image.into(), ..rig.script(&format!("dd if=/dev/zero of={folder}/x bs=1M count=32")) })
            .await;
        assert_eq!(finished.outcome, Outcome::Exited { code: 1 }, "{folder}");
        assert!(ear.err().contains("No space left on device"), "{folder}: {}", ear.err());
    }
    rig.down().await;
}

/// What `docker inspect` shows of a running task.
#[tokio::test]
async fn the_daemon_shows_every_line_of_the_profile() {
    let Some(rig) = Rig::up("inspect").await else { return };
    let job = rig.job(&["sleep", "600"]);
    let (attempt, name) = (job.attempt, rig.container(job.attempt));
    let (running, ear, stop) = rig.start(job);
    ear.until(|ear| ear.starts() == 1).await;
    let shown =
        serde_json::to_value(rig.docker.inspect_container(&name, None).await.expect("inspected")).expect("json");
    let image = rig.docker.inspect_image(IMAGE).await.expect("inspected").id;
    for (pointer, value) in [
        ("/Image", json!(image)),
        ("/Config/User", json!("65534:65534")),
        ("/Config/WorkingDir", json!("/task")),
        ("/Config/Labels/hivemind.instance", json!(rig.instance)),
        ("/Config/Labels/hivemind.attempt", json!(attempt.to_string())),
        ("/HostConfig/NetworkMode", json!("none")),
        ("/HostConfig/CapDrop", json!(["ALL"])),
        ("/HostConfig/CapAdd", Value::Null),
        ("/HostConfig/SecurityOpt", json!(["no-new-privileges:true"])),
        ("/HostConfig/Privileged", json!(false)),
        ("/HostConfig/ReadonlyRootfs", json!(true)),
        ("/HostConfig/Tmpfs", json!({"/tmp": "rw,noexec,nosuid,nodev,size=64m,mode=1777"})),
        ("/HostConfig/PidsLimit", json!(256)),
        ("/HostConfig/Memory", json!(64 << 20)),
        ("/HostConfig/MemorySwap", json!(64 << 20)),
        ("/HostConfig/NanoCpus", json!(1_000_000_000)),
        ("/HostConfig/LogConfig/Type", json!("none")),
        ("/HostConfig/IpcMode", json!("private")),
        ("/HostConfig/CgroupnsMode", json!("private")),
        ("/HostConfig/PidMode", json!("")),
        ("/HostConfig/UTSMode", json!("")),
        ("/HostConfig/Binds", Value::Null),
        ("/Mounts/0/Type", json!("volume")),
        ("/Mounts/0/Name", json!(name)),
        ("/Mounts/0/Destination", json!("/task")),
        ("/Mounts/1", Value::Null),
    ] {
        let found = shown.pointer(pointer).unwrap_or(&Value::Null);
        // The daemon shows nothing as null or as empty.
        let is_nothing = value.is_null() && found.as_array().is_some_and(Vec::is_empty);
        assert!(found == &value || is_nothing, "{pointer} is {found} and not {value}");
    }
    stop.cancel();
    running.await.expect("ended");
    rig.down().await;
}
