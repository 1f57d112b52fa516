//! Arrays and graphs: many elements under one id, and tasks that wait for one another.
//!
//! Invariant: nothing here submits twice; what is repeated is repeated under the id it was first
//! sent with.

use crate::pages::{page_size, paged};
use crate::tasks::submitted;
use crate::{Client, ClientError, Events, LogPart, Submitted, Until};
use hivemind_model::ids::ElementRef;
use hivemind_model::{Cpt, TaskId, TaskState};
use hivemind_proto::v1::{
    CancelTaskRequest, ElementSummary, GraphTaskId, ListElementsRequest, ListElementsResponse, RetryTaskRequest,
    SubmitGraphRequest, SubmitGraphResponse, TaskStatusRequest, TaskStatusResponse,
};
use uuid::Uuid;

/// An accepted graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphSubmitted {
    /// Name in the graph and what became of it, in the order of the request.
    pub tasks: Vec<(String, Submitted)>,
    /// What is held for all of them together.
    pub cap: Cpt,
}

/// Which elements of an array a list is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Indices, such as `1-10,20`; empty: all.
    pub elements: String,
    /// waiting, live, completed, failed, cancelled; empty: all.
    pub states: Vec<String>,
}

/// What of an ended task is submitted again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Again {
    /// Indices, such as `1-10,20`; empty: those that did not complete.
    pub elements: String,
    /// Refused where the price cap is above this.
    pub max_price: Option<Cpt>,
    /// Empty: one is made. The same id submits it once.
    pub request_id: String,
}

impl Client {
    /// Submits tasks that wait for one another: all of them, or none. Where the request has no
    /// `request_id` one is made, so that a retry submits nothing twice.
    ///
    /// # Errors
    /// The refusal of the first task that is at fault; else as of [`Client::submit`].
    pub async fn submit_graph(&self, mut request: SubmitGraphRequest) -> Result<GraphSubmitted, ClientError> {
        let what = "SubmitGraph";
        if request.request_id.is_empty() {
            request.request_id = Uuid::now_v7().to_string();
        }
        let expected = request.tasks.len();
        let answer = self.repeated(what, async || self.tasks().submit_graph(self.request(request.clone())).await);
        accepted(what, answer.await?, expected)
    }

    /// Submits elements of an ended task again, as a new task.
    ///
    /// # Errors
    /// `E_CONFLICT` where it has not ended or there is nothing to try again; else as of
    /// [`Client::submit`].
    pub async fn retry(&self, task: TaskId, again: Again) -> Result<Submitted, ClientError> {
        let what = "RetryTask";
        let id = if again.request_id.is_empty() { Uuid::now_v7().to_string() } else { again.request_id };
        let request = RetryTaskRequest {
            token: String::new(),
            task_id: task.to_string(),
            elements: again.elements,
            request_id: id,
            max_price_micro: again.max_price.map_or(0, Cpt::micro),
        };
        let answer = self.repeated(what, async || self.tasks().retry_task(self.request(request.clone())).await);
        submitted(what, answer.await?)
    }

    /// One page of the elements of a task, by index.
    ///
    /// # Errors
    /// `E_NOT_FOUND` alike for a task that never was and one of somebody else; the refusal of
    /// indices or a page token that are none.
    pub async fn list_elements(&self, request: ListElementsRequest) -> Result<ListElementsResponse, ClientError> {
        self.repeated("ListElements", async || self.tasks().list_elements(self.request(request.clone())).await).await
    }

    /// The first `most` of the wanted elements of a task, by index, read page by page as they are taken.
    #[must_use]
    pub fn elements(&self, task: TaskId, wanted: Wanted, most: usize) -> Events<ElementSummary> {
        let this = self.clone();
        paged("ListElements", most, move |page_token| {
            let this = this.clone();
            let request = ListElementsRequest {
                token: String::new(),
                task_id: task.to_string(),
                elements: wanted.elements.clone(),
                status: wanted.states.clone(),
                page_size: page_size(most),
                page_token,
            };
            async move {
                let page = this.list_elements(request).await?;
                Ok((page.elements, page.next_page_token))
            }
        })
    }

    /// Where a task stands, with the result, the error and the attempts of one of its elements.
    ///
    /// # Errors
    /// `E_NOT_FOUND` alike for a task that never was and one of somebody else, and for an element
    /// that it does not have.
    pub async fn status_of(&self, task: TaskId, element: u32) -> Result<TaskStatusResponse, ClientError> {
        let request = TaskStatusRequest { token: String::new(), task_id: task.to_string(), element: Some(element) };
        self.status_request(request).await
    }

    /// Ends some elements of a task and gives where the task stands now.
    ///
    /// # Errors
    /// `E_NOT_FOUND` alike for a task that never was and one of somebody else; the refusal of
    /// indices that it does not have.
    pub async fn cancel_elements(&self, task: TaskId, elements: &str) -> Result<TaskState, ClientError> {
        let request =
            CancelTaskRequest { token: String::new(), task_id: task.to_string(), elements: elements.to_owned() };
        self.cancel_request(request).await
    }

    /// [`Client::follow_logs`] of one element of an array.
    #[must_use]
    pub fn follow_logs_of(&self, element: ElementRef, until: Until) -> Events<LogPart> {
        self.follow(element.task, Some(element.index), until, 0)
    }
}

fn accepted(what: &str, answer: SubmitGraphResponse, expected: usize) -> Result<GraphSubmitted, ClientError> {
    if answer.tasks.len() != expected {
        return Err(ClientError::protocol(what, format!("{} ids for {expected} tasks", answer.tasks.len())));
    }
    let one = |told: GraphTaskId| {
        let task = told.task_id.parse();
        let task = task.map_err(|why: hivemind_model::ids::BadId| ClientError::protocol(what, why.to_string()))?;
        Ok((told.name, Submitted { task, cap: Cpt::from_micro(told.price_cap_micro) }))
    };
    let tasks = answer.tasks.into_iter().map(one).collect::<Result<Vec<_>, ClientError>>()?;
    Ok(GraphSubmitted { tasks, cap: Cpt::from_micro(answer.price_cap_micro) })
}
