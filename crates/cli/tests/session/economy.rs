//! Money as its users see it: what a task would cost, what moved, tips, rewards, the books.

use crate::program::{Up, User, eventually, plain};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

/// Metered and rewarded so often that a test need not wait for it.
const QUICK: &str = "[economy]\nmeter_every = 100\n[economy.rewards]\nperiod = 1000\n";

fn micro(amount: &Value) -> i64 {
    amount["micro"].as_i64().unwrap_or_else(|| panic!("no amount: {amount}"))
}

/// The lines of a CSV file (RFC 4180) by the names of its columns.
fn records(text: &str) -> Vec<BTreeMap<String, String>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quoted) {
            ('"', true) if chars.next_if_eq(&'"').is_some() => field.push('"'),
            ('"', _) => quoted = !quoted,
            (',', false) => row.push(std::mem::take(&mut field)),
            ('\r', false) => {
                assert_eq!(chars.next(), Some('\n'), "{text}");
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            (c, _) => field.push(c),
        }
    }
    assert!(row.is_empty() && field.is_empty() && !quoted, "the last line has no end: {text}");
    let mut rows = rows.into_iter();
    let names = rows.next().unwrap();
    let named = |row: Vec<String>| {
        assert_eq!(row.len(), names.len(), "{row:?}");
        names.iter().cloned().zip(row).collect()
    };
    rows.map(named).collect()
}

#[test]
fn from_a_plan_to_the_books() {
    let up = Up::start();
    let ann = up.user("ann");
    ann.ok(&["register", "ann", "--email", "ann@example.org"]);
    plans(&ann);
    let bounded = ann.ok(&["submit", "--max-price", "3", "bb:1", "echo", "bounded"]);
    let task = bounded.trim();
    ann.ok(&["wait", task]);
    statements(&ann, task);
    tips(&up, &ann);
    books(&up);
}

fn plans(ann: &User) {
    let plan = ann.json(&["plan", "bb:1", "true"]);
    assert_eq!((plan["schema"].as_str(), plan["affordable"].as_bool()), (Some("hivemind.plan/1"), Some(true)));
    assert_eq!((micro(&plan["price_cap"]), micro(&plan["available"])), (2_250_000, 150_000_000));
    let lines: i64 = plan["lines"].as_array().unwrap().iter().map(|line| micro(&line["amount"])).sum();
    assert_eq!(lines, 2_250_000);
    assert_eq!((plan["nodes_capable"].as_i64(), plan["nodes_free"].as_i64()), (Some(1), Some(1)));
    assert_eq!(plan["waiting_reason"], Value::Null);
    assert!(ann.ok(&["plan", "bb:1"]).contains("would start   at once"));

    for wait in [["plan", "--min-level", "gold", "bb:1"], ["plan", "--cpus", "64", "bb:1"]] {
        let said = ann.ok(&wait);
        assert!(said.contains("could run on  0 nodes") && said.contains("would start   later: "), "{said}");
    }
    for (args, code) in [
        (vec!["plan", "--max-price", "0.01", "bb:1"], "E_MAX_PRICE"),
        (vec!["plan", "--cpus", "64", "--timeout", "30d", "bb:1"], "E_INSUFFICIENT_CPT"),
    ] {
        let said = ann.says(&args);
        assert_eq!(said.code, 6, "{args:?}: {}", said.err);
        assert!(said.err.contains(code) && said.out.contains("price cap"), "{}{}", said.out, said.err);
    }
    assert_eq!(ann.says(&["plan", "bad image"]).code, 2);
    assert_eq!(ann.says(&["run", "--max-price", "0.01", "bb:1", "true"]).code, 6);
    assert_eq!(ann.ok(&["ps", "--all", "-q"]), "", "a plan submits nothing, and a price too high is not taken");
}

