//! The elements of a task as they are stored: one, some in pages, those that did not complete.
//!
//! Start at [`Reader`]. A chunk that is not stored stands for elements that were never tried.
//!
//! Invariant: one call reads a bounded number of chunks, or waits for its turn.

use super::page::{after, size, token};
use super::{summary, wishes};
use crate::shared::Shared;
use crate::status;
use hivemind_model::array::{BadIndices, Indices};
use hivemind_model::rows::{CHUNK, ChunkRow, Element, ElementPhase, Standing, TaskRow};
use hivemind_model::{Code, ElementRef, Outcome, Rejection, TaskId};
use hivemind_proto::v1::{ElementSummary, ListElementsRequest, ListElementsResponse};
use hivemind_store::Store;
use prost::Message;
use std::collections::VecDeque;
use tonic::Status;

/// The name of the list in page tokens.
const LIST: &str = "elements";
/// Page of a caller who names no size.
const DEFAULT_PAGE: u32 = 100;
/// A page ends early above this: clients take 4 MiB in one message.
const PAGE_BYTES: usize = 2 << 20;
/// A page ends early after so many elements, whether they are wanted or not.
const MOST_LOOKED_AT: usize = 64 * CHUNK as usize;
/// Chunks read at once.
const READ_AHEAD: u32 = 4;
/// Longest list of indices that is shown in a sentence, in bytes.
const SHOWN_BYTES: usize = 100;

static FRESH: Element = Element::FRESH;

/// Reads the word for a standing.
fn standing(word: &str) -> Result<Standing, Rejection> {
    Standing::parse(word).ok_or_else(|| {
        Rejection::invalid("status", "is none of waiting, live, completed, failed, cancelled; leave it empty for all")
    })
}

/// Reads elements of one task, best at ascending positions.
pub(super) struct Reader<'a> {
    store: &'a dyn Store,
    task: TaskId,
    /// Stored chunks from `from` up to `until`.
    ahead: VecDeque<ChunkRow>,
    from: u32,
    until: u32,
    /// Where the last element was found: its run of the first chunk ahead, and the elements before that run.
    run: (usize, u32),
}

impl<'a> Reader<'a> {
    /// Nothing is read yet.
    pub(super) fn new(shared: &'a Shared, task: TaskId) -> Self {
        Self { store: &*shared.store, task, ahead: VecDeque::new(), from: 0, until: 0, run: (0, 0) }
    }

    /// The element at `position`, which the task has.
    pub(super) async fn at(&mut self, position: u32) -> Result<&Element, Status> {
        let (chunk, offset) = (position / CHUNK, position % CHUNK);
        if chunk < self.from || chunk >= self.until {
            let rows = self.store.chunks(self.task, chunk, READ_AHEAD).await.map_err(|error| status::store(&error))?;
            let all = rows.len() < READ_AHEAD as usize;
            self.until = rows.last().filter(|_| !all).map_or(u32::MAX, |last| last.chunk.saturating_add(1));
            self.from = chunk;
            self.ahead = rows.into();
            self.run = (0, 0);
        }
        while self.ahead.front().is_some_and(|row| row.chunk < chunk) {
            self.ahead.pop_front();
            self.run = (0, 0);
        }
        self.from = chunk;
        let Some(row) = self.ahead.front().filter(|row| row.chunk == chunk) else { return Ok(&FRESH) };
        if offset < self.run.1 {
            self.run = (0, 0);
        }
        while let Some((count, element)) = row.runs.get(self.run.0) {
            if offset < self.run.1.saturating_add(*count) {
                return Ok(element);
            }
            self.run = (self.run.0 + 1, self.run.1.saturating_add(*count));
        }
        tracing::error!(task = %self.task, chunk, "a stored chunk is too short");
        Err(Status::data_loss("E_INTERNAL: a stored task is damaged; the pool's operator finds it in the log"))
    }
}

/// The element of that index, where the task has it.
pub(super) fn element_ref(row: &TaskRow, index: u32) -> Result<ElementRef, Rejection> {
    let task = row.progress.id;
    match &row.spec.array {
        Some(array) if array.indices.contains(index) => Ok(ElementRef { task, index }),
        Some(array) => Err(Rejection::field(
            Code::NotFound,
            "element",
            format!("{task} has no element {index}; it has {}", shown(&array.indices)),
        )),
        None if index == 0 => Ok(ElementRef::only(task)),
        None => Err(Rejection::field(Code::NotFound, "element", format!("{task} is no array; its only element is 0"))),
    }
}

/// One element of a task, which has it.
pub(super) async fn element(shared: &Shared, row: &TaskRow, at: ElementRef) -> Result<Element, Status> {
    let position = position(row, at.index).unwrap_or_default();
    Reader::new(shared, at.task).at(position).await.cloned()
}

fn position(row: &TaskRow, index: u32) -> Option<u32> {
    match &row.spec.array {
        Some(array) => array.indices.position(index),
        None => (index == 0).then_some(0),
    }
}

