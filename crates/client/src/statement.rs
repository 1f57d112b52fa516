//! What moved on a user's accounts.
//!
//! Start at [`Client::statement_lines`] for a list of any length, at [`Client::task_entries`] for the
//! books of one task.
//!
//! Invariant: nothing here moves money, so every call may be repeated.

use crate::pages::{page_size, paged};
use crate::{Client, ClientError, Events};
use hivemind_model::TaskId;
use hivemind_proto::v1::{StatementLine, StatementRequest, StatementResponse, TaskEntriesRequest, TaskEntriesResponse};

impl Client {
    /// One page of the movements on the user's accounts, newest first, each with the balance
    /// after it.
    ///
    /// # Errors
    /// The refusal of a filter, of a range that goes backwards, or of a page token that is none.
    pub async fn statement(&self, request: StatementRequest) -> Result<StatementResponse, ClientError> {
        self.repeated("Statement", async || self.tokens().statement(self.request(request.clone())).await).await
    }

    /// The first `most` movements that `filter` lets through, newest first, read page by page as
    /// they are taken; its own page size and token are not read.
    #[must_use]
    pub fn statement_lines(&self, filter: StatementRequest, most: usize) -> Events<StatementLine> {
        let this = self.clone();
        paged("Statement", most, move |page_token| {
            let this = this.clone();
            let request = StatementRequest { page_size: page_size(most), page_token, ..filter.clone() };
            async move {
                let page = this.statement(request).await?;
                Ok((page.lines, page.next_page_token))
            }
        })
    }

    /// Every side of every journal entry about a task of the user's, oldest first.
    ///
    /// # Errors
    /// `E_NOT_FOUND` alike for a task that never was and one of somebody else.
    pub async fn task_entries(&self, task: TaskId) -> Result<TaskEntriesResponse, ClientError> {
        let request = TaskEntriesRequest { token: String::new(), task_id: task.to_string() };
        self.repeated("TaskEntries", async || self.tokens().task_entries(self.request(request.clone())).await).await
    }
}
