//! `PoolService`: the pool as a whole, and the audit of its books.
//!
//! Invariant: the audit believes nothing but the journal.

use crate::shared::{Shared, operators_only};
use crate::status;
use hivemind_ledger::{Account, Hold, LedgerImage, Replay, ReplayedBooks, SUPPLY};
use hivemind_model::{Cpt, TaskId};
use hivemind_proto::v1::pool_service_server::PoolService;
use hivemind_proto::v1::{AuditRequest, AuditResponse, InfoRequest, InfoResponse};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

/// Journal entries read at once.
const PAGE: u32 = 5_000;

/// One audit at a time: it reads the whole journal.
static AUDITS: Semaphore = Semaphore::const_new(1);

/// The service.
pub(crate) struct PoolCalls(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl PoolService for PoolCalls {
    async fn info(&self, request: Request<InfoRequest>) -> Result<Response<InfoResponse>, Status> {
        self.0.caller(&request.get_ref().token, request.metadata())?;
        let (counts, prices) = (self.0.live.board.counts(), &self.0.policy.prices);
        Ok(Response::new(InfoResponse {
            version: env!("CARGO_PKG_VERSION").into(),
            nodes_online: i64::try_from(self.0.live.links.count()).unwrap_or(i64::MAX),
            tasks_pending: counts.pending,
            tasks_running: counts.running,
            core_hour_micro: prices.core_hour.micro(),
            gib_hour_micro: prices.gib_hour.micro(),
            gpu_hour_micro: prices.gpu_hour.micro(),
            started_at_unix_ms: self.0.started_at.0,
        }))
    }

    async fn audit(&self, request: Request<AuditRequest>) -> Result<Response<AuditResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        operators_only(&caller)?;
        let _turn = AUDITS.acquire().await.map_err(|_| Status::unavailable("E_UNAVAILABLE: the pool is stopping"))?;
        // The image is one consistent reading; the journal up to its end does not change any more.
        let image = self.0.store.ledger().await.map_err(|error| status::store(&error))?;
        let replayed = self.replay(image.last_seq).await?;
        Ok(Response::new(verdict(&image, replayed)))
    }
}

impl PoolCalls {
    /// Replays the journal up to entry `last`; the inner error is what is wrong with it.
    async fn replay(&self, last: u64) -> Result<Result<ReplayedBooks, String>, Status> {
        let mut replay = Replay::default();
        let mut after = 0;
        while after < last {
            let limit = u32::try_from(last - after).unwrap_or(PAGE).min(PAGE);
            let entries = self.0.store.journal(after, limit).await.map_err(|error| status::store(&error))?;
            if entries.is_empty() {
                return Ok(Err(format!("L7: the journal ends at entry {after}, the accounts stand at entry {last}")));
            }
            for entry in &entries {
                if let Err(bad) = replay.push(entry) {
                    return Ok(Err(bad.to_string()));
                }
                after = entry.seq;
            }
            tokio::task::yield_now().await;
        }
        Ok(replay.finish().map_err(|bad| bad.to_string()))
    }
}

fn verdict(image: &LedgerImage, replayed: Result<ReplayedBooks, String>) -> AuditResponse {
    let sum = |wanted: fn(&Account) -> bool| {
        image
            .balances
            .iter()
            .filter(|(account, _)| wanted(account))
            .map(|(_, amount)| i128::from(amount.micro()))
            .sum::<i128>()
    };
    let finding = replayed.and_then(|books| compare(image, &books)).err().unwrap_or_default();
    let micro = |sum: i128| i64::try_from(sum).unwrap_or(i64::MAX);
    AuditResponse {
        balanced: finding.is_empty(),
        finding,
        entries: i64::try_from(image.last_seq).unwrap_or(i64::MAX),
        accounts: i64::try_from(image.balances.len()).unwrap_or(i64::MAX),
        supply_micro: micro(sum(|_| true)),
        held_micro: micro(sum(|account| matches!(account, Account::Held(_)))),
        treasury_micro: micro(sum(|account| matches!(account, Account::Treasury))),
    }
}

fn compare(image: &LedgerImage, books: &ReplayedBooks) -> Result<(), String> {
    if books.last_hash != image.last_hash {
        return Err(format!("L7: the hash of entry {} is not the stored one", image.last_seq));
    }
    if books.supply != SUPPLY {
        return Err(format!("L5: the accounts hold {} instead of {SUPPLY}", books.supply));
    }
    let stored: BTreeMap<Account, Cpt> = image.balances.iter().copied().collect();
    let accounts = stored.keys().chain(books.balances.keys());
    for account in accounts {
        let (have, expect) = (
            stored.get(account).copied().unwrap_or_default(),
            books.balances.get(account).copied().unwrap_or_default(),
        );
        if have != expect {
            return Err(format!("L7: {account} is stored as {have}, the journal gives {expect}"));
        }
    }
    // A hold of nothing leaves no trace in the journal.
    let open = |hold: &&Hold| hold.left != Cpt::ZERO;
    let stored: BTreeMap<TaskId, Hold> = image.holds.iter().filter(open).map(|hold| (hold.task, *hold)).collect();
    let expect: BTreeMap<TaskId, Hold> = books.holds.values().filter(open).map(|hold| (hold.task, *hold)).collect();
    match stored
        .iter()
        .find(|(task, hold)| expect.get(task) != Some(hold))
        .or_else(|| expect.iter().find(|(task, _)| !stored.contains_key(task)))
    {
        Some((task, _)) => Err(format!("L3: the hold of {task} is not the one the journal gives")),
        None => Ok(()),
    }
}