fn statements(ann: &User, task: &str) {
    let table = ann.ok(&["wallet", "statement"]);
    assert!(table.starts_with("TIME ") && table.contains("sign up") && table.contains("+150.00 CPT"), "{table}");
    let statement = ann.json(&["wallet", "statement"]);
    assert_eq!(
        (statement["schema"].as_str(), statement["more"].as_bool()),
        (Some("hivemind.statement/1"), Some(false))
    );
    let lines = statement["lines"].as_array().unwrap();
    let records = records(&ann.ok(&["wallet", "statement", "--csv"]));
    assert_eq!(records.len(), lines.len());
    for (record, line) in records.iter().zip(lines) {
        assert_eq!(record["amount_micro"], micro(&line["amount"]).to_string());
        assert_eq!(record["entry"], line["entry"].to_string());
    }
    // Every account's movements lead to the balance that its newest line tells.
    let mut sums: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for line in lines.iter().rev() {
        let sum = sums.entry(line["account"].as_str().unwrap()).or_default();
        *sum = (sum.0 + micro(&line["amount"]), micro(&line["balance"]));
        assert_eq!(sum.0, sum.1, "{line}");
    }
    let balance = ann.json(&["wallet", "balance"]);
    let spendable: i64 = ["available", "promo"].iter().filter_map(|kind| sums.get(kind)).map(|sum| sum.1).sum();
    assert_eq!(spendable, micro(&balance["available"]));
    assert!(spendable < 150_000_000 && micro(&balance["held"]) == 0, "{balance}");

    let cut = ann.json(&["wallet", "statement", "--limit", "1"]);
    assert_eq!((cut["lines"].as_array().map(Vec::len), cut["more"].as_bool()), (Some(1), Some(true)));
    let kinds = |args: &[&str]| -> Vec<String> {
        let statement = ann.json(&[&["wallet", "statement"], args].concat());
        statement["lines"].as_array().unwrap().iter().map(|line| line["kind"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(&["--kind", "sign_up"]), ["sign_up"]);
    assert_eq!(kinds(&["--to", "2001-01-01"]), [""; 0]);
    assert!(!kinds(&["--task", task]).contains(&"sign_up".to_owned()));
    assert_eq!(ann.says(&["wallet", "statement", "--csv", "--json"]).code, 2);

    let entries = ann.json(&["status", task, "--entries"]);
    let entries = entries["lines"].as_array().unwrap();
    assert!(entries.iter().any(|line| line["holder"] == "operator"), "the owner's side is told too: {entries:?}");
    assert!(ann.ok(&["status", task, "--entries"]).contains("held of ann"));
}

fn tips(up: &Up, ann: &User) {
    let operator = up.operator();
    operator.ok(&["project", "register", "curl", "--repository", "https://example.org/curl"]);
    assert_eq!(operator.says(&["project", "register", "CURL", "--repository", "https://example.org/x"]).code, 7);
    for _ in 0..2 {
        ann.ok(&["wallet", "tip", "curl", "2.5", "--message", "thank you", "--id", "once"]);
    }
    let tips = ann.json(&["project", "tips", "curl"]);
    assert_eq!(
        (tips["tips"].as_array().map(Vec::len), tips["tips"][0]["message"].as_str()),
        (Some(1), Some("thank you"))
    );
    let projects = ann.json(&["project", "list"]);
    assert_eq!(
        (projects["projects"][0]["tips"].as_i64(), micro(&projects["projects"][0]["tipped"])),
        (Some(1), 2_500_000)
    );
    assert_ne!(ann.says(&["project", "collect", "curl"]).code, 0, "it is not ann's");
    assert_eq!(operator.ok(&["project", "collect", "curl", "-q"]), "2.50\n");
    ann.ok(&["wallet", "tip", "curl", "1"]);
    assert_eq!(operator.ok(&["project", "close", "curl", "-q"]), "1.00\n");
    let closed = ann.says(&["wallet", "tip", "curl", "1"]);
    assert_eq!(closed.code, 7, "{}", closed.err);
    assert_eq!(ann.json(&["wallet", "statement", "--kind", "tip"])["lines"][0]["counterparty"], "curl");
}

fn books(up: &Up) {
    let operator = up.operator();
    assert!(operator.ok(&["ledger", "verify"]).starts_with("ledger: balanced\n"));
    let trial = operator.json(&["ledger", "trial-balance"]);
    assert_eq!((trial["balanced"].as_bool(), micro(&trial["supply"])), (Some(true), 1_000_000_000_000_000_000));
    let sum: i64 = trial["accounts"].as_array().unwrap().iter().map(|kind| micro(&kind["balance"])).sum();
    assert_eq!(sum, micro(&trial["supply"]));
    assert_eq!(trial["last_hash"].as_str().map(str::len), Some(64));
    let records = records(&operator.ok(&["ledger", "trial-balance", "--csv"]));
    assert!(records.iter().any(|record| record["part"] == "total" && record["amount_cpt"] == "1000000000000.00"));
}

#[test]
fn what_runs_is_metered_and_what_is_there_is_rewarded() {
    let up = Up::with_policy(QUICK);
    let (ann, operator) = (up.user("ann"), up.operator());
    ann.ok(&["register", "ann", "--email", "ann@example.org"]);
    let task = ann.ok(&["submit", "bb:1", "sleep", "600000"]);
    let task = task.trim();
    eventually("its price so far is told", || (micro(&ann.json(&["status", task])["accrued"]) > 0).then_some(()));
    let status = ann.ok(&["status", task]);
    assert!(status.contains("so far ") && status.contains(" of at most 2.25 CPT"), "{status}");
    let pending = eventually("its owner sees it", || {
        Some(micro(&operator.json(&["wallet", "balance"])["pending"])).filter(|pending| *pending > 0)
    });
    let node = operator.json(&["nodes", "show", "here"]);
    assert!(micro(&node["pending"]) >= pending && node["level"] == "none", "{node}");
    assert!(operator.ok(&["nodes", "show", "here"]).contains("bronze after "));
    ann.ok(&["cancel", task]);
    ann.says(&["wait", task]);
    eventually("nothing is held any more", || (micro(&ann.json(&["wallet", "balance"])["held"]) == 0).then_some(()));

    let lines = eventually("the node is rewarded", || {
        Some(records(&operator.ok(&["wallet", "rewards", "--csv"]))).filter(|lines| !lines.is_empty())
    });
    let (line, number) = (&lines[0], |name: &str| lines[0][name].parse::<i64>().unwrap());
    assert_eq!((line["node"].as_str(), line["level"].as_str(), line["multiplier"].as_str()), ("here", "none", "1.0"));
    let parts = ["base_micro", "performance_micro", "stability_micro", "quality_micro"].map(number);
    assert_eq!(parts.iter().sum::<i64>(), number("total_micro"), "{line:?}");
    let rewards = operator.json(&["wallet", "rewards", "--node", "here", "--limit", "1"]);
    assert_eq!(rewards["rewards"][0]["node"], "here");
    assert_eq!(operator.json(&["whoami"])["level"], "none");
    assert!(operator.ok(&["ledger", "verify"]).starts_with("ledger: balanced\n"));
}

#[test]
fn a_guarded_pool_asks_for_an_invitation() {
    let up = Up::with_policy("[economy]\nmode = \"guarded\"\n");
    assert!(up.talk().contains("the economy is guarded: free credit buys tasks only"), "{}", up.talk());
    let ann = up.user("ann");
    let refused = ann.says(&["register", "ann", "--email", "ann@example.org"]);
    assert_eq!(refused.code, 5, "{}", refused.err);
    assert!(refused.err.contains("E_INVITATION") && refused.err.contains("--invitation-file FILE"), "{}", refused.err);

    let made = up.operator().json(&["invite", "--valid", "1h"]);
    assert_eq!(made["uses"], 1);
    let file = up.path("code");
    fs::write(&file, made["invitation"].as_str().unwrap()).unwrap();
    let register = ["register", "ann", "--email", "ann@example.org", "--invitation-file", file.to_str().unwrap()];
    ann.ok(&register);
    let bob = up.user("bob");
    let used = bob.says(&["register", "bob", "--email", "b@example.org", "--invitation-file", file.to_str().unwrap()]);
    assert_eq!(used.code, 5, "the code is used up: {}", used.err);

    let balance = ann.json(&["wallet", "balance"]);
    assert_eq!((micro(&balance["available"]), micro(&balance["transferable"])), (150_000_000, 0));
    assert_eq!(ann.says(&["wallet", "transfer", "operator", "1"]).code, 6);
    assert_eq!(ann.ok(&["run", "bb:1", "echo", "bought"]), "bought\n");
    let doctor: Value = serde_json::from_str(&up.operator().says(&["doctor", "--json"]).out).unwrap();
    let economy = doctor["checks"].as_array().unwrap().iter().find(|check| check["check"] == "economy");
    assert_eq!(economy.map(|check| check["verdict"].clone()), Some("ok".into()), "{doctor}");
}

#[test]
fn a_policy_that_makes_no_sense_is_refused_by_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let (file, data) = (dir.path().join("policy.toml"), dir.path().join("data"));
    let (file, data_text) = (file.to_str().unwrap(), data.to_str().unwrap());
    for (policy, key) in
        [("[economy]\nmood = \"guarded\"\n", "mood"), ("[economy]\nmeter_every = 0\n", "economy.meter_every")]
    {
        fs::write(file, policy).unwrap();
        let said = plain(&["--data", data_text, "pool", "--listen", "127.0.0.1:0", "--policy", file]);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{}", said.err);
        assert!(said.err.contains(key) && said.err.contains("--policy"), "{}", said.err);
    }
    assert!(!data.exists(), "nothing was made");
}
