//! The books of the pool: what their check found, and their trial balance.
//!
//! Invariant: the verdict is the pool's; nothing is added up anew here.

use super::Amount;
use crate::face::csv::{Field, Record};
use crate::face::table::{Align, Rows, pairs};
use crate::face::{Document, Look};
use hivemind_proto::v1::{AuditResponse, TrialBalanceResponse};
use serde::Serialize;

/// What the check of the books found.
#[derive(Debug, Clone, Serialize)]
pub struct Audit {
    /// Everything is right.
    pub balanced: bool,
    /// The first thing wrong.
    pub finding: Option<String>,
    /// The first journal entry that cannot be true.
    pub bad_entry: Option<i64>,
    /// Entries that were replayed.
    pub entries: i64,
    /// Accounts that were compared.
    pub accounts: i64,
    /// All CPT there are.
    pub supply: Amount,
    /// Set aside for open tasks.
    pub held: Amount,
    /// Not given out.
    pub treasury: Amount,
}

impl From<AuditResponse> for Audit {
    fn from(audit: AuditResponse) -> Self {
        Self {
            balanced: audit.balanced,
            finding: (!audit.finding.is_empty()).then_some(audit.finding),
            bad_entry: (audit.bad_entry > 0).then_some(audit.bad_entry),
            entries: audit.entries,
            accounts: audit.accounts,
            supply: Amount::of(audit.supply_micro),
            held: Amount::of(audit.held_micro),
            treasury: Amount::of(audit.treasury_micro),
        }
    }
}

impl Audit {
    /// `ledger: balanced`, or what is wrong; what is wrong begins with the number of the first bad entry.
    #[must_use]
    pub fn verdict(&self) -> String {
        if self.balanced {
            return "ledger: balanced".into();
        }
        let finding = self.finding.as_ref().map(|finding| format!(": {finding}"));
        format!("ledger: NOT balanced{}", finding.unwrap_or_default())
    }
}

impl Document for Audit {
    const SCHEMA: &'static str = "hivemind.audit/1";

    fn human(&self, _: &Look) -> String {
        let figures = pairs(&[
            ("entries", self.entries.to_string()),
            ("accounts", self.accounts.to_string()),
            ("supply", self.supply.to_string()),
            ("held", self.held.to_string()),
            ("treasury", self.treasury.to_string()),
        ]);
        format!("{}\n{figures}", crate::face::harmless(&self.verdict()))
    }

    fn quiet(&self) -> String {
        crate::face::harmless(&self.verdict())
    }
}

/// What the accounts of each kind have together.
#[derive(Debug, Clone, Serialize)]
pub struct Trial {
    /// One entry a kind of account.
    pub accounts: Vec<Kind>,
    /// All of them together.
    pub supply: Amount,
    /// What there must be.
    pub expected_supply: Amount,
    /// The two are equal.
    pub balanced: bool,
    /// Open holds, youngest first.
    pub holds: Vec<Holds>,
    /// Entries of the journal.
    pub entries: i64,
    /// Hash of the newest entry, in hexadecimal.
    pub last_hash: String,
}

/// All accounts of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct Kind {
    /// treasury, available, promo, held, pending, owner, reward, project.
    pub kind: String,
    /// How many there are.
    pub accounts: i64,
    /// What they have together.
    pub balance: Amount,
}

/// All holds of about one age.
#[derive(Debug, Clone, Serialize)]
pub struct Holds {
    /// Such as `under 1 hour`.
    pub age: String,
    /// How many there are.
    pub holds: i64,
    /// What they set aside together.
    pub amount: Amount,
}

impl From<TrialBalanceResponse> for Trial {
    fn from(trial: TrialBalanceResponse) -> Self {
        let kinds = trial.lines.into_iter().map(|line| Kind {
            kind: line.kind,
            accounts: line.accounts,
            balance: Amount::of(line.balance_micro),
        });
        let holds = trial.holds.into_iter().map(|line| Holds {
            age: line.age,
            holds: line.holds,
            amount: Amount::of(line.amount_micro),
        });
        Self {
            accounts: kinds.collect(),
            supply: Amount::of(trial.supply_micro),
            expected_supply: Amount::of(trial.expected_supply_micro),
            balanced: trial.supply_micro == trial.expected_supply_micro,
            holds: holds.collect(),
            entries: trial.entries,
            last_hash: trial.last_hash,
        }
    }
}

impl Trial {
    /// The same as lines of a CSV file.
    #[must_use]
    pub fn records(&self) -> Vec<TrialRecord> {
        let record = |part, name: &str, count, amount: Option<&Amount>| TrialRecord {
            part,
            name: name.to_owned(),
            count,
            amount: amount.cloned(),
        };
        let accounts =
            self.accounts.iter().map(|kind| record("account", &kind.kind, Some(kind.accounts), Some(&kind.balance)));
        let holds = self.holds.iter().map(|holds| record("holds", &holds.age, Some(holds.holds), Some(&holds.amount)));
        let mut records: Vec<TrialRecord> = accounts.collect();
        records.push(record("total", "supply", None, Some(&self.supply)));
        records.push(record("total", "expected supply", None, Some(&self.expected_supply)));
        records.extend(holds);
        records.push(record("journal", &self.last_hash, Some(self.entries), None));
        records
    }
}

/// One line of a trial balance: of the kinds of accounts, the totals, the holds, or the journal.
#[derive(Debug, Clone)]
pub struct TrialRecord {
    part: &'static str,
    name: String,
    count: Option<i64>,
    amount: Option<Amount>,
}

impl Record for TrialRecord {
    const COLUMNS: &'static [&'static str] = &["part", "name", "count", "amount_cpt", "amount_micro"];

    fn fields(&self) -> Vec<Field> {
        let none = || Field::Number(String::new());
        let [cpt, micro] = self.amount.as_ref().map_or_else(|| [none(), none()], Field::amount);
        let count = self.count.map_or_else(none, Field::number);
        vec![Field::text(self.part), Field::text(&*self.name), count, cpt, micro]
    }
}

impl Document for Trial {
    const SCHEMA: &'static str = "hivemind.trial_balance/1";

    fn human(&self, look: &Look) -> String {
        const KINDS: [(&str, Align); 3] =
            [("ACCOUNTS", Align::Left), ("COUNT", Align::Right), ("BALANCE", Align::Right)];
        const HOLDS: [(&str, Align); 3] = [("HOLDS", Align::Left), ("COUNT", Align::Right), ("AMOUNT", Align::Right)];
        let mut kinds = Rows::new(look, &KINDS);
        for kind in &self.accounts {
            kinds.add(&[kind.kind.clone(), kind.accounts.to_string(), kind.balance.to_string()]);
        }
        let note = if self.balanced { "= supply" } else { "is NOT the supply" };
        kinds.add(&["total".into(), note.into(), self.supply.to_string()]);
        let mut parts = vec![kinds.finish()];
        if !self.holds.is_empty() {
            let mut holds = Rows::new(look, &HOLDS);
            for line in &self.holds {
                holds.add(&[line.age.clone(), line.holds.to_string(), line.amount.to_string()]);
            }
            parts.push(holds.finish());
        }
        let expected = if self.balanced { String::new() } else { self.expected_supply.to_string() };
        parts.push(pairs(&[
            ("supply must be", expected),
            ("entries", self.entries.to_string()),
            ("last hash", self.last_hash.clone()),
        ]));
        parts.join("\n\n")
    }

    fn quiet(&self) -> String {
        self.supply.cpt.clone()
    }
}
