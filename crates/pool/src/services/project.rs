//! `ProjectService`: projects and their tips.
//!
//! Invariant: what is shown of a giver is their name and what they said, nothing of their accounts.

use super::amount::{amount, once};
use super::page::{after, cut, size, token};
use super::token::{moved, not_moved};
use super::wrong_reply;
use crate::shared::Shared;
use crate::status;
use hivemind_model::rows::{ProjectRow, TipRow};
use hivemind_model::{Command, ProjectId, Rejection, Reply, UserId};
use hivemind_proto::v1::project_service_server::ProjectService;
use hivemind_proto::v1::{
    CloseProjectRequest, CollectTipsRequest, CollectTipsResponse, ListProjectsRequest, ListProjectsResponse,
    ListTipsRequest, ListTipsResponse, ProjectSummary, RegisterProjectRequest, TipRequest, TipSummary,
    TransferResponse,
};
use prost::Message;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Lines of a caller who names no size.
const DEFAULT_PAGE: u32 = 100;
/// The names of the lists in page tokens.
const PROJECTS: &str = "projects";
const TIPS: &str = "tips";
/// No name of a project is longer than this, in bytes.
const LOOKED_UP_BYTES: usize = 64;

/// The service.
pub(crate) struct ProjectCalls(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl ProjectService for ProjectCalls {
    async fn register_project(
        &self,
        request: Request<RegisterProjectRequest>,
    ) -> Result<Response<ProjectSummary>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let RegisterProjectRequest { name, repository, .. } = request.into_inner();
        let command = Command::RegisterProject { owner: caller.id, name: name.clone(), repository };
        match self.0.writer.apply(command).await.map_err(|refused| status::refused(&refused))? {
            Reply::ProjectRegistered { .. } => {}
            other => return Err(wrong_reply(&other)),
        }
        let row = self.find(&name).await?;
        self.summary(&row).await.map(Response::new)
    }

    async fn close_project(
        &self,
        request: Request<CloseProjectRequest>,
    ) -> Result<Response<CollectTipsResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let project = request.into_inner().project;
        self.collect(Command::CloseProject { owner: caller.id, project }).await
    }

    async fn collect_tips(
        &self,
        request: Request<CollectTipsRequest>,
    ) -> Result<Response<CollectTipsResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let project = request.into_inner().project;
        self.collect(Command::CollectTips { owner: caller.id, project }).await
    }

    async fn list_projects(
        &self,
        request: Request<ListProjectsRequest>,
    ) -> Result<Response<ListProjectsResponse>, Status> {
        self.0.caller(&request.get_ref().token, request.metadata())?;
        let ListProjectsRequest { page_size, page_token, .. } = request.get_ref();
        let asked = size(*page_size, DEFAULT_PAGE).and_then(|size| Ok((size, after(PROJECTS, page_token)?)));
        let (size, after) = asked.map_err(|rejection| status::rejected(&rejection))?;
        let first = ProjectId(after.map_or(0, |[id]| id));
        let mut rows = self.0.store.projects(first, size + 1).await.map_err(|error| status::store(&error))?;
        let more = cut(&mut rows, size);
        let next = rows.last().filter(|_| more).map(|last| token(PROJECTS, [last.id.0]));
        let mut projects = Vec::with_capacity(rows.len());
        for row in &rows {
            projects.push(self.summary(row).await?);
        }
        Ok(Response::new(ListProjectsResponse { projects, next_page_token: next.unwrap_or_default() }))
    }

    async fn list_tips(&self, request: Request<ListTipsRequest>) -> Result<Response<ListTipsResponse>, Status> {
        self.0.caller(&request.get_ref().token, request.metadata())?;
        let ListTipsRequest { project, page_size, page_token, .. } = request.get_ref();
        let asked = size(*page_size, DEFAULT_PAGE).and_then(|size| Ok((size, after(TIPS, page_token)?)));
        let (size, after) = asked.map_err(|rejection| status::rejected(&rejection))?;
        let project = self.find(project).await?;
        // Databases count in signed numbers; no tip has a larger one.
        let before = after.map_or(i64::MAX.unsigned_abs(), |[number]| number);
        let rows = self.0.store.tips(project.id, before, size + 1).await;
        let mut rows: Vec<TipRow> = rows.map_err(|error| status::store(&error))?;
        let more = cut(&mut rows, size);
        let next = rows.last().filter(|_| more).map(|last| token(TIPS, [last.number]));
        let mut tips = Vec::with_capacity(rows.len());
        for row in rows {
            tips.push(TipSummary {
                number: wire(row.number),
                from: self.0.user_name(row.from).await?,
                amount_micro: row.amount.micro(),
                message: row.message,
                at_unix_ms: row.at.0,
            });
        }
        Ok(Response::new(ListTipsResponse { tips, next_page_token: next.unwrap_or_default() }))
    }

    async fn tip(&self, request: Request<TipRequest>) -> Result<Response<TransferResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let answer = match command(caller.id, request.into_inner()) {
            Ok(command) => moved("tipped", self.0.writer.apply(command).await)?,
            Err(rejection) => not_moved(&rejection),
        };
        Ok(Response::new(answer))
    }
}

impl ProjectCalls {
    async fn collect(&self, command: Command) -> Result<Response<CollectTipsResponse>, Status> {
        match self.0.writer.apply(command).await.map_err(|refused| status::refused(&refused))? {
            Reply::Collected { amount } => Ok(Response::new(CollectTipsResponse { amount_micro: amount.micro() })),
            other => Err(wrong_reply(&other)),
        }
    }

    /// The project of that name.
    async fn find(&self, name: &str) -> Result<ProjectRow, Status> {
        let row = match name.len() <= LOOKED_UP_BYTES {
            true => self.0.store.project_by_name(name).await.map_err(|error| status::store(&error))?,
            false => None,
        };
        row.ok_or_else(|| {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(LOOKED_UP_BYTES).collect();
            let code = hivemind_model::Code::NotFound;
            status::rejected(&Rejection::field(code, "project", format!("no project is called `{shown}`")))
        })
    }

    async fn summary(&self, row: &ProjectRow) -> Result<ProjectSummary, Status> {
        Ok(ProjectSummary {
            project_id: row.id.to_string(),
            name: row.name.clone(),
            repository: row.repository.clone(),
            owner: self.0.user_name(row.owner).await?,
            state: row.state.as_str().into(),
            registered_at_unix_ms: row.registered_at.0,
            tips: wire(row.tips),
            tipped_micro: row.tipped.micro(),
        })
    }
}

fn command(from: UserId, request: TipRequest) -> Result<Command, Rejection> {
    let amount = amount(request.amount, request.amount_micro)?;
    let once = once("tip_id", from, &request.tip_id, || {
        let body = TipRequest { token: String::new(), tip_id: String::new(), ..request.clone() };
        // A transfer to a user of that name is written in the same bytes.
        [b"tip:".as_slice(), &body.encode_to_vec()].concat()
    })?;
    let TipRequest { project, message, .. } = request;
    Ok(Command::Tip { from, project, amount, message, once })
}

fn wire(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
