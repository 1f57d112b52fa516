//! The container profile, seen from inside.

use crate::rig::{Rig, image, root_file_system};
use hivemind_model::state::Outcome;
use hivemind_model::units::Bytes;
use hivemind_model::{Isolation, Resources};
use hivemind_runtime::{Job, Runtime};
use serde_json::json;

/// Runs `script` to exit code 0 and gives its output.
async fn says(rig: &Rig, script: &str) -> String {
    let (finished, ear) = rig.run(rig.script(script)).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 0 }, "{script}: {}", ear.err());
    ear.out()
}

#[tokio::test]
async fn there_is_no_network_but_its_own_loopback() {
    let Some(rig) = Rig::up("network").await else { return };
    assert_eq!(says(&rig, "ls /sys/class/net; grep -c . /proc/net/route").await, "lo\n1\n");
    assert_eq!(says(&rig, "cat /proc/net/if_inet6 | wc -l").await.trim().parse::<u32>().expect("a number") & !1, 0);
    rig.down().await;
}

/// Each test has a process of its own, so that no other sees the umask.
#[tokio::test]
async fn an_agent_that_hides_its_files_hides_nothing_of_an_image() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let Some(rig) = Rig::up("umask").await else { return };
    assert_eq!(says(&rig, "cd / && ls bin >/dev/null && echo in; touch /task/x && echo made").await, "in\nmade\n");
    rig.down().await;
}

#[tokio::test]
async fn the_user_is_nobody_and_can_become_nobody_else() {
    let Some(rig) = Rig::up("user").await else { return };
    nobody(&rig).await;
    rig.down().await;
}

#[tokio::test]
async fn without_a_user_namespace_everything_else_holds() {
    let without = |mut config: hivemind_oci::OciConfig| {
        config.user_namespaces = hivemind_oci::UserNamespaces::None;
        config
    };
    let Some(rig) = Rig::with("basic", without).await else { return };
    assert_eq!(rig.runtime.isolation(), Isolation::Basic);
    nobody(&rig).await;
    let (finished, ear) = rig.run(rig.script("echo x > f; cat f; mkdir output; cp f output; touch /x")).await;
    assert_eq!((finished.outcome, ear.out().as_str()), (Outcome::Exited { code: 1 }, "x\n"));
    assert!(finished.output.is_some() && ear.err().contains("Read-only file system"), "{}", ear.err());
    rig.down().await;
}

/// Checks who the command is and what it may do.
async fn nobody(rig: &Rig) {
    assert_eq!(says(rig, "id -u; id -g").await, "65534\n65534\n");
    let status = says(rig, "grep -E 'Cap|NoNewPrivs|Seccomp:|Groups' /proc/self/status").await;
    for line in [
        "CapInh:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "Groups:\t \n",
    ] {
        assert!(status.contains(line), "{line} is not in {status}");
    }
    if rig.runtime.isolation() == Isolation::Rootless {
        // No other user exists for it, and root least of all.
        assert_eq!(
            says(rig, "cat /proc/self/uid_map").await.split_whitespace().collect::<Vec<_>>(),
            ["65534", "65534", "1"]
        );
    }
}

#[tokio::test]
async fn every_namespace_is_its_own() {
    let Some(rig) = Rig::up("namespaces").await else { return };
    let names = ["cgroup", "ipc", "mnt", "net", "pid", "uts"];
    let script = names.map(|name| format!("readlink /proc/self/ns/{name}")).join("; ");
    let inside = says(&rig, &script).await;
    for (name, inside) in names.iter().zip(inside.lines()) {
        let outside = std::fs::read_link(format!("/proc/self/ns/{name}")).expect("a namespace");
        assert_ne!(outside.display().to_string(), inside, "{name}");
    }
    assert_eq!(
        says(&rig, "echo $$; hostname; cat /etc/hostname; [ $(ls /proc | grep -c '^[0-9]') -le 4 ] && echo few").await,
        "1\ntask\ntask\nfew\n"
    );
    rig.down().await;
}

