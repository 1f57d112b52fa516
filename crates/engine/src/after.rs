//! Tasks that wait for others, and what follows for them when those end.
//!
//! Start at [`Engine::follow`]. What ends leaves a note ([`Fallout`]); when the command is done, the notes are worked off
//! in the order in which they came. That ends further elements and leaves further notes, until none is left: a chain of
//! any length takes no stack, and as everything ends once, the work is bounded by what is open.
//!
//! An element is blocked while a task that its own waits for is open, or, where each element waits for one, while that
//! element is. So nothing of it is stored: what is open says it.
//!
//! Invariant: an element that is blocked is in no queue and was never tried; what was unblocked once stays so.

use crate::Engine;
use crate::recent::{Failed, Past};
use crate::spans::{self, Spans};
use crate::state::{Blockers, Task};
use hivemind_model::after::{Dependency, Unmet, When};
use hivemind_model::command::EndedTask;
use hivemind_model::rows::{Element, ElementPhase};
use hivemind_model::state::Outcome;
use hivemind_model::{Code, ElementRef, Rejection, TaskId, TaskSpec, TaskState, Timestamp, UserId};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Most tasks that wait for one task element by element: each of its elements that ends looks at all of them.
pub(crate) const MAX_EACH: usize = 1000;

/// What of a task another one waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// Each element for that of the same index.
    Each,
    /// All elements for all of it.
    Whole,
}

impl Way {
    pub(crate) fn of(dependency: &Dependency) -> Self {
        if dependency.each { Self::Each } else { Self::Whole }
    }
}

/// Open tasks that are waited for, each with an open task that waits for it and for what.
pub(crate) type Dependants = BTreeMap<(TaskId, Way, TaskId), When>;

/// Something ended, or was over before; what follows from that is still to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fallout {
    /// Elements of a task ended.
    Elements { of: TaskId, spans: Spans, success: bool },
    /// A task ended.
    Task { of: TaskId, completed: bool },
    /// What elements of a new task wait for had not become what it must.
    Unmet { dependant: TaskId, dependency: TaskId, spans: Spans },
    /// A new task waits for others; it may be that all of those have ended.
    Accepted { task: TaskId },
    /// More elements of an array failed than it takes.
    TooManyFailed { task: TaskId },
}

/// The tasks that had ended when they were looked up.
pub(crate) struct Ended<'a>(BTreeMap<TaskId, &'a EndedTask>);

impl<'a> Ended<'a> {
    pub(crate) fn new(tasks: &'a [EndedTask]) -> Self {
        Self(tasks.iter().map(|ended| (ended.task, ended)).collect())
    }
}

/// What is known of a task that is waited for.
enum Known<'a> {
    Open(&'a Task),
    /// Its indices, and those that failed; `None` where those are too many to be known.
    Ended {
        ranges: &'a [(u32, u32)],
        failed: Option<Cow<'a, [(u32, u32)]>>,
    },
}

/// Why a task cannot wait for another element by element.
pub(crate) fn lacks_indices(dependency: fmt::Arguments<'_>) -> String {
    format!(
        "{dependency} has not every index of the task that waits for it element by element; give both the same array"
    )
}

/// Why no further task can wait for one element by element.
pub(crate) fn too_many_each(dependency: fmt::Arguments<'_>) -> String {
    format!(
        "more than {MAX_EACH} tasks would wait for {dependency} element by element; let one array do so, or wait for all of it"
    )
}

/// True where it has not ended.
pub(crate) fn is_open(element: &Element) -> bool {
    match element.phase {
        ElementPhase::Waiting { .. } | ElementPhase::Live => true,
        ElementPhase::Ended { .. } => false,
    }
}

/// True where it ended, but did not complete.
pub(crate) fn has_failed(element: &Element) -> bool {
    match &element.phase {
        ElementPhase::Waiting { .. } | ElementPhase::Live => false,
        ElementPhase::Ended { outcome } => !outcome.is_success(),
    }
}

impl Engine {
    fn known<'a>(&'a self, user: UserId, id: TaskId, ended: &Ended<'a>) -> Option<Known<'a>> {
        if let Some(task) = self.tasks.get(&id) {
            return (task.row.user == user).then_some(Known::Open(task));
        }
        if let Some(Past { user: of, ranges, failed }) = self.recent.get(id) {
            let failed = match failed {
                Failed::None => Some(Cow::Borrowed(&[][..])),
                Failed::All => Some(Cow::Borrowed(&**ranges)),
                Failed::Some(spans) => Some(Cow::Borrowed(&**spans)),
                Failed::TooMany => None,
            };
            return (*of == user).then_some(Known::Ended { ranges, failed });
        }
        let past = ended.0.get(&id).filter(|past| past.user == user)?;
        let failed = past.failed.as_ref().map_or(&[][..], |failed| failed.ranges());
        Some(Known::Ended { ranges: past.indices.ranges(), failed: Some(Cow::Borrowed(failed)) })
    }

