use super::shown;
use crate::face::Mode;
use crate::face::csv::{self, Record};
use crate::show::books::{Audit, Trial};
use crate::show::money::{Balance, Entries, Line, Statement};
use crate::show::plan::Plan;
use crate::show::projects::{Project, Projects, Tip, Tips};
use crate::show::rewards::{Reward, Rewards};
use hivemind_model::Cpt;
use hivemind_proto::v1::*;
use serde_json::Value;

fn json<D: crate::face::Document>(document: &D) -> Value {
    serde_json::from_str(&shown(Mode::Json, document)).unwrap()
}

fn as_csv<'a, R: Record + 'a>(records: impl IntoIterator<Item = &'a R>) -> String {
    let mut text = csv::header::<R>();
    records.into_iter().for_each(|record| csv::append(&mut text, record));
    text.replace("\r\n", "\n")
}

fn movement(entry: i64, kind: &str, account: &str, amount_micro: i64) -> StatementLine {
    StatementLine {
        entry,
        at_unix_ms: 9_000_000,
        kind: kind.into(),
        account: account.into(),
        holder: "ann".into(),
        amount_micro,
        balance_micro: 150_000_000 + amount_micro,
        ..StatementLine::default()
    }
}

fn movements() -> Vec<Line> {
    let work = StatementLine {
        task_id: "task_12".into(),
        attempt_id: "att_12.0.1".into(),
        counterparty: "bob".into(),
        note: "att_12.0.1 runs: its price so far".into(),
        ..movement(4, "accrual", "held", -10_000)
    };
    let hold = StatementLine { task_id: "task_12".into(), ..movement(3, "hold", "promo", -2_250_000) };
    let gift = StatementLine {
        counterparty: "=evil()".into(),
        note: "transfer from =evil(), \"x\"".into(),
        ..movement(2, "transfer", "available", 1)
    };
    [work, hold, gift, movement(1, "sign_up", "promo", 150_000_000)].map(Line::from).into()
}

