//! `TaskService`: submitting, looking, cancelling; each has its own file.
//!
//! Invariant: a task of another user answers "not found", whatever is asked of it.

use super::{
    elements, explain, failures, files, follow, graph, grid, look, output, quote, submit, timeline, watch, wishes,
};
use crate::shared::Shared;
use crate::status;
use crate::still_in::StillIn;
use crate::writer::Refused;
use futures::stream::BoxStream;
use hivemind_model::rows::TaskRow;
use hivemind_model::{Code, Command, UserId};
use hivemind_proto::v1::task_service_server::TaskService;
use hivemind_proto::v1::{
    CancelTaskRequest, CancelTaskResponse, DownloadChunk, DownloadOutputRequest, ElementGridRequest,
    ElementGridResponse, ExplainRequest, ExplainResponse, FailureGroupsRequest, FailureGroupsResponse,
    FindContentRequest, FindContentResponse, FollowLogsRequest, ListElementsRequest, ListElementsResponse,
    ListFilesRequest, ListFilesResponse, ListTasksRequest, ListTasksResponse, LogChunk, QuoteRequest, QuoteResponse,
    ReadFileRequest, RetryTaskRequest, SubmitGraphRequest, SubmitGraphResponse, SubmitTaskRequest, SubmitTaskResponse,
    SubmitTasksRequest, SubmitTasksResponse, TaskEvent, TaskStatusRequest, TaskStatusResponse, TimelineRequest,
    TimelineResponse, UploadChunk, UploadResponse, WatchTasksRequest,
};
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

