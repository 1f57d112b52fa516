//! Ctrl-C while something that should answer does not.

use crate::program::{Up, running};
use rustix::process::Signal;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

#[test]
fn ctrl_c_leaves_before_the_task_is_handed_in() {
    let up = Up::start();
    let ann = up.user("ann");
    ann.ok(&["register", "ann", "--email", "ann@example.org"]);
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("https://{}", deaf.local_addr().unwrap());
    let run = ann.spawn(&["--server", &server, "run", "bb:1", "sleep", "600000"]);
    let _held = deaf.accept().unwrap();
    run.signal(Signal::INT);
    let said = run.end();
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (130, "", ""));
    assert_eq!(ann.ok(&["ps", "--all", "-q"]), "");
}

#[test]
fn ctrl_c_ends_a_server_whose_docker_does_not_answer() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("docker.sock");
    let deaf = UnixListener::bind(&socket).unwrap();
    let data = dir.path().join("data").display().to_string();
    let docker = format!("unix://{}", socket.display());
    let up = running(&["--data", &data, "up", "--listen", "127.0.0.1:0", "--web", "off"], &[("DOCKER_HOST", &docker)]);
    let _held = deaf.accept().unwrap();
    up.signal(Signal::INT);
    let said = up.end();
    assert_eq!((said.code, said.out.as_str()), (0, ""), "it ended before it was ready: {}", said.err);
}