#[test]
fn a_balance_tells_what_it_is_good_for() {
    let balance = Balance::from(hivemind_client::Balance {
        available: Cpt::from_micro(150_250_000),
        promo: Cpt::from_micro(150_000_000),
        transferable: Cpt::from_micro(250_000),
        held: Cpt::from_micro(2_250_000),
        pending: Cpt::from_micro(10_000),
        vesting: Cpt::ZERO,
    });
    insta::assert_snapshot!(shown(Mode::Human, &balance), @"
    available       150.25 CPT to spend on tasks
      free credit   150.00 CPT of it
      transferable  0.25 CPT of it
    held            2.25 CPT for open tasks
    pending         0.01 CPT earned by what runs on your nodes now
    vesting         0.00 CPT earned, to be spent later
    ");
    assert_eq!(shown(Mode::Quiet, &balance), "150.25\n");
    let json = json(&balance);
    assert_eq!(
        (json["schema"].as_str(), json["available"]["micro"].as_i64()),
        (Some("hivemind.balance/1"), Some(150_250_000))
    );
    assert_eq!((json["free_credit"]["cpt"].as_str(), json["pending"]["cpt"].as_str()), (Some("150.00"), Some("0.01")));
}

#[test]
fn a_statement_has_four_faces() {
    let statement = Statement { lines: movements(), more: true };
    insta::assert_snapshot!(shown(Mode::Human, &statement), @r#"
    TIME                      ENTRY   WHAT       ACCOUNT            AMOUNT          BALANCE   ABOUT
    1970-01-01 02:30:00 UTC       4   accrual    held            -0.01 CPT       149.99 CPT   att_12.0.1 runs: its price so far (bob)
    1970-01-01 02:30:00 UTC       3   hold       promo           -2.25 CPT       147.75 CPT   task_12
    1970-01-01 02:30:00 UTC       2   transfer   available   +0.000001 CPT   150.000001 CPT   transfer from =evil(), "x"
    1970-01-01 02:30:00 UTC       1   sign up    promo         +150.00 CPT       300.00 CPT
    "#);
    insta::assert_snapshot!(as_csv(&statement.lines), @r#"
    at,entry,kind,account,holder,amount_cpt,amount_micro,balance_cpt,balance_micro,task,attempt,counterparty,note
    1970-01-01T02:30:00.000Z,4,accrual,held,ann,-0.01,-10000,149.99,149990000,task_12,att_12.0.1,bob,att_12.0.1 runs: its price so far
    1970-01-01T02:30:00.000Z,3,hold,promo,ann,-2.25,-2250000,147.75,147750000,task_12,,,
    1970-01-01T02:30:00.000Z,2,transfer,available,ann,0.000001,1,150.000001,150000001,,,'=evil(),"transfer from =evil(), ""x"""
    1970-01-01T02:30:00.000Z,1,sign_up,promo,ann,150.00,150000000,300.00,300000000,,,,
    "#);
    assert_eq!(shown(Mode::Quiet, &statement), "4\n3\n2\n1\n");
    let json = json(&statement);
    assert_eq!((json["schema"].as_str(), json["more"].as_bool()), (Some("hivemind.statement/1"), Some(true)));
    let line = &json["lines"][0];
    assert_eq!((line["entry"].as_i64(), line["at"].as_str()), (Some(4), Some("1970-01-01T02:30:00.000Z")));
    assert_eq!((line["amount"]["micro"].as_i64(), line["amount"]["cpt"].as_str()), (Some(-10_000), Some("-0.01")));
    assert_eq!((line["task"].as_str(), &json["lines"][3]["task"]), (Some("task_12"), &Value::Null));
}

#[test]
fn the_entries_of_a_task_tell_whose_accounts_moved() {
    let treasury = StatementLine { holder: String::new(), ..movement(4, "settlement", "treasury", 5) };
    let mut lines = movements();
    lines.truncate(1);
    lines.push(treasury.into());
    let entries = Entries { task: "task_12".into(), lines, more: false };
    insta::assert_snapshot!(shown(Mode::Human, &entries), @"
    TIME                      ENTRY   WHAT         ACCOUNT              AMOUNT          BALANCE   ABOUT
    1970-01-01 02:30:00 UTC       4   accrual      held of ann       -0.01 CPT       149.99 CPT   att_12.0.1 runs: its price so far (bob)
    1970-01-01 02:30:00 UTC       4   settlement   treasury      +0.000005 CPT   150.000005 CPT
    ");
    assert_eq!(shown(Mode::Quiet, &entries), "4\n");
    assert_eq!(json(&entries)["lines"][1]["holder"], Value::Null);
}

#[test]
fn rewards_are_told_line_by_line() {
    let line = RewardLine {
        node: "lab-1".into(),
        from_unix_ms: 3_600_000,
        to_unix_ms: 7_200_000,
        registered_ms: 3_600_000,
        alive_ms: 3_420_000,
        attempts_ended: 8,
        attempts_completed: 6,
        complex_completed: 2,
        base_micro: 9_500_000,
        performance_micro: 3_562_500,
        stability_micro: 2_707_500,
        quality_micro: 10_000_000,
        level: "silver".into(),
        multiplier_tenths: 12,
        total_micro: 30_924_000,
    };
    let none =
        RewardLine { node: "lab-2".into(), level: "none".into(), multiplier_tenths: 10, ..RewardLine::default() };
    let rewards = Rewards { rewards: vec![Reward::from(line), Reward::from(none)], more: false };
    insta::assert_snapshot!(shown(Mode::Human, &rewards), @"
    FROM                      PERIOD   NODE    ALIVE   UPTIME   ACCEPTED/ENDED   COMPLEX   BASE CPT   PERFORMANCE CPT   STABILITY CPT   QUALITY CPT   LEVEL              TOTAL
    1970-01-01 01:00:00 UTC       1h   lab-1     57m   95.0 %              6/8         2       9.50            3.5625          2.7075         10.00   silver x1.2   30.924 CPT
    -                             0s   lab-2      0s    0.0 %              0/0         0       0.00              0.00            0.00          0.00   none x1.0       0.00 CPT
    ");
    insta::assert_snapshot!(as_csv(&rewards.rewards), @"
    from,to,node,registered_ms,alive_ms,uptime_percent,attempts_accepted,attempts_ended,complex_accepted,base_cpt,base_micro,performance_cpt,performance_micro,stability_cpt,stability_micro,quality_cpt,quality_micro,level,multiplier,total_cpt,total_micro
    1970-01-01T01:00:00.000Z,1970-01-01T02:00:00.000Z,lab-1,3600000,3420000,95.0,6,8,2,9.50,9500000,3.5625,3562500,2.7075,2707500,10.00,10000000,silver,1.2,30.924,30924000
    ,,lab-2,0,0,0.0,0,0,0,0.00,0,0.00,0,0.00,0,0.00,0,none,1.0,0.00,0
    ");
    assert_eq!(shown(Mode::Quiet, &rewards), "30.924\n0.00\n");
    let json = json(&rewards);
    assert_eq!(
        (json["schema"].as_str(), json["rewards"][0]["uptime_percent"].as_f64()),
        (Some("hivemind.rewards/1"), Some(95.0))
    );
}

#[test]
fn projects_and_tips_are_lists() {
    let project = Project::from(ProjectSummary {
        project_id: "proj_1".into(),
        name: "curl".into(),
        repository: "https://example.org/curl".into(),
        owner: "ann".into(),
        state: "open".into(),
        registered_at_unix_ms: 1,
        tips: 2,
        tipped_micro: 2_500_000,
    });
    insta::assert_snapshot!(shown(Mode::Human, &project), @"
    project     proj_1
    name        curl
    repository  https://example.org/curl
    owner       ann
    state       open
    ");
    let projects = Projects { projects: vec![project], more: false };
    insta::assert_snapshot!(shown(Mode::Human, &projects), @"
    PROJECT   STATE   OWNER   TIPS     TIPPED   REPOSITORY
    curl      open    ann        2   2.50 CPT   https://example.org/curl
    ");
    assert_eq!(shown(Mode::Quiet, &projects), "curl\n");
    let tip = Tip::from(TipSummary {
        number: 2,
        from: "bob".into(),
        amount_micro: 500_000,
        message: "thank\u{1b}[31m you".into(),
        at_unix_ms: 9_000_000,
    });
    let tips = Tips { project: "curl".into(), tips: vec![tip], more: false };
    insta::assert_snapshot!(shown(Mode::Human, &tips), @"
    TIP   TIME                      FROM     AMOUNT   MESSAGE
      2   1970-01-01 02:30:00 UTC   bob    0.50 CPT   thank?[31m you
    ");
    assert_eq!(json(&tips)["tips"][0]["amount"]["cpt"], "0.50");
}

#[test]
fn the_books_tell_their_verdict_first() {
    let audit = Audit::from(AuditResponse {
        balanced: true,
        entries: 3,
        accounts: 2,
        supply_micro: 1_000_000_000_000_000_000,
        held_micro: 5,
        treasury_micro: 7,
        ..AuditResponse::default()
    });
    insta::assert_snapshot!(shown(Mode::Human, &audit), @"
    ledger: balanced
    entries   3
    accounts  2
    supply    1000000000000.00 CPT
    held      0.000005 CPT
    treasury  0.000007 CPT
    ");
    let wrong = |bad_entry: i64, finding: &str| {
        let response = AuditResponse { finding: finding.into(), bad_entry, ..AuditResponse::default() };
        shown(Mode::Quiet, &Audit::from(response))
    };
    assert_eq!(
        wrong(7, "journal entry 7: its hash does not fit"),
        "ledger: NOT balanced: journal entry 7: its hash does not fit\n"
    );
    assert_eq!(wrong(0, "a balance differs"), "ledger: NOT balanced: a balance differs\n");
    assert_eq!(wrong(0, ""), "ledger: NOT balanced\n");
}

#[test]
fn a_trial_balance_adds_up_to_the_supply() {
    let line = |kind: &str, accounts: i64, balance_micro: i64| TrialLine { kind: kind.into(), accounts, balance_micro };
    let response = TrialBalanceResponse {
        lines: vec![line("treasury", 1, 849_000_000), line("promo", 2, 150_000_000), line("held", 1, 1_000_000)],
        supply_micro: 1_000_000_000,
        expected_supply_micro: 1_000_000_000,
        entries: 4,
        last_hash: "00ff".into(),
        holds: vec![HoldsByAge { age: "under 1 hour".into(), holds: 1, amount_micro: 1_000_000 }],
    };
    let trial = Trial::from(response.clone());
    insta::assert_snapshot!(shown(Mode::Human, &trial), @"
    ACCOUNTS      COUNT       BALANCE
    treasury          1    849.00 CPT
    promo             2    150.00 CPT
    held              1      1.00 CPT
    total      = supply   1000.00 CPT

    HOLDS          COUNT     AMOUNT
    under 1 hour       1   1.00 CPT

    entries    4
    last hash  00ff
    ");
    insta::assert_snapshot!(as_csv(&trial.records()), @"
    part,name,count,amount_cpt,amount_micro
    account,treasury,1,849.00,849000000
    account,promo,2,150.00,150000000
    account,held,1,1.00,1000000
    total,supply,,1000.00,1000000000
    total,expected supply,,1000.00,1000000000
    holds,under 1 hour,1,1.00,1000000
    journal,00ff,4,,
    ");
    assert_eq!((json(&trial)["balanced"].as_bool(), shown(Mode::Quiet, &trial)), (Some(true), "1000.00\n".into()));
    let wrong = Trial::from(TrialBalanceResponse { expected_supply_micro: 1_000_000_001, ..response });
    let human = shown(Mode::Human, &wrong);
    assert!(human.contains("is NOT the supply") && human.contains("1000.000001 CPT"), "{human}");
}

#[test]
fn a_plan_tells_price_chance_and_place() {
    let line = |what: &str, quantity: &str, per_hour_micro: i64, amount_micro: i64| PriceLine {
        what: what.into(),
        quantity: quantity.into(),
        per_hour_micro,
        amount_micro,
    };
    let quote = QuoteResponse {
        price_cap_micro: 2_250_000,
        expected_micro: 50_000,
        expected_basis: "the run time of your newest completed task with this image".into(),
        expected_wall_ms: 80_000,
        lines: vec![line("cores", "1 core", 2_000_000, 2_000_000), line("memory", "512 MiB", 250_000, 250_000)],
        balance_micro: 150_000_000,
        nodes_capable: 3,
        nodes_free: 1,
        waiting_reason: String::new(),
    };
    insta::assert_snapshot!(shown(Mode::Human, &Plan::from(quote.clone())), @"
    FOR         QUANTITY    AN HOUR    AT MOST
    cores       1 core     2.00 CPT   2.00 CPT
    memory      512 MiB    0.25 CPT   0.25 CPT
    price cap                         2.25 CPT

    expected      0.05 CPT for 1m 20s, the run time of your newest completed task with this image
    available     150.00 CPT
    could run on  3 nodes; 1 has room now
    would start   at once
    ");
    let nowhere = QuoteResponse {
        balance_micro: 1,
        nodes_capable: 0,
        nodes_free: 0,
        waiting_reason: "no linked node is big enough".into(),
        ..quote
    };
    let plan = Plan::from(nowhere);
    let human = shown(Mode::Human, &plan);
    assert!(human.contains("0.000001 CPT, less than the price cap"), "{human}");
    assert!(human.ends_with("could run on  0 nodes\nwould start   later: no linked node is big enough\n"), "{human}");
    let json = json(&plan);
    assert_eq!((json["schema"].as_str(), json["affordable"].as_bool()), (Some("hivemind.plan/1"), Some(false)));
    assert_eq!(shown(Mode::Quiet, &plan), "2.25\n");
}
