//! The guarded mode: free credit never becomes money; beside it, what the open mode allows.

use super::fixture::*;
use hivemind_ledger::Account;
use hivemind_model::economy::{Guard, Mode};
use hivemind_model::rows::Role;
use hivemind_model::state::Outcome;
use hivemind_model::*;

const CODE: [u8; 32] = [7; 32];
const DONE: Outcome = Outcome::Exited { code: 0 };

fn guarded(change: fn(&mut Guard)) -> Policy {
    let mut policy = Policy::default();
    policy.economy.mode = Mode::Guarded;
    change(&mut policy.economy.guard);
    policy
}

impl Pool {
    fn sign_up(
        &mut self,
        name: &str,
        email: &str,
        from: &str,
        invitation: Option<[u8; 32]>,
    ) -> Result<Reply, Rejection> {
        self.run(Command::Register {
            username: name.into(),
            email: email.into(),
            password_hash: "$argon2id$".into(),
            role: Role::Member,
            from: from.into(),
            invitation,
        })
    }

    fn with_operator(policy: Policy) -> Self {
        let mut pool = Self::new(policy);
        let command = Command::Register {
            username: "boss".into(),
            email: "op@localhost.localdomain".into(),
            password_hash: "$argon2id$".into(),
            role: Role::Operator,
            from: String::new(),
            invitation: None,
        };
        pool.run(command).expect("operators need no invitation");
        pool
    }

    /// Anna and bert, bert with a node; both with free credit only.
    fn guarded_pair(bert_email: &str) -> Self {
        let mut pool = Self::with_operator(guarded(|guard| guard.invitations = false));
        pool.sign_up("anna", "anna@example.org", "", None).expect("open to all");
        pool.sign_up("bert", bert_email, "", None).expect("open to all");
        pool.enroll("bert", "box", 2);
        pool.connect("box", &[]).expect("enrolled");
        pool
    }

    fn invite(&mut self, by: &str, uses: u32, valid: u64) -> Result<Reply, Rejection> {
        let expires_at = self.now.after(Millis(valid));
        self.run(Command::Invite { by: self.user(by), digest: CODE, uses, expires_at })
    }

    fn pay(&mut self, from: &str, to: &str, micro: i64) -> Result<Reply, Rejection> {
        let amount = Cpt::from_micro(micro);
        self.run(Command::Transfer { from: self.user(from), to_username: to.into(), amount, once: None })
    }

    fn done(&mut self, user: &str, millis: u64) {
        let task = self.submit(user, 1);
        self.start("box", first(task, 1)).expect("handed out");
        self.pass(millis);
        self.finish("box", first(task, 1), DONE, millis).expect("it is current");
    }

    fn balances(&self, name: &str) -> String {
        let user = self.user(name);
        let of = |account| self.engine.ledger().balance(account).micro();
        let accounts = [Account::Available(user), Account::Promo(user), Account::Owner(user)];
        let [available, promo, owner] = accounts.map(of);
        format!("{name}: {available} money, {promo} free, {owner} vesting")
    }
}

fn code(result: Result<Reply, Rejection>) -> String {
    result.map_or_else(|rejection| rejection.code.to_string(), |_| "taken".into())
}

