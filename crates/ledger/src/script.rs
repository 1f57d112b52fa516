//! Text tables for tests: lines of operations in, lines of what they did out.
//!
//! Start at [`run`]. One operation a line, amounts in CPT:
//!
//! ```text
//! fund anna 100+50               money and free credit, silently
//! now 5000                       the clock, in milliseconds
//! sign_up anna 150
//! transfer anna bert 10 own      or `any`: free credit too
//! hold t7 anna 60
//! accrue 7.0.1 bert 4            task, index, attempt
//! return 7.0.1
//! settle 7.0.1 bert 4 money      or `promo`, `treasury`; then perhaps the time when it vests
//! close 7.0.1 bert 4 money       as settle, and ends the hold
//! release t7
//! expire t7
//! reward bert n1 5               then perhaps the time when it vests
//! vest
//! tip anna p1 3 own
//! collect p1 anna
//! batch                          takes what changed since the last one
//! ```
//!
//! After each line the books must be true, and after a refusal exactly what they were before; at the end the
//! journal must give the same books, and so must what would be stored.

use crate::{Ledger, LedgerChanges, Paid, PromoPay, Refusal, Spend, Terms, VestKey, replay};
use hivemind_model::{AttemptRef, Cpt, NodeId, ProjectId, TaskId, Timestamp, UserId};
use std::fmt::Display;

/// Whose money [`run`] gives away.
const BANK: UserId = UserId(99);
const NAMES: [&str; 3] = ["anna", "bert", "carl"];

/// What an operation gives back.
enum Done {
    /// Nothing to tell.
    Silent,
    Told(String),
}

/// Runs a script; gives each of its lines with what it did below.
pub(crate) fn run(script: &str) -> String {
    let mut ledger = Ledger::found(Timestamp(1_000));
    let mut now = Timestamp(1_000);
    let mut entries = ledger.take_changes().entries;
    let mut out = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let before = ledger.clone();
        let seen = before.clone().take_changes().entries.len();
        match words[0] {
            "now" => now = Timestamp(words[1].parse().expect("a time")),
            "fund" => fund(&mut ledger, user(words[1]), words[2], now),
            "batch" => {
                let changes = ledger.take_changes();
                out += &format!("batch\n{}", shown_changes(&changes));
                entries.extend(changes.entries);
            }
            _ => {
                out += &format!("{line}\n");
                let done = apply(&mut ledger, &words, now);
                for entry in ledger.clone().take_changes().entries.drain(seen..) {
                    let postings = entry.postings.iter().map(|posting| {
                        format!("{} {:+} = {}", posting.account, Short(posting.amount), Short(posting.balance))
                    });
                    out += &format!("  {}: {}\n", entry.reason.as_str(), postings.collect::<Vec<_>>().join(", "));
                }
                match done {
                    Ok(Done::Silent) => {}
                    Ok(Done::Told(text)) => out += &format!("  {text}\n"),
                    Err(refusal) => {
                        out += &format!("  refused: {refusal}\n");
                        assert_eq!(ledger, before, "`{line}` was refused and changed something");
                    }
                }
            }
        }
        assert_eq!(ledger.check(), Ok(()), "after `{line}`");
    }
    entries.extend(ledger.take_changes().entries);
    let books = replay(&entries).expect("the journal is true");
    let image = ledger.image();
    assert_eq!(books.compare(&image), Ok(()));
    assert_eq!(Ledger::restore(image), Ok(ledger));
    named(out)
}

fn fund(ledger: &mut Ledger, user: UserId, amounts: &str, now: Timestamp) {
    let (own, promo) = amounts.split_once('+').expect("own+promo");
    let (own, promo) = (cpt(own), cpt(promo));
    if own.is_positive() {
        ledger.sign_up(BANK, own, now).expect("the treasury is full");
        ledger.transfer(BANK, user, own, Spend::OwnThenPromo, now).expect("it was just given");
    }
    ledger.sign_up(user, promo, now).expect("the treasury is full");
}