#[tokio::test]
async fn what_makes_namespaces_or_mounts_is_refused() {
    let Some(rig) = Rig::up("refused").await else { return };
    for script in [
        "unshare -U true",
        "unshare -n true",
        "mount -t tmpfs x /tmp",
        "chroot / true",
        "mknod /task/d c 1 3",
        "ping -c 1 127.0.0.1",
    ] {
        let (finished, ear) = rig.run(rig.script(script)).await;
        assert_ne!(finished.outcome, Outcome::Exited { code: 0 }, "{script}");
        assert!(ear.err().contains("not permitted") || ear.err().contains("denied"), "{script}: {}", ear.err());
    }
    rig.down().await;
}

#[tokio::test]
async fn the_root_is_read_only_and_tmp_executes_nothing() {
    let Some(rig) = Rig::up("root").await else { return };
    let (finished, ear) = rig.run(rig.script("touch /x || touch /bin/x || touch /etc/x || touch /dev/x")).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 1 });
    assert_eq!(ear.err().matches("Read-only file system").count(), 4, "{}", ear.err());
    let (finished, ear) = rig.run(rig.script("cp /bin/busybox /tmp/sh && /tmp/sh -c true")).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 126 });
    assert!(ear.err().contains("Permission denied"), "{}", ear.err());
    let resources = Resources { memory: Bytes::from_mib(200), ..rig.job(&[]).resources };
    for folder in ["/tmp", "/dev/shm"] {
        let script = format!("dd if=/dev/zero of={folder}/x bs=1M count=80");
        let (finished, ear) = rig.run(Job { resources, ..rig.script(&script) }).await;
        assert_eq!(finished.outcome, Outcome::Exited { code: 1 });
        assert!(ear.err().contains("No space left on device"), "{}", ear.err());
    }
    rig.down().await;
}

#[tokio::test]
async fn the_kernel_s_files_show_little_and_take_nothing() {
    let Some(rig) = Rig::up("kernel").await else { return };
    assert_eq!(
        says(&rig, "cat /proc/keys /proc/timer_list /proc/interrupts | wc -c; ls -A /sys/firmware").await,
        "0\n"
    );
    for path in ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/kernel/mm/transparent_hugepage/enabled"]
    {
        let (finished, _) = rig.run(rig.script(&format!("echo x > {path}"))).await;
        assert_ne!(finished.outcome, Outcome::Exited { code: 0 }, "{path}");
    }
    let mounts = says(&rig, "cat /proc/self/mounts").await;
    for line in mounts.lines() {
        let (place, options) = (line.split(' ').nth(1).expect("a place"), line.split(' ').nth(3).expect("options"));
        let has = |option: &str| options.split(',').any(|one| one == option);
        assert!(has("nosuid"), "{line}");
        let devices = place.starts_with("/dev") || place == "/proc/kcore" || place == "/proc/keys" || has("nodev");
        assert!(devices || place.starts_with("/proc/"), "{line}");
        assert!(
            has("ro")
                || ["/task", "/tmp", "/proc", "/dev/pts", "/dev/shm", "/dev/mqueue"].contains(&place)
                || line.contains(" /proc/"),
            "{line}"
        );
    }
    assert!(says(&rig, "ls /dev").await.split_whitespace().all(|name| {
        [
            "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
            "urandom", "zero",
        ]
        .contains(&name)
    }));
    rig.down().await;
}

#[tokio::test]
async fn streams_can_be_opened_by_name_and_no_other_file_is_open() {
    let Some(rig) = Rig::up("streams").await else { return };
    let (finished, ear) =
        rig.run(rig.script("echo one > /dev/stdout; echo two > /dev/stderr; cat; ls /proc/$$/fd; true")).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 0 }, "{}", ear.err());
    assert_eq!((ear.out().as_str(), ear.err().as_str()), ("one\n0\n1\n2\n", "two\n"));
    rig.down().await;
}

