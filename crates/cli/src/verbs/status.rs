//! `status`: a task, an array, an element, or many of them.
//!
//! Invariant: what is listed has a bound; an array is never read whole to be counted.

use super::listing::{self, and_one, collect};
use super::{Context, no_task};
use crate::args::StatusArgs;
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::selector::Selection;
use crate::show::elements::{Element, ElementDetail, Elements, by_message};
use crate::show::failures::Failures;
use crate::show::money::{Entries, Line};
use crate::show::task::TaskDetail;
use hivemind_client::{Client, Wanted};
use hivemind_model::ids::ElementRef;
use hivemind_model::{Code, TaskId};
use hivemind_proto::v1::ListElementsRequest;

/// Failed elements that are looked at to group them by what they said.
const LOOKED_AT: usize = 1000;

/// Tells everything about a task, lists elements of it, or the journal entries about it.
///
/// # Errors
/// It does not exist, or the pool does not answer.
pub async fn status(ctx: &mut Context, args: &StatusArgs) -> Done {
    let selection = Selection::read(&args.task, args.elements.elements.as_ref())?;
    if args.entries {
        return entries(ctx, selection.task).await;
    }
    if args.failures {
        return failures(ctx, &selection).await;
    }
    let states = if args.failed { vec!["failed".to_owned()] } else { args.state.clone() };
    match selection.only() {
        Some(element) if states.is_empty() => one(ctx, element).await,
        None if selection.elements.is_none() && states.is_empty() && !args.much.all && args.much.limit.is_none() => {
            whole(ctx, selection.task).await
        }
        Some(_) | None => list(ctx, &selection, states, args).await,
    }
}

async fn whole(ctx: &mut Context, task: TaskId) -> Done {
    let client = ctx.user().await?;
    let answer = client.status(task).await?;
    let mut detail = TaskDetail::of(answer, ctx.face.look.now).ok_or_else(no_task)?;
    let failed = detail.task.elements.is_some_and(|counts| counts.failed > 0);
    if let (true, Some(progress)) = (failed, detail.array_progress.as_mut()) {
        let wanted = Wanted { elements: String::new(), states: vec!["failed".into()] };
        let (elements, more) =
            collect::<_, Element>(client.elements(task, wanted, and_one(LOOKED_AT)), LOOKED_AT).await?;
        progress.failures = by_message(&elements);
        progress.more_failures = more;
    }
    ctx.face.show(&detail)?;
    Ok(Exit::Ok)
}

async fn list(ctx: &mut Context, selection: &Selection, states: Vec<String>, args: &StatusArgs) -> Done {
    let client = ctx.user().await?;
    let most = args.much.lines();
    let wanted = Wanted { elements: selection.indices(), states };
    let (elements, more) = collect(client.elements(selection.task, wanted, and_one(most)), most).await?;
    ctx.face.show(&Elements { task: selection.task.to_string(), elements, more })?;
    listing::tell_more(&mut ctx.face, &args.much, more);
    Ok(Exit::Ok)
}

async fn one(ctx: &mut Context, element: ElementRef) -> Done {
    let client = ctx.user().await?;
    let detail = detail(&client, element).await?;
    ctx.face.show(&detail)?;
    Ok(Exit::Ok)
}

async fn detail(client: &Client, element: ElementRef) -> Done<ElementDetail> {
    let ElementRef { task, index } = element;
    let request = ListElementsRequest {
        task_id: task.to_string(),
        elements: index.to_string(),
        page_size: 1,
        ..ListElementsRequest::default()
    };
    let found = client.list_elements(request).await?.elements.into_iter().find(|found| found.index == index);
    let found = found.ok_or_else(|| {
        Failure::refusal(Code::NotFound, format!("{task} has no element {index}"))
            .fix(format!("`hivemind status {task}` tells which it has"))
    })?;
    let attempts = client.status_of(task, index).await?.attempts;
    Ok(ElementDetail::of(task.to_string(), found.into(), attempts))
}

async fn failures(ctx: &mut Context, selection: &Selection) -> Done {
    if selection.elements.is_some() {
        return Err(Failure::usage("--failures is about the whole task").fix("name the task without its elements"));
    }
    let answer = ctx.user().await?.failure_groups(selection.task).await?;
    ctx.face.show(&Failures::of(selection.task.to_string(), answer))?;
    Ok(Exit::Ok)
}

async fn entries(ctx: &mut Context, task: TaskId) -> Done {
    let answer = ctx.user().await?.task_entries(task).await?;
    let lines = answer.lines.into_iter().map(Line::from).collect();
    ctx.face.show(&Entries { task: task.to_string(), lines, more: answer.cut })?;
    if answer.cut {
        ctx.face
            .warn(&format!("there are newer ones: `hivemind wallet statement --task {task} --csv` has all of yours"));
    }
    Ok(Exit::Ok)
}
