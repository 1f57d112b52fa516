//! Servers of the program under test, and a browser that asks them.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for anything.
const DEADLINE: Duration = Duration::from_secs(120);
/// A worker that works on any machine.
const MAINS_OR_NOT: &str = "[battery]\nwhen = \"run\"\nleast_percent = 0\n";

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

/// The program with nothing of the tester's own settings.
pub(crate) fn hivemind(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hivemind"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HIVEMIND_") || name.starts_with("OTEL_")) {
        command.env_remove(name);
    }
    command.env("HIVEMIND_CONFIG_HOME", data).arg("--data").arg(data);
    command
}

/// A server that said that it is ready.
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
    /// What it said so.
    pub(crate) ready: Value,
}

impl Server {
    /// Starts `hivemind --json` with `args` and some variables, over the folder `data`.
    pub(crate) fn start(data: &Path, args: &[&str], variables: &[(&str, &str)]) -> Self {
        std::fs::create_dir_all(data.join("worker")).unwrap();
        std::fs::write(data.join("worker/owner.toml"), MAINS_OR_NOT).unwrap();
        let log = data.join(format!("{}.log", args[0]));
        let mut command = hivemind(data);
        command.arg("--json").args(args).envs(variables.iter().copied());
        let kept = File::create(&log).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(kept).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line);
        let ready = ready.unwrap_or_else(|why| panic!("{why}: `{line}`; {}", std::fs::read_to_string(&log).unwrap()));
        Self { child, log, ready }
    }

    /// A pool with a worker and pages for both, in one process.
    pub(crate) fn up(data: &Path, variables: &[(&str, &str)]) -> Self {
        let args = "up --runtime fake --listen 127.0.0.1:0 --web 127.0.0.1:0 --worker-web 127.0.0.1:0 --cpus 4 --memory 8g --disk 20g --name here";
        Self::start(data, &args.split(' ').collect::<Vec<_>>(), variables)
    }

    /// An address of its ready line.
    pub(crate) fn at(&self, key: &str) -> String {
        self.ready[key].as_str().unwrap_or_else(|| panic!("no {key} in {}", self.ready)).to_owned()
    }

    /// What it has said on standard error.
    pub(crate) fn talk(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let ended = eventually("the server ends", || self.child.try_wait().unwrap());
        (ended, self.talk())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; there is nobody left to tell.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }
}

/// A browser, with its cookies and the word that pages repeat.
pub(crate) struct Browser {
    at: String,
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) csrf: String,
    /// Sent with every request.
    pub(crate) more: Vec<String>,
}

impl Browser {
    /// One that asks the server at `url`.
    pub(crate) fn of(url: &str) -> Self {
        let at = url.strip_prefix("http://").unwrap().to_owned();
        Self { at, cookies: BTreeMap::new(), csrf: String::new(), more: Vec::new() }
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, None)
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Answer {
        let answer = self.ask("POST", path, Some(body));
        if let Some(csrf) = serde_json::from_str::<Value>(&answer.body)
            .ok()
            .and_then(|body| body["csrf_token"].as_str().map(str::to_owned))
        {
            self.csrf = csrf;
        }
        answer
    }

    fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            text.push_str(&format!("Cookie: {}\r\nX-CSRF-Token: {}\r\n", cookies.join("; "), self.csrf));
        }
        for line in &self.more {
            text.push_str(&format!("{line}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        let mut stream = TcpStream::connect(&self.at).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(format!("{text}\r\n{body}").as_bytes()).unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        let (head, body) = all.split_once("\r\n\r\n").unwrap();
        for line in head.lines() {
            let cookie = line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
            if let Some((name, value)) = cookie.and_then(|(_, cookie)| cookie.split(';').next()?.split_once('=')) {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }
}
