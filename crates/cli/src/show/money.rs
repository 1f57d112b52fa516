//! What a user has, and what moved.
//!
//! Invariant: amounts are shown exactly; a balance is the one that the journal tells.

use super::{Amount, moment, signed};
use crate::face::csv::{Field, Record};
use crate::face::table::{Align, Rows, pairs};
use crate::face::{Document, Look};
use hivemind_proto::v1::StatementLine;
use serde::Serialize;

/// What a user has.
#[derive(Debug, Clone, Serialize)]
pub struct Balance {
    /// Can be spent on tasks, free credit included.
    pub available: Amount,
    /// The part of it that is free credit.
    pub free_credit: Amount,
    /// The part of it that can be given to others.
    pub transferable: Amount,
    /// Set aside for open tasks.
    pub held: Amount,
    /// Earned by what runs on the user's nodes now.
    pub pending: Amount,
    /// Earned, and to be spent later.
    pub vesting: Amount,
}

impl From<hivemind_client::Balance> for Balance {
    fn from(balance: hivemind_client::Balance) -> Self {
        Self {
            available: Amount::of(balance.available.micro()),
            free_credit: Amount::of(balance.promo.micro()),
            transferable: Amount::of(balance.transferable.micro()),
            held: Amount::of(balance.held.micro()),
            pending: Amount::of(balance.pending.micro()),
            vesting: Amount::of(balance.vesting.micro()),
        }
    }
}

impl Document for Balance {
    const SCHEMA: &'static str = "hivemind.balance/1";

    fn human(&self, _: &Look) -> String {
        pairs(&[
            ("available", format!("{} to spend on tasks", self.available)),
            ("  free credit", format!("{} of it", self.free_credit)),
            ("  transferable", format!("{} of it", self.transferable)),
            ("held", format!("{} for open tasks", self.held)),
            ("pending", format!("{} earned by what runs on your nodes now", self.pending)),
            ("vesting", format!("{} earned, to be spent later", self.vesting)),
        ])
    }

    fn quiet(&self) -> String {
        self.available.cpt.clone()
    }
}

/// One side of a journal entry.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Number of the journal entry.
    pub entry: i64,
    /// RFC 3339.
    pub at: Option<String>,
    /// sign_up, transfer, hold, accrual, return, settlement, release, expiry, reward, vest, tip, collect.
    pub kind: String,
    /// available, promo, held, pending, owner, reward, project, treasury.
    pub account: String,
    /// Whose account it is; none: the treasury.
    pub holder: Option<String>,
    /// What moved; above zero: the account grew.
    pub amount: Amount,
    /// What the account had afterwards.
    pub balance: Amount,
    /// The task it is about.
    pub task: Option<String>,
    /// The attempt it is about.
    pub attempt: Option<String>,
    /// The other user, the node or the project.
    pub counterparty: Option<String>,
    /// What happened, for people.
    pub note: String,
    /// For moments.
    #[serde(skip)]
    pub at_unix_ms: i64,
}

impl From<StatementLine> for Line {
    fn from(line: StatementLine) -> Self {
        let some = |text: String| (!text.is_empty()).then_some(text);
        Self {
            entry: line.entry,
            at: moment(line.at_unix_ms),
            kind: line.kind,
            account: line.account,
            holder: some(line.holder),
            amount: Amount::of(line.amount_micro),
            balance: Amount::of(line.balance_micro),
            task: some(line.task_id),
            attempt: some(line.attempt_id),
            counterparty: some(line.counterparty),
            note: line.note,
            at_unix_ms: line.at_unix_ms,
        }
    }
}

impl Line {
    /// What it is about: the sentence, and what or whom it does not name.
    fn about(&self) -> String {
        let is_named = |name: &Option<String>| name.as_ref().is_some_and(|name| self.note.contains(name.as_str()));
        let work = self.attempt.as_ref().or(self.task.as_ref());
        let work = work.filter(|_| !is_named(&self.attempt) && !is_named(&self.task));
        let other = self.counterparty.as_ref().filter(|_| !is_named(&self.counterparty));
        let unsaid: Vec<&str> = [work, other].into_iter().flatten().map(String::as_str).collect();
        match (self.note.is_empty(), unsaid.is_empty()) {
            (true, _) => unsaid.join(", "),
            (false, true) => self.note.clone(),
            (false, false) => format!("{} ({})", self.note, unsaid.join(", ")),
        }
    }
}

impl Record for Line {
    const COLUMNS: &'static [&'static str] = &[
        "at",
        "entry",
        "kind",
        "account",
        "holder",
        "amount_cpt",
        "amount_micro",
        "balance_cpt",
        "balance_micro",
        "task",
        "attempt",
        "counterparty",
        "note",
    ];

    fn fields(&self) -> Vec<Field> {
        let text = |text: &Option<String>| Field::text(text.clone().unwrap_or_default());
        let [amount_cpt, amount_micro] = Field::amount(&self.amount);
        let [balance_cpt, balance_micro] = Field::amount(&self.balance);
        vec![
            text(&self.at),
            Field::number(self.entry),
            Field::text(&*self.kind),
            Field::text(&*self.account),
            text(&self.holder),
            amount_cpt,
            amount_micro,
            balance_cpt,
            balance_micro,
            text(&self.task),
            text(&self.attempt),
            text(&self.counterparty),
            Field::text(&*self.note),
        ]
    }
}

/// Movements on the accounts of a user, newest first.
#[derive(Debug, Clone, Serialize)]
pub struct Statement {
    /// One entry a movement.
    pub lines: Vec<Line>,
    /// There are older ones.
    pub more: bool,
}

impl Document for Statement {
    const SCHEMA: &'static str = "hivemind.statement/1";

    fn human(&self, look: &Look) -> String {
        table(look, &self.lines, |line| line.account.clone())
    }

    fn quiet(&self) -> String {
        numbers(&self.lines)
    }
}

/// Everything that the journal tells of a task, oldest first, with all sides.
#[derive(Debug, Clone, Serialize)]
pub struct Entries {
    /// The task.
    pub task: String,
    /// One entry a side of a journal entry.
    pub lines: Vec<Line>,
    /// There are newer ones than the pool gives at once.
    pub more: bool,
}

impl Document for Entries {
    const SCHEMA: &'static str = "hivemind.task_entries/1";

    fn human(&self, look: &Look) -> String {
        table(look, &self.lines, |line| match &line.holder {
            Some(holder) => format!("{} of {holder}", line.account),
            None => line.account.clone(),
        })
    }

    fn quiet(&self) -> String {
        numbers(&self.lines)
    }
}

fn table(look: &Look, lines: &[Line], account: impl Fn(&Line) -> String) -> String {
    const COLUMNS: [(&str, Align); 7] = [
        ("TIME", Align::Left),
        ("ENTRY", Align::Right),
        ("WHAT", Align::Left),
        ("ACCOUNT", Align::Left),
        ("AMOUNT", Align::Right),
        ("BALANCE", Align::Right),
        ("ABOUT", Align::Left),
    ];
    let mut rows = Rows::new(look, &COLUMNS);
    for line in lines {
        rows.add(&[
            look.moment(line.at_unix_ms),
            line.entry.to_string(),
            line.kind.replace('_', " "),
            account(line),
            signed(&line.amount),
            line.balance.to_string(),
            line.about(),
        ]);
    }
    rows.finish()
}

/// The numbers of the journal entries, each once.
fn numbers(lines: &[Line]) -> String {
    let mut numbers: Vec<i64> = lines.iter().map(|line| line.entry).collect();
    numbers.dedup();
    numbers.iter().map(i64::to_string).collect::<Vec<_>>().join("\n")
}
