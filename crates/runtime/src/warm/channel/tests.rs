use super::*;
use hivemind_guest::PROGRAM;
use hivemind_guest::wire::How;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::DuplexStream;

const DEADLINE: Duration = Duration::from_secs(60);

/// The guest as a process of this machine, in no container: it is not the first one of its own.
struct Guest {
    child: tokio::process::Child,
    _folder: tempfile::TempDir,
}

async fn guest() -> (Guest, Channel) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("guest");
    std::fs::write(&program, PROGRAM).expect("written");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("executable");
    // Files that were just written are busy for as long as another thread's child has them open.
    let mut child = loop {
        let mut command = tokio::process::Command::new(&program);
        command.args(["warm", "/none/such"]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        match command.spawn() {
            Ok(child) => break child,
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    let (from, to) = (child.stdout.take().expect("piped"), child.stdin.take().expect("piped"));
    let channel = tokio::time::timeout(DEADLINE, Channel::open(from, to)).await.expect("in time").expect("open");
    (Guest { child, _folder: folder }, channel)
}

fn command(argv: &[&str]) -> Command {
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    Command { argv, env: vec![("HIVEMIND_INDEX".into(), "7".into())], cwd: "/".into() }
}

/// Runs to the end; what was said, each stream in one piece.
async fn run(channel: &mut Channel, command: Command) -> (bool, String, String, Ended) {
    channel.run(command).await.expect("asked");
    let (mut started, mut out, mut err) = (false, Vec::new(), Vec::new());
    loop {
        match tokio::time::timeout(DEADLINE, channel.next()).await.expect("in time").expect("said") {
            Said::Started => started = true,
            Said::Output(Stream::Stdout, data) => out.extend_from_slice(&data),
            Said::Output(Stream::Stderr, data) => err.extend_from_slice(&data),
            Said::Ended(ended) => {
                let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
                return (started, text(out), text(err), ended);
            }
        }
    }
}

#[tokio::test]
async fn commands_run_one_after_the_other() {
    let (mut guest, mut channel) = guest().await;
    for round in 0..3 {
        let script = "echo $HIVEMIND_INDEX; pwd; echo e >&2; exit 5";
        let (started, out, err, ended) = run(&mut channel, command(&["sh", "-c", script])).await;
        assert!(started && channel.is_ready(), "round {round}");
        assert_eq!((out.as_str(), err.as_str(), ended.how), ("7\n/\n", "e\n", How::Exited(5)));
        assert!(ended.peak_kib > 0 && !ended.worn);
    }
    drop(channel);
    let status = tokio::time::timeout(DEADLINE, guest.child.wait()).await.expect("in time").expect("ended");
    assert!(status.success(), "it ends with its agent");
}

#[tokio::test]
async fn what_cannot_run_and_what_a_signal_ends_is_said() {
    let (_guest, mut channel) = guest().await;
    for (argv, errno) in [(&["no-such-command"][..], 2), (&["/none/such"], 2), (&["/etc/passwd"], 13)] {
        let (started, _, _, ended) = run(&mut channel, command(argv)).await;
        assert_eq!((started, ended.how), (false, How::NotStarted(errno)), "{argv:?}");
    }
    let (_, _, _, ended) = run(&mut channel, command(&["sh", "-c", "kill -TERM $$"])).await;
    assert_eq!(ended.how, How::Signalled(15));
}

#[tokio::test]
async fn large_outputs_come_whole_and_children_that_stay_are_killed() {
    let (_guest, mut channel) = guest().await;
    let script = "sleep 600 & yes 0123456 | head -c 4194304; echo end >&2";
    let (_, out, err, ended) = run(&mut channel, command(&["sh", "-c", script])).await;
    assert!(out == "0123456\n".repeat(524_288), "{} bytes", out.len());
    assert_eq!((err.as_str(), ended.how), ("end\n", How::Exited(0)));
}

#[tokio::test]
async fn a_kill_ends_what_ignores_signals_and_only_what_runs() {
    let (_guest, mut channel) = guest().await;
    channel
        .run(command(&["sh", "-c", "trap '' TERM INT HUP; echo up; while true; do sleep 600; done"]))
        .await
        .expect("asked");
    loop {
        match channel.next().await.expect("said") {
            Said::Output(..) => break,
            Said::Started => {}
            Said::Ended(ended) => panic!("{ended:?}"),
        }
    }
    assert!(!channel.is_ready());
    channel.kill().await.expect("asked");
    let Said::Ended(ended) = channel.next().await.expect("said") else { panic!("it goes on") };
    assert_eq!(ended.how, How::Signalled(9));
    channel.kill().await.expect("nothing runs");
    let (_, out, _, ended) = run(&mut channel, command(&["echo", "next"])).await;
    assert_eq!((out.as_str(), ended.how), ("next\n", How::Exited(0)));
}

#[tokio::test]
async fn nobody_of_the_same_user_looks_into_the_guest() {
    let (guest, mut channel) = guest().await;
    let pid = guest.child.id().expect("it runs");
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{pid}/fd")).expect("there"));
    assert_eq!(owner, 0, "its files belong to root, whoever it is");
    let (_, out, _, _) = run(&mut channel, command(&["ls", "-l", "/proc/self/fd"])).await;
    for stream in ["0", "1"] {
        let pipe = std::fs::read_link(format!("/proc/{pid}/fd/{stream}")).expect("there");
        assert!(!out.contains(&pipe.display().to_string()), "a command has the guest's own {stream}: {out}");
    }
}

/// A stranger in place of the guest, who says `said`.
async fn stranger(said: &[u8]) -> (Result<Channel, Broken>, DuplexStream) {
    let (ours, mut theirs) = tokio::io::duplex(1 << 20);
    theirs.write_all(said).await.expect("said");
    let (from, to) = tokio::io::split(ours);
    (Channel::open(from, to).await, theirs)
}

fn frame(id: u64, reply: Reply<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    reply.write(id, &mut frame).expect("short");
    frame
}

#[tokio::test]
async fn a_guest_that_says_something_else_is_refused() {
    for said in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 64], &frame(0, Reply::Started), &frame(0, Reply::Hello(9))] {
        let (opened, _theirs) = stranger(said).await;
        assert!(opened.is_err(), "{said:?}");
    }
    let (ours, theirs) = tokio::io::duplex(64);
    drop(theirs);
    let (from, to) = tokio::io::split(ours);
    assert!(matches!(Channel::open(from, to).await, Err(Broken::Gone)));
}

