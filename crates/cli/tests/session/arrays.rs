//! Arrays and graphs from the command line, on a real pool with fake containers.

use crate::program::Up;
use std::fs;

#[test]
fn an_array_from_its_lines_to_its_files() {
    let up = Up::start();
    let ann = up.user("ann");
    ann.ok(&["register", "ann", "--email", "ann@example.org"]);
    let names = up.path("names");
    fs::write(&names, "alpha\nbe ta\n\ngamma").unwrap();
    let array = ann.ok(&["submit", "--each-line", names.to_str().unwrap(), "bb:1", "env", "HIVEMIND_ENTRY"]);
    let array = array.trim();
    ann.ok(&["wait", array]);
    assert_eq!(ann.ok(&["logs", array, "--elements", "1-4"]), "alpha\nbe ta\n\ngamma\n");
    assert_eq!(ann.ok(&["logs", &format!("{array}[2]")]), "be ta\n");
    let refused = ann.says(&["logs", array]);
    assert_eq!((refused.code, refused.err.contains(&format!("{array}[1]"))), (2, true), "{}", refused.err);
    let status = ann.json(&["status", array]);
    assert_eq!((&status["elements"]["completed"], &status["array"]), (&4.into(), &"1-4".into()));
    assert_eq!(ann.ok(&["status", array, "--state", "completed", "-q"]), "1\n2\n3\n4\n");

    let made = ann.json(&["submit", "--array", "1-9,20", "--wait", "bb:1", "produce", "x/y", "text"]);
    let made = made["tasks"][0]["task"].as_str().unwrap().to_owned();
    let to = up.path("fetched");
    let to_folder = to.to_str().unwrap();
    ann.ok(&["fetch", &format!("{made}[1-3]"), "--to", to_folder]);
    assert!(to.join("3/x/y").exists() && !to.join("20").exists());
    assert!(ann.ok(&["fetch", &format!("{made}[3]"), "--list", "-q"]).ends_with("x/y\n"));
    assert_eq!(ann.says(&["fetch", &made, "--list"]).code, 2, "each element has its own files");
    fs::write(to.join("1/x/y"), "mine").unwrap();
    let rest = ann.ok(&["fetch", &made, "--to", to_folder]);
    assert_eq!(rest, format!("7 files of 7 elements of {made} in {to_folder}; 3 were there already\n"));
    assert_eq!(fs::read_to_string(to.join("1/x/y")).unwrap(), "mine");
    assert_eq!(fs::read_to_string(to.join("20/x/y")).unwrap(), "text");
}

#[test]
fn what_fails_of_an_array_is_told_and_tried_again() {
    let up = Up::start();
    let ann = up.user("ann");
    ann.ok(&["register", "ann", "--email", "ann@example.org"]);
    let failed = ann.says(&["--json", "submit", "--array", "5-7", "--wait", "bb:1", "exit", "3"]);
    assert_eq!(failed.code, 1, "{}", failed.err);
    let task = ann.ok(&["ps", "-q"]);
    let task = task.trim();
    let status = ann.json(&["status", task]);
    let group = &status["array_progress"]["failures"][0];
    assert_eq!((&group["count"], &group["first"]), (&3.into(), &5.into()), "{status}");
    let alike = ann.json(&["status", task, "--failures"]);
    assert_eq!((&alike["groups"][0]["elements"], &alike["groups"][0]["exit_code"]), (&"5-7".into(), &3.into()));
    assert!(ann.ok(&["status", task, "--failures"]).contains("exit code 3"));
    let one = ann.json(&["status", &format!("{task}[6]")]);
    assert_eq!((&one["exit_code"], &one["state"]), (&3.into(), &"failed".into()), "{one}");
    let again = ann.ok(&["retry", &format!("{task}[6-7]"), "--failed"]);
    assert_eq!(ann.says(&["wait", again.trim()]).code, 1);
    assert_eq!(ann.ok(&["status", again.trim(), "--failed", "-q"]), "6\n7\n");
    let nothing = ann.says(&["status", &format!("{task}[77]")]);
    assert!([2, 3].contains(&nothing.code), "{}", nothing.err);

    let sleeper = ann.ok(&["submit", "--array", "1-3", "bb:1", "sleep", "600000"]);
    let sleeper = sleeper.trim();
    ann.ok(&["cancel", &format!("{sleeper}[2]")]);
    assert_eq!(ann.json(&["status", sleeper])["elements"]["cancelled"], 1);
    ann.ok(&["cancel", sleeper]);
    assert_eq!(ann.says(&["wait", sleeper]).code, 1);
}

#[test]
fn a_graph_is_taken_whole_or_not_at_all() {
    let up = Up::start();
    let ann = up.user("ann");
    ann.ok(&["register", "ann", "--email", "ann@example.org"]);
    let file = up.path("graph.toml");
    let path = file.to_str().unwrap();
    let graph = "[[task]]\nname = \"a\"\nimage = \"bb:1\"\ncommand = \"echo a\"\n\
                 [[task]]\nname = \"b\"\nimage = \"bb:1\"\ncommand = \"env HIVEMIND_INDEX\"\narray = \"1-3\"\nafter = \"a\"\n";
    for (wrong, part) in [
        ("quorum = 3\nreplicas = 2\n", ": task `b`: --quorum: "),
        ("cpus = \"many\"\n", ":11: task `b`, key `cpus`: "),
        ("after-each = 1\n", ":11: task `b`, key `after-each`: it is not known"),
        ("array = \"1-4\"\n", ":11: it is not TOML: "),
    ] {
        fs::write(&file, format!("{graph}{wrong}")).unwrap();
        let refused = ann.says(&["submit", "--graph", path]);
        assert_eq!(refused.code, 2, "{wrong}: {}", refused.err);
        assert!(refused.err.contains(&format!("{path}{part}")), "{wrong}: {}", refused.err);
    }
    assert_eq!(ann.ok(&["ps", "--all", "-q"]), "", "nothing was taken");
    fs::write(&file, graph).unwrap();
    let taken = ann.json(&["submit", "--graph", path]);
    let ids: Vec<&str> = taken["tasks"].as_array().unwrap().iter().map(|task| task["task"].as_str().unwrap()).collect();
    ann.ok(&["wait", ids[0], ids[1]]);
    assert_eq!(ann.ok(&["logs", &format!("{}[3]", ids[1])]), "3\n");
}
