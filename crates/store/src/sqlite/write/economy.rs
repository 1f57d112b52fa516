//! What nodes did and were rewarded, projects and tips, invitations, the clock.
//!
//! Start at [`write`].
//!
//! Invariant: a line of a reward period and a tip are written once and never changed.

use super::super::bulk::{Bulk, Values};
use super::super::fault::Fault;
use hivemind_model::rows::{
    ClockRow, InvitationRow, ProjectRow, RewardRow, RowChanges, StandingRow, Tally, TipRow, TrustRow, UsageRow,
};
use sqlx::SqliteConnection;

/// How many [`Bulk`]s there are below.
pub(super) const BULKS: usize = 9;

static STANDINGS: Bulk = Bulk::new(
    "standings",
    7,
    "INSERT INTO standings (node, runtime, alive_since, alive, ended, completed, complex) VALUES",
    "ON CONFLICT (node) DO UPDATE SET runtime = excluded.runtime, alive_since = excluded.alive_since,
     alive = excluded.alive, ended = excluded.ended, completed = excluded.completed, complex = excluded.complex",
);

static REWARDS: Bulk = Bulk::new(
    "rewards",
    15,
    "INSERT INTO rewards (period_from, node, owner, period_to, registered, alive, ended, completed, complex, base,
     performance, stability, quality, level, total) VALUES",
    "",
);

static PROJECTS: Bulk = Bulk::new(
    "projects",
    8,
    "INSERT INTO projects (id, name, repository, owner, state, registered_at, tips, tipped) VALUES",
    "ON CONFLICT (id) DO UPDATE SET name = excluded.name, repository = excluded.repository, owner = excluded.owner,
     state = excluded.state, registered_at = excluded.registered_at, tips = excluded.tips, tipped = excluded.tipped",
);

static TIPS: Bulk = Bulk::new("tips", 6, "INSERT INTO tips (project, number, user_id, amount, message, at) VALUES", "");

static INVITATIONS: Bulk = Bulk::new(
    "invitations",
    4,
    "INSERT INTO invitations (digest, uses_left, expires_at, made_by) VALUES",
    "ON CONFLICT (digest) DO UPDATE SET uses_left = excluded.uses_left, expires_at = excluded.expires_at,
     made_by = excluded.made_by",
);

static ENDED_INVITATIONS: Bulk = Bulk::new("invitations", 1, "DELETE FROM invitations WHERE digest IN (VALUES", ")");

static CLOCK: Bulk = Bulk::new(
    "clock",
    4,
    "INSERT INTO clock (id, awake_at, period_from, period_to) VALUES",
    "ON CONFLICT (id) DO UPDATE SET awake_at = excluded.awake_at, period_from = excluded.period_from,
     period_to = excluded.period_to",
);

static USAGES: Bulk = Bulk::new(
    "usages",
    3,
    "INSERT INTO usages (user_id, used, at) VALUES",
    "ON CONFLICT (user_id) DO UPDATE SET used = excluded.used, at = excluded.at",
);

static TRUSTS: Bulk = Bulk::new(
    "trusts",
    7,
    "INSERT INTO trusts (node, valid, wrong, wrong_at, quota, used, day) VALUES",
    "ON CONFLICT (node) DO UPDATE SET valid = excluded.valid, wrong = excluded.wrong, wrong_at = excluded.wrong_at,
     quota = excluded.quota, used = excluded.used, day = excluded.day",
);

/// Writes everything of it that a batch changed.
pub(super) async fn write(conn: &mut SqliteConnection, rows: &RowChanges) -> Result<(), Fault> {
    STANDINGS.run(conn, &rows.standings, standing).await?;
    REWARDS.run(conn, &rows.rewards, reward).await?;
    PROJECTS.run(conn, &rows.projects, project).await?;
    TIPS.run(conn, &rows.tips, tip).await?;
    INVITATIONS.run(conn, &rows.invitations, invitation).await?;
    // One that was made and used up in the same batch was never there.
    ENDED_INVITATIONS.run_any(conn, &rows.ended_invitations, ended_invitation).await?;
    USAGES.run(conn, &rows.usages, usage).await?;
    TRUSTS.run(conn, &rows.trusts, trust).await?;
    CLOCK.run(conn, rows.clock.as_slice(), clock).await
}

fn standing(values: &mut Values, row: &StandingRow) -> Result<(), Fault> {
    values.number(row.node.0)?.number(row.runtime.0)?.put(row.alive_since.map(|at| at.0))?;
    tally(values, &row.period)
}

fn tally(values: &mut Values, tally: &Tally) -> Result<(), Fault> {
    values
        .number(tally.alive.0)?
        .number(tally.ended.into())?
        .number(tally.completed.into())?
        .number(tally.complex.into())?;
    Ok(())
}

fn trust(values: &mut Values, row: &TrustRow) -> Result<(), Fault> {
    values
        .number(row.node.0)?
        .number(row.valid.into())?
        .number(row.wrong.into())?
        .put(row.wrong_at.map(|at| at.0))?
        .number(row.quota.into())?
        .number(row.used.into())?
        .put(row.day)?;
    Ok(())
}

fn reward(values: &mut Values, row: &RewardRow) -> Result<(), Fault> {
    values.put(row.from.0)?.number(row.node.0)?.number(row.owner.0)?.put(row.to.0)?.number(row.registered.0)?;
    tally(values, &row.tally)?;
    values
        .put(row.base.micro())?
        .put(row.performance.micro())?
        .put(row.stability.micro())?
        .put(row.quality.micro())?
        .put(row.level.as_str())?
        .put(row.total.micro())?;
    Ok(())
}

fn project(values: &mut Values, row: &ProjectRow) -> Result<(), Fault> {
    values
        .number(row.id.0)?
        .put(row.name.as_str())?
        .put(row.repository.as_str())?
        .number(row.owner.0)?
        .put(row.state.as_str())?
        .put(row.registered_at.0)?
        .number(row.tips)?
        .put(row.tipped.micro())?;
    Ok(())
}

fn tip(values: &mut Values, row: &TipRow) -> Result<(), Fault> {
    values
        .number(row.project.0)?
        .number(row.number)?
        .number(row.from.0)?
        .put(row.amount.micro())?
        .put(row.message.as_str())?
        .put(row.at.0)?;
    Ok(())
}

fn invitation(values: &mut Values, row: &InvitationRow) -> Result<(), Fault> {
    values.put(row.digest.as_slice())?.number(row.uses_left.into())?.put(row.expires_at.0)?.number(row.made_by.0)?;
    Ok(())
}

fn ended_invitation(values: &mut Values, digest: &[u8; 32]) -> Result<(), Fault> {
    values.put(digest.as_slice())?;
    Ok(())
}

fn usage(values: &mut Values, row: &UsageRow) -> Result<(), Fault> {
    values.number(row.user.0)?.number(row.used)?.put(row.at.0)?;
    Ok(())
}

fn clock(values: &mut Values, row: &ClockRow) -> Result<(), Fault> {
    values.put(1i64)?.put(row.awake_at.0)?.put(row.period_from.0)?.put(row.period_to.0)?;
    Ok(())
}
