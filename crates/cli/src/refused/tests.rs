use super::*;
use crate::args::Cli;
use clap::CommandFactory;

fn judge(line: &str) -> Result<(), Failure> {
    let argv: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    let mut command = Cli::command();
    command.build();
    check(&argv, &command)
}

#[test]
fn docker_options_before_the_image_are_refused_by_name() {
    for (line, name) in [
        ("hivemind run --privileged busybox", "--privileged"),
        ("hivemind run -v /:/host busybox", "-v (--volume)"),
        ("hivemind run -v/:/host busybox", "-v (--volume)"),
        ("hivemind run --volume=/:/host busybox", "--volume"),
        ("hivemind run --net=host busybox", "--net"),
        ("hivemind run --network a.org:1 --net host busybox", "--net"),
        ("hivemind run --cap-add SYS_ADMIN busybox", "--cap-add"),
        ("hivemind run --device /dev/kvm busybox", "--device"),
        ("hivemind run --pid host busybox", "--pid"),
        ("hivemind run --ipc=host busybox", "--ipc"),
        ("hivemind run --security-opt seccomp=unconfined busybox", "--security-opt"),
        ("hivemind run --mount type=bind,src=/,dst=/h busybox", "--mount"),
        ("hivemind run --user 0 busybox", "--user"),
        ("hivemind run -e A=b busybox", "-e (--env)"),
        ("hivemind run --env-file x busybox", "--env-file"),
        ("hivemind run -it busybox", "-i (--interactive)"),
        ("hivemind --data /x -q run --name y --cpus 2 -m 1g --privileged busybox", "--privileged"),
        ("hivemind submit -dv /a:/b busybox", "-v (--volume)"),
        ("hivemind submit --rm busybox", "--rm"),
        ("hivemind plan --max-price 2 --min-level gold --rm busybox", "--rm"),
    ] {
        let failure = judge(line).expect_err(line);
        assert!(failure.what.contains(name), "{line}: {}", failure.what);
        assert!(!failure.fix.is_empty(), "{line}");
        assert_eq!(failure.exit.number(), 2);
    }
}

#[test]
fn the_tasks_own_words_are_left_alone() {
    for line in [
        "hivemind run busybox --privileged",
        "hivemind run busybox sh -e -v /x",
        "hivemind run --name --privileged busybox",
        "hivemind run -m 512m busybox ls -v",
        "hivemind run -- busybox -v",
        "hivemind ps --privileged",
        "hivemind -v ps",
        "hivemind",
    ] {
        assert_eq!(judge(line), Ok(()), "{line}");
    }
}
