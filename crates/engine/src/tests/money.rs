//! Registration, transfers, client-made ids, and what is refused at the door.

use super::fixture::*;
use hivemind_model::rows::Role;
use hivemind_model::*;
use std::sync::Arc;

fn shown(result: Result<Reply, Rejection>) -> String {
    match result {
        Ok(reply) => format!("{reply:?}"),
        Err(rejection) => format!("{} [{}] {}", rejection.code, rejection.field, rejection.text),
    }
}

#[test]
fn registration_is_judged_at_the_door() {
    let mut pool = Pool::ready();
    let long = "x".repeat(33);
    let mut table = String::new();
    for (username, email) in [
        ("ab", "a@b"),
        (long.as_str(), "a@b"),
        ("-abc", "a@b"),
        ("a b c", "a@b"),
        ("ANNA", "a@b"),
        ("carl", "nobody"),
        ("carl", "a b@c"),
        ("carl", "@c"),
        ("carl", "c@example.org"),
    ] {
        let command = Command::Register {
            username: username.into(),
            email: email.into(),
            password_hash: "$argon2id$".into(),
            role: Role::Member,
            from: String::new(),
            invitation: None,
        };
        table += &format!("{username}: {}\n", shown(pool.run(command)));
    }
    insta::assert_snapshot!(table, @r"
    ab: E_INVALID [username] username: must have 3 to 32 characters
    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: E_INVALID [username] username: must have 3 to 32 characters
    -abc: E_INVALID [username] username: must start with a letter or a digit
    a b c: E_INVALID [username] username: may only have the characters a-z A-Z 0-9 . _ -
    ANNA: E_TAKEN [username] username: `ANNA` is taken (letter case does not count); choose another
    carl: E_INVALID [email] email: is not of the form name@domain
    carl: E_INVALID [email] email: contains a blank or a control character
    carl: E_INVALID [email] email: is not of the form name@domain
    carl: Registered { user: UserId(3) }
    ");
}

#[test]
fn transfers_are_judged_and_remembered() {
    let mut pool = Pool::ready();
    let anna = pool.user("anna");
    let mut table = String::new();
    let amount = |micro| Cpt::from_micro(micro);
    for (to, micro, id, body) in [
        ("bert", 5_000_000, "one", 1),
        ("bert", 5_000_000, "one", 1),
        ("bert", 6_000_000, "one", 2),
        ("BERT", 1, "two", 3),
        ("bert", -1, "", 4),
        ("bert", -1, "three", 4),
        ("bert", 0, "four", 4),
        ("anna", 1, "five", 5),
        ("nobody", 1, "six", 6),
        ("ber\0t", 1, "eight", 6),
        ("bert", 200_000_000, "seven", 7),
        ("bert", 200_000_000, "seven", 7),
        ("bert", 1, "line\nbreak", 8),
    ] {
        let result = pool.run(Command::Transfer {
            from: anna,
            to_username: to.into(),
            amount: amount(micro),
            once: once(anna, id, body),
        });
        table += &format!("{} {micro} {id:?}: {}\n", to.escape_default(), shown(result));
    }
    insta::assert_snapshot!(table, @r#"
    bert 5000000 "one": Transferred { balance: Cpt(145000000) }
    bert 5000000 "one": Transferred { balance: Cpt(145000000) }
    bert 6000000 "one": E_ID_REUSED [transfer_id] transfer_id: `one` was used for another request before; make a new id for a new request
    BERT 1 "two": Transferred { balance: Cpt(144999999) }
    bert -1 "": E_INVALID [transfer_id] transfer_id: must have 1 to 128 bytes of printable characters; a UUID will do
    bert -1 "three": E_INVALID [amount] amount: -0.000001 CPT cannot be transferred; it must be above zero
    bert 0 "four": E_INVALID [amount] amount: 0.00 CPT cannot be transferred; it must be above zero
    anna 1 "five": E_INVALID [to_username] to_username: is yourself; nothing would move
    nobody 1 "six": E_NOT_FOUND [to_username] to_username: nobody here is called `nobody`
    ber\u{0}t 1 "eight": E_NOT_FOUND [to_username] to_username: nobody here is called `ber?t`
    bert 200000000 "seven": E_INSUFFICIENT_CPT [amount] amount: needs 200.00 CPT, 144.999999 CPT is available; transfer less, or wait for open tasks to end
    bert 200000000 "seven": E_INSUFFICIENT_CPT [amount] amount: needs 200.00 CPT, 144.999999 CPT is available; transfer less, or wait for open tasks to end
    bert 1 "line\nbreak": E_INVALID [transfer_id] transfer_id: must have 1 to 128 bytes of printable characters; a UUID will do
    "#);
    assert_eq!(
        (pool.money("anna").as_str(), pool.money("bert").as_str()),
        ("144.999999 CPT + 0.00 CPT", "155.000001 CPT + 0.00 CPT")
    );
}

#[test]
fn an_id_is_known_from_the_store_after_a_restart() {
    let mut pool = Pool::ready();
    let anna = pool.user("anna");
    let submit = |pool: &mut Pool, body| {
        let mut once = once(anna, "mine", body).expect("some");
        once.stored = pool.tables.requests.get(&once.key).cloned();
        pool.run(Command::Submit { user: anna, spec: spec(1), max_price: None, ended: Vec::new(), once: Some(once) })
    };
    let accepted = submit(&mut pool, 1);
    assert_eq!(submit(&mut pool, 1), accepted);
    pool.restart();
    assert_eq!(submit(&mut pool, 1), accepted);
    assert_eq!(submit(&mut pool, 2).map_err(|no| no.code), Err(Code::IdReused));
    assert_eq!(pool.tables.tasks.len(), 1);
}

#[test]
fn a_submission_that_cannot_be_paid_names_what_is_needed() {
    let mut pool = Pool::new(Policy { signup_grant: Cpt::from_micro(1_000_000), ..Policy::default() });
    let anna = pool.register("anna");
    let before = pool.tables.clone();
    let mut submit = |change: fn(&mut TaskSpec)| {
        let mut spec = TaskSpec::clone(&spec(1));
        change(&mut spec);
        shown(pool.run(Command::Submit {
            user: anna,
            spec: Arc::new(spec),
            max_price: None,
            ended: Vec::new(),
            once: None,
        }))
    };
    let table = [
        submit(|_| {}),
        submit(|spec| spec.priority = 11),
        submit(|spec| spec.image.clear()),
        submit(|spec| spec.max_runtime = Millis(0)),
    ];
    insta::assert_snapshot!(table.join("\n"), @r"
    E_INSUFFICIENT_CPT [] needs 2.25 CPT (the price cap), 1.00 CPT is available; lower max_runtime or the resources, or wait for open tasks to end
    E_INVALID [priority] priority: 11 is outside 1 to 10 (10 is the most urgent)
    E_INVALID [docker_image] docker_image: is empty; name an image such as `python:3.12`
    E_INVALID [max_runtime] max_runtime: 0 is outside 1000 to 2592000000 ms, the pool's bounds
    ");
    assert_eq!(pool.tables, before, "a refusal changes nothing");
}

#[test]
fn bounds_are_kept_and_not_remembered_as_answers() {
    let mut policy = Policy::default();
    policy.limits.max_open_tasks_per_user = 1;
    policy.limits.max_nodes_per_owner = 1;
    let mut pool = Pool::new(policy);
    let anna = pool.register("anna");
    let task = pool.submit("anna", 1);
    let again =
        Command::Submit { user: anna, spec: spec(1), max_price: None, ended: Vec::new(), once: once(anna, "later", 1) };
    assert_eq!(pool.run(again.clone()).map_err(|no| no.code), Err(Code::Busy));
    pool.run(Command::Cancel { user: anna, task, elements: None }).expect("open");
    assert!(pool.run(again).is_ok(), "busy is no answer for ever");
    pool.enroll("anna", "one", 1);
    assert_eq!(
        pool.run(Command::Enroll { owner: anna, offer: offer("two", 1), token: None }).map_err(|no| no.code),
        Err(Code::Busy)
    );
}

#[test]
fn higher_prices_after_a_restart_never_exceed_the_hold() {
    let mut pool = Pool::ready();
    let task = pool.submit("anna", 1);
    let (rows, books) = pool.tables.recover().expect("founded");
    let mut policy = Policy::default();
    policy.prices.core_hour = Cpt::from_micro(i64::MAX / 2);
    pool.engine = crate::Engine::restore(policy, rows, books).expect("true");
    pool.connect("box", &[first(task, 1)]).expect("enrolled");
    pool.pass(3_600_000);
    pool.finish("box", first(task, 1), state::Outcome::Exited { code: 0 }, 3_600_000).expect("it is current");
    assert_eq!(pool.progress(task).cost, Cpt::from_micro(2_250_000));
}

#[test]
fn who_pays_themselves_loses_nothing() {
    let mut pool = Pool::ready();
    let task = pool.submit("bert", 1);
    pool.pass(1_000);
    pool.finish("box", first(task, 1), state::Outcome::Exited { code: 0 }, 1_000).expect("it is current");
    assert_eq!((pool.money("bert").as_str(), pool.progress(task).cost.micro()), ("150.00 CPT + 0.00 CPT", 625));
}

#[test]
fn an_empty_treasury_takes_no_new_users() {
    let mut pool = Pool::new(Policy { signup_grant: hivemind_ledger::SUPPLY, ..Policy::default() });
    pool.register("first");
    let command = Command::Register {
        username: "second".into(),
        email: "a@b".into(),
        password_hash: "$argon2id$".into(),
        role: Role::Member,
        from: String::new(),
        invitation: None,
    };
    insta::assert_snapshot!(shown(pool.run(command)), @"E_BUSY [] the pool takes no new users: the treasury has 0.00 CPT left, less than 1000000000000.00 CPT; ask its operator");
}
