//! `SubmitGraph`: tasks that wait for one another, all of them or none.
//!
//! Start at [`submit`]. Every refusal names the task at fault, as `tasks[3].after`.
//!
//! Invariant: what reaches the engine names only tasks before it, so that a cycle never does.

use super::amount::once;
use super::dependencies::{self, Lookup};
use super::submission::{self, Draft, Refusal, cut, max_price};
use super::submit::{MAX_TASKS, deadline_floor, store, too_many};
use super::{refusal_or_fault, wrong_reply};
use crate::shared::Shared;
use crate::status;
use bytes::Bytes;
use hivemind_model::after::{Dependency, MAX_DEPENDENCIES};
use hivemind_model::command::{EndedTask, GraphDependency, GraphTask, Once};
use hivemind_model::spec::MAX_NAME_BYTES;
use hivemind_model::{Code, Command, Cpt, Rejection, Reply, TaskId, Timestamp, UserId};
use hivemind_proto::v1::{self, GraphTaskId, SubmitGraphRequest, SubmitGraphResponse, SubmitTaskRequest};
use prost::Message;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tonic::Status;

mod order;

/// Most names of a cycle that a refusal lists.
const SHOWN_NAMES: usize = 20;

/// Submits a graph of tasks.
pub(super) async fn submit(
    shared: &Shared,
    user: UserId,
    request: SubmitGraphRequest,
) -> Result<SubmitGraphResponse, Status> {
    let told = |refusal| match refusal {
        Refusal::Rejected(rejection) => status::rejected(&rejection),
        Refusal::Fault(fault) => fault,
    };
    let names: Vec<String> = request.tasks.iter().map(|task| task.name.clone()).collect();
    let _use = shared.blobs.begin_use();
    let (command, places) = draft(shared, user, request).await.map_err(told)?;
    let accepted = match refusal_or_fault(shared.writer.apply(command).await)? {
        Ok(Reply::SubmittedGraph { tasks }) if tasks.len() == places.len() => tasks,
        Ok(other) => return Err(wrong_reply(&other)),
        Err(rejection) => return Err(status::rejected(&rejection)),
    };
    Ok(answer(names, &places, &accepted))
}

/// The accepted tasks in the order of the request; `places` has for each the place that it had there.
fn answer(names: Vec<String>, places: &[usize], accepted: &[(TaskId, Cpt)]) -> SubmitGraphResponse {
    let by_place: BTreeMap<usize, (TaskId, Cpt)> = places.iter().copied().zip(accepted.iter().copied()).collect();
    let tasks: Vec<GraphTaskId> = names
        .into_iter()
        .zip(by_place.into_values())
        .map(|(name, (task, cap))| GraphTaskId { name, task_id: task.to_string(), price_cap_micro: cap.micro() })
        .collect();
    let price_cap_micro = tasks.iter().fold(0i64, |sum, task| sum.saturating_add(task.price_cap_micro));
    SubmitGraphResponse { tasks, price_cap_micro }
}

/// The command, and for each of its tasks the place that it has in the request.
async fn draft(shared: &Shared, user: UserId, request: SubmitGraphRequest) -> Result<(Command, Vec<usize>), Refusal> {
    let once = request_id(user, &request)?;
    let max_price = max_price(request.max_price_micro)?;
    let (wires, edges) = edges(request.tasks)?;
    let deadlines: Vec<i64> = wires.iter().map(|task| task.deadline_unix_ms).collect();
    let floor = deadline_floor(shared, once.as_ref(), deadlines).await?;
    let (mut tasks, mut contents, mut ended) = (Vec::with_capacity(wires.len()), Vec::new(), BTreeMap::new());
    let mut lookup = Lookup::new(shared, user);
    for (place, (wire, edge)) in wires.into_iter().zip(&edges.of).enumerate() {
        let task = task(shared, &mut lookup, user, wire, edge, floor).await;
        let (spec, new, found) = task.map_err(|refusal| within(place, refusal))?;
        contents.extend(new);
        ended.extend(found.into_iter().map(|task| (task.task, task)));
        tasks.push(Some(spec));
    }
    store(shared, contents).await?;
    let new_places: HashMap<usize, usize> = edges.order.iter().enumerate().map(|(new, old)| (*old, new)).collect();
    let in_order = edges.order.iter().filter_map(|old| {
        let after = edges.of.get(*old)?.within.iter();
        let after = after.filter_map(|(place, edge)| {
            Some(GraphDependency { place: *new_places.get(place)?, when: edge.when, each: edge.each })
        });
        Some(GraphTask { spec: tasks.get_mut(*old)?.take()?, after: after.collect() })
    });
    let tasks = in_order.collect();
    let ended = ended.into_values().collect();
    Ok((Command::SubmitGraph { user, tasks, max_price, ended, once }, edges.order))
}

fn request_id(user: UserId, request: &SubmitGraphRequest) -> Result<Option<Once>, Rejection> {
    once("request_id", user, &request.request_id, || {
        let mut body = SubmitGraphRequest { token: String::new(), request_id: String::new(), ..request.clone() };
        for task in body.tasks.iter_mut().filter_map(|task| task.task.as_mut()) {
            task.token.clear();
            task.request_id.clear();
        }
        // Messages of two kinds may have the same bytes.
        [b"SubmitGraph\0".as_slice(), &body.encode_to_vec()].concat()
    })
}

type Checked = (Arc<hivemind_model::TaskSpec>, Vec<Bytes>, Vec<EndedTask>);

