//! Money, machines and projects: the calls of the scripted pool that have one answer.

use super::Scripts;
use hivemind_proto::v1::node_service_server::NodeService;
use hivemind_proto::v1::project_service_server::ProjectService;
use hivemind_proto::v1::token_service_server::TokenService;
use hivemind_proto::v1::*;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl TokenService for Scripts {
    async fn transfer(&self, request: Request<TransferRequest>) -> Result<Response<TransferResponse>, Status> {
        self.transfer.one(request.into_inner()).await
    }

    async fn transfer_many(
        &self,
        request: Request<TransferManyRequest>,
    ) -> Result<Response<TransferManyResponse>, Status> {
        self.transfers.one(request.into_inner()).await
    }

    async fn balance(&self, _: Request<BalanceRequest>) -> Result<Response<BalanceResponse>, Status> {
        Ok(Response::new(BalanceResponse {
            success: true,
            balance: 150,
            message: String::new(),
            balance_micro: 150_250_000,
            held_micro: 7,
            promo_micro: 150_000_000,
            transferable_micro: 250_000,
            pending_micro: 3,
            vesting_micro: 4,
        }))
    }

    async fn statement(&self, request: Request<StatementRequest>) -> Result<Response<StatementResponse>, Status> {
        self.statement.one(request.into_inner()).await
    }

    async fn task_entries(
        &self,
        request: Request<TaskEntriesRequest>,
    ) -> Result<Response<TaskEntriesResponse>, Status> {
        self.entries.one(request.into_inner()).await
    }
}

#[tonic::async_trait]
impl NodeService for Scripts {
    async fn register_node(&self, _: Request<RegisterNodeRequest>) -> Result<Response<RegisterNodeResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn report_resource(
        &self,
        _: Request<ResourceReportRequest>,
    ) -> Result<Response<ResourceReportResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_nodes(&self, request: Request<ListNodesRequest>) -> Result<Response<ListNodesResponse>, Status> {
        self.nodes.one(request.into_inner()).await
    }

    async fn set_node(&self, request: Request<SetNodeRequest>) -> Result<Response<NodeSummary>, Status> {
        self.set_node.one(request.into_inner()).await
    }

    async fn create_join_token(
        &self,
        _: Request<CreateJoinTokenRequest>,
    ) -> Result<Response<CreateJoinTokenResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn node_history(
        &self,
        _: Request<hivemind_proto::v1::NodeHistoryRequest>,
    ) -> Result<Response<hivemind_proto::v1::NodeHistoryResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_rewards(
        &self,
        request: Request<ListRewardsRequest>,
    ) -> Result<Response<ListRewardsResponse>, Status> {
        self.rewards.one(request.into_inner()).await
    }

    async fn own_standing(&self, _: Request<OwnStandingRequest>) -> Result<Response<OwnStandingResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

#[tonic::async_trait]
impl ProjectService for Scripts {
    async fn register_project(
        &self,
        request: Request<RegisterProjectRequest>,
    ) -> Result<Response<ProjectSummary>, Status> {
        self.project.one(request.into_inner()).await
    }

    async fn close_project(
        &self,
        request: Request<CloseProjectRequest>,
    ) -> Result<Response<CollectTipsResponse>, Status> {
        self.close.one(request.into_inner()).await
    }

    async fn collect_tips(
        &self,
        request: Request<CollectTipsRequest>,
    ) -> Result<Response<CollectTipsResponse>, Status> {
        self.collect.one(request.into_inner()).await
    }

    async fn list_projects(
        &self,
        request: Request<ListProjectsRequest>,
    ) -> Result<Response<ListProjectsResponse>, Status> {
        self.projects.one(request.into_inner()).await
    }

    async fn list_tips(&self, request: Request<ListTipsRequest>) -> Result<Response<ListTipsResponse>, Status> {
        self.tips.one(request.into_inner()).await
    }

    async fn tip(&self, request: Request<TipRequest>) -> Result<Response<TransferResponse>, Status> {
        self.tip.one(request.into_inner()).await
    }
}
