//! What nodes did and were rewarded, projects and tips, invitations, the clock.
//!
//! Invariant: none of these rows has JSON in it.

use super::{Columns, FromColumns};
use crate::StoreError;
use hivemind_model::level::Level;
use hivemind_model::rows::{
    ClockRow, InvitationRow, ProjectRow, ProjectState, RewardRow, StandingRow, Tally, TipRow, TrustRow, UsageRow,
};
use hivemind_model::{NodeId, ProjectId, UserId};

impl Columns<'_> {
    fn tally(&mut self) -> Result<Tally, StoreError> {
        Ok(Tally { alive: self.span()?, ended: self.small()?, completed: self.small()?, complex: self.small()? })
    }
}

impl FromColumns for StandingRow {
    const TABLE: &'static str = "standings";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            node: NodeId(columns.number()?),
            runtime: columns.span()?,
            alive_since: columns.optional_time()?,
            period: columns.tally()?,
        })
    }
}

impl FromColumns for TrustRow {
    const TABLE: &'static str = "trusts";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            node: NodeId(columns.number()?),
            valid: columns.tiny()?,
            wrong: columns.tiny()?,
            wrong_at: columns.optional_time()?,
            quota: columns.small()?,
            used: columns.small()?,
            day: columns.take()?,
        })
    }
}

impl FromColumns for RewardRow {
    const TABLE: &'static str = "rewards";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            from: columns.time()?,
            node: NodeId(columns.number()?),
            owner: UserId(columns.number()?),
            to: columns.time()?,
            registered: columns.span()?,
            tally: columns.tally()?,
            base: columns.money()?,
            performance: columns.money()?,
            stability: columns.money()?,
            quality: columns.money()?,
            level: Level::parse(columns.take()?).ok_or_else(|| columns.damaged("is not a level"))?,
            total: columns.money()?,
        })
    }
}

impl FromColumns for ProjectRow {
    const TABLE: &'static str = "projects";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: ProjectId(columns.number()?),
            name: columns.take()?,
            repository: columns.take()?,
            owner: UserId(columns.number()?),
            state: ProjectState::parse(columns.take()?)
                .ok_or_else(|| columns.damaged("is not a state of a project"))?,
            registered_at: columns.time()?,
            tips: columns.number()?,
            tipped: columns.money()?,
        })
    }
}

impl FromColumns for TipRow {
    const TABLE: &'static str = "tips";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            project: ProjectId(columns.number()?),
            number: columns.number()?,
            from: UserId(columns.number()?),
            amount: columns.money()?,
            message: columns.take()?,
            at: columns.time()?,
        })
    }
}

impl FromColumns for InvitationRow {
    const TABLE: &'static str = "invitations";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            digest: columns.hash()?,
            uses_left: columns.small()?,
            expires_at: columns.time()?,
            made_by: UserId(columns.number()?),
        })
    }
}

impl FromColumns for UsageRow {
    const TABLE: &'static str = "usages";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self { user: UserId(columns.number()?), used: columns.number()?, at: columns.time()? })
    }
}

impl FromColumns for ClockRow {
    const TABLE: &'static str = "clock";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self { awake_at: columns.time()?, period_from: columns.time()?, period_to: columns.time()? })
    }
}
