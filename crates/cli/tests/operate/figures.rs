//! `/metrics` of all three servers, and what asks for it in `deploy/`.

use crate::server::{Answer, Browser, Server, eventually};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What Prometheus's own tool says; `None` where it is not there.
fn promtool(args: &[&str], input: &str) -> Option<Output> {
    let mut tool = Command::new("promtool");
    let tool = tool.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tool = match tool.spawn() {
        Ok(tool) => tool,
        Err(why) => {
            eprintln!("promtool {args:?} was not asked: {why}; scripts/setup.sh tests installs it");
            return None;
        }
    };
    tool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Some(tool.wait_with_output().unwrap())
}

fn approved(args: &[&str], input: &str) {
    if let Some(said) = promtool(args, input) {
        let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        // Advice is on standard error, and is no failure to the tool.
        assert!(said.status.success() && err.is_empty(), "promtool {args:?}: {out}{err}");
    }
}

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

/// The names of the metrics that a text in Prometheus's form has.
fn named_in(figures: &str) -> BTreeSet<String> {
    let lines = figures.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    lines.filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
}

/// A pool with a worker, a gateway alone before it, and what each of the three tells.
fn all_three(data: &Path) -> [String; 3] {
    let up = Server::up(&data.join("up"), &[]);
    let (grpc, ca) = (up.at("grpc"), data.join("up/ca.pem"));
    let args = ["master", "--web", "127.0.0.1:0", "--server", &grpc, "--ca", ca.to_str().unwrap()];
    let master = Server::start(&data.join("master"), &args, &[]);
    let mut browser = Browser::of(&master.at("web"));
    // Some figures begin with what they count.
    assert_eq!(browser.get("/api/v1/public").status, 200);
    let body = |url: String| {
        let answer = Browser::of(&url).get("/metrics");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    };
    let all = [body(up.at("web")), body(up.at("worker_web")), body(master.at("web"))];
    for server in [master, up] {
        let (ended, talk) = server.stop();
        assert!(ended.success(), "{ended}: {talk}");
    }
    all
}

#[test]
fn prometheus_accepts_what_all_servers_tell_and_finds_all_that_it_is_to_ask_for() {
    let data = tempfile::tempdir().unwrap();
    let [pool, worker, master] = all_three(data.path());
    for (figures, role, line) in [
        (&pool, "pool", "hivemind_pool_ledger_imbalance_microcpt 0"),
        (&worker, "worker", "hivemind_worker_link_up 1"),
        (&master, "master", "hivemind_master_pool_up 1"),
    ] {
        assert!(figures.contains(&format!("hivemind_build_info{{role=\"{role}\"")), "{figures}");
        assert!(figures.lines().any(|told| told == line), "no `{line}` in {figures}");
        approved(&["check", "metrics"], figures);
    }
    assert!(!pool.contains("\nhivemind_worker_") && !master.contains("\nhivemind_pool_"), "roles do not mix");
    assert!(pool.contains("\nhivemind_master_pool_up 1"), "the pool's own gateway is measured, too");

    let known: BTreeSet<String> = [&pool, &worker, &master].into_iter().flat_map(|text| named_in(text)).collect();
    for file in ["alerts.yml", "grafana-pool.json", "grafana-master.json", "grafana-worker.json"] {
        let text = std::fs::read_to_string(deploy().join(file)).unwrap();
        let asked = asked_in(&text);
        assert!(asked.len() >= 5, "{file} asks for {asked:?}");
        for name in asked {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
            assert!(known.contains(base), "{file} asks for {name}, which no server has");
        }
    }
    for (command, file) in [("rules", "alerts.yml"), ("config", "prometheus.yml")] {
        let path = deploy().join(file);
        if let Some(said) = promtool(&["check", command, path.to_str().unwrap()], "") {
            assert!(said.status.success(), "{file}: {}", String::from_utf8_lossy(&said.stderr));
        }
    }
}

/// The metrics of ours that a file asks for. A machine without a graphics processor has no figures of one.
fn asked_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = words.filter(|word| {
        ["hivemind_pool_", "hivemind_master_", "hivemind_worker_"].iter().any(|start| word.starts_with(start))
            && !word.starts_with("hivemind_worker_gpu")
    });
    ours.map(str::to_owned).collect()
}

#[test]
fn a_gateway_says_when_its_pool_is_away() {
    let data = tempfile::tempdir().unwrap();
    let up = Server::up(&data.path().join("up"), &[]);
    let (grpc, ca) = (up.at("grpc"), data.path().join("up/ca.pem"));
    let args = ["master", "--web", "127.0.0.1:0", "--server", &grpc, "--ca", ca.to_str().unwrap()];
    let master = Server::start(&data.path().join("master"), &args, &[]);
    let mut browser = Browser::of(&master.at("web"));
    let mut says =
        |line: &str| eventually(line, || browser.get("/metrics").body.lines().find(|told| *told == line).map(drop));
    says("hivemind_master_pool_up 1");
    let (ended, talk) = up.stop();
    assert!(ended.success(), "{talk}");
    says("hivemind_master_pool_up 0");
    let ready: Answer = Browser::of(&master.at("web")).get("/readyz");
    assert_eq!((ready.status, ready.json()["code"].as_str()), (503, Some("E_UNAVAILABLE")), "{}", ready.head);
}
