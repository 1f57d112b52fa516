//! `logs`: what a task, or an element of an array, wrote.
//!
//! Invariant: the bytes of one element are never mixed with those of another.

use super::output::{CUT, Output};
use super::{Context, no_task};
use crate::args::LogsArgs;
use crate::exit::Exit;
use crate::face::Face;
use crate::failure::{Done, Failure};
use crate::selector::Selection;
use futures::StreamExt;
use hivemind_client::{Client, Events, LogPart, Until};
use hivemind_model::TaskId;
use hivemind_model::ids::ElementRef;
use hivemind_proto::v1::AttemptSummary;

/// Prints what was written, byte by byte.
///
/// # Errors
/// The task does not exist, it is an array and no element was named, or the pool stays away.
pub async fn logs(ctx: &mut Context, args: &LogsArgs) -> Done {
    let selection = Selection::read(&args.task, args.elements.elements.as_ref())?;
    let until = if args.follow { Until::End } else { Until::Now };
    let Some(elements) = &selection.elements else { return plain(ctx, selection.task, until).await };
    let one = selection.only().is_some();
    if args.follow && !one {
        return Err(Failure::usage("--follow is about one element, and more are named")
            .fix("follow one of them, or leave --follow out to read one after the other"));
    }
    let client = ctx.user().await?;
    for index in elements.iter() {
        let element = ElementRef { task: selection.task, index };
        if !one {
            ctx.face.say(&format!("== {}[{index}]", selection.task));
        }
        pass(client.follow_logs_of(element, until), &mut ctx.face).await?;
        tell_cut(&client.status_of(element.task, index).await?.attempts, &mut ctx.face);
    }
    Ok(Exit::Ok)
}

async fn plain(ctx: &mut Context, task: TaskId, until: Until) -> Done {
    let client = ctx.user().await?;
    refuse_array(&client, task).await?;
    pass(client.follow_logs(task, until), &mut ctx.face).await?;
    tell_cut(&client.status(task).await?.attempts, &mut ctx.face);
    Ok(Exit::Ok)
}

async fn refuse_array(client: &Client, task: TaskId) -> Done<()> {
    let summary = client.status(task).await?.task.ok_or_else(no_task)?;
    if summary.array.is_empty() {
        return Ok(());
    }
    let first = summary.array.split([',', '-']).next().unwrap_or_default();
    let fix = format!("name one of {}, as in `hivemind logs '{task}[{first}]'`", summary.array);
    Err(Failure::usage(format!("{task} is an array, and each of its elements writes for itself"))
        .fix(crate::face::harmless(&fix)))
}

async fn pass(mut parts: Events<LogPart>, face: &mut Face) -> Done<()> {
    let mut output = Output::default();
    while let Some(part) = parts.next().await {
        output.pass(&part?, face)?;
    }
    Ok(())
}

fn tell_cut(attempts: &[AttemptSummary], face: &mut Face) {
    if attempts.last().is_some_and(|last| last.logs_cut) {
        face.warn(CUT);
    }
}
