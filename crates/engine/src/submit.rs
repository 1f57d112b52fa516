//! Submissions: judged whole, then taken in.
//!
//! Start at [`Engine::submit`]. A single task is a graph of one.
//!
//! Invariant: everything for which a submission can be refused is looked at before anything changes.

use crate::Engine;
use crate::after::{Ended, MAX_EACH, lacks_indices, too_many_each};
use crate::state::Task;
use hivemind_model::after::{Dependency, MAX_DEPENDENCIES};
use hivemind_model::command::{EndedTask, GraphDependency, GraphTask, Once};
use hivemind_model::rows::{self, Answer, TaskProgress, TaskRow};
use hivemind_model::{Code, Cpt, ElementRef, Rejection, Reply, TaskId, TaskSpec, TaskState, Timestamp, UserId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a requester hands in, and the most they would pay.
pub(crate) struct Offer {
    pub(crate) spec: Arc<TaskSpec>,
    pub(crate) max_price: Option<Cpt>,
    pub(crate) ended: Vec<EndedTask>,
}

/// As [`Offer`], of tasks that wait for one another.
pub(crate) struct Graph {
    pub(crate) tasks: Vec<GraphTask>,
    pub(crate) max_price: Option<Cpt>,
    pub(crate) ended: Vec<EndedTask>,
}

/// How fields of a submission are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Single,
    Graph,
}

impl Form {
    /// A refusal of the task at a place, naming that.
    fn at(self, place: usize, rejection: Rejection) -> Rejection {
        match self {
            Self::Single => rejection,
            Self::Graph if rejection.field.is_empty() => {
                let field = format!("tasks[{place}]");
                Rejection { text: format!("{field}: {}", rejection.text), field, ..rejection }
            }
            // The text begins with the field.
            Self::Graph => Rejection {
                field: format!("tasks[{place}].{}", rejection.field),
                text: format!("tasks[{place}].{}", rejection.text),
                ..rejection
            },
        }
    }
}

impl Engine {
    /// Accepts a task and takes its hold.
    pub(crate) fn submit(
        &mut self,
        user: UserId,
        offer: Offer,
        once: Option<Once>,
        now: Timestamp,
    ) -> Result<Reply, Rejection> {
        self.user(user)?;
        self.at_most_once(once, user, "request_id", |engine| {
            let Offer { spec, max_price, ended } = offer;
            let graph = Graph { tasks: vec![GraphTask { spec, after: Vec::new() }], max_price, ended };
            let accepted = engine.submit_now(user, graph, Form::Single, now)?;
            let [(task, cap)] = accepted[..] else { panic!("T1: one task was submitted, {} accepted", accepted.len()) };
            Ok((Reply::Submitted { task, cap }, Answer::Submitted { task, cap }))
        })
    }

    /// Accepts tasks that wait for one another and takes their holds: all of them, or none.
    pub(crate) fn submit_graph(
        &mut self,
        user: UserId,
        graph: Graph,
        once: Option<Once>,
        now: Timestamp,
    ) -> Result<Reply, Rejection> {
        self.user(user)?;
        self.at_most_once(once, user, "request_id", |engine| {
            if graph.tasks.is_empty() {
                return Err(Rejection::invalid("tasks", "is empty; a graph has at least one task"));
            }
            let tasks = engine.submit_now(user, graph, Form::Graph, now)?;
            Ok((Reply::SubmittedGraph { tasks: tasks.clone() }, Answer::SubmittedGraph { tasks }))
        })
    }

    fn submit_now(
        &mut self,
        user: UserId,
        graph: Graph,
        form: Form,
        now: Timestamp,
    ) -> Result<Vec<(TaskId, Cpt)>, Rejection> {
        let ended = Ended::new(&graph.ended);
        self.check_room_for_tasks(user, &graph)?;
        let mut caps = Vec::with_capacity(graph.tasks.len());
        for (place, task) in graph.tasks.iter().enumerate() {
            let cap = self.check_one(user, task, &graph.tasks[..place], &ended, now);
            caps.push(cap.map_err(|refused| form.at(place, refused))?);
        }
        self.check_fan_outs(&graph.tasks, form)?;
        self.check_room_for_elements(user, &graph)?;
        self.check_price(user, &caps, graph.max_price)?;
        let mut accepted: Vec<(TaskId, Cpt)> = Vec::with_capacity(caps.len());
        for (task, cap) in graph.tasks.iter().zip(caps) {
            let spec = resolved(task, &accepted);
            accepted.push((self.accept(user, spec, cap, &ended, now), cap));
        }
        Ok(accepted)
    }

