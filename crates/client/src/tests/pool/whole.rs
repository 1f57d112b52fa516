//! The pool as a whole: the calls of the scripted pool about its books, its health and what changes.

use super::{Script, Scripts};
use futures::stream::BoxStream;
use hivemind_proto::v1::pool_service_server::PoolService;
use hivemind_proto::v1::*;
use tonic::{Request, Response, Status};

#[derive(Default)]
pub(crate) struct Whole {
    pub(crate) health: Script<HealthRequest, HealthResponse>,
    pub(crate) queue: Script<QueueRequest, QueueResponse>,
    pub(crate) watch: Script<WatchPoolRequest, PoolEvent>,
    pub(crate) journal: Script<ListJournalRequest, ListJournalResponse>,
    pub(crate) public: Script<PublicCountersRequest, PublicCountersResponse>,
}

#[tonic::async_trait]
impl PoolService for Scripts {
    async fn info(&self, request: Request<InfoRequest>) -> Result<Response<InfoResponse>, Status> {
        self.info.one(request.into_inner()).await
    }

    async fn audit(&self, request: Request<AuditRequest>) -> Result<Response<AuditResponse>, Status> {
        self.audit.one(request.into_inner()).await
    }

    async fn trial_balance(
        &self,
        request: Request<TrialBalanceRequest>,
    ) -> Result<Response<TrialBalanceResponse>, Status> {
        self.trial.one(request.into_inner()).await
    }

    type WatchPoolStream = BoxStream<'static, Result<PoolEvent, Status>>;

    async fn health(&self, request: Request<HealthRequest>) -> Result<Response<HealthResponse>, Status> {
        self.whole.health.one(request.into_inner()).await
    }

    async fn queue(&self, request: Request<QueueRequest>) -> Result<Response<QueueResponse>, Status> {
        self.whole.queue.one(request.into_inner()).await
    }

    async fn watch_pool(&self, request: Request<WatchPoolRequest>) -> Result<Response<Self::WatchPoolStream>, Status> {
        self.whole.watch.many(request.into_inner())
    }

    async fn list_journal(
        &self,
        request: Request<ListJournalRequest>,
    ) -> Result<Response<ListJournalResponse>, Status> {
        self.whole.journal.one(request.into_inner()).await
    }

    async fn public_counters(
        &self,
        request: Request<PublicCountersRequest>,
    ) -> Result<Response<PublicCountersResponse>, Status> {
        self.whole.public.one(request.into_inner()).await
    }
}