    /// Refuses to wait for what does not exist, is somebody else's, or has not the elements that are waited for.
    pub(crate) fn check_dependency(
        &self,
        user: UserId,
        spec: &TaskSpec,
        dependency: &Dependency,
        ended: &Ended<'_>,
    ) -> Result<(), Rejection> {
        let id = dependency.task;
        let (ranges, is_known) = match self.known(user, id, ended) {
            None => {
                let why = format!("{id} does not exist, or is not yours");
                return Err(Rejection::field(Code::NotFound, "after", why));
            }
            Some(Known::Open(task)) => (task.ranges(), true),
            Some(Known::Ended { ranges, failed }) => (ranges, failed.is_some()),
        };
        if !dependency.each {
            return Ok(());
        }
        if !is_known && dependency.when == When::Success {
            return Err(Rejection::field(
                Code::TooLarge,
                "after",
                format!(
                    "the elements of {id} that failed lie in too many ranges to wait for the others one by one; wait for its end instead, or submit only the elements that can run"
                ),
            ));
        }
        if spans::subtract(spec.indices().ranges(), ranges).is_empty() {
            return Ok(());
        }
        Err(Rejection::invalid("after", lacks_indices(format_args!("{id}"))))
    }

    /// Notes what a new task, which was checked, waits for. What of it has ended is dealt with when the command is done.
    pub(crate) fn wait_for(&mut self, id: TaskId, ended: &Ended<'_>) {
        let Some(task) = self.tasks.get(&id) else { return };
        let spec = task.row.spec.clone();
        let mut unmet = Vec::new();
        for dependency in &spec.after.tasks {
            let failed = match self.known(task.row.user, dependency.task, ended) {
                // That it is open says enough of all of it; of its elements some may have failed.
                Some(Known::Open(_)) if !dependency.each => continue,
                Some(Known::Open(other)) => Some(Cow::Owned(other.spans_where(task.ranges(), has_failed))),
                Some(Known::Ended { failed, .. }) => failed,
                None => panic!("T7: {id} waits for {}, of which nothing is known", dependency.task),
            };
            let spans = match (dependency.when, dependency.each, failed) {
                (When::End, _, _) => Spans::new(),
                (When::Success, true, Some(failed)) => spans::intersect(task.ranges(), &failed),
                (When::Success, false, Some(failed)) if failed.is_empty() => Spans::new(),
                (When::Success, _, _) => task.ranges().to_vec(),
            };
            if !spans.is_empty() {
                unmet.push(Fallout::Unmet { dependant: id, dependency: dependency.task, spans });
            }
        }
        self.link_dependencies(id);
        self.fallout.extend(unmet);
        self.fallout.push_back(Fallout::Accepted { task: id });
    }

    /// Counts the open tasks that a task waits for, and lets them find it.
    pub(crate) fn link_dependencies(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(&id) else { return };
        let mut blockers = Blockers::default();
        for dependency in &task.row.spec.after.tasks {
            if self.tasks.contains_key(&dependency.task) {
                let way = Way::of(dependency);
                self.dependants.insert((dependency.task, way, id), dependency.when);
                *blockers.of(way) += 1;
            }
        }
        if let Some(task) = self.tasks.get_mut(&id) {
            task.blockers = blockers;
        }
    }

    /// Forgets that a task waited for others.
    pub(crate) fn unlink_dependencies(&mut self, task: &Task) {
        for dependency in &task.row.spec.after.tasks {
            self.dependants.remove(&(dependency.task, Way::of(dependency), task.row.progress.id));
        }
    }

    /// The tasks that wait for one in this way.
    fn dependants_of(&self, id: TaskId, way: Way) -> impl Iterator<Item = (TaskId, When)> {
        let range = self.dependants.range((id, way, TaskId(0))..=(id, way, TaskId(u64::MAX)));
        range.map(|((_, _, dependant), when)| (*dependant, *when))
    }

    /// True where tasks wait for this one element by element.
    pub(crate) fn is_waited_for_by_element(&self, id: TaskId) -> bool {
        self.dependants_of(id, Way::Each).next().is_some()
    }

    /// Refuses to let more tasks wait for one element by element than its elements can look at, where `more` are to
    /// do so at once.
    pub(crate) fn check_fan_out(&self, id: TaskId, more: usize) -> Result<(), Rejection> {
        if self.dependants_of(id, Way::Each).count().saturating_add(more) <= MAX_EACH {
            return Ok(());
        }
        Err(Rejection::field(Code::TooLarge, "after", too_many_each(format_args!("{id}"))))
    }

    /// Does all that follows from what ended in this command.
    pub(crate) fn follow(&mut self, now: Timestamp) {
        while let Some(fallout) = self.fallout.pop_front() {
            match fallout {
                Fallout::Elements { of, spans, success } => self.elements_ended(of, &spans, success, now),
                Fallout::Task { of, completed } => self.task_ended(of, completed, now),
                Fallout::Unmet { dependant, dependency, spans } => self.unmet(dependant, dependency, &spans, now),
                Fallout::Accepted { task } => self.release_all(task),
                Fallout::TooManyFailed { task } => self.skip_rest(task, now),
            }
        }
    }

