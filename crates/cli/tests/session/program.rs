//! Processes of the program under test.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PASSWORD: &str = "correct horse battery";
/// A worker that works on any machine.
const MAINS_OR_NOT: &str = "[battery]\nwhen = \"run\"\nleast_percent = 0\n";
const DEADLINE: Duration = Duration::from_secs(60);

fn hivemind() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hivemind"));
    // Nothing of the tester's own settings gets in.
    for name in
        ["HIVEMIND_DATA", "HIVEMIND_SERVER", "HIVEMIND_CA", "HIVEMIND_TOKEN_FILE", "HIVEMIND_LOG", "HIVEMIND_JOIN"]
    {
        command.env_remove(name);
    }
    command
}

/// Waits until there is something, up to a deadline.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::yield_now();
    }
}

/// What a process said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The program without any options.
pub(crate) fn plain(args: &[&str]) -> Said {
    running(args, &[]).end()
}

/// The program with some variables, while it runs.
pub(crate) fn running(args: &[&str], variables: &[(&str, &str)]) -> Running {
    Running(Some(start(hivemind().args(args).envs(variables.iter().copied()))))
}

fn start(command: &mut Command) -> Child {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that does not ask closes its end; that is no fault.
    let _ = child.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes());
    child
}

/// A pool with a worker, in one process.
pub(crate) struct Up {
    dir: TempDir,
    listen: String,
    has_policy: bool,
    server: Option<Child>,
}

impl Up {
    pub(crate) fn start() -> Self {
        let mut up = Self::new();
        up.start_again();
        up
    }

    /// One with a policy file of this content.
    pub(crate) fn with_policy(policy: &str) -> Self {
        let mut up = Self::new();
        up.has_policy = true;
        std::fs::write(up.path("policy.toml"), policy).unwrap();
        up.start_again();
        up
    }

    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // The tester's own machine may run on battery.
        std::fs::create_dir_all(dir.path().join("up/worker")).unwrap();
        std::fs::write(dir.path().join("up/worker/owner.toml"), MAINS_OR_NOT).unwrap();
        Self { dir, listen: hivemind_testkit::port::steady_address().to_string(), has_policy: false, server: None }
    }

    /// What it has said on standard error.
    pub(crate) fn talk(&self) -> String {
        std::fs::read_to_string(self.path("up.log")).unwrap_or_default()
    }

    /// Starts over the same data, on the same address.
    pub(crate) fn start_again(&mut self) {
        let log = std::fs::File::create(self.path("up.log")).unwrap();
        let args = [
            "up",
            "--runtime",
            "fake",
            "--listen",
            &self.listen,
            "--cpus",
            "4",
            "--memory",
            "8g",
            "--disk",
            "20g",
            "--name",
            "here",
            "--web",
            "off",
        ];
        let mut command = hivemind();
        command.arg("--data").arg(self.path("up")).args(args);
        if self.has_policy {
            command.arg("--policy").arg(self.path("policy.toml"));
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.server = Some(child);
        let address = line.trim().strip_prefix("ready grpc=https://");
        self.listen =
            address.unwrap_or_else(|| panic!("no ready line but `{line}`; it said: {}", self.talk())).to_owned();
    }

    /// Kills it.
    pub(crate) fn kill(&mut self, signal: Signal) {
        let mut server = self.server.take().unwrap();
        kill_process(Pid::from_child(&server), signal).unwrap();
        server.wait().unwrap();
    }

    /// Asks it to end, and checks that it does so well.
    pub(crate) fn stop(&mut self) {
        let mut server = self.server.take().unwrap();
        kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
        let status = server.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.talk());
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A user with a data folder of their own.
    pub(crate) fn user(&self, name: &str) -> User {
        User { data: self.path(name), ca: self.path("up/ca.pem"), server: format!("https://{}", self.listen) }
    }

    /// The operator, logged in.
    pub(crate) fn operator(&self) -> User {
        let operator = self.user("operator");
        if !operator.data.exists() {
            let file = self.path("up/operator.password");
            operator.ok(&["login", "operator", "--password-file", file.to_str().unwrap()]);
        }
        operator
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// Somebody who uses the program.
pub(crate) struct User {
    data: PathBuf,
    ca: PathBuf,
    server: String,
}

impl User {
    pub(crate) fn spawn(&self, args: &[&str]) -> Running {
        let mut command = hivemind();
        command.env("HIVEMIND_DATA", &self.data).env("HIVEMIND_CA", &self.ca).env("HIVEMIND_SERVER", &self.server);
        Running(Some(start(command.args(args))))
    }

    pub(crate) fn says(&self, args: &[&str]) -> Said {
        self.spawn(args).end()
    }

    /// The one JSON document of a success.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let text = self.ok(&[&["--json"], args].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
    }

    /// Standard output of a success.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let said = self.says(args);
        assert_eq!(said.code, 0, "{args:?}: {}", said.err);
        said.out
    }
}

/// A process that has not been waited for.
pub(crate) struct Running(Option<Child>);

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.0.as_ref().unwrap()), signal).unwrap();
    }

    pub(crate) fn end(mut self) -> Said {
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
