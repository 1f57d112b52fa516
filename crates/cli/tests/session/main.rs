//! The `hivemind` program as its users see it: real processes, a real pool, fake containers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod access;
mod arrays;
mod contents;
mod economy;
mod owner;
mod patience;
mod program;

use program::{Up, User, eventually};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;

#[test]
fn a_session_from_registration_to_the_books() {
    let up = Up::start();
    let ann = up.user("ann");
    ann.ok(&["register", "ann", "--email", "ann@example.org"]);
    assert_eq!(ann.ok(&["whoami", "-q"]), "ann\n");

    assert_eq!(ann.ok(&["run", "bb:1", "echo", "hello", "--json", "world"]), "hello --json world\n");
    let warned = ann.says(&["run", "bb:1", "warn", "careful"]);
    assert_eq!((warned.code, warned.out.as_str(), warned.err.as_str()), (0, "", "careful\n"));
    assert_eq!(ann.ok(&["run", "bb:1", "spew", "300000"]).len(), 300_000);

    let input = up.path("input.txt");
    fs::write(&input, "from a file\n").unwrap();
    assert_eq!(
        ann.ok(&["run", "--input", &format!("{}:in/x.txt", input.display()), "bb:1", "cat", "in/x.txt"]),
        "from a file\n"
    );
    let big = up.path("big.txt");
    fs::write(&big, "y".repeat(200_000)).unwrap();
    assert_eq!(ann.ok(&["run", "--input", big.to_str().unwrap(), "bb:1", "cat", "big.txt"]).len(), 200_000);

    let out = up.path("out");
    ann.ok(&["run", "--to", out.to_str().unwrap(), "bb:1", "produce", "a/b.txt", "text"]);
    assert!(fs::read_to_string(out.join("a/b.txt")).unwrap().starts_with("text"));

    a_detached_task(&up, &ann);
    money_and_books(&up, &ann);
}

fn files_one_by_one(up: &Up, ann: &User, task: &str) {
    assert_eq!(ann.ok(&["fetch", task, "--list", "-q"]), "x.txt\n");
    let listed = ann.ok(&["fetch", task, "--list"]);
    assert!(listed.contains("PATH") && listed.contains("x.txt"), "{listed}");
    let (to, name) = (up.path("one"), up.path("one/x.txt"));
    let get = ["fetch", task, "x.txt", "--to", to.to_str().unwrap()];
    ann.ok(&get);
    assert_eq!(fs::read_to_string(&name).unwrap(), "1");
    fs::write(&name, "mine").unwrap();
    let again = ann.says(&get);
    assert!(again.code == 7 && again.err.contains("E_EXISTS"), "{}", again.err);
    ann.ok(&[&get[..], &["--replace"]].concat());
    assert_eq!(fs::read_to_string(&name).unwrap(), "1");
    for wrong in ["../x.txt", "y", "a/.."] {
        let refused = ann.says(&["fetch", task, wrong, "--to", to.to_str().unwrap(), "--replace"]);
        assert!([2, 3].contains(&refused.code), "{wrong}: {}", refused.err);
    }
    assert_eq!(fs::read_dir(&to).unwrap().count(), 1, "nothing is left of what was refused");
}

fn a_detached_task(up: &Up, ann: &User) {
    let task = ann.ok(&["submit", "--name", "produced", "bb:1", "produce", "x.txt", "1"]);
    let task = task.trim();
    assert!(task.starts_with("task_"), "{task}");
    ann.ok(&["wait", task]);
    let status: Value = serde_json::from_str(&ann.ok(&["status", task, "--json"])).unwrap();
    assert_eq!(
        (status["schema"].as_str(), status["state"].as_str(), status["name"].as_str()),
        (Some("hivemind.task/1"), Some("completed"), Some("produced"))
    );
    assert_eq!(ann.ok(&["status", task, "-q"]), "completed\n");
    let to = up.path("fetched");
    ann.ok(&["fetch", task, "--to", to.to_str().unwrap()]);
    assert!(to.join("x.txt").exists());
    let again = ann.says(&["fetch", task, "--to", to.to_str().unwrap()]);
    assert_eq!(again.code, 7, "a file that is there already is not overwritten: {}", again.err);
    assert!(again.err.contains("E_EXISTS") && again.err.contains("--replace"), "{}", again.err);
    fs::write(to.join("x.txt"), "mine").unwrap();
    ann.ok(&["fetch", task, "--to", to.to_str().unwrap(), "--replace"]);
    assert_eq!(fs::read_to_string(to.join("x.txt")).unwrap(), "1");
    files_one_by_one(up, ann, task);

    let echo = ann.ok(&["run", "--detach", "bb:1", "echo", "later"]);
    assert_eq!(ann.ok(&["logs", "-f", echo.trim()]), "later\n");
    assert_eq!(ann.ok(&["logs", echo.trim()]), "later\n");
    let listed = ann.ok(&["ps", "-q"]);
    assert!(listed.lines().any(|line| line == task), "{listed}");
    assert!(ann.ok(&["ps"]).starts_with("TASK "));
    assert!(ann.ok(&["ps", "--state", "failed", "-q"]).is_empty());
    let nodes: Value = serde_json::from_str(&up.operator().ok(&["nodes", "--json"])).unwrap();
    assert_eq!(nodes["nodes"][0]["state"], "online");
    let token = up.operator().ok(&["nodes", "join-token", "--valid", "5m"]);
    assert_eq!(token.lines().count(), 1);
}