#[tokio::test]
async fn task_is_empty_writable_executable_and_exactly_as_large_as_promised() {
    let Some(rig) = Rig::up("disk").await else { return };
    assert_eq!(says(&rig, "pwd; ls -A /task; cp /bin/busybox busybox && ./busybox echo runs").await, "/task\nruns\n");
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
    let own = json!({"Env": ["OF_THE_IMAGE=kept", "HIVEMIND_ENTRY=of-the-image", "HOME=/root"]});
    let image = image(rig.folder.path(), "env", own, &[root_file_system("env")]);
    let env = vec![
        ("HIVEMIND_ENTRY".to_owned(), "two  words \"q\" 'q' é".to_owned()),
        ("OF_THE_IMAGE".to_owned(), "not ours to set".to_owned()),
    ];
    let job = Job { image, env, ..rig.script("env") };
    let attempt = job.attempt;
    let (finished, ear) = rig.run(job).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 0 }, "{}", ear.err());
    let out = ear.out();
    let mut lines: Vec<&str> = out.lines().filter(|line| !line.starts_with("PATH=")).collect();
    lines.sort_unstable();
    let task = format!("HIVEMIND_TASK={}", attempt.element.task);
    let attempt = format!("HIVEMIND_ATTEMPT={attempt}");
    let expected = [
        &attempt,
        "HIVEMIND_ENTRY=two  words \"q\" 'q' é",
        "HIVEMIND_INDEX=0",
        &task,
        "HOME=/task",
        "HOSTNAME=task",
        "OF_THE_IMAGE=kept",
        "PWD=/task",
        "SHLVL=1",
        "TMPDIR=/tmp",
    ];
    assert_eq!(lines, expected);
    rig.down().await;
}

#[tokio::test]
async fn folders_that_an_image_declares_are_small() {
    let Some(rig) = Rig::up("declared").await else { return };
    let own = json!({"Volumes": {"/data/deep": {}, "/tmp": {}, "/task/cache": {}}});
    let image = image(rig.folder.path(), "volumes", own, &[root_file_system("volumes")]);
    for folder in ["/data/deep", "/tmp", "/task/cache"] {
        let script = format!("dd if=/dev/zero of={folder}/x bs=1M count=32");
        let (finished, ear) = rig.run(Job { image: image.clone(), ..rig.script(&script) }).await;
        assert_eq!(finished.outcome, Outcome::Exited { code: 1 }, "{folder}");
        assert!(ear.err().contains("No space left on device"), "{folder}: {}", ear.err());
    }
    rig.down().await;
}

#[tokio::test]
async fn the_container_sees_its_own_limits_and_tasks_see_nothing_of_each_other() {
    let Some(rig) = Rig::up("limits").await else { return };
    let (running, ear, stop) = rig.start(rig.script("echo mine > /tmp/secret; echo mine > secret; echo up; sleep 600"));
    ear.until(|ear| ear.out() == "up\n").await;
    let seen = says(&rig, "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; ls -A /tmp /task; [ $(ls /proc | grep -c '^[0-9]') -le 4 ] && echo few").await;
    assert_eq!(seen, "67108864\n/task:\n\n/tmp:\nfew\n");
    stop.cancel();
    assert_eq!(running.await.expect("ended").outcome, Outcome::Cancelled);
    rig.down().await;
}

#[tokio::test]
async fn an_image_may_have_a_layer_twice() {
    let Some(rig) = Rig::up("twice").await else { return };
    let (root, empty) = (root_file_system(""), root_file_system("empty/"));
    let twice = image(rig.folder.path(), "twice", json!({}), &[root.clone(), empty.clone(), root, empty]);
    let (finished, ear) = rig.run(Job { image: twice, ..rig.job(&["echo", "here"]) }).await;
    assert_eq!((finished.outcome, ear.out().as_str()), (Outcome::Exited { code: 0 }, "here\n"), "{}", ear.err());
    rig.down().await;
}