    /// Refuses more open tasks than a user may have.
    fn check_room_for_tasks(&self, user: UserId, graph: &Graph) -> Result<(), Rejection> {
        let most = self.policy.limits.max_open_tasks_per_user;
        let known = self.user(user)?;
        let new = u32::try_from(graph.tasks.len()).unwrap_or(u32::MAX);
        if known.open_tasks.saturating_add(new) > most {
            return Err(Rejection::new(
                Code::Busy,
                format!(
                    "you would have more than {most} open tasks, the most that this pool keeps for one user; wait for some to end"
                ),
            ));
        }
        Ok(())
    }

    /// Refuses more elements than the open tasks of a user may have.
    fn check_room_for_elements(&self, user: UserId, graph: &Graph) -> Result<(), Rejection> {
        let most_elements = self.policy.limits.max_open_elements_per_user;
        let known = self.user(user)?;
        let new = graph.tasks.iter().map(|task| u64::from(task.spec.elements()));
        if new.fold(known.open_elements, u64::saturating_add) > most_elements {
            return Err(Rejection::new(
                Code::Busy,
                format!(
                    "you would have more than {most_elements} elements in open tasks, the most that this pool keeps for one user; wait for some to end"
                ),
            ));
        }
        Ok(())
    }

    /// Everything for which one task is refused whatever it costs; gives its price cap.
    fn check_one(
        &self,
        user: UserId,
        task: &GraphTask,
        before: &[GraphTask],
        ended: &Ended<'_>,
        now: Timestamp,
    ) -> Result<Cpt, Rejection> {
        let GraphTask { spec, after } = task;
        spec.check(&self.policy)?;
        if spec.patience.deadline.is_some_and(|deadline| deadline <= now) {
            return Err(Rejection::invalid(
                "deadline_unix_ms",
                "is in the past; nothing could run by then, give a later moment",
            ));
        }
        let cap = self.policy.cap(spec)?;
        check_places(spec, after, before)?;
        for dependency in &spec.after.tasks {
            self.check_dependency(user, spec, dependency, ended)?;
        }
        Ok(cap)
    }

    /// Refuses more tasks that wait for one element by element than that can have.
    fn check_fan_outs(&self, tasks: &[GraphTask], form: Form) -> Result<(), Rejection> {
        let (mut of_tasks, mut of_places) = (BTreeMap::new(), BTreeMap::new());
        for (at, task) in tasks.iter().enumerate() {
            for other in task.spec.after.tasks.iter().filter(|dependency| dependency.each) {
                let more = of_tasks.entry(other.task).or_insert(0);
                *more += 1;
                self.check_fan_out(other.task, *more).map_err(|refused| form.at(at, refused))?;
            }
            for GraphDependency { place, .. } in task.after.iter().filter(|dependency| dependency.each) {
                let more = of_places.entry(*place).or_insert(0);
                *more += 1;
                if *more > MAX_EACH {
                    let why = too_many_each(format_args!("tasks[{place}]"));
                    return Err(form.at(at, Rejection::field(Code::TooLarge, "after", why)));
                }
            }
        }
        Ok(())
    }

