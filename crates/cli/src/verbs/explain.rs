//! `explain`: why a task waits or failed, and what would make it run.
//!
//! Invariant: that a task waits or failed is no failure of this command.

use super::{Context, task_id};
use crate::args::ExplainArgs;
use crate::exit::Exit;
use crate::failure::Done;
use crate::show::explain::Explanation;

/// Asks the pool why a task stands where it stands, and shows it.
///
/// # Errors
/// The task is not there or somebody else's, or the pool does not answer.
pub async fn explain(ctx: &mut Context, args: &ExplainArgs) -> Done {
    let task = task_id(&args.task)?;
    let answer = ctx.user().await?.explain(task).await?;
    ctx.face.show(&Explanation::from(answer))?;
    Ok(Exit::Ok)
}
