//! Accounts, what is on its way, and the journal.
//!
//! Invariant: an entry that reads back is, letter for letter, what was written.

use super::super::postings::Line;
use super::{Columns, FromColumns};
use crate::StoreError;
use hivemind_ledger::{Account, Accrual, Entry, Hold, Kind, Purse, Reason, Source, Vest, VestKey};
use hivemind_model::{Cpt, NodeId, TaskId, UserId};
use serde::{Deserialize, Serialize};

impl<'r> Columns<'r> {
    fn kind(&mut self) -> Result<Kind, StoreError> {
        Kind::parse(self.take()?).ok_or_else(|| self.damaged("is not a kind of account"))
    }

    fn purse(&mut self) -> Result<Purse, StoreError> {
        Ok(Purse { own: self.money()?, promo: self.money()? })
    }

    /// JSON that is as it would be written now.
    fn exact<T: Deserialize<'r> + Serialize>(&mut self) -> Result<T, StoreError> {
        let text: &'r str = self.take()?;
        let value: T = serde_json::from_str(text).map_err(|error| self.damaged(error))?;
        let again = serde_json::to_string(&value).map_err(|error| self.damaged(error))?;
        if again == text { Ok(value) } else { Err(self.damaged("is not as it was written")) }
    }

    /// A column that must be what the rest of the entry says.
    fn derived(&mut self, expected: Option<u64>) -> Result<(), StoreError> {
        let found: Option<i64> = self.take()?;
        if found.map(u64::try_from).transpose() == Ok(expected) {
            return Ok(());
        }
        let expected = expected.map_or("NULL".to_owned(), |id| id.to_string());
        Err(self.damaged(format!("does not fit the entry, whose content says {expected}")))
    }
}

impl FromColumns for (Account, Cpt) {
    const TABLE: &'static str = "accounts";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        let kind = columns.kind()?;
        let holder = columns.number()?;
        let account = Account::of(kind, holder);
        if account.holder() != holder {
            return Err(columns.damaged("is somebody, where the account is nobody's"));
        }
        Ok((account, columns.money()?))
    }
}

impl FromColumns for Hold {
    const TABLE: &'static str = "holds";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            task: TaskId(columns.number()?),
            user: UserId(columns.number()?),
            left: columns.purse()?,
            expires_at: columns.time()?,
        })
    }
}

impl FromColumns for Accrual {
    const TABLE: &'static str = "accruals";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self { attempt: columns.attempt()?, payee: UserId(columns.number()?), amount: columns.purse()? })
    }
}

/// What is earned on a node.
impl FromColumns for (NodeId, Cpt) {
    const TABLE: &'static str = "accruals";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok((NodeId(columns.number()?), columns.money()?))
    }
}

impl FromColumns for Vest {
    const TABLE: &'static str = "vests";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        let (due, user) = (columns.time()?, UserId(columns.number()?));
        let source = match columns.take::<&str>()? {
            "work" => Source::Work,
            "reward" => Source::Reward,
            _ => return Err(columns.damaged("is not a source")),
        };
        Ok(Self { key: VestKey { due, user, source }, amount: columns.money()? })
    }
}

impl FromColumns for Entry {
    const TABLE: &'static str = "journal";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        let seq = columns.number()?;
        let at = columns.time()?;
        let hash = columns.hash()?;
        let reason: Reason = columns.exact()?;
        let lines: Vec<Line> = columns.exact()?;
        let entry = Self { seq, at, reason, postings: lines.into_iter().map(|line| line.0).collect(), hash };
        for user in entry.users() {
            columns.derived(user.map(|user| user.0))?;
        }
        columns.derived(entry.reason.task().map(|task| task.0))?;
        Ok(entry)
    }
}
