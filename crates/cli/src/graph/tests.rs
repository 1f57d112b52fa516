use super::*;

fn judged(file: &str, text: &str) -> String {
    match read(file, text) {
        Err(failure) => failure.what,
        Ok(nodes) => {
            let shown = |node: &Node| {
                let after: Vec<String> = node
                    .after
                    .iter()
                    .map(|on| format!("{}:{}{}", on.task_id, on.when, if on.each { ":each" } else { "" }))
                    .collect();
                format!("{} = {} {:?} after {after:?}", node.name, node.program.image, node.program.command)
            };
            nodes.iter().map(shown).collect::<Vec<_>>().join("\n")
        }
    }
}

const GOOD: &str = r#"
[[task]]
name = "prepare"
image = "bb:1"
command = "sh -c 'echo hi > /task/output/x'"
cpus = 2
memory = "1g"
label = { arch = "arm64", location = "berlin" }

[[task]]
name = "work"
image = "bb:1"
command = ["work", 5]
array = "1-10,20"
max-fails = 3
after = "prepare"
retries = 2
replicas = 3
quorum = 2
confidence = []
"#;

#[test]
fn a_graph_is_read_from_both_forms() {
    let toml = GOOD.replace("confidence = []\n", "label = [\"a=1\"]\ndeadline = 2026-01-31T12:00:00Z\n");
    let toml = format!(
        "{toml}\n[[task]]\nname = \"merge\"\nimage = \"bb:1\"\nafter = [\"prepare\", {{ task = \"work\", when = \"end\", each = true }}, \"7\"]\n"
    );
    let json = r#"{"task": [
        {"name": "prepare", "image": "bb:1", "command": ["sh", "-c", "echo hi > /task/output/x"]},
        {"name": "work", "image": "bb:1", "command": "work 5", "after": ["prepare"]},
        {"name": "merge", "image": "bb:1", "after": ["prepare", {"task": "work", "when": "end", "each": true}, "task_7"]}
    ]}"#;
    let wanted = "prepare = bb:1 [\"sh\", \"-c\", \"echo hi > /task/output/x\"] after []\n\
                  work = bb:1 [\"work\", \"5\"] after [\"prepare:success\"]\n\
                  merge = bb:1 [] after [\"prepare:success\", \"work:end:each\", \"task_7:success\"]";
    assert_eq!(judged("g.toml", &toml), wanted);
    assert_eq!(judged("g", &toml), wanted, "by its content");
    for file in ["g.json", "g", "standard input"] {
        assert_eq!(judged(file, json), wanted, "{file}");
    }
    let list = json.trim_start_matches(r#"{"task": "#).trim_end_matches('}');
    assert_eq!(judged("g", list), wanted, "a bare list");
    let nodes = read("g.toml", &toml).unwrap();
    assert_eq!((nodes[0].options.cpus, nodes[0].options.memory.map(|size| size.mib())), (Some(2), Some(1024)));
    let labels: Vec<String> = nodes[0].options.label.iter().map(ToString::to_string).collect();
    assert_eq!(labels, ["arch=arm64", "location=berlin"]);
    assert_eq!(nodes[1].array.array.as_ref().map(ToString::to_string).as_deref(), Some("1-10,20"));
    assert_eq!((nodes[1].conditions.verify.replicas, nodes[1].conditions.patience.retries), (Some(3), Some(2)));
    assert!(nodes[1].conditions.patience.deadline.is_some());
}