/// A set of indices, for people.
pub(super) fn shown(indices: &Indices) -> String {
    let mut text = indices.to_string();
    if text.len() > SHOWN_BYTES {
        text.truncate(SHOWN_BYTES);
        text.push_str("...");
    }
    text
}

/// The indices of an ended task that did not complete; `None` where all did. The caller has its turn.
pub(super) async fn not_completed(
    shared: &Shared,
    row: &TaskRow,
) -> Result<Result<Option<Indices>, BadIndices>, Status> {
    let progress = &row.progress;
    if progress.ended.completed == row.spec.elements() {
        return Ok(Ok(None));
    }
    let mut reader = Reader::new(shared, progress.id);
    let mut left = Vec::new();
    for (position, index) in (0u32..).zip(row.spec.indices().iter()) {
        if Standing::of(&reader.at(position).await?.phase) != Standing::Completed {
            left.push(index);
        }
    }
    Ok(if left.is_empty() { Ok(None) } else { Indices::of(left).map(Some) })
}

/// The elements that the caller wants.
struct Wanted {
    indices: Indices,
    standings: Vec<Standing>,
    size: usize,
    /// The first index that is looked at.
    from: u32,
}

fn wanted(row: &TaskRow, request: &ListElementsRequest) -> Result<Wanted, Rejection> {
    let all = row.spec.indices();
    let indices = match wishes::some_indices("elements", &request.elements)? {
        Some(named) if all.contains_all(&named) => named,
        Some(_) => return Err(not_all_there(row, &all)),
        None => all,
    };
    if request.status.len() > Standing::ALL.len() {
        return Err(Rejection::invalid("status", "names more states than there are"));
    }
    let standings = request.status.iter().map(|word| standing(word)).collect::<Result<_, _>>()?;
    let size = size(request.page_size, DEFAULT_PAGE)?;
    let from = match after(LIST, &request.page_token)? {
        Some([from]) => u32::try_from(from).unwrap_or(u32::MAX),
        None => 0,
    };
    Ok(Wanted { indices, standings, size: usize::try_from(size).unwrap_or(usize::MAX), from })
}

/// The refusal of indices that a task does not have.
pub(super) fn not_all_there(row: &TaskRow, all: &Indices) -> Rejection {
    let id = row.progress.id;
    Rejection::invalid("elements", format!("names an index that {id} does not have; it has {}", shown(all)))
}

/// The first of `indices` that is not below `from`.
pub(super) fn next(indices: &Indices, from: u32) -> Option<u32> {
    let place = indices.ranges().partition_point(|(_, last)| *last < from);
    indices.ranges().get(place).map(|(first, _)| from.max(*first))
}

/// A page of elements of a task of the caller.
pub(super) async fn page(
    shared: &Shared,
    row: &TaskRow,
    request: &ListElementsRequest,
) -> Result<ListElementsResponse, Status> {
    let Wanted { indices, standings, size, from } =
        wanted(row, request).map_err(|rejection| status::rejected(&rejection))?;
    let mut reader = Reader::new(shared, row.progress.id);
    let (mut elements, mut bytes, mut looked_at) = (Vec::new(), 0, 0);
    let mut at = next(&indices, from);
    while let Some(index) = at {
        if elements.len() >= size || bytes > PAGE_BYTES || looked_at >= MOST_LOOKED_AT {
            return Ok(ListElementsResponse { elements, next_page_token: token(LIST, [index.into()]) });
        }
        let Some(position) = position(row, index) else { break };
        let element = reader.at(position).await?;
        looked_at += 1;
        let standing = Standing::of(&element.phase);
        if standings.is_empty() || standings.contains(&standing) {
            let told = summarize(index, element, standing);
            bytes += told.encoded_len();
            elements.push(told);
        }
        at = index.checked_add(1).and_then(|from| next(&indices, from));
    }
    Ok(ListElementsResponse { elements, next_page_token: String::new() })
}

fn summarize(index: u32, element: &Element, standing: Standing) -> ElementSummary {
    let outcome = match &element.phase {
        ElementPhase::Ended { outcome } => Some(outcome),
        ElementPhase::Waiting { .. } | ElementPhase::Live => None,
    };
    ElementSummary {
        index,
        status: standing.as_str().into(),
        attempts: element.attempts,
        faults: element.faults,
        error_message: outcome.map(Outcome::explain).unwrap_or_default(),
        exit_code: outcome.and_then(summary::exit_code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_index_is_within_a_range_or_begins_one() {
        let set: Indices = "2-4,8".parse().unwrap();
        let found: Vec<Option<u32>> = [0, 2, 3, 5, 8, 9].into_iter().map(|from| next(&set, from)).collect();
        assert_eq!(found, [Some(2), Some(2), Some(3), Some(8), Some(8), None]);
    }

    #[test]
    fn words_for_standings_are_read() {
        for word in Standing::ALL {
            assert_eq!(standing(word.as_str()), Ok(word));
        }
        assert_eq!(standing("running").unwrap_err().field, "status");
    }
}
