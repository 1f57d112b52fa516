//! Projects and tips.

use super::fixture::*;
use hivemind_ledger::Account;
use hivemind_model::*;

fn shown(result: Result<Reply, Rejection>) -> String {
    match result {
        Ok(reply) => format!("{reply:?}"),
        Err(rejection) => rejection.to_string(),
    }
}

impl Pool {
    fn project(&mut self, owner: &str, name: &str, repository: &str) -> Result<Reply, Rejection> {
        self.run(Command::RegisterProject { owner: self.user(owner), name: name.into(), repository: repository.into() })
    }

    fn tip(&mut self, from: &str, project: &str, micro: i64, message: &str, id: &str) -> Result<Reply, Rejection> {
        let from = self.user(from);
        let once = once(from, id, 1);
        self.run(Command::Tip {
            from,
            project: project.into(),
            amount: Cpt::from_micro(micro),
            message: message.into(),
            once,
        })
    }
}

#[test]
fn projects_are_judged_at_the_door() {
    let mut pool = Pool::ready();
    let long = format!("https://example.org/{}", "x".repeat(300));
    let mut table = Vec::new();
    for (name, repository) in [
        ("a", "https://example.org/a"),
        ("tool", "http://example.org/a"),
        ("tool", "https://"),
        ("tool", "https://exa mple.org"),
        ("tool", "https://user@example.org/"),
        ("tool", long.as_str()),
        ("tool", "https://example.org/tool"),
        ("TOOL", "https://example.org/tool"),
    ] {
        table.push(format!("{name}: {}", shown(pool.project("bert", name, repository))));
    }
    insta::assert_snapshot!(table.join("\n"), @r"
    a: E_INVALID: name: must have 2 to 64 characters
    tool: E_INVALID: repository: does not begin with https://
    tool: E_INVALID: repository: names no host
    tool: E_INVALID: repository: contains a character that an address does not have
    tool: E_INVALID: repository: names no host
    tool: E_INVALID: repository: is longer than 300 bytes
    tool: ProjectRegistered { project: ProjectId(1) }
    TOOL: E_TAKEN: name: `TOOL` is taken (letter case does not count); choose another
    ");
}

#[test]
fn tips_arrive_once_and_are_collected_once() {
    let mut pool = Pool::ready();
    pool.project("bert", "tool", "https://example.org/tool").expect("a good name");
    let mut table = Vec::new();
    for (from, project, micro, message, id) in [
        ("anna", "Tool", 5_000_000, "thank you", "one"),
        ("anna", "Tool", 5_000_000, "thank you", "one"),
        ("anna", "tool", 0, "", "two"),
        ("anna", "tool", -1, "", "three"),
        ("anna", "tool", i64::MAX, "", "four"),
        ("anna", "tool", 1, "line\nbreak", "five"),
        ("anna", "tool", 1, "turned \u{202e}", "five"),
        ("anna", "nothing", 1, "", "six"),
        ("bert", "tool", 1, "", "seven"),
    ] {
        table.push(format!("{from} {project} {micro}: {}", shown(pool.tip(from, project, micro, message, id))));
    }
    insta::assert_snapshot!(table.join("\n"), @r"
    anna Tool 5000000: Transferred { balance: Cpt(145000000) }
    anna Tool 5000000: Transferred { balance: Cpt(145000000) }
    anna tool 0: E_INVALID: amount: 0.00 CPT is no tip; it must be above zero
    anna tool -1: E_INVALID: amount: -0.000001 CPT is no tip; it must be above zero
    anna tool 9223372036854775807: E_INSUFFICIENT_CPT: amount: needs 9223372036854.775807 CPT, 145.00 CPT is available; give less, or wait for open tasks to end
    anna tool 1: E_INVALID: message: is longer than 280 bytes or contains a control character, or one that hides or turns around text
    anna tool 1: E_INVALID: message: is longer than 280 bytes or contains a control character, or one that hides or turns around text
    anna nothing 1: E_NOT_FOUND: project: there is no project `nothing`
    bert tool 1: E_INVALID: project: is your own; nothing would move
    ");
    let (anna, bert) = (pool.user("anna"), pool.user("bert"));
    let collect = |user| Command::CollectTips { owner: user, project: "tool".into() };
    assert_eq!(pool.run(collect(anna)).map_err(|no| no.code), Err(Code::Forbidden));
    assert_eq!(pool.run(collect(bert)), Ok(Reply::Collected { amount: Cpt::from_micro(5_000_000) }));
    assert_eq!(pool.run(collect(bert)), Ok(Reply::Collected { amount: Cpt::ZERO }));
    pool.tip("anna", "tool", 7, "", "eight").expect("open");
    pool.restart();
    assert_eq!(
        pool.run(Command::CloseProject { owner: bert, project: "tool".into() }),
        Ok(Reply::Collected { amount: Cpt::from_micro(7) })
    );
    let refused = pool.tip("anna", "tool", 1, "", "nine").expect_err("closed");
    insta::assert_snapshot!(refused.to_string(), @"E_CONFLICT: project: `tool` is closed and takes no tips");
    let project = pool.tables.projects.values().next().expect("registered");
    assert_eq!((project.tips, project.tipped.micro(), pool.tables.tips.len()), (2, 5_000_007, 2));
    assert_eq!(pool.engine.ledger().balance(Account::Project(project.id)), Cpt::ZERO);
    assert_eq!(pool.money("bert"), "155.000007 CPT + 0.00 CPT");
}
