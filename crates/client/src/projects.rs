//! Open-source projects and their tips.
//!
//! Invariant: a tip is repeated only under the id it was first made with; registering, closing and
//! collecting are never repeated, because the second answer would be another one.

use crate::money::{id_or_new, new_balance};
use crate::pages::{page_size, paged};
use crate::{Client, ClientError, Events};
use hivemind_model::Cpt;
use hivemind_model::units::MICRO_PER_CPT;
use hivemind_proto::v1::project_service_client::ProjectServiceClient;
use hivemind_proto::v1::{
    CloseProjectRequest, CollectTipsRequest, ListProjectsRequest, ListProjectsResponse, ListTipsRequest,
    ListTipsResponse, ProjectSummary, RegisterProjectRequest, TipRequest, TipSummary,
};
use tonic::transport::Channel;

impl Client {
    /// Registers a project of the caller, whose source is at `repository` (`https://...`).
    ///
    /// # Errors
    /// The refusal, such as `E_TAKEN` or `E_INVALID`.
    pub async fn register_project(&self, name: &str, repository: &str) -> Result<ProjectSummary, ClientError> {
        let request =
            RegisterProjectRequest { token: String::new(), name: name.to_owned(), repository: repository.to_owned() };
        self.answer("RegisterProject", self.projects_at().register_project(self.request(request)).await)
    }

    /// Lets a project of the caller take no more tips, for good, and gives what was not collected
    /// to the caller: that is returned.
    ///
    /// # Errors
    /// `E_NOT_FOUND`, `E_FORBIDDEN` where it is somebody else's, `E_CONFLICT` where it is closed.
    pub async fn close_project(&self, project: &str) -> Result<Cpt, ClientError> {
        let request = CloseProjectRequest { token: String::new(), project: project.to_owned() };
        let answer = self.answer("CloseProject", self.projects_at().close_project(self.request(request)).await)?;
        Ok(Cpt::from_micro(answer.amount_micro))
    }

    /// Gives what was tipped to a project of the caller and not collected to the caller: that is
    /// returned.
    ///
    /// # Errors
    /// `E_NOT_FOUND`, `E_FORBIDDEN` where it is somebody else's.
    pub async fn collect_tips(&self, project: &str) -> Result<Cpt, ClientError> {
        let request = CollectTipsRequest { token: String::new(), project: project.to_owned() };
        let answer = self.answer("CollectTips", self.projects_at().collect_tips(self.request(request)).await)?;
        Ok(Cpt::from_micro(answer.amount_micro))
    }

    /// One page of all projects, in the order of registration.
    ///
    /// # Errors
    /// The refusal of a page token that is none.
    pub async fn projects(&self, request: ListProjectsRequest) -> Result<ListProjectsResponse, ClientError> {
        self.repeated("ListProjects", async || self.projects_at().list_projects(self.request(request.clone())).await)
            .await
    }

    /// The first `most` projects, in the order of registration, read page by page as they are taken.
    #[must_use]
    pub fn project_lines(&self, most: usize) -> Events<ProjectSummary> {
        let this = self.clone();
        paged("ListProjects", most, move |page_token| {
            let this = this.clone();
            let request = ListProjectsRequest { token: String::new(), page_size: page_size(most), page_token };
            async move {
                let page = this.projects(request).await?;
                Ok((page.projects, page.next_page_token))
            }
        })
    }

    /// One page of the tips of a project, newest first.
    ///
    /// # Errors
    /// `E_NOT_FOUND`; the refusal of a page token that is none.
    pub async fn tips(&self, request: ListTipsRequest) -> Result<ListTipsResponse, ClientError> {
        self.repeated("ListTips", async || self.projects_at().list_tips(self.request(request.clone())).await).await
    }

    /// The first `most` tips of a project, newest first, read page by page as they are taken.
    #[must_use]
    pub fn tip_lines(&self, project: &str, most: usize) -> Events<TipSummary> {
        let (this, project) = (self.clone(), project.to_owned());
        paged("ListTips", most, move |page_token| {
            let (this, project) = (this.clone(), project.clone());
            let request = ListTipsRequest { token: String::new(), project, page_size: page_size(most), page_token };
            async move {
                let page = this.tips(request).await?;
                Ok((page.tips, page.next_page_token))
            }
        })
    }

    /// Gives money to a project, with a public message (at most 280 bytes; may be empty), and
    /// returns what is left. `tip_id` makes a retry by the caller harmless; empty: one is made, and
    /// only this call's own retries are.
    ///
    /// # Errors
    /// The refusal, such as `E_INSUFFICIENT_CPT`, or `E_CONFLICT` where the project is closed.
    pub async fn tip(&self, project: &str, amount: Cpt, message: &str, tip_id: &str) -> Result<Cpt, ClientError> {
        let request = TipRequest {
            token: String::new(),
            project: project.to_owned(),
            amount: amount.whole(),
            amount_micro: amount.micro().rem_euclid(MICRO_PER_CPT),
            message: message.to_owned(),
            tip_id: id_or_new(tip_id),
        };
        let what = "Tip";
        let answer = self.repeated(what, async || self.projects_at().tip(self.request(request.clone())).await).await?;
        new_balance(what, &answer)
    }

    fn projects_at(&self) -> ProjectServiceClient<Channel> {
        ProjectServiceClient::new(self.channel.clone())
    }
}
