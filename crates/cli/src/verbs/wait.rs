//! `wait`, and `--wait` of what hands in: to the end of tasks, with what there is to see meanwhile.
//!
//! Start at [`to_the_end`].
//!
//! Invariant: what is shown meanwhile never ends the wait; only the pool says what has ended.

use super::{Context, task_ids};
use crate::args::WaitArgs;
use crate::exit::Exit;
use crate::face::Face;
use crate::failure::{Done, Failure};
use crate::progress::Spinner;
use crate::show::array::{Counts, Progress};
use crate::show::tasks::{Task, Tasks};
use hivemind_client::Client;
use hivemind_model::{TaskId, TaskState, Timestamp};
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often a line on a terminal is drawn anew.
const REDRAWN: Duration = Duration::from_secs(1);
/// How often a line is written where it stays.
const WRITTEN: Duration = Duration::from_secs(10);
/// Arrays that are told about meanwhile.
const MOST_ARRAYS: usize = 10;

/// Waits until tasks have ended; success is that all of them completed.
///
/// # Errors
/// A task does not exist, the time is up, or the pool stays away.
pub async fn wait(ctx: &mut Context, args: &WaitArgs) -> Done {
    let ids = task_ids(&args.tasks.tasks)?;
    let client = ctx.user().await?;
    to_the_end(ctx, &client, ids, args.timeout).await
}

/// Waits until `ids` have ended, and lists them; success is that all of them, and all elements of
/// arrays, completed.
///
/// # Errors
/// As [`wait`].
pub async fn to_the_end(ctx: &mut Context, client: &Client, ids: Vec<TaskId>, limit: Option<Duration>) -> Done {
    let all = follow(client, &ids, &mut ctx.face);
    let states = match limit {
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
    let good = is_good(&states, &tasks);
    ctx.face.show(&Tasks { tasks, more: false })?;
    Ok(if good { Exit::Ok } else { Exit::Failure })
}

fn is_good(states: &[(TaskId, TaskState)], tasks: &[Task]) -> bool {
    let whole = |counts: &Counts| counts.completed == counts.total;
    states.iter().all(|(_, state)| *state == TaskState::Completed)
        && tasks.iter().filter(|task| task.array.is_some()).filter_map(|task| task.elements.as_ref()).all(whole)
}

async fn follow(client: &Client, ids: &[TaskId], face: &mut Face) -> Done<Vec<(TaskId, TaskState)>> {
    let mut ended = pin!(client.wait(ids));
    let mut meter = Meter::start(ids, face);
    loop {
        tokio::select! {
            biased;
            states = &mut ended => return Ok(states?),
            () = meter.tick() => meter.show(client, face).await,
        }
    }
}

/// Tells how arrays get on.
struct Meter {
    interval: Interval,
    /// Not yet known to be no array, or at their end.
    left: Vec<TaskId>,
    spinner: Spinner,
    live: bool,
    said: String,
}

impl Meter {
    fn start(ids: &[TaskId], face: &Face) -> Self {
        let live = face.is_live();
        let mut interval = interval(if live { REDRAWN } else { WRITTEN });
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let left = ids.iter().take(MOST_ARRAYS).copied().collect();
        Self { interval, left, spinner: Spinner::start(live, "waiting"), live, said: String::new() }
    }

    async fn tick(&mut self) {
        self.interval.tick().await;
    }

    async fn show(&mut self, client: &Client, face: &mut Face) {
        // A pool that does not answer is waited for elsewhere.
        let client = client.with_patience(Duration::ZERO);
        let now = Timestamp(jiff::Timestamp::now().as_millisecond());
        let mut lines = Vec::new();
        let mut left = Vec::with_capacity(self.left.len());
        for id in std::mem::take(&mut self.left) {
            let task = match client.status(id).await {
                Ok(answer) => answer.task.map(Task::from),
                Err(error) => {
                    tracing::debug!(%error, "the state of {id} is not known now");
                    left.push(id);
                    continue;
                }
            };
            let Some(task) = task.filter(|task| task.array.is_some()) else { continue };
            lines.extend(line(&task, now));
            if task.ended_at.is_none() {
                left.push(id);
            }
        }
        self.left = left;
        let text = lines.join(if self.live { " | " } else { "\n" });
        if text.is_empty() || text == self.said {
            return;
        }
        match self.live {
            true => self.spinner.say(&text),
            false => face.say(&text),
        }
        self.said = text;
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.spinner.clear();
    }
}

/// How an array gets on, in one line.
fn line(task: &Task, now: Timestamp) -> Option<String> {
    let counts = task.elements?;
    let left = Progress::of(task, now)?.left().map(|left| format!("; {left}")).unwrap_or_default();
    let (so_far, cap) = (task.so_far(), &task.price_cap);
    Some(format!("{}: {}{left}; {} of at most {cap}", task.task, counts.line(), so_far.cpt))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hivemind_proto::v1::{ElementCounts, TaskSummary};

    fn array(completed: u32, failed: u32) -> Task {
        Task::from(TaskSummary {
            task_id: "task_12".into(),
            array: "1-1000".into(),
            submitted_at_unix_ms: 1_000,
            cost_micro: 500_000,
            accrued_micro: 250_000,
            price_cap_micro: 2_000_000,
            elements: Some(ElementCounts { total: 1000, completed, failed, cancelled: 0, running: 100 }),
            ..TaskSummary::default()
        })
    }

    #[test]
    fn an_array_tells_how_it_gets_on() {
        assert_eq!(
            line(&array(240, 10), Timestamp(11_000)).as_deref(),
            Some(
                "task_12: [#####x>>................] 240 of 1,000 completed, 10 failed, 100 running, 650 waiting; \
                 about 30s at 25 elements a second; 0.75 of at most 2.00 CPT"
            )
        );
        assert_eq!(line(&Task::from(TaskSummary::default()), Timestamp(0)), None);
    }

    #[test]
    fn good_is_only_what_completed_whole() {
        let id = TaskId(12);
        for (state, task, good) in [
            (TaskState::Completed, array(1000, 0), true),
            (TaskState::Completed, array(999, 1), false),
            (TaskState::Failed, array(1000, 0), false),
            (TaskState::Completed, Task::from(TaskSummary::default()), true),
            (TaskState::Cancelled, Task::from(TaskSummary::default()), false),
        ] {
            assert_eq!(is_good(&[(id, state)], &[task]), good, "{state}");
        }
    }
}