    fn check_price(&self, user: UserId, caps: &[Cpt], bound: Option<Cpt>) -> Result<(), Rejection> {
        let total = caps.iter().try_fold(Cpt::ZERO, |sum, cap| sum.checked_add(*cap));
        let Some(total) = total else {
            return Err(Rejection::new(
                Code::TooLarge,
                "all together could cost more money than there is; submit it in parts",
            ));
        };
        if let Some(bound) = bound.filter(|most| total > *most) {
            return Err(Rejection::field(
                Code::MaxPrice,
                "max_price_micro",
                format!(
                    "it can cost {total}, more than your bound of {bound}; raise it, or lower max_runtime, the resources or the number of elements"
                ),
            ));
        }
        let available = self.ledger.spendable(user);
        if total > available {
            return Err(Rejection::new(
                Code::InsufficientCpt,
                format!(
                    "needs {total} (the price cap), {available} is available; lower max_runtime or the resources, or wait for open tasks to end"
                ),
            ));
        }
        Ok(())
    }

    /// Takes in a task that was checked.
    fn accept(&mut self, user: UserId, spec: Arc<TaskSpec>, cap: Cpt, ended: &Ended<'_>, now: Timestamp) -> TaskId {
        let id = TaskId(self.counters.task);
        let expires_at = now.after(self.policy.economy.hold_lifetime).after(spec.max_runtime);
        self.ledger
            .open_hold(id, user, cap, expires_at, now)
            .unwrap_or_else(|refusal| panic!("L3: a hold for the new {id} is refused: {refusal}"));
        self.counters.task += 1;
        self.pending.counters_moved = true;
        let progress = TaskProgress {
            id,
            state: TaskState::Pending,
            ended_at: None,
            cost: Cpt::ZERO,
            ended: rows::Ended::default(),
            failure: None,
            reused: None,
        };
        let task = Task::new(TaskRow { user, spec, submitted_at: now, cap, progress });
        if let Some(user) = self.users.get_mut(&user) {
            user.open_tasks += 1;
            user.open_elements += u64::from(task.elements.len());
        }
        let waits = !task.row.spec.after.tasks.is_empty();
        if !waits {
            let turn = self.turn(user);
            for (first, last) in task.ranges() {
                let first = task.rank(ElementRef { task: id, index: *first });
                self.queue.push_run(turn, first, *last, &task.need);
            }
            self.stirred = true;
        }
        self.queue.set_inputs(id, task.inputs());
        self.tasks.insert(id, task);
        self.expiries.insert((expires_at, id));
        self.touch_task(id);
        if waits {
            self.wait_for(id, ended);
        }
        self.watch_patience(id, now);
        id
    }
}

/// The specification of a task of a graph, with the ids of the tasks before it in the place of their places.
fn resolved(task: &GraphTask, accepted: &[(TaskId, Cpt)]) -> Arc<TaskSpec> {
    if task.after.is_empty() {
        return Arc::clone(&task.spec);
    }
    let mut spec = TaskSpec::clone(&task.spec);
    spec.after.tasks.extend(task.after.iter().filter_map(|GraphDependency { place, when, each }| {
        let (task, _) = accepted.get(*place)?;
        Some(Dependency { task: *task, when: *when, each: *each })
    }));
    Arc::new(spec)
}

/// Checks what a task waits for within its graph.
fn check_places(spec: &TaskSpec, after: &[GraphDependency], before: &[GraphTask]) -> Result<(), Rejection> {
    let all = spec.after.tasks.len().saturating_add(after.len());
    if all > MAX_DEPENDENCIES {
        return Err(Rejection::field(
            Code::TooLarge,
            "after",
            format!("{all} dependencies; at most {MAX_DEPENDENCIES} are taken"),
        ));
    }
    let mut places: Vec<usize> = after.iter().map(|dependency| dependency.place).collect();
    places.sort_unstable();
    if let Some(pair) = places.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Rejection::invalid("after", format!("tasks[{}] is named twice", pair[0])));
    }
    for GraphDependency { place, each, .. } in after {
        let Some(other) = before.get(*place) else {
            return Err(Rejection::invalid(
                "after",
                format!("tasks[{place}] does not stand before it; list each task after those that it waits for"),
            ));
        };
        if *each && !other.spec.indices().contains_all(&spec.indices()) {
            return Err(Rejection::invalid("after", lacks_indices(format_args!("tasks[{place}]"))));
        }
    }
    Ok(())
}
