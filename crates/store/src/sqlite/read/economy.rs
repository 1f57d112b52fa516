//! What nodes did and were rewarded, projects and tips.
//!
//! Invariant: every page is read through an index in its order, from where it begins.

use super::{all, json, key, one};
use crate::sqlite::fault::Fault;
use crate::{Income, RewardFilter};
use hivemind_model::rows::{ProjectRow, RewardRow, StandingRow, TipRow, TrustRow};
use hivemind_model::{Cpt, NodeId, ProjectId, Timestamp, UserId};
use sqlx::SqliteConnection;

pub(in crate::sqlite) async fn standings(
    conn: &mut SqliteConnection,
    owner: UserId,
) -> Result<Vec<StandingRow>, Fault> {
    let sql = select!(standings, "WHERE node IN (SELECT id FROM nodes WHERE owner = ?) ORDER BY node");
    all(conn, sqlx::query(sql).bind(key(owner.0))).await
}

pub(in crate::sqlite) async fn standings_of(
    conn: &mut SqliteConnection,
    nodes: &[NodeId],
) -> Result<Vec<StandingRow>, Fault> {
    let sql = select!(standings, "WHERE node IN (SELECT value FROM json_each(?)) ORDER BY node");
    let ids: Vec<i64> = nodes.iter().map(|node| key(node.0)).collect();
    all(conn, sqlx::query(sql).bind(json(&ids)?)).await
}

pub(in crate::sqlite) async fn trusts(
    conn: &mut SqliteConnection,
    owner: Option<UserId>,
) -> Result<Vec<TrustRow>, Fault> {
    let query = match owner {
        Some(owner) => {
            let own = select!(trusts, "WHERE node IN (SELECT id FROM nodes WHERE owner = ?) ORDER BY node");
            sqlx::query(own).bind(key(owner.0))
        }
        None => sqlx::query(select!(trusts, "ORDER BY node")),
    };
    all(conn, query).await
}

pub(in crate::sqlite) async fn rewards(
    conn: &mut SqliteConnection,
    filter: &RewardFilter,
) -> Result<Vec<RewardRow>, Fault> {
    macro_rules! page {
        ($which:literal) => {
            select!(
                rewards,
                concat!(
                    $which,
                    " period_from <= ? AND (period_from < ? OR node > ?) ORDER BY period_from DESC, node LIMIT ?"
                )
            )
        };
    }
    let query = match (filter.node, filter.owner) {
        (Some(node), Some(owner)) => {
            let both = page!("INDEXED BY rewards_by_node WHERE node = ? AND owner = ? AND");
            sqlx::query(both).bind(key(node.0)).bind(key(owner.0))
        }
        (Some(node), None) => sqlx::query(page!("INDEXED BY rewards_by_node WHERE node = ? AND")).bind(key(node.0)),
        (None, Some(owner)) => sqlx::query(page!("INDEXED BY rewards_by_owner WHERE owner = ? AND")).bind(key(owner.0)),
        (None, None) => sqlx::query(page!("NOT INDEXED WHERE")),
    };
    // Before the first line is what no node can have in a period that never begins.
    let (period, node) = filter.after.map_or((i64::MAX, -1), |(period, node)| (period.0, key(node.0)));
    all(conn, query.bind(period).bind(period).bind(node).bind(filter.limit)).await
}

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

pub(in crate::sqlite) async fn income(
    conn: &mut SqliteConnection,
    node: NodeId,
    now: Timestamp,
) -> Result<Income, Fault> {
    let today = now.0.div_euclid(DAY);
    let work = "SELECT coalesce(sum(CASE WHEN day >= ? THEN paid END), 0), coalesce(sum(paid), 0) FROM node_work WHERE node = ?";
    let (work_today, work): (i64, i64) =
        sqlx::query_as(work).bind(today).bind(key(node.0)).fetch_one(&mut *conn).await?;
    let rewards = "SELECT coalesce(sum(CASE WHEN period_to >= ? THEN total END), 0), coalesce(sum(total), 0) \
        FROM rewards INDEXED BY rewards_by_node WHERE node = ?";
    let (rewards_today, rewards): (i64, i64) =
        sqlx::query_as(rewards).bind(today * DAY).bind(key(node.0)).fetch_one(conn).await?;
    Ok(Income {
        work_today: Cpt::from_micro(work_today),
        work: Cpt::from_micro(work),
        rewards_today: Cpt::from_micro(rewards_today),
        rewards: Cpt::from_micro(rewards),
    })
}

pub(in crate::sqlite) async fn projects(
    conn: &mut SqliteConnection,
    after: ProjectId,
    limit: u32,
) -> Result<Vec<ProjectRow>, Fault> {
    let page = select!(projects, "WHERE id > ? ORDER BY id LIMIT ?");
    all(conn, sqlx::query(page).bind(key(after.0)).bind(limit)).await
}

pub(in crate::sqlite) async fn project_by_name(
    conn: &mut SqliteConnection,
    name: &str,
) -> Result<Option<ProjectRow>, Fault> {
    one(conn, sqlx::query(select!(projects, "WHERE lower(name) = lower(?)")).bind(name.to_owned())).await
}

pub(in crate::sqlite) async fn tips(
    conn: &mut SqliteConnection,
    project: ProjectId,
    before: u64,
    limit: u32,
) -> Result<Vec<TipRow>, Fault> {
    let page = select!(tips, "WHERE project = ? AND number < ? ORDER BY number DESC LIMIT ?");
    all(conn, sqlx::query(page).bind(key(project.0)).bind(key(before)).bind(limit)).await
}
