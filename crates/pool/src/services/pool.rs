//! `PoolService`: the pool as a whole, and its books.
//!
//! What the books say is worked out in `books`, the journal in `journal`, how the pool is in `health`, what waits in
//! `queue`, what changes in `watch_pool`.
//!
//! Invariant: the books, the health and the queue are the operators' to see; nobody is named to strangers.

use super::rewards::wire;
use super::{books, health, journal, queue, watch_pool};
use crate::shared::{Shared, address, operators_only};
use crate::status;
use crate::still_in::StillIn;
use futures::stream::BoxStream;
use hivemind_model::economy::Mode;
use hivemind_proto::v1::pool_service_server::PoolService;
use hivemind_proto::v1::{
    AuditRequest, AuditResponse, HealthRequest, HealthResponse, InfoRequest, InfoResponse, ListJournalRequest,
    ListJournalResponse, PoolEvent, PublicCountersRequest, PublicCountersResponse, QueueRequest, QueueResponse,
    TrialBalanceRequest, TrialBalanceResponse, WatchPoolRequest,
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

    type WatchPoolStream = BoxStream<'static, Result<PoolEvent, Status>>;

    async fn health(&self, request: Request<HealthRequest>) -> Result<Response<HealthResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        operators_only(&caller)?;
        health::health(&self.0).await.map(|health| Response::new(HealthResponse::clone(&health)))
    }

    async fn queue(&self, request: Request<QueueRequest>) -> Result<Response<QueueResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        operators_only(&caller)?;
        queue::queue(&self.0).await.map(|queue| Response::new(QueueResponse::clone(&queue)))
    }

    async fn watch_pool(&self, request: Request<WatchPoolRequest>) -> Result<Response<Self::WatchPoolStream>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let still_in = StillIn::of(&self.0, &caller);
        watch_pool::start(self.0.clone(), &caller).map(|stream| Response::new(still_in.guard(stream)))
    }

    async fn list_journal(
        &self,
        request: Request<ListJournalRequest>,
    ) -> Result<Response<ListJournalResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        operators_only(&caller)?;
        journal::page(&self.0, request.get_ref()).await.map(Response::new)
    }

    async fn public_counters(
        &self,
        request: Request<PublicCountersRequest>,
    ) -> Result<Response<PublicCountersResponse>, Status> {
        self.0.auth.may_look(address(&request)).map_err(|rejection| status::rejected(&rejection))?;
        health::public(&self.0).await.map(|counters| Response::new(*counters))
    }
}

fn stopping() -> Status {
    Status::unavailable("E_UNAVAILABLE: the pool is stopping; try again when it runs")
}
