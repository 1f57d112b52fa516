//! Accounts and what is on its way.
//!
//! Invariant: nothing is computed here but sums.

use super::{all, json, key, one};
use crate::Funds;
use crate::sqlite::fault::Fault;
use hivemind_ledger::{Account, Accrual, Entry, Hold, LedgerImage, Vest};
use hivemind_model::{Cpt, NodeId, TaskId, Timestamp, UserId};
use sqlx::SqliteConnection;

/// The accounts, what is on its way, and the end of the journal. To be called in a transaction.
pub(in crate::sqlite) async fn ledger(conn: &mut SqliteConnection) -> Result<LedgerImage, Fault> {
    let mut balances: Vec<(Account, Cpt)> =
        all(conn, sqlx::query("SELECT kind, holder, balance FROM accounts")).await?;
    balances.sort_unstable();
    let holds: Vec<Hold> = all(conn, sqlx::query(select!(holds, "ORDER BY task"))).await?;
    let accruals: Vec<Accrual> = all(conn, sqlx::query(select!(accruals, "ORDER BY task, element, number"))).await?;
    let mut vests: Vec<Vest> = all(conn, sqlx::query(select!(vests, ""))).await?;
    vests.sort_unstable_by_key(|vest| vest.key);
    let last: Option<Entry> = one(conn, sqlx::query(select!(journal, "ORDER BY seq DESC LIMIT 1"))).await?;
    let (last_seq, last_at, last_hash) =
        last.map_or((0, Timestamp::default(), [0; 32]), |entry| (entry.seq, entry.at, entry.hash));
    Ok(LedgerImage { balances, holds, accruals, vests, last_seq, last_at, last_hash })
}

pub(in crate::sqlite) async fn funds(conn: &mut SqliteConnection, user: UserId) -> Result<Funds, Fault> {
    let own = "SELECT kind, holder, balance FROM accounts
               WHERE kind IN ('available', 'promo', 'held', 'pending', 'owner', 'reward') AND holder = ?";
    let mut funds = Funds::default();
    let (mut earned, mut rewarded) = (Cpt::ZERO, Cpt::ZERO);
    for (account, balance) in all::<(Account, Cpt)>(conn, sqlx::query(own).bind(key(user.0))).await? {
        match account {
            Account::Available(_) => funds.available = balance,
            Account::Promo(_) => funds.promo = balance,
            Account::Held(_) => funds.held = balance,
            Account::Pending(_) => funds.pending = balance,
            Account::Owner(_) => earned = balance,
            Account::Reward(_) => rewarded = balance,
            Account::Treasury | Account::Project(_) => {}
        }
    }
    funds.vesting = earned.checked_add(rewarded).ok_or_else(|| too_much(user))?;
    Ok(funds)
}

fn too_much(user: UserId) -> crate::StoreError {
    let detail = format!("holder {user}: what vests is more than there can be");
    crate::StoreError::Damaged { table: "accounts", detail }
}

pub(in crate::sqlite) async fn accruals(conn: &mut SqliteConnection, tasks: &[TaskId]) -> Result<Vec<Accrual>, Fault> {
    let find = select!(
        accruals,
        "JOIN (SELECT DISTINCT value AS wanted FROM json_each(?)) ON task = wanted ORDER BY task, element, number"
    );
    let wanted = json(&tasks.iter().map(|task| key(task.0)).collect::<Vec<_>>())?;
    all(conn, sqlx::query(find).bind(wanted)).await
}

pub(in crate::sqlite) async fn node_earnings(
    conn: &mut SqliteConnection,
    owner: Option<UserId>,
) -> Result<Vec<(NodeId, Cpt)>, Fault> {
    macro_rules! earnings {
        ($condition:literal) => {
            concat!(
                "SELECT node, sum(own + promo) AS earned FROM accruals CROSS JOIN attempts USING (task, element, number) ",
                $condition,
                " GROUP BY node HAVING earned > 0 ORDER BY node"
            )
        };
    }
    let query = match owner {
        Some(owner) => sqlx::query(earnings!("WHERE payee = ?")).bind(key(owner.0)),
        None => sqlx::query(earnings!("")),
    };
    all(conn, query).await
}
