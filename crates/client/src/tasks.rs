//! Submitting, looking at and cancelling tasks.
//!
//! Invariant: a submission is repeated only under the request id it was first made with.

use crate::client::MAX_MESSAGE_BYTES;
use crate::{Client, ClientError};
use hivemind_model::{Cpt, TaskId, TaskState};
use hivemind_proto::v1::task_service_client::TaskServiceClient;
use hivemind_proto::v1::{
    CancelTaskRequest, ExplainRequest, ExplainResponse, ListTasksRequest, ListTasksResponse, QuoteRequest,
    QuoteResponse, SubmitTaskRequest, SubmitTaskResponse, SubmitTasksRequest, TaskStatusRequest, TaskStatusResponse,
};
use prost::Message;
use tonic::transport::Channel;
use uuid::Uuid;

/// Most tasks in one message.
const MAX_BATCH: usize = 10_000;
/// Most bytes of tasks in one message, unless a single task is larger.
const MAX_BATCH_BYTES: usize = 16 << 20;

/// An accepted task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// Its id.
    pub task: TaskId,
    /// What is held for it: the most it can cost.
    pub cap: Cpt,
}

impl Client {
    /// Submits a task; once this returns, the pool never loses it. Where the request has no
    /// `request_id` one is made, so that a retry submits nothing twice.
    ///
    /// # Errors
    /// The refusal, such as `E_INSUFFICIENT_CPT`; [`ClientError::Unreachable`] where nobody
    /// answered for 30 s: the task may or may not have been accepted, and the same request with
    /// the same id tells.
    pub async fn submit(&self, mut request: SubmitTaskRequest) -> Result<Submitted, ClientError> {
        ensure_id(&mut request);
        let answer =
            self.repeated("SubmitTask", async || self.tasks().submit_task(self.request(request.clone())).await).await?;
        submitted("SubmitTask", answer)
    }

    /// Submits many tasks in as few messages as possible; one answer for each, in order.
    pub async fn submit_many(&self, mut requests: Vec<SubmitTaskRequest>) -> Vec<Result<Submitted, ClientError>> {
        requests.iter_mut().for_each(ensure_id);
        let mut answers = Vec::with_capacity(requests.len());
        for batch in batches(requests) {
            answers.extend(self.submit_batch(batch).await);
        }
        answers
    }

    async fn submit_batch(&self, tasks: Vec<SubmitTaskRequest>) -> Vec<Result<Submitted, ClientError>> {
        let what = "SubmitTasks";
        let expected = tasks.len();
        let request = SubmitTasksRequest { token: String::new(), tasks };
        let answered =
            self.repeated(what, async || self.tasks().submit_tasks(self.request(request.clone())).await).await;
        match answered {
            Ok(answer) if answer.tasks.len() == expected => {
                answer.tasks.into_iter().map(|task| submitted(what, task)).collect()
            }
            Ok(answer) => {
                let error = ClientError::protocol(what, format!("{} answers to {expected} tasks", answer.tasks.len()));
                vec![Err(error); expected]
            }
            Err(error) => vec![Err(error); expected],
        }
    }

    /// What a task would cost, and who could run it; nothing is submitted or set aside.
    ///
    /// # Errors
    /// The refusal that submitting it would meet with, such as `E_INVALID`.
    pub async fn quote(&self, task: SubmitTaskRequest) -> Result<QuoteResponse, ClientError> {
        self.quote_of(task, "").await
    }

    /// [`Client::quote`] of a task whose image may not be pushed yet and will be of that kind: container, wasm;
    /// empty: container.
    ///
    /// # Errors
    /// As of [`Client::quote`].
    pub async fn quote_of(&self, task: SubmitTaskRequest, kind: &str) -> Result<QuoteResponse, ClientError> {
        let request = QuoteRequest { token: String::new(), task: Some(task), kind: kind.to_owned() };
        self.repeated("Quote", async || self.tasks().quote(self.request(request.clone())).await).await
    }