#[test]
fn every_fault_is_told_with_its_place() {
    let task = |rest: &str| format!("[[task]]\nname = \"a\"\nimage = \"bb:1\"\n{rest}\n");
    for (text, wanted) in [
        (
            task("imagee = 1"),
            "g.toml:4: task `a`, key `imagee`: it is not known; the keys of a task are after, array, ",
        ),
        (task("array = \"5-1\""), "g.toml:4: task `a`, key `array`: `5-1`: `5-1` ends before it begins"),
        (task("\nmemory = \"512\""), "g.toml:5: task `a`, key `memory`: `512`: the unit is missing"),
        (task("cpus = 1.5"), "g.toml:4: task `a`, key `cpus`: `1.5`: parts of a core are not lent"),
        (task("cpus = true"), "g.toml:4: task `a`, key `cpus`: give a text or a number"),
        (task("cpus = [1, 2]"), "g.toml:4: task `a`, key `cpus`: give one value, not a list"),
        (task("max-price = 1"), "g.toml:4: task `a`, key `max-price`: a graph has one bound"),
        (task("min-level = \"tin\""), "g.toml:4: task `a`, key `min-level`: invalid value 'tin'"),
        (task("label = \"x\""), "g.toml:4: task `a`, key `label`: `x`: `x` is not a label"),
        (task("quorum = 2"), "g.toml:1: task `a`: the following required arguments were not provided: --replicas <N>"),
        (task("confidence = 1"), "g.toml:4: task `a`, key `confidence`: `1`: `1` is not a confidence"),
        (task("command = \"'\""), "g.toml:4: task `a`, key `command`: a quotation mark is not closed"),
        (task("command = 5"), "g.toml:4: task `a`, key `command`: give a list of words"),
        (task("image2 = \"\"\nx = 1"), "g.toml:4: task `a`, key `image2`: it is not known"),
        (task("from-json = \"-\""), "g.toml:4: task `a`, key `from-json`: standard input is not for"),
        (task("after = [\"b\"]"), "g.toml:4: task `a`, key `after`: no task of this graph is called `b`"),
        (task("after = [1]"), "g.toml:4: task `a`, key `after`: give names of tasks"),
        (task("after = { task = \"7\", if = 1 }"), "g.toml:4: task `a`, key `after`: `if` is not known in it"),
        (task("after = { task = \"7\", when = \"ok\" }"), "g.toml:4: task `a`, key `after`: `when` is"),
        (task("after = { task = \"7\", each = 1 }"), "g.toml:4: task `a`, key `after`: `each` is"),
        (task("after = \"a\""), "g.toml: tasks wait for one another in a circle: `a` -> `a`"),
        (task(&task("")), "g.toml:5: task `a`, key `name`: task 1 is called `a`, too"),
        ("[[task]]\nimage = \"bb:1\"\n".into(), "g.toml:1: task 1: it has no `name`"),
        ("[[task]]\nname = 5\n".into(), "g.toml:2: task 1, key `name`: it is not a text"),
        ("[[task]]\nname = \"\"\n".into(), "g.toml:2: task ``, key `name`: a name has 1 to 200 bytes"),
        ("[[task]]\nname = \"a\"\n".into(), "g.toml:1: task `a`: it has no `image`"),
        ("[task]\nname = \"a\"\n".into(), "g.toml: `task` is not a list of tasks"),
        ("task = [1]\n".into(), "g.toml:1: task 1 is not a table"),
        ("x = 1\n".into(), "g.toml:1: the key `x` is not known beside the tasks"),
        ("[[task]]\nname = \n".into(), "g.toml:2: it is not TOML: "),
        ("\n".into(), "g.toml: it has no tasks"),
    ] {
        let told = judged("g.toml", &text);
        assert!(told.starts_with(wanted), "{text}\n{told}\nwanted {wanted}");
    }
}

#[test]
fn json_is_told_as_well_as_it_can_be() {
    for (text, wanted) in [
        ("{\"task\": [\n{\"name\": }]}", "g.json:2: it is not JSON: "),
        ("{\"task\": 1}", "g.json: `task` is not a list"),
        ("{\"task\": [], \"x\": 1}", "g.json: the key `x` is not known"),
        ("[1]", "g.json: task 1 is not a table"),
        ("5", "g.json: `task` is not a list"),
        ("{}", "g.json: it has no tasks"),
        ("[{\"name\": \"a\", \"image\": \"b\", \"gpu\": 1}]", "g.json: task `a`, key `gpu`: it is not known"),
        ("[{\"name\": \"a\", \"image\": null}]", "g.json: task `a`, key `image`: it is not a text"),
    ] {
        let told = judged("g.json", text);
        assert!(told.starts_with(wanted), "{text}\n{told}");
    }
}

#[test]
fn circles_are_found_with_their_names() {
    let graph = |after: &[(&str, &[&str])]| {
        let one = |(name, after): &(&str, &[&str])| serde_json::json!({"name": name, "image": "bb:1", "after": after});
        serde_json::Value::Array(after.iter().map(one).collect()).to_string()
    };
    let told = judged("g", &graph(&[("a", &["c"]), ("b", &["a"]), ("c", &["b"]), ("d", &["a"])]));
    assert!(told.contains("`a` -> `c` -> `b` -> `a`"), "{told}");
    let told = judged("g", &graph(&[("d", &["e"]), ("e", &["f"]), ("f", &["e"])]));
    assert!(told.contains("`e` -> `f` -> `e`") && !told.contains("`d`"), "{told}");
    let diamond = graph(&[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"]), ("d", &[])]);
    assert!(judged("g", &diamond).starts_with("a = bb:1"), "no circle");
    // Deeper than any stack would allow.
    let deep: Vec<serde_json::Value> = (0..10_000)
        .map(|n| serde_json::json!({"name": format!("n{n}"), "image": "bb:1", "after": [format!("n{}", (n + 1) % 10_000)]}))
        .collect();
    let told = judged("g", &serde_json::Value::Array(deep).to_string());
    assert!(told.contains("`n11` -> (9989 more) -> `n0`") && told.len() < 1000, "{told}");
}

#[test]
fn the_line_of_a_key_is_found_in_a_file_of_many_tasks() {
    let tasks: String = (1..=20_000).map(|n| format!("[[task]]\nname = \"t{n}\"\nimage = \"bb:1\"\n\n")).collect();
    let wrong = format!("{tasks}[[task]]\nname = \"last\"\nimage = \"bb:1\"\ncpu = 1\n");
    let began = std::time::Instant::now();
    let told = judged("g.toml", &wrong);
    assert!(told.starts_with("g.toml:80004: task `last`, key `cpu`: it is not known"), "{told}");
    // To count the lines before each key anew took minutes.
    assert!(began.elapsed() < std::time::Duration::from_secs(30), "{:?}", began.elapsed());
}
