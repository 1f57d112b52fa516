//! Rows of the database back into rows of the model.
//!
//! Every decoder reads the columns of its constant list, in that order. The books are in [`books`],
//! what nodes earned beside them and projects in [`economy`], sessions in [`session`].
//!
//! Invariant: what does not read back is reported as damage, with its table, key and column.

mod books;
mod economy;
mod session;

use crate::StoreError;
use hivemind_ledger::Entry;
use hivemind_model::rows::{
    AttemptPhase, AttemptRow, ChunkRow, Counters, Ended, GridRow, NodeRow, RequestKey, RequestRow, Role, TaskProgress,
    TaskRow, UsedToken, UserRow,
};
use hivemind_model::state::TaskState;
use hivemind_model::{AttemptRef, Cpt, ElementRef, Isolation, Millis, NodeId, TaskId, Timestamp, UserId};
use serde::Deserialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column, Decode, Row, Sqlite, Type};
use std::fmt::Display;

/// A row of the database, read column by column.
pub(super) struct Columns<'r> {
    table: &'static str,
    row: &'r SqliteRow,
    next: usize,
}

impl<'r> Columns<'r> {
    /// Begins at the first column.
    pub(super) fn new(table: &'static str, row: &'r SqliteRow) -> Self {
        Self { table, row, next: 0 }
    }

    fn take<T: Decode<'r, Sqlite> + Type<Sqlite>>(&mut self) -> Result<T, StoreError> {
        let place = self.next;
        self.next += 1;
        self.row.try_get(place).map_err(|error| self.damaged(error))
    }

    /// Reports the column that was read last.
    fn damaged(&self, why: impl Display) -> StoreError {
        let columns = self.row.columns();
        let name = |place: usize| columns.get(place).map_or("?", |column| column.name());
        if let (Entry::TABLE, Ok(Ok(seq))) = (self.table, self.row.try_get::<i64, _>(0).map(u64::try_from)) {
            let detail = format!("column {}: {why}", name(self.next.saturating_sub(1)));
            return StoreError::BadEntry { seq, detail };
        }
        let key = match (self.row.try_get::<i64, _>(0), self.row.try_get::<&str, _>(0)) {
            (Ok(number), _) => number.to_string(),
            (_, Ok(text)) => text.to_owned(),
            _ => "?".to_owned(),
        };
        let detail = format!("{} {key}, column {}: {why}", name(0), name(self.next.saturating_sub(1)));
        StoreError::Damaged { table: self.table, detail }
    }

    fn number(&mut self) -> Result<u64, StoreError> {
        let value: i64 = self.take()?;
        u64::try_from(value).map_err(|_| self.damaged("is below zero"))
    }

    fn small(&mut self) -> Result<u32, StoreError> {
        let value: i64 = self.take()?;
        u32::try_from(value).map_err(|_| self.damaged("is not a number of 32 bits"))
    }

    fn tiny(&mut self) -> Result<u16, StoreError> {
        let value: i64 = self.take()?;
        u16::try_from(value).map_err(|_| self.damaged("is not a number of 16 bits"))
    }

    fn span(&mut self) -> Result<Millis, StoreError> {
        self.number().map(Millis)
    }

    fn time(&mut self) -> Result<Timestamp, StoreError> {
        self.take().map(Timestamp)
    }

    fn optional_time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.take::<Option<i64>>()?.map(Timestamp))
    }

    fn money(&mut self) -> Result<Cpt, StoreError> {
        self.take().map(Cpt::from_micro)
    }

    fn attempt(&mut self) -> Result<AttemptRef, StoreError> {
        let element = ElementRef { task: TaskId(self.number()?), index: self.small()? };
        Ok(element.attempt(self.small()?))
    }

    fn hash(&mut self) -> Result<[u8; 32], StoreError> {
        let bytes: &[u8] = self.take()?;
        bytes.try_into().map_err(|_| self.damaged("is not 32 bytes long"))
    }

    fn optional_hash(&mut self) -> Result<Option<[u8; 32]>, StoreError> {
        let bytes: Option<&[u8]> = self.take()?;
        bytes.map(|bytes| bytes.try_into().map_err(|_| self.damaged("is not 32 bytes long"))).transpose()
    }

    fn optional_json<T: Deserialize<'r>>(&mut self) -> Result<Option<T>, StoreError> {
        let text: Option<&'r str> = self.take()?;
        text.map(|text| serde_json::from_str(text).map_err(|error| self.damaged(error))).transpose()
    }

    fn json<T: Deserialize<'r>>(&mut self) -> Result<T, StoreError> {
        let text: &'r str = self.take()?;
        serde_json::from_str(text).map_err(|error| self.damaged(error))
    }
}