fn money_and_books(up: &Up, ann: &User) {
    let bob = up.user("bob");
    bob.ok(&["register", "bob", "--email", "bob@example.org"]);
    ann.ok(&["wallet", "transfer", "bob", "2.5", "--id", "gift"]);
    ann.ok(&["wallet", "transfer", "bob", "2.5", "--id", "gift"]);
    assert_eq!(bob.ok(&["wallet", "balance", "-q"]), "152.50\n");
    let verdict = up.operator().ok(&["ledger", "verify"]);
    assert_eq!(verdict.lines().next(), Some("ledger: balanced"));
    let json = up.operator().json(&["ledger", "verify"]);
    assert_eq!(
        (json["balanced"].as_bool(), json["supply"]["micro"].as_i64()),
        (Some(true), Some(1_000_000_000_000_000_000))
    );
    let doctor: Value = serde_json::from_str(&up.operator().says(&["doctor", "--json"]).out).unwrap();
    let verdict = |name: &str| {
        doctor["checks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|check| check["check"] == name)
            .map(|check| check["verdict"].clone())
    };
    assert_eq!(verdict("login"), Some("ok".into()), "{doctor}");
    assert_eq!(verdict("clock"), Some("ok".into()), "{doctor}");
}

#[test]
fn every_kind_of_failure_has_its_exit_code() {
    let up = Up::start();
    let ann = up.user("ann");
    ann.ok(&["register", "ann", "--email", "ann@example.org"]);
    let sleeper = ann.ok(&["submit", "bb:1", "sleep", "600000"]);
    let elsewhere = up.user("elsewhere");
    let wrong = up.path("wrong");
    fs::write(&wrong, "not the password\n").unwrap();
    for (user, args, code, word) in [
        (&ann, vec!["run", "bb:1", "exit", "7"], 7, ""),
        (&ann, vec!["run", "bb:1", "false"], 1, ""),
        (&ann, vec!["run", "--privileged", "bb:1"], 2, "E_USAGE"),
        (&ann, vec!["run", "--memory", "1m", "bb:1", "true"], 2, "E_INVALID"),
        (&ann, vec!["run", "--cpus", "-1", "bb:1", "true"], 2, "'--cpus <N>'"),
        (&ann, vec!["submit", "--timeout", "-3s", "bb:1", "true"], 2, "E_USAGE"),
        (&ann, vec!["--json", "run", "--priority", "11", "bb:1"], 2, "\"schema\":\"hivemind.error/1\""),
        (&ann, vec!["wallet", "transfer", "nobody", "-1"], 2, "AMOUNT"),
        (&ann, vec!["register", "carl"], 2, "--email"),
        (&ann, vec!["run", "bad image", "true"], 2, "E_INVALID"),
        (&ann, vec!["status", "tsk_1"], 2, "E_USAGE"),
        (&ann, vec!["status", "task_999999"], 3, "E_NOT_FOUND"),
        (&ann, vec!["wallet", "transfer", "nobody", "1"], 3, "E_NOT_FOUND"),
        (&ann, vec!["wallet", "transfer", "nobody", "1"], 3, "fix: look whether the name is spelled right"),
        (&elsewhere, vec!["ps"], 4, "E_LOGIN"),
        (&elsewhere, vec!["login", "ann", "--password-file", wrong.to_str().unwrap()], 4, "E_BAD_CREDENTIALS"),
        (&ann, vec!["ledger", "verify"], 5, "E_FORBIDDEN"),
        (&ann, vec!["ledger", "trial-balance"], 5, "E_FORBIDDEN"),
        (&ann, vec!["invite"], 5, "E_FORBIDDEN"),
        (&ann, vec!["run", "--max-price", "0.01", "bb:1", "true"], 6, "E_MAX_PRICE"),
        (&ann, vec!["wallet", "statement", "--from", "2026-02-01", "--to", "2026-01-01"], 2, "runs backwards"),
        (&ann, vec!["wallet", "tip", "nothing", "1"], 3, "fix: `hivemind project list` shows the names"),
        (&ann, vec!["wallet", "rewards", "--node", "nowhere"], 3, "fix: `hivemind nodes` lists your nodes"),
        (&ann, vec!["nodes", "show", "here"], 3, "E_NOT_FOUND"),
        (&ann, vec!["submit", "--cpus", "64", "--timeout", "30d", "bb:1", "true"], 6, "E_INSUFFICIENT_CPT"),
        (&ann, vec!["register", "ANN", "--email", "ann@example.org"], 7, "E_TAKEN"),
        (&ann, vec!["wait", sleeper.trim(), "--timeout", "200ms"], 8, "E_WAIT_TIMED_OUT"),
        (&ann, vec!["run", "--timeout", "1s", "bb:1", "sleep", "600000"], 8, "E_TIMED_OUT"),
        (&ann, vec!["--server", "https://127.0.0.1:1", "whoami"], 9, "E_UNREACHABLE"),
        (&ann, vec!["run", "bb:1", "missing"], 125, "E_CANNOT_START"),
        (&ann, vec!["run", "no-such-image", "true"], 125, "E_BAD_IMAGE"),
        (&ann, vec!["run", "bb:1", "oom"], 137, "E_OUT_OF_MEMORY"),
    ] {
        let said = user.says(&args);
        assert_eq!(said.code, code, "{args:?}: {}", said.err);
        assert!(said.err.contains(word), "{args:?}: {}", said.err);
        assert_eq!(said.out, "", "{args:?}");
    }
    let json = ann.says(&["--json", "status", "task_999999"]);
    let error: Value = serde_json::from_str(&json.err).unwrap();
    assert_eq!(
        (error["schema"].as_str(), error["code"].as_str(), error["exit_code"].as_i64()),
        (Some("hivemind.error/1"), Some("E_NOT_FOUND"), Some(3))
    );

    ann.ok(&["cancel", sleeper.trim()]);
    assert_eq!(ann.says(&["wait", sleeper.trim()]).code, 1, "a cancelled task is no success");
}

#[test]
fn ctrl_c_cancels_the_task() {
    let up = Up::start();
    let ann = up.user("ann");
    ann.ok(&["register", "ann", "--email", "ann@example.org"]);
    let run = ann.spawn(&["run", "bb:1", "sleep", "600000"]);
    let task =
        eventually("the task runs", || Some(ann.ok(&["ps", "-q", "--state", "running"])).filter(|ids| !ids.is_empty()));
    run.signal(Signal::INT);
    assert_eq!(run.end().code, 130);
    assert_eq!(ann.ok(&["status", task.trim(), "-q"]), "cancelled\n");
}

#[test]
fn a_server_ends_politely_and_comes_back() {
    let mut up = Up::start();
    let ann = up.user("ann");
    ann.ok(&["register", "ann", "--email", "ann@example.org"]);
    let sleeper = ann.ok(&["submit", "bb:1", "sleep", "1"]);
    ann.ok(&["wait", sleeper.trim()]);
    up.stop();
    assert_eq!(ann.says(&["whoami"]).code, 9);
    up.start_again();
    assert_eq!(ann.ok(&["run", "bb:1", "echo", "again"]), "again\n");
    assert_eq!(ann.ok(&["status", sleeper.trim(), "-q"]), "completed\n");
}

#[test]
fn help_and_completion_need_nothing() {
    for args in [["--help", ""], ["run", "--help"], ["completion", "bash"], ["version", "-q"]] {
        let args: Vec<&str> = args.into_iter().filter(|arg| !arg.is_empty()).collect();
        let said = program::plain(&args);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{args:?}");
        assert!(!said.out.is_empty());
    }
}