/// One task of the graph: its specification, contents to store, and what it waits for that has ended.
async fn task(
    shared: &Shared,
    lookup: &mut Lookup<'_>,
    user: UserId,
    wire: SubmitTaskRequest,
    edges: &Edges,
    floor: Timestamp,
) -> Result<Checked, Refusal> {
    let Draft { mut spec, contents } = submission::prepare(shared, user, wire, floor).await?;
    spec.after.tasks.clone_from(&edges.outside);
    spec.after.check()?;
    let ended = lookup.find(&spec.after.tasks).await?;
    Ok((Arc::new(spec), contents, ended))
}

/// What a refusal of one task is about, seen from the graph.
fn within(place: usize, refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Rejected(rejection) => Refusal::Rejected(at(place, rejection)),
        Refusal::Fault(fault) => Refusal::Fault(fault),
    }
}

fn at(place: usize, rejection: Rejection) -> Rejection {
    let Rejection { code, field, text } = rejection;
    if field.is_empty() {
        return Rejection::field(code, &format!("tasks[{place}]"), text);
    }
    let why = text.strip_prefix(&field).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&text);
    Rejection::field(code, &format!("tasks[{place}].{field}"), why)
}

/// How one task of the graph waits for another.
#[derive(Debug, Clone, Copy)]
struct Edge {
    when: hivemind_model::after::When,
    each: bool,
}

/// What one task of the graph waits for.
#[derive(Debug, Default)]
struct Edges {
    /// Places of others of the graph.
    within: BTreeMap<usize, Edge>,
    outside: Vec<Dependency>,
}

/// What waits for what, and an order that suits.
struct Graph {
    of: Vec<Edges>,
    order: Vec<usize>,
}

/// Takes the dependencies out of the tasks.
fn edges(tasks: Vec<v1::GraphTask>) -> Result<(Vec<SubmitTaskRequest>, Graph), Rejection> {
    if tasks.is_empty() {
        return Err(Rejection::invalid("tasks", "is empty; a graph has at least one task"));
    }
    if tasks.len() > MAX_TASKS {
        return Err(too_many(tasks.len()));
    }
    let names: Vec<String> = tasks.iter().map(|task| task.name.clone()).collect();
    let places = places(&names)?;
    let (mut wires, mut of) = (Vec::with_capacity(tasks.len()), Vec::with_capacity(tasks.len()));
    for (place, task) in tasks.into_iter().enumerate() {
        let Some(mut wire) = task.task else {
            return Err(at(place, Rejection::invalid("task", "is missing; say what it does")));
        };
        let after = std::mem::take(&mut wire.after);
        of.push(read(&places, after).map_err(|rejection| at(place, rejection))?);
        wires.push(wire);
    }
    let after: Vec<Vec<usize>> = of.iter().map(|edges| edges.within.keys().copied().collect()).collect();
    match order::order(&after) {
        Ok(order) => Ok((wires, Graph { of, order })),
        Err(cycle) => Err(on_a_cycle(&names, &cycle)),
    }
}

/// The place of each name.
fn places(names: &[String]) -> Result<HashMap<&str, usize>, Rejection> {
    let mut places = HashMap::with_capacity(names.len());
    for (place, name) in names.iter().enumerate() {
        let bad = |why: &str| Err(at(place, Rejection::invalid("name", why)));
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
            return bad("is not 1 to 200 bytes of printable characters");
        }
        if name.parse::<TaskId>().is_ok() {
            return bad("is the id of a task; what waits for it would be ambiguous");
        }
        if let Some(other) = places.insert(name.as_str(), place) {
            return bad(&format!("`{}` is the name of tasks[{other}], too; give each its own", cut(name)));
        }
    }
    Ok(places)
}

/// What one task waits for, within the graph and outside.
fn read(places: &HashMap<&str, usize>, after: Vec<v1::Dependency>) -> Result<Edges, Rejection> {
    if after.len() > MAX_DEPENDENCIES {
        let why = format!("{} dependencies; at most {MAX_DEPENDENCIES} are taken", after.len());
        return Err(Rejection::field(Code::TooLarge, "after", why));
    }
    let mut edges = Edges::default();
    for dependency in after {
        let name = dependency.task_id.as_str();
        if let Some(place) = places.get(name) {
            let edge = Edge { when: dependencies::when(&dependency.when)?, each: dependency.each };
            if edges.within.insert(*place, edge).is_some() {
                return Err(Rejection::invalid("after", format!("`{}` is named twice", cut(name))));
            }
        } else if name.parse::<TaskId>().is_ok() {
            edges.outside.extend(dependencies::read(std::slice::from_ref(&dependency))?);
        } else {
            let why = format!("`{}` is neither the name of a task of this graph nor the id of a task", cut(name));
            return Err(Rejection::field(Code::NotFound, "after", why));
        }
    }
    Ok(edges)
}

fn on_a_cycle(names: &[String], cycle: &[usize]) -> Rejection {
    let first = cycle.iter().copied().min().unwrap_or_default();
    let begin = cycle.iter().position(|place| *place == first).unwrap_or_default();
    let around = cycle.iter().cycle().skip(begin).take(cycle.len());
    let mut shown: Vec<String> =
        around.take(SHOWN_NAMES).filter_map(|place| names.get(*place)).map(|name| format!("`{}`", cut(name))).collect();
    if cycle.len() > SHOWN_NAMES {
        shown.push(format!("... ({} tasks)", cycle.len()));
    }
    shown.extend(names.get(first).map(|name| format!("`{}`", cut(name))));
    let why = format!("waits for itself: {}; each waits for the one after it", shown.join(" > "));
    at(first, Rejection::invalid("after", why))
}

#[cfg(test)]
mod tests;
