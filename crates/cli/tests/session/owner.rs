//! An owner speaks with the worker on their machine.

use crate::program::{Up, User, eventually, plain};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::path::Path;

fn owner<'a>(data: &'a str, words: &[&'a str]) -> Vec<&'a str> {
    [&["--data", data, "worker"], words].concat()
}

fn ok(data: &str, words: &[&str]) -> Value {
    let said = plain(&[&["--json"], owner(data, words).as_slice()].concat());
    assert_eq!(said.code, 0, "{words:?}: {}", said.err);
    serde_json::from_str(&said.out).unwrap()
}

fn running(ann: &User, task: &str) -> bool {
    ann.json(&["status", task])["state"] == "running"
}

#[test]
fn an_owner_pauses_goes_on_and_stops_everything() {
    let mut up = Up::start();
    let data = up.path("up").display().to_string();
    let ann = up.user("ann");
    ann.ok(&["register", "ann", "--email", "ann@example.org"]);
    let status = ok(&data, &["status"]);
    assert_eq!((status["schema"].as_str(), status["state"].as_str()), (Some("hivemind.worker/1"), Some("open")));
    let task = ann.ok(&["submit", "bb:1", "sleep", "600000"]).trim().to_owned();
    eventually("it runs", || running(&ann, &task).then_some(()));

    let paused = ok(&data, &["pause", "--for", "5m"]);
    assert_eq!((paused["state"].as_str(), paused["mode"].as_str()), (Some("paused"), Some("pause")));
    assert_eq!(paused["running"][0]["paused"], true);
    assert!(paused["sentence"].as_str().unwrap().contains("the owner paused it until"), "{paused}");
    let shown = plain(&owner(&data, &["status"]));
    assert!(
        shown.out.contains("ATTEMPT") && shown.out.contains("paused") && shown.out.contains("bb:1"),
        "{}",
        shown.out
    );
    assert_eq!(ok(&data, &["start"])["running"][0]["paused"], false);
    assert_eq!(ok(&data, &["finish"])["state"], "finishing");

    let stopped = ok(&data, &["stop-now"]);
    assert_eq!((stopped["state"].as_str(), stopped["running"].as_array().unwrap().len()), (Some("paused"), 0));
    eventually("the pool knows", || (!running(&ann, &task)).then_some(()));
    ok(&data, &["start"]);
    eventually("it runs anew", || running(&ann, &task).then_some(()));
    ann.ok(&["cancel", &task]);

    preferences(&up, &data);
    up.stop();
    let gone = plain(&owner(&data, &["status"]));
    assert_eq!(gone.code, 3, "{}", gone.err);
    assert!(gone.err.contains("E_NOT_RUNNING") && gone.err.contains("hivemind worker"), "{}", gone.err);
}

fn preferences(up: &Up, data: &str) {
    let shown = plain(&owner(data, &["preferences", "-q"]));
    assert!(shown.out.contains("[idle]") && shown.out.contains("only = false"), "{}", shown.out);
    let file = up.path("wanted.toml");
    fs::write(&file, shown.out.replace("minutes = 10", "minutes = 3")).unwrap();
    ok(data, &["preferences", "set", file.to_str().unwrap()]);
    assert!(fs::read_to_string(Path::new(data).join("worker/owner.toml")).unwrap().contains("minutes = 3"));
    fs::write(&file, "[idle]\nolny = true").unwrap();
    let refused = plain(&owner(data, &["preferences", "set", file.to_str().unwrap()]));
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("olny"), "{}", refused.err);
}

#[test]
fn a_killed_worker_leaves_nothing_that_the_next_start_does_not_remove() {
    let mut up = Up::start();
    let data = up.path("up").display().to_string();
    let ann = up.user("ann");
    ann.ok(&["register", "ann", "--email", "ann@example.org"]);
    let task = ann.ok(&["submit", "bb:1", "sleep", "600000"]).trim().to_owned();
    eventually("it runs", || running(&ann, &task).then_some(()));
    up.kill(Signal::KILL);
    let folder = up.path("up/worker");
    assert!(folder.join("control.sock").exists());
    assert_eq!(plain(&owner(&data, &["status"])).code, 3);
    fs::write(folder.join("scratch/half"), "half").unwrap();
    fs::write(folder.join("logs/att_9.0.1.out"), "half").unwrap();
    up.start_again();
    assert_eq!(ok(&data, &["status"])["state"], "open");
    assert!(!folder.join("scratch/half").exists() && !folder.join("logs/att_9.0.1.out").exists());
    let ann = up.user("ann");
    ann.ok(&["cancel", &task]);
    up.stop();
    let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name == "control.sock" || name.to_string_lossy().contains("tmp")), "{left:?}");
}

#[test]
fn a_unit_is_shown_and_nothing_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().display().to_string();
    let shown = plain(&owner(&data, &["install", "--print", "-q"]));
    assert_eq!(shown.code, 0, "{}", shown.err);
    for line in ["Type=notify", "WatchdogSec=", &format!("--data {data} worker")] {
        assert!(shown.out.contains(line), "{line} is missing in {}", shown.out);
    }
    let refused = plain(&owner(&data, &["install"]));
    assert_eq!(refused.code, 7, "{}", refused.err);
    assert!(refused.err.contains("E_NOT_JOINED"), "{}", refused.err);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