/// A row of the model that can be read from the columns it names.
pub(super) trait FromColumns: Sized {
    /// Where it lies.
    const TABLE: &'static str;
    /// Reads it.
    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError>;

    /// Reads it from a row of the driver.
    fn from_row(row: &SqliteRow) -> Result<Self, StoreError> {
        Self::read(&mut Columns::new(Self::TABLE, row))
    }
}

impl FromColumns for UserRow {
    const TABLE: &'static str = "users";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: UserId(columns.number()?),
            username: columns.take()?,
            email: columns.take()?,
            password_hash: columns.take()?,
            role: match columns.take::<&str>()? {
                "member" => Role::Member,
                "operator" => Role::Operator,
                _ => return Err(columns.damaged("is not a role")),
            },
            registered_at: columns.time()?,
            registered_from: columns.take()?,
        })
    }
}

impl FromColumns for NodeRow {
    const TABLE: &'static str = "nodes";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: NodeId(columns.number()?),
            name: columns.take()?,
            owner: UserId(columns.number()?),
            enrolled_at: columns.time()?,
            seen_at: columns.time()?,
            gpu_info: columns.take()?,
            capacity: columns.json()?,
            service: columns.json()?,
            labels: columns.json()?,
            isolation: Isolation::parse(columns.take()?).ok_or_else(|| columns.damaged("is not an isolation"))?,
            kinds: columns.json()?,
            egress: columns.json()?,
        })
    }
}

impl FromColumns for TaskRow {
    const TABLE: &'static str = "tasks";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        let id = TaskId(columns.number()?);
        let user = UserId(columns.number()?);
        let state = TaskState::parse(columns.take()?).ok_or_else(|| columns.damaged("is not a state"))?;
        let submitted_at = columns.time()?;
        let ended_at = columns.optional_time()?;
        let cap = columns.money()?;
        let cost = columns.money()?;
        let ended = Ended { completed: columns.small()?, failed: columns.small()?, cancelled: columns.small()? };
        let failure = columns.optional_json()?;
        let reused = columns.optional_json()?;
        let spec = columns.json()?;
        let progress = TaskProgress { id, state, ended_at, cost, ended, failure, reused };
        Ok(Self { user, spec, submitted_at, cap, progress })
    }
}

/// When a task ended.
impl FromColumns for (TaskId, Timestamp) {
    const TABLE: &'static str = "tasks";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok((TaskId(columns.number()?), columns.time()?))
    }
}

impl FromColumns for ChunkRow {
    const TABLE: &'static str = "chunks";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self { task: TaskId(columns.number()?), chunk: columns.small()?, runs: columns.json()? })
    }
}

impl FromColumns for GridRow {
    const TABLE: &'static str = "chunks";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self { chunk: columns.small()?, runs: columns.json()? })
    }
}

impl FromColumns for AttemptRow {
    const TABLE: &'static str = "attempts";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        let attempt = columns.attempt()?;
        let node = NodeId(columns.number()?);
        let assigned_at = columns.time()?;
        let started_at = columns.optional_time()?;
        let ended_at = columns.optional_time()?;
        let cost: Option<i64> = columns.take()?;
        let report = columns.optional_json()?;
        let ballot = columns.optional_json()?;
        let phase = match (started_at, ended_at, cost, report, ballot) {
            (None, None, None, None, None) => AttemptPhase::Assigned,
            (Some(started_at), None, None, None, None) => AttemptPhase::Running { started_at },
            (None, None, None, Some(report), Some(ballot)) => AttemptPhase::Reported { report, ballot },
            (None, Some(ended_at), Some(cost), Some(report), None) => {
                AttemptPhase::Ended { ended_at, cost: Cpt::from_micro(cost), report }
            }
            _ => return Err(columns.damaged("tells of no phase that there is")),
        };
        Ok(Self { attempt, node, assigned_at, phase })
    }
}

impl FromColumns for RequestRow {
    const TABLE: &'static str = "requests";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        let key = RequestKey { user: UserId(columns.number()?), id: columns.take()? };
        Ok(Self { key, body: columns.hash()?, answer: columns.json()? })
    }
}

impl FromColumns for UsedToken {
    const TABLE: &'static str = "used_tokens";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self { id: columns.take()?, expires_at: columns.time()? })
    }
}

impl FromColumns for Counters {
    const TABLE: &'static str = "counters";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            user: columns.number()?,
            node: columns.number()?,
            task: columns.number()?,
            project: columns.number()?,
            session: columns.number()?,
        })
    }
}
