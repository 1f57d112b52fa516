use super::*;

const TABLE: &str = r#"
    [floors]
    0 = "pure"
    [outside]
    floor_0 = ["serde"]
    [crates.model]
    floor = 0
    may_use = []
    [crates.store]
    floor = 1
    may_use = ["model"]
    [crates.pool]
    floor = 2
    may_use = ["model", "store"]
    tests_may_use = ["testkit"]
    [crates.testkit]
    floor = 4
    may_use = ["pool"]
"#;

/// A crate as `name: used used; used by tests; from outside`.
fn node(line: &str) -> Node {
    let (name, rest) = line.split_once(':').unwrap();
    let mut parts = rest.split(';').map(|part| part.split_whitespace().map(str::to_owned).collect());
    let mut next = || parts.next().unwrap_or_default();
    Node { name: name.into(), uses: next(), tests_use: next(), outside: next() }
}

fn findings(table: &str, graph: &[&str]) -> Vec<String> {
    let table = toml::from_str(table).unwrap();
    let graph: Vec<Node> = graph.iter().map(|line| node(line)).collect();
    check(&table, &graph).into_iter().map(|finding| finding.text).collect()
}

const GOOD: [&str; 4] = ["model:;;serde", "store: model;;sqlx", "pool: model store; testkit", "testkit: pool"];

#[test]
fn the_arrows_of_the_table_are_fine() {
    assert_eq!(findings(TABLE, &GOOD), [""; 0]);
}

#[test]
fn a_wrong_arrow_is_found() {
    for (at, line, text) in [
        (0, "model: store;;serde", "model uses store, which is not among what it may use"),
        (0, "model:;;tokio", "model uses tokio from outside, which floor 0 may not"),
        (1, "store: model; pool", "tests of store use pool, which is not among what they may use"),
        (2, "pool: model store testkit", "pool uses testkit, which is not among what it may use"),
    ] {
        let mut graph = GOOD;
        graph[at] = line;
        assert_eq!(findings(TABLE, &graph), [text]);
    }
}

#[test]
fn the_table_names_exactly_the_crates_there_are() {
    assert_eq!(findings(TABLE, &GOOD[..3]), ["names testkit, which does not exist: remove it"]);
    let more = [GOOD.as_slice(), &["vpn: model"]].concat();
    assert_eq!(findings(TABLE, &more), ["does not name vpn: say on which floor it stands and what it may use"]);
}

#[test]
fn arrows_in_the_table_go_down() {
    let up = TABLE.replace("may_use = []", r#"may_use = ["store"]"#);
    assert_eq!(findings(&up, &GOOD), ["lets model (floor 0) use store (floor 1): arrows go down"]);
    let nowhere = TABLE.replace("may_use = []", r#"may_use = ["swarm"]"#);
    assert_eq!(findings(&nowhere, &GOOD), ["lets model use swarm, which it does not describe"]);
}

#[test]
fn an_unknown_key_is_refused() {
    assert!(toml::from_str::<Table>(&TABLE.replace("may_use = []", "uses = []")).is_err());
}