    /// Why a task stands where it stands, and what would make it run.
    ///
    /// # Errors
    /// `E_NOT_FOUND` alike for a task that never was and one of somebody else.
    pub async fn explain(&self, task: TaskId) -> Result<ExplainResponse, ClientError> {
        let request = ExplainRequest { token: String::new(), task_id: task.to_string() };
        self.repeated("Explain", async || self.tasks().explain(self.request(request.clone())).await).await
    }

    /// Where a task stands, with its result and its attempts.
    ///
    /// # Errors
    /// `E_NOT_FOUND` alike for a task that never was and one of somebody else.
    pub async fn status(&self, task: TaskId) -> Result<TaskStatusResponse, ClientError> {
        self.status_request(TaskStatusRequest { token: String::new(), task_id: task.to_string(), element: None }).await
    }

    pub(crate) async fn status_request(&self, request: TaskStatusRequest) -> Result<TaskStatusResponse, ClientError> {
        let what = "TaskStatus";
        let answer =
            self.repeated(what, async || self.tasks().task_status(self.request(request.clone())).await).await?;
        if !answer.success {
            return Err(ClientError::refused(what, &answer.error_message));
        }
        Ok(answer)
    }

    /// One page of the user's tasks, newest first.
    ///
    /// # Errors
    /// The refusal of a filter or a page token that is none.
    pub async fn list(&self, request: ListTasksRequest) -> Result<ListTasksResponse, ClientError> {
        self.repeated("ListTasks", async || self.tasks().list_tasks(self.request(request.clone())).await).await
    }

    /// Ends a task and gives where it stands now; ending an ended task changes nothing.
    ///
    /// # Errors
    /// `E_NOT_FOUND` alike for a task that never was and one of somebody else.
    pub async fn cancel(&self, task: TaskId) -> Result<TaskState, ClientError> {
        let request = CancelTaskRequest { token: String::new(), task_id: task.to_string(), elements: String::new() };
        self.cancel_request(request).await
    }

    pub(crate) async fn cancel_request(&self, request: CancelTaskRequest) -> Result<TaskState, ClientError> {
        let what = "CancelTask";
        let answer =
            self.repeated(what, async || self.tasks().cancel_task(self.request(request.clone())).await).await?;
        state(what, &answer.status)
    }

    pub(crate) fn tasks(&self) -> TaskServiceClient<Channel> {
        TaskServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }
}

pub(crate) fn state(what: &str, word: &str) -> Result<TaskState, ClientError> {
    TaskState::parse(word).ok_or_else(|| {
        ClientError::protocol(what, format!("`{}` is no state of a task", hivemind_proto::convert::bounded(word)))
    })
}

fn ensure_id(request: &mut SubmitTaskRequest) {
    if request.request_id.is_empty() {
        request.request_id = Uuid::now_v7().to_string();
    }
}

pub(crate) fn submitted(what: &str, answer: SubmitTaskResponse) -> Result<Submitted, ClientError> {
    if !answer.success {
        return Err(ClientError::refused(what, &answer.message));
    }
    let task = answer
        .task_id
        .parse()
        .map_err(|why: hivemind_model::ids::BadId| ClientError::protocol(what, why.to_string()))?;
    Ok(Submitted { task, cap: Cpt::from_micro(answer.price_cap_micro) })
}

fn batches(requests: Vec<SubmitTaskRequest>) -> Vec<Vec<SubmitTaskRequest>> {
    let mut batches: Vec<Vec<SubmitTaskRequest>> = Vec::new();
    let mut bytes = 0;
    for request in requests {
        let size = request.encoded_len();
        match batches.last_mut() {
            Some(batch) if batch.len() < MAX_BATCH && bytes + size <= MAX_BATCH_BYTES => {
                bytes += size;
                batch.push(request);
            }
            _ => {
                bytes = size;
                batches.push(vec![request]);
            }
        }
    }
    batches
}
