//! `TaskService`: submitting, looking, cancelling; the streams have their own files.
//!
//! Invariant: a task of another user answers "not found", whatever is asked of it.

use super::page::{after, cut, size, token};
use super::submission::{self, Draft, Refusal};
use super::{explain, follow, output, quote, summary, watch, wrong_reply};
use crate::blobs::BlobError;
use crate::logs::Stream;
use crate::shared::Shared;
use crate::status;
use crate::tokens::Caller;
use crate::writer::Refused;
use futures::stream::BoxStream;
use hivemind_model::rows::{AttemptRow, TaskRow};
use hivemind_model::{Code, Command, Cpt, Rejection, Reply, TaskId, TaskState};
use hivemind_proto::v1::task_service_server::TaskService;
use hivemind_proto::v1::{
    CancelTaskRequest, CancelTaskResponse, DownloadChunk, DownloadOutputRequest, ExplainRequest, ExplainResponse,
    FollowLogsRequest, ListTasksRequest, ListTasksResponse, LogChunk, QuoteRequest, QuoteResponse, SubmitTaskRequest,
    SubmitTaskResponse, SubmitTasksRequest, SubmitTasksResponse, TaskEvent, TaskStatusRequest, TaskStatusResponse,
    UploadChunk, UploadResponse, WatchTasksRequest,
};
use hivemind_store::TaskFilter;
use prost::Message;
use std::collections::HashMap;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

/// Most tasks of one `SubmitTasks`.
const MAX_TASKS: usize = 10_000;
/// Standard output that `TaskStatus` shows.
const RESULT_BYTES: usize = 1 << 20;
/// The name of the list in page tokens.
const LIST: &str = "before";
/// Page of a caller who names no size.
const DEFAULT_PAGE: u32 = 50;
/// A page ends early above this: clients take 4 MiB in one message.
const PAGE_BYTES: usize = 2 << 20;
/// Pending tasks of one page whose reason is asked for: each costs the writer a look at the nodes.
const MAX_REASONS: usize = 20;