#[test]
fn an_account_takes_an_invitation_that_is_used_up() {
    let mut pool = Pool::with_operator(guarded(|guard| guard.signups_per_address = 10));
    pool.invite("boss", 2, 60_000).expect("an operator");
    let mut table = Vec::new();
    for (name, invitation) in [
        ("none", None),
        ("guess", Some([1; 32])),
        ("one", Some(CODE)),
        ("boss", Some(CODE)),
        ("two", Some(CODE)),
        ("three", Some(CODE)),
    ] {
        table.push(format!("{name}: {}", code(pool.sign_up(name, "a@b", "10.0.0.1", invitation))));
    }
    insta::assert_snapshot!(table.join("\n"), @r"
    none: E_INVITATION
    guess: E_INVITATION
    one: taken
    boss: E_TAKEN
    two: taken
    three: E_INVITATION
    ");
    pool.invite("boss", 1, 60_000).expect("an operator");
    pool.restart();
    pool.pass(60_000);
    assert_eq!(code(pool.sign_up("late", "a@b", "10.0.0.1", Some(CODE))), "E_INVITATION");
    assert!(pool.tables.invitations.is_empty(), "what has expired is forgotten");
    assert_eq!(code(pool.invite("one", 1, 60_000)), "E_FORBIDDEN");
    assert_eq!(code(pool.invite("boss", 0, 60_000)), "E_INVALID");
    assert_eq!(code(pool.invite("boss", 1, 0)), "E_INVALID");
}

#[test]
fn one_network_makes_few_accounts_a_day() {
    let mut pool = Pool::with_operator(guarded(|guard| guard.invitations = false));
    let mut table = Vec::new();
    for (name, from) in
        [("aa1", "10.0.0.1"), ("aa2", "10.0.0.1"), ("aa3", "10.0.0.1"), ("aa4", "10.0.0.1"), ("bb1", "10.0.0.2")]
    {
        table.push(format!("{name}: {}", code(pool.sign_up(name, "a@b", from, None))));
    }
    insta::assert_snapshot!(table.join("\n"), @r"
    aa1: taken
    aa2: taken
    aa3: taken
    aa4: E_BUSY
    bb1: taken
    ");
    pool.restart();
    assert_eq!(code(pool.sign_up("aa5", "a@b", "10.0.0.1", None)), "E_BUSY", "a restart forgets nobody");
    pool.pass(24 * 3_600_000);
    assert_eq!(code(pool.sign_up("aa5", "a@b", "10.0.0.1", None)), "taken");
}

#[test]
fn free_credit_buys_computing_and_nothing_else() {
    let mut pool = Pool::guarded_pair("bert@example.org");
    let refused = pool.pay("anna", "bert", 1).expect_err("free credit is no money");
    insta::assert_snapshot!(refused.to_string(), @"E_INSUFFICIENT_CPT: amount: needs 0.000001 CPT, 0.00 CPT is available (free credit buys computing only); transfer less, or wait for open tasks to end");
    pool.done("anna", 60_000);
    insta::assert_snapshot!([pool.balances("anna"), pool.balances("bert")].join("\n"), @r"
    anna: 0 money, 149962500 free, 0 vesting
    bert: 0 money, 150037500 free, 0 vesting
    ");
    pool.pay("bert", "anna", 1).expect_err("what free credit paid for is no money either");
}

#[test]
fn one_person_earns_nothing_from_their_own_free_credit() {
    let mut pool = Pool::guarded_pair("Anna+bert@Example.ORG");
    let before = pool.engine.ledger().balance(Account::Treasury).micro();
    pool.done("anna", 60_000);
    pool.done("bert", 60_000);
    insta::assert_snapshot!([pool.balances("anna"), pool.balances("bert")].join("\n"), @r"
    anna: 0 money, 149962500 free, 0 vesting
    bert: 0 money, 149962500 free, 0 vesting
    ");
    assert_eq!(pool.engine.ledger().balance(Account::Treasury).micro() - before, 75_000);
    assert_eq!(pool.tables.standings[&pool.node("box")].period.ended, 0, "it is no merit");
}

#[test]
fn money_that_was_earned_vests_after_a_delay() {
    let mut policy = guarded(|guard| guard.invitations = false);
    policy.signup_grant = Cpt::ZERO;
    let mut pool = Pool::with_operator(policy);
    for (name, node) in [("anna", "annas"), ("bert", "box")] {
        pool.sign_up(name, &format!("{name}@example.org"), "", None).expect("open to all");
        pool.enroll(name, node, 2);
    }
    // Anna's node was alive for two hours: money, a day later.
    pool.connect("annas", &[]).expect("enrolled");
    for _ in 0..120 {
        pool.pass(60_000);
    }
    pool.run(Command::Lost { node: pool.node("annas") }).expect("enrolled");
    let anna = pool.user("anna");
    let waiting = pool.engine.ledger().balance(Account::Reward(anna));
    assert!(waiting.is_positive());
    pool.pay("anna", "bert", 1).expect_err("it has not vested");
    pool.restart();
    pool.pass(26 * 3_600_000);
    assert_eq!(pool.engine.ledger().available(anna), waiting);
    pool.pay("anna", "bert", 1).expect("money");
    // The same with pay for work.
    pool.connect("box", &[]).expect("enrolled");
    pool.done("anna", 60_000);
    assert_eq!(pool.balances("bert"), "bert: 1 money, 0 free, 37500 vesting");
    assert_eq!(pool.tables.standings[&pool.node("box")].period.completed, 1, "money of another is a merit");
    pool.pass(26 * 3_600_000);
    assert_eq!(pool.engine.ledger().balance(Account::Owner(pool.user("bert"))), Cpt::ZERO);
}

#[test]
fn the_open_mode_takes_everybody_and_free_credit_is_money() {
    let mut pool = Pool::with_operator(Policy::default());
    for name in ["anna", "bert"] {
        pool.sign_up(name, "same@example.org", "10.0.0.1", None).expect("open to all");
    }
    assert!(pool.tables.users.values().all(|user| user.registered_from.is_empty()), "what is not counted is not kept");
    pool.pay("anna", "bert", 150_000_000).expect("like any money");
    insta::assert_snapshot!([pool.balances("anna"), pool.balances("bert")].join("\n"), @r"
    anna: 0 money, 0 free, 0 vesting
    bert: 150000000 money, 150000000 free, 0 vesting
    ");
}