fn apply(ledger: &mut Ledger, words: &[&str], now: Timestamp) -> Result<Done, Refusal> {
    let told = |amount: Cpt| Done::Told(format!("-> {}", Short(amount)));
    let silent = |()| Done::Silent;
    match words {
        ["sign_up", who, amount] => ledger.sign_up(user(who), cpt(amount), now).map(silent),
        ["transfer", from, to, amount, from_what] => {
            ledger.transfer(user(from), user(to), cpt(amount), spend(from_what), now).map(silent)
        }
        ["hold", task, who, amount] => {
            ledger.open_hold(id(task, TaskId), user(who), cpt(amount), Timestamp(9_000), now).map(silent)
        }
        ["accrue", of, who, amount] => ledger.accrue(attempt(of), user(who), cpt(amount), now).map(silent),
        ["return", of] => Ok(told(ledger.return_accrual(attempt(of), now))),
        ["settle", of, who, amount, terms @ ..] => ledger.settle(paid(of, who, terms), cpt(amount), now).map(silent),
        ["close", of, who, amount, terms @ ..] => {
            ledger.settle_and_close(paid(of, who, terms), cpt(amount), now).map(told)
        }
        ["release", task] => ledger.release(id(task, TaskId), now).map(told),
        ["expire", task] => ledger.expire(id(task, TaskId), now).map(told),
        ["reward", who, node, amount, due @ ..] => {
            ledger.reward(user(who), (id(node, NodeId), Timestamp(0)), cpt(amount), time(due), now).map(silent)
        }
        ["vest"] => Ok(Done::Told(if ledger.vest_one(now) { "vested" } else { "nothing is due" }.into())),
        ["tip", who, project, amount, from_what] => {
            ledger.tip(user(who), (id(project, ProjectId), 1), cpt(amount), spend(from_what), now).map(silent)
        }
        ["collect", project, who] => Ok(told(ledger.collect(id(project, ProjectId), user(who), now))),
        other => panic!("no operation: {other:?}"),
    }
}

/// What a batch changed beside entries and balances, one kind a line.
fn shown_changes(changes: &LedgerChanges) -> String {
    fn line<T>(name: &str, items: &[T], show: impl Fn(&T) -> String) -> String {
        let shown: Vec<String> = items.iter().map(show).collect();
        if shown.is_empty() { String::new() } else { format!("  {name}: {}\n", shown.join(", ")) }
    }
    let vest = |key: &VestKey| format!("{} at {}", key.source.account(key.user), key.due.0);
    let purse = |purse: crate::Purse| format!("{}+{}", Short(purse.own), Short(purse.promo));
    format!("  entries: {}, balances: {}\n", changes.entries.len(), changes.balances.len())
        + &line("holds", &changes.holds, |hold| format!("{} {}", hold.task, purse(hold.left)))
        + &line("ended holds", &changes.ended_holds, ToString::to_string)
        + &line("accruals", &changes.accruals, |accrual| format!("{} {}", accrual.attempt, purse(accrual.amount)))
        + &line("ended accruals", &changes.ended_accruals, ToString::to_string)
        + &line("vests", &changes.vests, |one| format!("{} {}", vest(&one.key), Short(one.amount)))
        + &line("ended vests", &changes.ended_vests, vest)
}

fn named(text: String) -> String {
    NAMES.iter().zip(1..).fold(text, |text, (name, number)| text.replace(&format!("user_{number}"), name))
}

fn user(name: &str) -> UserId {
    let place = NAMES.iter().position(|known| *known == name).expect("a known name");
    UserId(place as u64 + 1)
}

/// Reads the number behind the letter.
fn id<T>(text: &str, make: impl Fn(u64) -> T) -> T {
    make(text[1..].parse().expect("a letter and a number"))
}

fn attempt(text: &str) -> AttemptRef {
    format!("att_{text}").parse().expect("task.index.number")
}

fn cpt(text: &str) -> Cpt {
    let (whole, micro) = text.split_once('.').unwrap_or((text, "0"));
    let whole = Cpt::checked_from_whole(whole.parse().expect("a number")).expect("it fits");
    whole.checked_add(Cpt::from_micro(format!("{micro:0<6}").parse().expect("places"))).expect("it fits")
}

fn spend(word: &str) -> Spend {
    match word {
        "own" => Spend::Own,
        "any" => Spend::OwnThenPromo,
        other => panic!("own or any, not {other}"),
    }
}

fn time(words: &[&str]) -> Option<Timestamp> {
    words.first().map(|word| Timestamp(word.parse().expect("a time")))
}

fn paid(of: &str, payee: &str, terms: &[&str]) -> Paid {
    let promo = match terms[0] {
        "money" => PromoPay::Money,
        "promo" => PromoPay::Promo,
        "treasury" => PromoPay::Treasury,
        other => panic!("money, promo or treasury, not {other}"),
    };
    Paid { attempt: attempt(of), payee: user(payee), terms: Terms { promo, vests_at: time(&terms[1..]) } }
}

/// An amount without its unit and needless places.
struct Short(Cpt);

impl Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if f.sign_plus() && self.0.is_positive() { "+" } else { "" };
        let text = self.0.to_string();
        let number = text.trim_end_matches(" CPT");
        write!(f, "{sign}{}", number.strip_suffix(".00").unwrap_or(number))
    }
}
