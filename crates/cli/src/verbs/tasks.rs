//! `submit`, `wait`, `status`, `ps`, `logs`, `cancel`.
//!
//! Invariant: reads are paged; nothing here asks for an unbounded answer at once.

use super::output::{CUT, Output};
use super::{Context, request, task_id, task_ids};
use crate::args::{LogsArgs, PsArgs, StatusArgs, SubmitArgs, WaitArgs};
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::show::money::{Entries, Line};
use crate::show::task::TaskDetail;
use crate::show::tasks::{Task, Tasks};
use crate::show::{Amount, Said, Word};
use futures::StreamExt;
use hivemind_client::{Client, Until};
use hivemind_model::TaskState;
use hivemind_proto::v1::ListTasksRequest;
use serde_json::json;

/// Ended tasks that `ps` shows without `--all`.
const RECENT: i32 = 20;
/// Tasks in one answer.
const PAGE: i32 = 1000;

/// Hands a task in and prints its id.
///
/// # Errors
/// The pool refuses it or does not answer.
pub async fn submit(ctx: &mut Context, args: &SubmitArgs) -> Done {
    let client = ctx.user().await?;
    let request = request::build(&client, &args.options, &args.program, &mut ctx.face).await?;
    let submitted = client.submit(request).await?;
    let cap = serde_json::to_value(Amount::of(submitted.cap.micro())).unwrap_or_default();
    ctx.face.show(&Word::new("task", submitted.task.to_string()).with("price_cap", cap))?;
    Ok(Exit::Ok)
}

/// Waits until tasks have ended; success is that all of them completed.
///
/// # Errors
/// A task does not exist, the time is up, or the pool stays away.
pub async fn wait(ctx: &mut Context, args: &WaitArgs) -> Done {
    let ids = task_ids(&args.tasks.tasks)?;
    let client = ctx.user().await?;
    let all = client.wait(&ids);
    let states = match args.timeout {
        None => all.await?,
        Some(limit) => tokio::time::timeout(limit, all).await.map_err(|_| {
            Failure::new(Exit::TimedOut, "E_WAIT_TIMED_OUT", "not all tasks have ended in the time given; they go on")
                .fix("wait again, with a longer --timeout")
        })??,
    };
    let mut tasks = Vec::with_capacity(ids.len());
    for id in ids {
        tasks.extend(client.status(id).await?.task.map(Task::from));
    }
    ctx.face.show(&Tasks { tasks, more: false })?;
    let good = states.iter().all(|(_, state)| *state == TaskState::Completed);
    Ok(if good { Exit::Ok } else { Exit::Failure })
}

/// Tells everything about a task, or the journal entries about it.
///
/// # Errors
/// It does not exist, or the pool does not answer.
pub async fn status(ctx: &mut Context, args: &StatusArgs) -> Done {
    let task = task_id(&args.task)?;
    let client = ctx.user().await?;
    if args.entries {
        let answer = client.task_entries(task).await?;
        let lines = answer.lines.into_iter().map(Line::from).collect();
        ctx.face.show(&Entries { task: task.to_string(), lines, more: answer.cut })?;
        if answer.cut {
            ctx.face.warn(&format!(
                "there are newer ones: `hivemind wallet statement --task {task} --csv` has all of yours"
            ));
        }
        return Ok(Exit::Ok);
    }
    let answer = client.status(task).await?;
    let detail = TaskDetail::of(answer).ok_or_else(|| {
        Failure::new(Exit::Failure, "E_PROTOCOL", "the pool's answer has no task in it; it is older than this program")
    })?;
    ctx.face.show(&detail)?;
    Ok(Exit::Ok)
}

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

/// Prints what a task wrote, byte by byte.
///
/// # Errors
/// It does not exist, or the pool stays away.
pub async fn logs(ctx: &mut Context, args: &LogsArgs) -> Done {
    let task = task_id(&args.task)?;
    let client = ctx.user().await?;
    let mut parts = client.follow_logs(task, if args.follow { Until::End } else { Until::Now });
    let mut output = Output::default();
    while let Some(part) = parts.next().await {
        output.pass(&part?, &mut ctx.face)?;
    }
    if let Some(last) = client.status(task).await?.attempts.last()
        && last.logs_cut
    {
        ctx.face.warn(CUT);
    }
    Ok(Exit::Ok)
}

/// Ends tasks that have not ended.
///
/// # Errors
/// A task does not exist, or the pool does not answer. The ones before it are cancelled.
pub async fn cancel(ctx: &mut Context, tasks: &[String]) -> Done {
    let ids = task_ids(tasks)?;
    let client = ctx.user().await?;
    let (mut lines, mut names, mut facts) = (Vec::new(), Vec::new(), Vec::new());
    let mut missed: Option<Failure> = None;
    for id in ids {
        match client.cancel(id).await {
            Ok(state) => {
                lines.push(format!("{id} {state}"));
                names.push(id.to_string());
                facts.push(json!({"task": id.to_string(), "state": state.as_str()}));
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
