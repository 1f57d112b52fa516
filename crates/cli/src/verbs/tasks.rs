//! `ps`, `cancel`.
//!
//! Invariant: reads are paged; nothing here asks for an unbounded answer at once.

use super::Context;
use crate::args::{CancelArgs, PsArgs};
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::selector::read_all;
use crate::show::Said;
use crate::show::tasks::{Task, Tasks};
use hivemind_client::Client;
use hivemind_model::TaskState;
use hivemind_proto::v1::ListTasksRequest;
use serde_json::json;

/// Ended tasks that `ps` shows without `--all`.
const RECENT: i32 = 20;
/// Tasks in one answer.
const PAGE: i32 = 1000;

/// Lists tasks.
///
/// # Errors
/// Nobody is logged in, or the pool does not answer.
pub async fn ps(ctx: &mut Context, args: &PsArgs) -> Done {
    let client = ctx.user().await?;
    let wanted = |open: bool| {
        let states = TaskState::ALL
            .into_iter()
            .filter(|state| state.is_terminal() != open)
            .map(|state| state.as_str().to_owned());
        states.filter(|word| args.state.is_empty() || args.state.contains(word)).collect::<Vec<_>>()
    };
    let mut tasks = Tasks::default();
    for (states, whole) in [(wanted(true), true), (wanted(false), args.all)] {
        if !states.is_empty() {
            tasks.more |= collect(&client, states, whole, &mut tasks.tasks).await?;
        }
    }
    tasks.tasks.sort_by_key(|task| {
        (
            std::cmp::Reverse(task.submitted_at_unix_ms),
            std::cmp::Reverse(task.task.parse::<hivemind_model::TaskId>().ok()),
        )
    });
    ctx.face.show(&tasks)?;
    if tasks.more {
        ctx.face.say("there are older ones: `hivemind ps --all`");
    }
    Ok(Exit::Ok)
}

/// Reads the list page by page; true where there is more than was read.
async fn collect(client: &Client, status: Vec<String>, whole: bool, into: &mut Vec<Task>) -> Done<bool> {
    let page_size = if whole { PAGE } else { RECENT };
    let mut page_token = String::new();
    loop {
        let page = client
            .list(ListTasksRequest { status: status.clone(), page_size, page_token, ..ListTasksRequest::default() })
            .await?;
        into.extend(page.tasks.into_iter().map(Task::from));
        page_token = page.next_page_token;
        if page_token.is_empty() || !whole {
            return Ok(!page_token.is_empty());
        }
    }
}

/// Ends tasks, or elements of them, that have not ended.
///
/// # Errors
/// A task does not exist, or the pool does not answer. The ones before it are cancelled.
pub async fn cancel(ctx: &mut Context, args: &CancelArgs) -> Done {
    let selections = read_all(&args.tasks.tasks, args.elements.elements.as_ref())?;
    let client = ctx.user().await?;
    let (mut lines, mut names, mut facts) = (Vec::new(), Vec::new(), Vec::new());
    let mut missed: Option<Failure> = None;
    for selection in selections {
        let task = selection.task;
        let cancelled = match &selection.elements {
            None => client.cancel(task).await,
            Some(elements) => client.cancel_elements(task, &elements.to_string()).await,
        };
        match cancelled {
            Ok(state) => {
                let elements = selection.elements.as_ref().map(ToString::to_string);
                lines.push(match &elements {
                    None => format!("{task} {state}"),
                    Some(elements) => format!("{task} {state}, its elements {elements} are cancelled or had ended"),
                });
                names.push(task.to_string());
                facts.push(json!({"task": task.to_string(), "state": state.as_str(), "elements": elements}));
            }
            Err(error) => {
                let failure = Failure::from(error);
                if failure.exit == Exit::Unreachable {
                    return Err(failure);
                }
                if let Some(earlier) = missed.replace(failure) {
                    ctx.face.fail(&earlier);
                }
            }
        }
    }
    ctx.face.show(&Said::new(lines.join("\n"), json!({"tasks": facts})).bare(names.join("\n")))?;
    missed.map_or(Ok(Exit::Ok), Err)
}