#[tokio::test]
async fn what_is_out_of_turn_ends_the_channel() {
    let end = |how| Ended { how, cpu_micros: 0, peak_kib: 0, worn: false };
    let exited = frame(1, Reply::Ended(end(How::Exited(0))));
    for (said, why) in [
        (frame(2, Reply::Started), "another command"),
        (frame(1, Reply::Stdout(b"x")), "output"),
        (exited, "an end"),
        (frame(0, Reply::Hello(VERSION)), "another command"),
        ([frame(1, Reply::Started), frame(1, Reply::Started)].concat(), "a start"),
        ([frame(1, Reply::Started), frame(1, Reply::Ended(end(How::NotStarted(2))))].concat(), "an end"),
    ] {
        let (opened, mut theirs) = stranger(&frame(0, Reply::Hello(VERSION))).await;
        let mut channel = opened.expect("open");
        channel.run(command(&["true"])).await.expect("asked");
        theirs.write_all(&said).await.expect("said");
        let broken = loop {
            match channel.next().await {
                Ok(_) => {}
                Err(broken) => break broken.to_string(),
            }
        };
        assert!(broken.contains(why), "{broken} is not {why}");
    }
}

#[tokio::test]
async fn one_that_speaks_while_it_waits_is_not_used_again() {
    let (opened, mut theirs) = stranger(&frame(0, Reply::Hello(VERSION))).await;
    let mut channel = opened.expect("open");
    assert!(channel.is_ready());
    theirs.write_all(&frame(1, Reply::Started)).await.expect("said");
    assert!(!channel.is_ready());
    drop(theirs);
    assert!(!channel.is_ready());
}

#[tokio::test]
async fn too_long_a_command_is_refused_and_not_sent() {
    let (_guest, mut channel) = guest().await;
    let long = Command { argv: vec!["x".repeat(2 << 20)], ..Command::default() };
    assert!(matches!(channel.run(long).await, Err(Broken::Malformed(_))));
}