/// The service.
pub(crate) struct TaskCalls(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl TaskService for TaskCalls {
    type WatchTasksStream = BoxStream<'static, Result<TaskEvent, Status>>;
    type FollowLogsStream = BoxStream<'static, Result<LogChunk, Status>>;
    type ReadFileStream = BoxStream<'static, Result<DownloadChunk, Status>>;
    type DownloadOutputStream = BoxStream<'static, Result<DownloadChunk, Status>>;

    async fn find_content(
        &self,
        request: Request<FindContentRequest>,
    ) -> Result<Response<FindContentResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        output::find(&self.0, caller.id, request.into_inner()).await.map(Response::new)
    }

    async fn submit_task(&self, request: Request<SubmitTaskRequest>) -> Result<Response<SubmitTaskResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        submit::one(&self.0, caller.id, request.into_inner()).await.map(Response::new)
    }

    async fn submit_tasks(
        &self,
        request: Request<SubmitTasksRequest>,
    ) -> Result<Response<SubmitTasksResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let tasks = submit::many(&self.0, caller.id, request.into_inner().tasks).await?;
        Ok(Response::new(SubmitTasksResponse { tasks }))
    }

    async fn submit_graph(
        &self,
        request: Request<SubmitGraphRequest>,
    ) -> Result<Response<SubmitGraphResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        graph::submit(&self.0, caller.id, request.into_inner()).await.map(Response::new)
    }

    async fn retry_task(&self, request: Request<RetryTaskRequest>) -> Result<Response<SubmitTaskResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        submit::retry(&self.0, caller.id, request.into_inner()).await.map(Response::new)
    }

    async fn quote(&self, request: Request<QuoteRequest>) -> Result<Response<QuoteResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        quote::quote(&self.0, caller.id, request.into_inner()).await.map(Response::new)
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        explain::explain(&self.0, caller.id, &request.get_ref().task_id).await.map(Response::new)
    }

    async fn task_status(&self, request: Request<TaskStatusRequest>) -> Result<Response<TaskStatusResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        look::task_status(&self.0, caller.id, request.get_ref()).await.map(Response::new)
    }

    async fn list_tasks(&self, request: Request<ListTasksRequest>) -> Result<Response<ListTasksResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        look::list(&self.0, caller.id, request.get_ref()).await.map(Response::new)
    }

    async fn list_elements(
        &self,
        request: Request<ListElementsRequest>,
    ) -> Result<Response<ListElementsResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let row = self.own(caller.id, &request.get_ref().task_id).await?;
        elements::page(&self.0, &row, request.get_ref()).await.map(Response::new)
    }

    async fn cancel_task(&self, request: Request<CancelTaskRequest>) -> Result<Response<CancelTaskResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let CancelTaskRequest { token: _, task_id, elements } = request.into_inner();
        let elements = wishes::some_indices("elements", &elements).map_err(|rejection| status::rejected(&rejection))?;
        let row = self.own(caller.id, &task_id).await?;
        if let Some(named) = &elements {
            let all = row.spec.indices();
            if !all.contains_all(named) {
                return Err(status::rejected(&elements::not_all_there(&row, &all)));
            }
        }
        if row.progress.state.is_terminal() {
            return Ok(Response::new(CancelTaskResponse { status: row.progress.state.as_str().into() }));
        }
        let task = row.progress.id;
        match self.0.writer.apply(Command::Cancel { user: caller.id, task, elements }).await {
            Ok(_) => {}
            // It ended by itself in between; then its state says so.
            Err(Refused::Rejected(rejection))
                if rejection.code == Code::Conflict || rejection.code == Code::NotFound => {}
            Err(refused) => return Err(status::refused(&refused)),
        }
        let row = self.own(caller.id, &task_id).await?;
        Ok(Response::new(CancelTaskResponse { status: row.progress.state.as_str().into() }))
    }

    async fn watch_tasks(
        &self,
        request: Request<WatchTasksRequest>,
    ) -> Result<Response<Self::WatchTasksStream>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let still_in = StillIn::of(&self.0, &caller);
        let ids = watch::ids(&request.get_ref().task_ids).map_err(|rejection| status::rejected(&rejection))?;
        for id in &ids {
            self.own(caller.id, &id.to_string()).await?;
        }
        let begin = if request.get_ref().changes_only { watch::Begin::Now } else { watch::Begin::State };
        Ok(Response::new(still_in.guard(watch::start(self.0.clone(), caller.id, ids, begin))))
    }

    async fn follow_logs(
        &self,
        request: Request<FollowLogsRequest>,
    ) -> Result<Response<Self::FollowLogsStream>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let still_in = StillIn::of(&self.0, &caller);
        let row = self.own(caller.id, &request.get_ref().task_id).await?;
        let stream =
            follow::start(self.0.clone(), row, request.get_ref()).map_err(|rejection| status::rejected(&rejection))?;
        Ok(Response::new(still_in.guard(stream)))
    }

    async fn upload(&self, request: Request<Streaming<UploadChunk>>) -> Result<Response<UploadResponse>, Status> {
        output::upload(&self.0, request).await.map(Response::new)
    }

    async fn download_output(
        &self,
        request: Request<DownloadOutputRequest>,
    ) -> Result<Response<Self::DownloadOutputStream>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let row = self.own(caller.id, &request.get_ref().task_id).await?;
        output::download(&self.0, &row, request.get_ref()).await.map(Response::new)
    }

    async fn element_grid(
        &self,
        request: Request<ElementGridRequest>,
    ) -> Result<Response<ElementGridResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let row = self.own(caller.id, &request.get_ref().task_id).await?;
        grid::grid(&self.0, &row, request.get_ref()).await.map(Response::new)
    }

    async fn failure_groups(
        &self,
        request: Request<FailureGroupsRequest>,
    ) -> Result<Response<FailureGroupsResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let row = self.own(caller.id, &request.get_ref().task_id).await?;
        failures::groups(&self.0, &row).await.map(Response::new)
    }

    async fn timeline(&self, request: Request<TimelineRequest>) -> Result<Response<TimelineResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let row = self.own(caller.id, &request.get_ref().task_id).await?;
        timeline::timeline(&self.0, &row, request.get_ref()).await.map(Response::new)
    }

    async fn list_files(&self, request: Request<ListFilesRequest>) -> Result<Response<ListFilesResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let row = self.own(caller.id, &request.get_ref().task_id).await?;
        files::list(&self.0, &row, request.get_ref()).await.map(Response::new)
    }

    async fn read_file(&self, request: Request<ReadFileRequest>) -> Result<Response<Self::ReadFileStream>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let row = self.own(caller.id, &request.get_ref().task_id).await?;
        files::read(&self.0, &row, request.get_ref()).await.map(Response::new)
    }
}

impl TaskCalls {
    /// The task of that id, which is the caller's.
    async fn own(&self, user: UserId, task_id: &str) -> Result<TaskRow, Status> {
        self.0.own_task(user, task_id).await?.map_err(|rejection| status::rejected(&rejection))
    }
}
