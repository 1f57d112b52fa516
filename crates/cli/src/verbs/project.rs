//! `project`: open-source projects and the tips they get.
//!
//! Invariant: what cannot be said twice with the same answer (register, collect, close) is asked
//! once, and where the answer was lost, its user is told how to find out.

use super::Context;
use super::listing::{and_one, collect, tell_more};
use crate::args::ProjectVerb;
use crate::args::money::Much;
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::show::projects::{Project, Projects, Tips};
use crate::show::{Amount, Said};
use hivemind_client::ClientError;
use hivemind_model::Cpt;
use serde_json::json;

const NAMES: &str = "`hivemind project list` shows the names";
const LOST_REGISTRATION: &str = "it is not known whether it was registered; `hivemind project list` tells";
const LOST_TIPS: &str = "it is not known whether it was done; `hivemind wallet statement --kind collect` tells";

/// Does what was asked with projects.
///
/// # Errors
/// The project does not exist or is somebody else's, nobody is logged in, or the pool does not
/// answer.
pub async fn project(ctx: &mut Context, verb: &ProjectVerb) -> Done {
    match verb {
        ProjectVerb::Register { name, repository } => register(ctx, name, repository).await,
        ProjectVerb::List { much } => list(ctx, much).await,
        ProjectVerb::Tips { project, much } => tips(ctx, project, much).await,
        ProjectVerb::Collect { project } => collect_tips(ctx, project).await,
        ProjectVerb::Close { project } => close(ctx, project).await,
    }
}

async fn register(ctx: &mut Context, name: &str, repository: &str) -> Done {
    let registered = ctx.user().await?.register_project(name, repository).await;
    let registered = registered.map_err(|error| explained(error, LOST_REGISTRATION))?;
    ctx.face.show(&Project::from(registered))?;
    Ok(Exit::Ok)
}

async fn list(ctx: &mut Context, much: &Much) -> Done {
    let most = much.lines();
    let client = ctx.user().await?;
    let (projects, more) = collect(client.project_lines(and_one(most)), most).await?;
    ctx.face.show(&Projects { projects, more })?;
    tell_more(&mut ctx.face, much, more);
    Ok(Exit::Ok)
}

async fn tips(ctx: &mut Context, project: &str, much: &Much) -> Done {
    let most = much.lines();
    let client = ctx.user().await?;
    let (tips, more) = collect(client.tip_lines(project, and_one(most)), most).await.map_err(unknown)?;
    ctx.face.show(&Tips { project: project.to_owned(), tips, more })?;
    tell_more(&mut ctx.face, much, more);
    Ok(Exit::Ok)
}

async fn collect_tips(ctx: &mut Context, project: &str) -> Done {
    let amount = ctx.user().await?.collect_tips(project).await.map_err(|error| explained(error, LOST_TIPS))?;
    show_taken(ctx, project, amount, format!("collected {amount} from {project}"))
}

async fn close(ctx: &mut Context, project: &str) -> Done {
    let amount = ctx.user().await?.close_project(project).await.map_err(|error| explained(error, LOST_TIPS))?;
    show_taken(ctx, project, amount, format!("closed {project}; collected {amount}"))
}

fn show_taken(ctx: &mut Context, project: &str, amount: Cpt, text: String) -> Done {
    let amount = Amount::of(amount.micro());
    let bare = amount.cpt.clone();
    ctx.face.show(&Said::new(text, json!({"project": project, "amount": amount})).bare(bare))?;
    Ok(Exit::Ok)
}

fn explained(error: ClientError, lost: &str) -> Failure {
    let failure = unknown(error.into());
    if failure.exit == Exit::Unreachable { failure.fix(lost) } else { failure }
}

/// The usual advice is about tasks.
fn unknown(failure: Failure) -> Failure {
    if failure.exit == Exit::NotFound { failure.fix(NAMES) } else { failure }
}
