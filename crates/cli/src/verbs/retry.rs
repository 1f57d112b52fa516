//! `retry`: what did not complete of a task that has ended, handed in again.
//!
//! Invariant: the old task stays as it is; what runs again is a new task with its own price cap.

use super::{Context, submit};
use crate::args::RetryArgs;
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::selector::Selection;
use futures::TryStreamExt;
use hivemind_client::{Again, Client, Wanted};
use hivemind_model::array::Indices;

/// Hands elements in again and prints the id of the new task.
///
/// # Errors
/// The task has not ended, nothing is left to try again, or the pool refuses it or does not answer.
pub async fn retry(ctx: &mut Context, args: &RetryArgs) -> Done {
    let selection = Selection::read(&args.task, args.elements.elements.as_ref())?;
    let client = ctx.user().await?;
    let elements = if args.failed { failed(&client, &selection).await? } else { selection.indices() };
    let again = Again { elements, max_price: args.max_price, request_id: String::new() };
    let submitted = client.retry(selection.task, again).await?;
    submit::told(ctx, &client, submitted, args.wait).await
}

/// The failed ones of the selected elements.
async fn failed(client: &Client, selection: &Selection) -> Done<String> {
    let wanted = Wanted { elements: selection.indices(), states: vec!["failed".into()] };
    let found = client.elements(selection.task, wanted, usize::MAX).map_ok(|element| element.index);
    let found: Vec<u32> = found.try_collect().await?;
    if found.is_empty() {
        return Err(Failure::new(Exit::Conflict, "E_CONFLICT", format!("no element of {selection} failed"))
            .fix(format!("`hivemind status {}` tells how it stands", selection.task)));
    }
    let indices = Indices::of(found).map_err(|bad| Failure::usage(format!("the failed elements: {bad}")))?;
    Ok(indices.to_string())
}