/// The service.
pub(crate) struct TaskCalls(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl TaskService for TaskCalls {
    type WatchTasksStream = BoxStream<'static, Result<TaskEvent, Status>>;
    type FollowLogsStream = BoxStream<'static, Result<LogChunk, Status>>;
    type DownloadOutputStream = BoxStream<'static, Result<DownloadChunk, Status>>;

    async fn submit_task(&self, request: Request<SubmitTaskRequest>) -> Result<Response<SubmitTaskResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let answer = match self.draft(&caller, request.into_inner()).await? {
            Ok(command) => submitted(self.0.writer.apply(command).await)?,
            Err(rejection) => refusal(&rejection),
        };
        Ok(Response::new(answer))
    }

    async fn submit_tasks(
        &self,
        request: Request<SubmitTasksRequest>,
    ) -> Result<Response<SubmitTasksResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let requests = request.into_inner().tasks;
        if requests.len() > MAX_TASKS {
            return Err(status::rejected(&Rejection::field(
                Code::TooLarge,
                "tasks",
                format!("{} tasks; at most {MAX_TASKS} are taken at once", requests.len()),
            )));
        }
        let (mut commands, mut answers) = (Vec::with_capacity(requests.len()), Vec::with_capacity(requests.len()));
        for request in requests {
            match self.draft(&caller, request).await? {
                Ok(command) => {
                    commands.push(command);
                    answers.push(None);
                }
                Err(rejection) => answers.push(Some(refusal(&rejection))),
            }
        }
        let mut replies = self.0.writer.apply_many(commands).await.into_iter();
        let mut tasks = Vec::with_capacity(answers.len());
        for answer in answers {
            tasks.push(match answer {
                Some(refused) => refused,
                None => submitted(replies.next().unwrap_or(Err(Refused::Stopped)))?,
            });
        }
        Ok(Response::new(SubmitTasksResponse { tasks }))
    }

    async fn submit_graph(
        &self,
        _request: Request<hivemind_proto::v1::SubmitGraphRequest>,
    ) -> Result<Response<hivemind_proto::v1::SubmitGraphResponse>, Status> {
        Err(Status::unimplemented("E_INVALID: not yet"))
    }

    async fn retry_task(
        &self,
        _request: Request<hivemind_proto::v1::RetryTaskRequest>,
    ) -> Result<Response<SubmitTaskResponse>, Status> {
        Err(Status::unimplemented("E_INVALID: not yet"))
    }

    async fn list_elements(
        &self,
        _request: Request<hivemind_proto::v1::ListElementsRequest>,
    ) -> Result<Response<hivemind_proto::v1::ListElementsResponse>, Status> {
        Err(Status::unimplemented("E_INVALID: not yet"))
    }

    async fn quote(&self, request: Request<QuoteRequest>) -> Result<Response<QuoteResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let task = request.into_inner().task.unwrap_or_default();
        quote::quote(&self.0, caller.id, task).await.map(Response::new)
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        explain::explain(&self.0, caller.id, &request.get_ref().task_id).await.map(Response::new)
    }

    async fn task_status(&self, request: Request<TaskStatusRequest>) -> Result<Response<TaskStatusResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let row = match self.0.own_task(caller.id, &request.get_ref().task_id).await? {
            Ok(row) => row,
            Err(rejection) => {
                return Ok(Response::new(TaskStatusResponse {
                    error_message: rejection.to_string(),
                    ..TaskStatusResponse::default()
                }));
            }
        };
        let attempts = self.0.store.attempts(row.first()).await.map_err(|error| status::store(&error))?;
        let completed = row.progress.state == TaskState::Completed;
        let result = match attempts.last().filter(|_| completed) {
            Some(newest) => self.result(newest).await?,
            None => String::new(),
        };
        let waiting = self.waiting_reasons(std::slice::from_ref(&row)).await.remove(&row.progress.id);
        let accrued = self.accrued(std::slice::from_ref(&row)).await?.remove(&row.progress.id).unwrap_or_default();
        Ok(Response::new(TaskStatusResponse {
            success: true,
            status: row.progress.state.as_str().into(),
            result,
            error_message: summary::error_message(&row),
            progress: watch::progress(&self.0, row.progress.id, row.progress.state).0,
            task: Some(summary::task(&self.0, &row, attempts.last(), waiting, accrued)),
            attempts: attempts.iter().map(|attempt| summary::attempt(&self.0, attempt)).collect(),
        }))
    }

    async fn list_tasks(&self, request: Request<ListTasksRequest>) -> Result<Response<ListTasksResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let (filter, size) = filter(request.get_ref()).map_err(|rejection| status::rejected(&rejection))?;
        let mut rows = self.0.store.tasks(caller.id, &filter).await.map_err(|error| status::store(&error))?;
        let more = cut(&mut rows, size);
        let ids: Vec<TaskId> = rows.iter().map(|row| row.progress.id).collect();
        let newest = self
            .0
            .store
            .newest_attempts(&ids.iter().copied().map(hivemind_model::ElementRef::only).collect::<Vec<_>>())
            .await
            .map_err(|error| status::store(&error))?;
        let newest: HashMap<TaskId, &AttemptRow> = newest.iter().map(|row| (row.attempt.element.task, row)).collect();
        let mut reasons = self.waiting_reasons(&rows).await;
        let accrued = self.accrued(&rows).await?;
        let (mut tasks, mut bytes) = (Vec::with_capacity(rows.len()), 0);
        for row in &rows {
            let id = row.progress.id;
            let accrued = accrued.get(&id).copied().unwrap_or_default();
            let task = summary::task(&self.0, row, newest.get(&id).copied(), reasons.remove(&id), accrued);
            bytes += task.encoded_len();
            tasks.push(task);
            if bytes > PAGE_BYTES {
                break;
            }
        }
        let more = more || tasks.len() < rows.len();
        let last = tasks.len().checked_sub(1).and_then(|last| rows.get(last)).filter(|_| more);
        let next_page_token = last.map(|row| token(LIST, [row.progress.id.0])).unwrap_or_default();
        Ok(Response::new(ListTasksResponse { tasks, next_page_token }))
    }

    async fn cancel_task(&self, request: Request<CancelTaskRequest>) -> Result<Response<CancelTaskResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let row = self
            .0
            .own_task(caller.id, &request.get_ref().task_id)
            .await?
            .map_err(|rejection| status::rejected(&rejection))?;
        if row.progress.state.is_terminal() {
            return Ok(Response::new(CancelTaskResponse { status: row.progress.state.as_str().into() }));
        }
        let task = row.progress.id;
        match self.0.writer.apply(Command::Cancel { user: caller.id, task, elements: None }).await {
            Ok(_) => {}
            // It ended by itself in between; then its state says so.
            Err(Refused::Rejected(rejection))
                if rejection.code == Code::Conflict || rejection.code == Code::NotFound => {}
            Err(refused) => return Err(status::refused(&refused)),
        }
        let row = self
            .0
            .own_task(caller.id, &request.get_ref().task_id)
            .await?
            .map_err(|rejection| status::rejected(&rejection))?;
        Ok(Response::new(CancelTaskResponse { status: row.progress.state.as_str().into() }))
    }

    async fn watch_tasks(
        &self,
        request: Request<WatchTasksRequest>,
    ) -> Result<Response<Self::WatchTasksStream>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let ids = watch::ids(&request.get_ref().task_ids).map_err(|rejection| status::rejected(&rejection))?;
        for id in &ids {
            self.0.own_task(caller.id, &id.to_string()).await?.map_err(|rejection| status::rejected(&rejection))?;
        }
        Ok(Response::new(watch::start(self.0.clone(), caller.id, ids)))
    }

    async fn follow_logs(
        &self,
        request: Request<FollowLogsRequest>,
    ) -> Result<Response<Self::FollowLogsStream>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let row = self
            .0
            .own_task(caller.id, &request.get_ref().task_id)
            .await?
            .map_err(|rejection| status::rejected(&rejection))?;
        let stream =
            follow::start(self.0.clone(), &row, request.get_ref()).map_err(|rejection| status::rejected(&rejection))?;
        Ok(Response::new(stream))
    }

    async fn upload(&self, request: Request<Streaming<UploadChunk>>) -> Result<Response<UploadResponse>, Status> {
        output::upload(&self.0, request).await.map(Response::new)
    }

    async fn download_output(
        &self,
        request: Request<DownloadOutputRequest>,
    ) -> Result<Response<Self::DownloadOutputStream>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let row = self
            .0
            .own_task(caller.id, &request.get_ref().task_id)
            .await?
            .map_err(|rejection| status::rejected(&rejection))?;
        output::download(&self.0, &row, request.get_ref().offset).await.map(Response::new)
    }
}

