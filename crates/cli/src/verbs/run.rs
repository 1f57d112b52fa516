//! `run`: a task as if it ran here. Its output is ours, its exit code is ours, Ctrl-C ends it.
//!
//! Start at [`run`], then [`Attendance`]. Until the pool has accepted the task a refusal has its
//! usual exit code; from then on whatever the platform does wrong is 125.
//!
//! Invariant: once accepted, this never ends without telling how to find the task again, unless
//! the task has ended.

use super::output::{CUT, Output};
use super::request::{self, Asked};
use super::{Context, fetch};
use crate::args::RunArgs;
use crate::args::array::ArrayOptions;
use crate::exit::Exit;
use crate::face::Face;
use crate::failure::{Done, Failure};
use crate::progress::Spinner;
use crate::show::task::advice;
use crate::show::tasks::Task;
use crate::show::{Amount, Word};
use crate::signals::Interrupts;
use futures::StreamExt;
use hivemind_client::{Client, Existing, Submitted, Until};
use hivemind_model::ids::ElementRef;
use hivemind_model::{TaskId, TaskState};
use hivemind_proto::v1::{TaskEvent, TaskStatusResponse};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;
use tokio::time::Instant;

/// How long a cancelled task may take to end before this program leaves.
const CANCEL_WAIT: Duration = Duration::from_secs(30);

/// How long the answer to a submission may still take once the user went away.
const UNDO_WAIT: Duration = Duration::from_secs(5);

/// Runs a task and passes its output and exit code on.
///
/// # Errors
/// The pool refuses the task, or loses sight of it.
pub async fn run(ctx: &mut Context, args: &RunArgs) -> Done {
    let mut interrupts = Interrupts::listen()?;
    let Some((client, submitted)) = hand_in(ctx, args, &mut interrupts).await? else { return Ok(Exit::Interrupted) };
    let task = submitted.task;
    if args.detach {
        let cap = serde_json::to_value(Amount::of(submitted.cap.micro())).unwrap_or_default();
        ctx.face.show(&Word::new("task", task.to_string()).with("price_cap", cap))?;
        return Ok(Exit::Ok);
    }
    let attendance = Attendance::new(&client, task, &mut ctx.face);
    let lost = |failure: Failure| {
        let fix = if failure.fix.is_empty() {
            format!("the task may go on: `hivemind logs -f {task}`")
        } else {
            format!("{}; the task may go on: `hivemind logs -f {task}`", failure.fix)
        };
        failure.fix(fix).exit(Exit::Platform)
    };
    let answer = match attendance.attend(&mut interrupts).await.map_err(lost)? {
        Attended::Ended(answer) => answer,
        Attended::Interrupted => return Ok(Exit::Interrupted),
    };
    if let Some(dir) = &args.to {
        let has_output = answer.task.as_ref().is_some_and(|task| task.has_output);
        match has_output {
            true => fetch::into(&client, ElementRef::only(task), dir, Existing::Refuse, &mut ctx.face)
                .await
                .map(|_| ())
                .map_err(|failure| failure.exit(Exit::Platform))?,
            false => ctx.face.warn("the task left no files"),
        }
    }
    ending(task, *answer)
}

/// Connects, uploads and submits; `None` where the user went away before the pool had accepted.
async fn hand_in(ctx: &mut Context, args: &RunArgs, interrupts: &mut Interrupts) -> Done<Option<(Client, Submitted)>> {
    let array = ArrayOptions::default();
    let asked = Asked { options: &args.options, array: &array, conditions: &args.conditions, program: &args.program };
    let prepared = request::prepare(asked, Path::new(""))?;
    let preparing = async {
        let client = ctx.user().await?;
        let request = request::send(&client, prepared, &mut ctx.face).await?;
        Ok::<_, Failure>((client, request))
    };
    let (client, request) = tokio::select! {
        biased;
        prepared = preparing => prepared?,
        // Nothing has been asked of the pool that would cost anything.
        () = interrupts.next() => return Ok(None),
    };
    let mut submitting = pin!(client.submit(request));
    tokio::select! {
        biased;
        submitted = &mut submitting => return Ok(Some((client.clone(), submitted?))),
        () = interrupts.next() => {}
    }
    // What the pool may have accepted is not left running, where that can be found out soon.
    let undoing = async {
        match submitting.await {
            Ok(submitted) => client.cancel(submitted.task).await.is_ok(),
            Err(error) => Failure::from(error).exit != Exit::Unreachable,
        }
    };
    let is_undone = tokio::select! {
        undone = tokio::time::timeout(UNDO_WAIT, undoing) => undone.unwrap_or(false),
        () = interrupts.next() => false,
    };
    if !is_undone {
        ctx.face.warn("it is not known whether the pool accepted the task; `hivemind ps` tells");
    }
    Ok(None)
}

