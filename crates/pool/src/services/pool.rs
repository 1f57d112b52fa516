//! `PoolService`: the pool as a whole, and its books.
//!
//! What the books say is worked out in `books`.
//!
//! Invariant: the books are the operators' to see.

use super::books;
use super::rewards::wire;
use crate::shared::{Shared, operators_only};
use crate::status;
use hivemind_model::economy::Mode;
use hivemind_proto::v1::pool_service_server::PoolService;
use hivemind_proto::v1::{
    AuditRequest, AuditResponse, InfoRequest, InfoResponse, TrialBalanceRequest, TrialBalanceResponse,
};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

/// One audit at a time: it reads the whole journal.
static AUDITS: Semaphore = Semaphore::const_new(1);
/// One trial balance at a time: it reads every account.
static TRIAL_BALANCES: Semaphore = Semaphore::const_new(1);

/// The service.
pub(crate) struct PoolCalls(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl PoolService for PoolCalls {
    async fn info(&self, request: Request<InfoRequest>) -> Result<Response<InfoResponse>, Status> {
        self.0.caller(&request.get_ref().token, request.metadata())?;
        let (counts, prices) = (self.0.live.board.counts(), &self.0.policy.prices);
        let economy = &self.0.policy.economy;
        let (word, invitation_needed) = match economy.mode {
            Mode::Open => ("open", false),
            Mode::Guarded => ("guarded", economy.guard.invitations),
        };
        Ok(Response::new(InfoResponse {
            version: env!("CARGO_PKG_VERSION").into(),
            nodes_online: i64::try_from(self.0.live.links.count()).unwrap_or(i64::MAX),
            tasks_pending: counts.pending,
            tasks_running: counts.running,
            core_hour_micro: prices.core_hour.micro(),
            gib_hour_micro: prices.gib_hour.micro(),
            gpu_hour_micro: prices.gpu_hour.micro(),
            started_at_unix_ms: self.0.started_at.0,
            economy: word.into(),
            listens_outside: self.0.listens_outside,
            invitation_needed,
            reward_period_ms: wire(economy.rewards.period),
            meter_interval_ms: wire(economy.meter_every),
        }))
    }

    async fn audit(&self, request: Request<AuditRequest>) -> Result<Response<AuditResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        operators_only(&caller)?;
        let _turn = AUDITS.acquire().await.map_err(|_| stopping())?;
        let audit = books::audit(self.0.store.as_ref()).await.map_err(|error| status::store(&error))?;
        Ok(Response::new(audit))
    }

    async fn trial_balance(
        &self,
        request: Request<TrialBalanceRequest>,
    ) -> Result<Response<TrialBalanceResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        operators_only(&caller)?;
        let _turn = TRIAL_BALANCES.acquire().await.map_err(|_| stopping())?;
        let (store, board) = (self.0.store.as_ref(), &self.0.live.board);
        let balance = books::trial_balance(store, board, self.0.clock.now()).await;
        balance.map(Response::new).map_err(|error| status::store(&error))
    }
}

fn stopping() -> Status {
    Status::unavailable("E_UNAVAILABLE: the pool is stopping; try again when it runs")
}