impl TaskCalls {
    /// Checks a submission and stores its files; gives the command.
    async fn draft(&self, caller: &Caller, request: SubmitTaskRequest) -> Result<Result<Command, Rejection>, Status> {
        let Draft { command, contents } =
            match submission::prepare(caller.id, request, &self.0.policy, &self.0.blobs).await {
                Ok(draft) => draft,
                Err(Refusal::Rejected(rejection)) => return Ok(Err(rejection)),
                Err(Refusal::Fault(error)) => return Err(status::file("reading a submission's files", &error)),
            };
        for content in contents {
            self.0.blobs.put(content).await.map_err(|error: BlobError| status::blob("files", &error))?;
        }
        Ok(Ok(command))
    }

    async fn waiting_reasons(&self, rows: &[TaskRow]) -> HashMap<TaskId, String> {
        let pending: Vec<TaskId> = rows
            .iter()
            .filter(|row| row.progress.state == TaskState::Pending)
            .map(|row| row.progress.id)
            .take(MAX_REASONS)
            .collect();
        if pending.is_empty() {
            return HashMap::new();
        }
        let reasons = self.0.writer.waiting_reasons(pending.clone()).await;
        pending.into_iter().zip(reasons).filter_map(|(id, reason)| Some((id, reason?))).collect()
    }

    /// What the running attempts of each of these tasks have earned so far.
    async fn accrued(&self, rows: &[TaskRow]) -> Result<HashMap<TaskId, Cpt>, Status> {
        let open = rows.iter().filter(|row| !row.progress.state.is_terminal());
        let open: Vec<TaskId> = open.map(|row| row.progress.id).collect();
        let mut accrued: HashMap<TaskId, Cpt> = HashMap::new();
        if open.is_empty() {
            return Ok(accrued);
        }
        for accrual in self.0.store.accruals(&open).await.map_err(|error| status::store(&error))? {
            let sum = accrued.entry(accrual.attempt.element.task).or_default();
            // Parts of one hold fit in 64 bits together.
            *sum = Cpt::from_micro(sum.micro() + accrual.amount.total().micro());
        }
        Ok(accrued)
    }

    /// The beginning of what the attempt wrote to standard output.
    async fn result(&self, row: &AttemptRow) -> Result<String, Status> {
        let (live, attempt) = (self.0.live.clone(), row.attempt);
        let read = crate::blobs::blocking(move || live.logs.read(attempt, Stream::Stdout, 0, RESULT_BYTES + 1)).await;
        let mut bytes = read.map_err(|error| status::file("reading the output", &error))?;
        let cut = bytes.len() > RESULT_BYTES;
        bytes.truncate(RESULT_BYTES);
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        if cut {
            text.push_str("\n[cut at 1 MiB; FollowLogs gives the whole]\n");
        }
        Ok(text)
    }
}

fn submitted(outcome: Result<Reply, Refused>) -> Result<SubmitTaskResponse, Status> {
    match super::refusal_or_fault(outcome)? {
        Ok(Reply::Submitted { task, cap }) => Ok(SubmitTaskResponse {
            success: true,
            task_id: task.to_string(),
            message: format!("accepted; costs at most {cap}"),
            price_cap_micro: cap.micro(),
        }),
        Ok(other) => Err(wrong_reply(&other)),
        Err(rejection) => Ok(refusal(&rejection)),
    }
}

fn refusal(rejection: &Rejection) -> SubmitTaskResponse {
    SubmitTaskResponse { message: rejection.to_string(), ..SubmitTaskResponse::default() }
}

/// What is read, one row more than the page that is wanted, and the size of that page.
fn filter(request: &ListTasksRequest) -> Result<(TaskFilter, u32), Rejection> {
    let state = |word: &String| {
        TaskState::parse(word)
            .ok_or_else(|| Rejection::invalid("status", "is none of pending, running, completed, failed, cancelled"))
    };
    if request.status.len() > TaskState::ALL.len() {
        return Err(Rejection::invalid("status", "names more states than there are"));
    }
    let states = request.status.iter().map(state).collect::<Result<_, _>>()?;
    let size = size(request.page_size, DEFAULT_PAGE)?;
    let before = after(LIST, &request.page_token)?.map(|[id]| TaskId(id));
    Ok((TaskFilter { states, before, limit: size + 1 }, size))
}