/// How the task's end becomes ours.
fn ending(id: TaskId, answer: TaskStatusResponse) -> Done {
    let failed = |exit: Exit, what: String, fix: Option<String>| {
        let (code, text) = what.split_once(": ").unwrap_or(("E_FAILED", &what));
        let fix = fix.unwrap_or_else(|| format!("`hivemind status {id}` tells more"));
        Err(Failure::new(exit, code, format!("{id}: {text}")).fix(fix))
    };
    let message = answer.error_message.clone();
    let Some(task) = answer.task.map(Task::from) else {
        return failed(Exit::Platform, "E_PROTOCOL: the pool's answer has no task in it".into(), None);
    };
    let fix = advice(&task);
    match (TaskState::parse(&answer.status), message.split(':').next().unwrap_or_default(), task.exit_code) {
        (Some(TaskState::Completed), _, _) => Ok(Exit::Ok),
        (Some(TaskState::Cancelled), _, _) => failed(Exit::Failure, "E_CANCELLED: the task was cancelled".into(), None),
        (_, "E_EXIT", Some(code)) => Ok(Exit::Task(as_ours(code))),
        // As a shell tells it: 128 and the number of SIGKILL.
        (_, "E_OUT_OF_MEMORY", _) => failed(Exit::Task(137), message, fix),
        (_, "E_TIMED_OUT", _) => failed(Exit::TimedOut, message, fix),
        _ => failed(Exit::Platform, message, fix),
    }
}

/// An exit code of the task as one of ours; what is no success never becomes one.
fn as_ours(code: i32) -> u8 {
    u8::try_from(code).ok().filter(|code| *code != 0).unwrap_or(1)
}

/// How attending a task ended.
enum Attended {
    /// The task has ended.
    Ended(Box<TaskStatusResponse>),
    /// The user went away.
    Interrupted,
}

/// Attends one task: passes its output on, shows what it waits for, and ends it on Ctrl-C.
struct Attendance<'a> {
    client: &'a Client,
    task: TaskId,
    face: &'a mut Face,
    output: Output,
    spinner: Spinner,
    cancelled: Option<Instant>,
}

impl<'a> Attendance<'a> {
    fn new(client: &'a Client, task: TaskId, face: &'a mut Face) -> Self {
        let spinner = Spinner::start(face.is_live(), &format!("{task}: waiting"));
        Self { client, task, face, output: Output::default(), spinner, cancelled: None }
    }

    /// Follows the output and the state until both have come to their end.
    async fn attend(mut self, interrupts: &mut Interrupts) -> Done<Attended> {
        let client = self.client.clone();
        let tasks = [self.task];
        let spinner = self.spinner.clone();
        let mut parts = client.follow_logs(self.task, Until::End);
        let mut ended = pin!(client.wait_with(&tasks, move |event| spinner.say(&state_line(event))));
        let (mut all_passed, mut has_ended) = (false, false);
        while !(all_passed && has_ended) {
            let leave_at = self.cancelled.map(|since| since + CANCEL_WAIT);
            tokio::select! {
                part = parts.next(), if !all_passed => match part {
                    Some(part) => {
                        self.spinner.clear();
                        self.output.pass(&part?, self.face)?;
                    }
                    None => all_passed = true,
                },
                state = &mut ended, if !has_ended => {
                    state?;
                    has_ended = true;
                }
                () = interrupts.next() => {
                    if self.interrupt() { return Ok(Attended::Interrupted) }
                }
                () = until(leave_at) => {
                    self.face.warn(&format!("{} has not ended yet; `hivemind status {}` tells when it has", self.task, self.task));
                    return Ok(Attended::Interrupted);
                }
            }
        }
        self.spinner.clear();
        if self.cancelled.is_some() {
            return Ok(Attended::Interrupted);
        }
        let answer = self.client.status(self.task).await?;
        if answer.attempts.last().is_some_and(|last| last.logs_cut) {
            self.face.warn(CUT);
        }
        Ok(Attended::Ended(Box::new(answer)))
    }

    /// The first time ends the task, the second time this program. True: leave.
    fn interrupt(&mut self) -> bool {
        self.spinner.clear();
        if self.cancelled.is_some() {
            return true;
        }
        self.cancelled = Some(Instant::now());
        self.face.say(&format!("cancelling {}; once more to leave at once", self.task));
        let (client, task) = (self.client.clone(), self.task);
        tokio::spawn(async move {
            if let Err(error) = client.cancel(task).await {
                tracing::error!("{task} was not cancelled: {error}");
            }
        });
        false
    }
}

impl Drop for Attendance<'_> {
    fn drop(&mut self) {
        self.spinner.clear();
    }
}

/// What a task does at this moment, for a terminal.
fn state_line(event: &TaskEvent) -> String {
    let state = if event.status == TaskState::Pending.as_str() { "waiting" } else { &event.status };
    let note = if event.note.is_empty() { String::new() } else { format!(" ({})", event.note) };
    let progress = if event.progress > 0 { format!(" {} %", event.progress) } else { String::new() };
    crate::face::harmless(&format!("{}: {state}{progress}{note}", event.task_id))
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