    fn elements_ended(&mut self, of: TaskId, spans: &[(u32, u32)], success: bool, now: Timestamp) {
        let dependants: Vec<_> = self.dependants_of(of, Way::Each).collect();
        for (id, when) in dependants {
            match (when, success) {
                (When::Success, false) => self.unmet(id, of, spans, now),
                (When::Success, true) | (When::End, _) => self.release(id, spans),
            }
        }
    }

    fn task_ended(&mut self, of: TaskId, completed: bool, now: Timestamp) {
        let each: Vec<_> = self.dependants_of(of, Way::Each).collect();
        for (id, _) in each {
            // Its elements were told one by one.
            self.unblock(id, of, Way::Each);
            self.begin_to_queue(id, now);
        }
        let whole: Vec<_> = self.dependants_of(of, Way::Whole).collect();
        for (id, when) in whole {
            self.unblock(id, of, Way::Whole);
            match (when, completed) {
                (When::Success, false) => {
                    let all = self.tasks.get(&id).map(|task| task.ranges().to_vec()).unwrap_or_default();
                    self.unmet(id, of, &all, now);
                }
                (When::Success, true) | (When::End, _) => self.release_all(id),
            }
            self.begin_to_queue(id, now);
        }
    }

    /// A task waits for one less.
    fn unblock(&mut self, id: TaskId, of: TaskId, way: Way) {
        if self.dependants.remove(&(of, way, id)).is_some()
            && let Some(task) = self.tasks.get_mut(&id)
        {
            *task.blockers.of(way) -= 1;
        }
    }

    /// Something that elements of a task waited for did not become what it must.
    fn unmet(&mut self, id: TaskId, dependency: TaskId, spans: &[(u32, u32)], now: Timestamp) {
        let Some(task) = self.tasks.get(&id) else { return };
        match task.row.spec.after.unmet {
            Unmet::Cancel => self.stop_task(id, &Outcome::Cancelled, now),
            Unmet::Skip => {
                let reason =
                    format!("{dependency}, which it waited for, did not complete; see why, then submit this again");
                self.end_waiting(id, spans, |_| true, &Outcome::Skipped { reason }, now);
                self.restate(id, now);
            }
        }
    }

    /// More elements of an array failed than it takes: the rest of it is skipped.
    fn skip_rest(&mut self, id: TaskId, now: Timestamp) {
        let Some(task) = self.tasks.get(&id) else { return };
        let most = task.max_fails().unwrap_or(u32::MAX);
        let reason = format!(
            "more than {most} of its elements failed, as many as max_fails takes; see why, then submit the rest again"
        );
        self.stop_task(id, &Outcome::Skipped { reason }, now);
    }

    /// Queues every element of a task that nothing blocks any more.
    fn release_all(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(&id) else { return };
        let all = task.ranges().to_vec();
        self.release(id, &all);
    }

    /// Queues those of the elements at `spans` that were never tried and that nothing blocks any more.
    fn release(&mut self, id: TaskId, spans: &[(u32, u32)]) {
        let Some(task) = self.tasks.get(&id).filter(|task| task.blockers.whole == 0) else { return };
        let free = self.unblocked(task, task.spans_where(spans, |element| *element == Element::FRESH));
        let (user, turn) = (task.row.user, self.turn(task.row.user));
        for (first, last) in free {
            let first = task.rank(ElementRef { task: id, index: first });
            // Two things that an element waited for may end in one command; it is queued once.
            self.queue.remove_span(user, first, last, &task.need);
            self.queue.push_run(turn, first, last, &task.need);
            self.stirred = true;
        }
    }

    /// Those of the elements at `spans` that no open task blocks.
    pub(crate) fn unblocked(&self, task: &Task, mut spans: Spans) -> Spans {
        if task.blockers.whole > 0 {
            return Spans::new();
        }
        if task.blockers.each == 0 {
            return spans;
        }
        for dependency in task.row.spec.after.tasks.iter().filter(|dependency| dependency.each) {
            if spans.is_empty() {
                break;
            }
            if let Some(other) = self.tasks.get(&dependency.task) {
                spans = spans::subtract(&spans, &other.spans_where(&spans, is_open));
            }
        }
        spans
    }

    /// Notes that elements of a task ended, for those that wait for them.
    pub(crate) fn note_elements(&mut self, of: TaskId, spans: &[(u32, u32)], success: bool) {
        if self.is_waited_for_by_element(of) {
            self.fallout.push_back(Fallout::Elements { of, spans: spans.to_vec(), success });
        }
    }

    /// Notes that a task ended, for those that wait for it.
    pub(crate) fn note_task(&mut self, of: TaskId, state: TaskState) {
        if [Way::Each, Way::Whole].iter().any(|way| self.dependants_of(of, *way).next().is_some()) {
            self.fallout.push_back(Fallout::Task { of, completed: state == TaskState::Completed });
        }
    }
}
