//! Files that are run, images that are pushed, fetches that go on.

use crate::program::Up;
use std::fs;

#[test]
fn a_file_is_run_and_sent_once() {
    let up = Up::start();
    let (ann, bob) = (up.user("ann"), up.user("bob"));
    for (user, name) in [(&ann, "ann"), (&bob, "bob")] {
        user.ok(&["register", name, "--email", &format!("{name}@example.org")]);
    }
    let module = up.path("m.wasm");
    fs::write(&module, b"\0asm\x01\0\0\0").unwrap();
    let module = module.to_str().unwrap();
    let plan = ann.json(&["plan", module]);
    assert_eq!((plan["kind"].as_str(), plan["nodes_capable"].as_i64()), (Some("wasm"), Some(1)));
    assert_eq!(ann.ok(&["run", module, "echo", "hi"]), "hi\n");
    let pushed = ann.says(&["image", "push", module]);
    let digest = pushed.out.trim();
    assert!(pushed.code == 0 && digest.starts_with("sha256:"), "{}", pushed.err);
    assert!(pushed.err.contains("is there already") && pushed.err.contains("a WebAssembly module"), "{}", pushed.err);
    assert_eq!(plan["image"], digest);
    assert_eq!(ann.ok(&["run", digest, "echo", "by digest"]), "by digest\n");
    let refused = bob.says(&["run", digest, "true"]);
    assert!(refused.code == 3 && refused.err.contains("E_NOT_FOUND"), "{}", refused.err);
    let task = ann.ok(&["submit", digest, "true"]);
    assert_eq!(ann.json(&["status", task.trim()])["kind"], "wasm");

    let text = up.path("notes.txt");
    fs::write(&text, "no program").unwrap();
    for (args, code, word) in [
        (["run", text.to_str().unwrap(), "true"], 2, "no WebAssembly module"),
        (["run", "./none.wasm", "true"], 2, "does not exist"),
        (["image", "push", text.to_str().unwrap()], 2, "docker save"),
        (["run", "--network=host", "bb:1"], 2, "--network data.example.net:443"),
        (["run", "--net=host", "bb:1"], 2, "--network HOST:PORT"),
    ] {
        let said = ann.says(&args);
        assert!(said.code == code && said.err.contains(word), "{args:?}: {} {}", said.code, said.err);
    }
    let plan = ann.ok(&["plan", "--network", "data.example.net:443", "bb:1"]);
    assert!(plan.contains("network to data.example.net:443") && plan.contains("0 nodes"), "{plan}");
    let waits = ann.ok(&["submit", "--network", "data.example.net:443", "bb:1", "true"]);
    let why = ann.ok(&["explain", waits.trim()]);
    assert!(why.contains("network") && why.contains("data.example.net:443"), "{why}");
}

#[test]
fn a_fetch_goes_on_and_leaves_nothing_beside_the_files() {
    let up = Up::start();
    let ann = up.user("ann");
    ann.ok(&["register", "ann", "--email", "ann@example.org"]);
    let big = up.path("big.txt");
    fs::write(&big, "z".repeat(200_000)).unwrap();
    let first = ann.says(&["run", "--input", big.to_str().unwrap(), "bb:1", "cat", "big.txt"]);
    assert!(first.out.len() == 200_000 && !first.err.contains("already"), "{}", first.err);
    let again = ann.says(&["run", "--input", big.to_str().unwrap(), "bb:1", "cat", "big.txt"]);
    assert!(again.out.len() == 200_000 && again.err.contains("is there already"), "{}", again.err);
    let task = ann.ok(&["submit", "--wait", "-q", "bb:1", "produce", "x.txt", "1"]);
    let task = task.split_whitespace().next().unwrap_or_default().to_owned();
    let task = if task.starts_with("task_") { task } else { ann.ok(&["ps", "-aq"]).lines().next().unwrap().to_owned() };
    let to = up.path("to");
    fs::create_dir(&to).unwrap();
    // What an earlier fetch left, and is of no use.
    fs::write(to.join(format!(".{task}.0.fetch-part")), "spoilt").unwrap();
    ann.ok(&["fetch", &task, "--to", to.to_str().unwrap()]);
    let there: Vec<_> = fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(there, ["x.txt"]);
    ann.ok(&["fetch", &task, "--to", to.to_str().unwrap(), "--force"]);
}
