//! `ElementGrid`: where every element of a task stands, in one byte each.
//!
//! Start at [`grid`]. Of the stored rows only the standings are read, a bounded number of rows at once.
//!
//! Invariant: no element has a message, or an allocation, of its own.

use super::elements::next;
use crate::shared::Shared;
use crate::status;
use hivemind_model::array::Indices;
use hivemind_model::rows::{CHUNK, Standing, TaskRow};
use hivemind_model::{Rejection, TaskState};
use hivemind_proto::v1::{ElementGridRequest, ElementGridResponse};
use tonic::Status;

/// Most elements of one answer.
const MOST: u32 = 1_000_000;
/// Chunks read at once.
const READ_AHEAD: u32 = 64;
/// More elements than this are read only in turn.
pub(super) const MANY: u32 = READ_AHEAD * CHUNK;

/// Some elements of a task: places in the ascending list of its indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    first: u32,
    count: u32,
}

/// How the elements of a task of the caller stand, from an index on.
pub(super) async fn grid(
    shared: &Shared,
    row: &TaskRow,
    request: &ElementGridRequest,
) -> Result<ElementGridResponse, Status> {
    let all = row.spec.indices();
    let total = row.spec.elements();
    let limit = limit(request.limit).map_err(|rejection| status::rejected(&rejection))?;
    let told = ElementGridResponse { total, status: row.progress.state.as_str().into(), ..Default::default() };
    let Some(first) = next(&all, request.first_index).and_then(|index| all.position(index)) else { return Ok(told) };
    let span = Span { first, count: limit.min(total.saturating_sub(first)) };
    let states = match plain(row) {
        Some(standing) => vec![standing.as_byte()],
        None => states(shared, row, span).await?,
    };
    let last = span.first.saturating_add(span.count);
    Ok(ElementGridResponse {
        indices: shown(&ranges(&all, span.first, span.count, usize::MAX)),
        states: states.into(),
        next_index: all.at(last).filter(|_| last < total),
        ..told
    })
}

fn limit(asked: u32) -> Result<u32, Rejection> {
    match asked {
        0 => Ok(MOST),
        1..=MOST => Ok(asked),
        _ => Err(Rejection::invalid("limit", format!("{asked} is outside 1 to {MOST}"))),
    }
}

/// How the one element of a plain task stands that has ended: the task itself tells it, also where it took the
/// result of another.
fn plain(row: &TaskRow) -> Option<Standing> {
    if row.spec.array.is_some() {
        return None;
    }
    match row.progress.state {
        TaskState::Pending | TaskState::Running => None,
        TaskState::Completed => Some(Standing::Completed),
        TaskState::Failed => Some(Standing::Failed),
        TaskState::Cancelled => Some(Standing::Cancelled),
    }
}

async fn states(shared: &Shared, row: &TaskRow, span: Span) -> Result<Vec<u8>, Status> {
    let _turn = match span.count {
        0..=MANY => None,
        _ => Some(shared.turns.take(row.user).await.map_err(|rejection| status::rejected(&rejection))?),
    };
    // What has no row was never tried, and waits.
    let waiting = Standing::Waiting.as_byte();
    let mut states = vec![waiting; usize::try_from(span.count).unwrap_or(usize::MAX)];
    let last = span.first.saturating_add(span.count.saturating_sub(1)) / CHUNK;
    let mut chunk = span.first / CHUNK;
    while chunk <= last {
        let most = READ_AHEAD.min(last - chunk + 1);
        let rows = shared.store.grid(row.progress.id, chunk, most).await.map_err(|error| status::store(&error))?;
        let Some(newest) = rows.last().map(|row| row.chunk) else { break };
        for row in rows {
            fill(&mut states, span.first, row.chunk, &row.runs);
        }
        chunk = newest.saturating_add(1);
    }
    Ok(states)
}

/// Writes the elements of one chunk to where they belong in `states`, which begin at the position `first`.
fn fill(states: &mut [u8], first: u32, chunk: u32, runs: &[(u32, Standing)]) {
    let place = |position: u64| {
        usize::try_from(position.saturating_sub(u64::from(first))).unwrap_or(usize::MAX).min(states.len())
    };
    let mut at = u64::from(chunk) * u64::from(CHUNK);
    let mut places = Vec::with_capacity(runs.len());
    for (count, standing) in runs {
        let end = at + u64::from(*count);
        places.push((place(at)..place(end), standing.as_byte()));
        at = end;
    }
    for (place, byte) in places {
        if let Some(states) = states.get_mut(place) {
            states.fill(byte);
        }
    }
}

/// The indices at `count` places from the place `first` on, as ranges; at most `most` of these.
pub(super) fn ranges(all: &Indices, first: u32, count: u32, most: usize) -> Vec<(u32, u32)> {
    let (mut left, mut found) = (count, Vec::new());
    let Some(mut from) = all.at(first) else { return found };
    let place = all.ranges().partition_point(|(_, last)| *last < from);
    for (begin, last) in all.ranges().iter().skip(place) {
        if left == 0 || found.len() >= most {
            break;
        }
        from = from.max(*begin);
        let to = from.saturating_add(left - 1).min(*last);
        left -= to - from + 1;
        found.push((from, to));
    }
    found
}

/// Ranges as people write them.
pub(super) fn shown(ranges: &[(u32, u32)]) -> String {
    let one = |(first, last): &(u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ranges.iter().map(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_become_ranges_of_indices_across_gaps() {
        let all: Indices = "1-10,50-60,70".parse().unwrap();
        let text = |first, count| shown(&ranges(&all, first, count, usize::MAX));
        assert_eq!(text(0, 22), "1-10,50-60,70");
        assert_eq!(text(9, 2), "10,50");
        assert_eq!(text(12, 3), "52-54");
        assert_eq!(text(20, 9), "60,70");
        assert_eq!((text(22, 1), text(3, 0)), (String::new(), String::new()));
        assert_eq!(shown(&ranges(&all, 0, 22, 2)), "1-10,50-60");
        let largest: Indices = "4294967290-4294967294".parse().unwrap();
        assert_eq!(shown(&ranges(&largest, 3, 2, 20)), "4294967293-4294967294");
    }

    #[test]
    fn a_chunk_fills_only_what_is_wanted_of_it() {
        let runs = [(1000, Standing::Completed), (20, Standing::Failed), (4, Standing::Live)];
        let mut states = [0; 8];
        fill(&mut states, CHUNK + 998, 1, &runs);
        assert_eq!(states, [2, 2, 3, 3, 3, 3, 3, 3]);
        fill(&mut states, CHUNK + 1018, 1, &runs);
        assert_eq!(states, [3, 3, 1, 1, 1, 1, 3, 3]);
        fill(&mut states, CHUNK * 2, 1, &runs);
        fill(&mut states, 0, 1, &runs);
        assert_eq!(states, [3, 3, 1, 1, 1, 1, 3, 3], "neither before nor behind");
    }

    #[test]
    fn an_answer_has_a_bound() {
        assert_eq!((limit(0), limit(1), limit(MOST)), (Ok(MOST), Ok(1), Ok(MOST)));
        assert_eq!(limit(MOST + 1).unwrap_err().field, "limit");
    }
}
