//! Many elements and attempts of one task at once.

use crate::samples::{attempt, ended, founding, open, place, task};
use hivemind_ledger::LedgerChanges;
use hivemind_model::rows::{AttemptPhase, AttemptRow, CHUNK, ChunkRow, Element, ElementPhase, RowChanges, Standing};
use hivemind_model::state::{Outcome, TaskState};
use hivemind_model::{TaskId, Timestamp};
use hivemind_store::Store;

fn element(phase: ElementPhase) -> Element {
    Element { attempts: 3, faults: 1, accepted: 2, phase, ..Element::FRESH }
}

/// One element in every way in which one can stand.
fn all_ways() -> Vec<Element> {
    let reason = || "a \"kind\": \"exited\", \"code\": 0".to_owned();
    let outcomes = [
        Outcome::Exited { code: 0 },
        Outcome::Exited { code: 7 },
        Outcome::Exited { code: -1 },
        Outcome::OutOfMemory,
        Outcome::TimedOut,
        Outcome::CannotStart { reason: reason() },
        Outcome::BadImage { reason: reason() },
        Outcome::ImageUnavailable { reason: reason() },
        Outcome::Cancelled,
        Outcome::Expired,
        Outcome::OutOfPatience { reason: reason() },
        Outcome::Skipped { reason: reason() },
        Outcome::Poison { reason: reason() },
        Outcome::Disputed { reason: reason() },
        Outcome::Infrastructure { reason: reason() },
    ];
    let mut ways = vec![Element::FRESH, element(ElementPhase::Waiting { not_before: Timestamp(9) })];
    ways.push(element(ElementPhase::Live));
    ways.extend(outcomes.map(|outcome| element(ElementPhase::Ended { outcome })));
    ways
}

#[tokio::test]
async fn a_grid_says_of_every_element_what_the_whole_element_says() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let (mut rows, ledger) = founding();
    rows.new_tasks = vec![task(1, 2, TaskState::Running), task(2, 2, TaskState::Running)];
    let runs: Vec<(u32, Element)> = (1..).zip(all_ways()).collect();
    let chunk = |task, chunk| ChunkRow { task: TaskId(task), chunk, runs: runs.clone() };
    rows.chunks = vec![chunk(1, 0), chunk(1, 2), chunk(1, 3), chunk(2, 0)];
    store.commit(&rows, &ledger).await.unwrap();
    for (from, limit) in [(0, 9), (1, 1), (3, 9), (4, 9), (0, 2)] {
        let whole = store.chunks(TaskId(1), from, limit).await.unwrap();
        let wanted: Vec<(u32, Vec<(u32, Standing)>)> = whole
            .into_iter()
            .map(|row| (row.chunk, row.runs.iter().map(|(count, of)| (*count, Standing::of(&of.phase))).collect()))
            .collect();
        let grid = store.grid(TaskId(1), from, limit).await.unwrap();
        let grid: Vec<_> = grid.into_iter().map(|row| (row.chunk, row.runs)).collect();
        assert_eq!(grid, wanted, "from {from}, {limit}");
    }
    assert_eq!(store.grid(TaskId(3), 0, 9).await.unwrap(), []);
}

#[tokio::test]
async fn the_newest_attempts_are_those_that_were_handed_out_last() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let (mut rows, ledger) = founding();
    rows.new_tasks = vec![task(1, 2, TaskState::Running), task(2, 2, TaskState::Running)];
    let at = |index: u32, number: u32, since: i64, phase: AttemptPhase| {
        let mut row = attempt(1, number, 1, phase);
        row.attempt.element.index = index;
        row.assigned_at = Timestamp(since);
        row
    };
    let running = AttemptPhase::Running { started_at: Timestamp(7) };
    rows.attempts = vec![
        at(1, 1, 100, ended(1)),
        at(1, 2, 400, running),
        at(2, 1, 200, ended(0)),
        at(9, 1, 300, ended(0)),
        at(50, 1, 300, AttemptPhase::Assigned),
        attempt(2, 1, 1, AttemptPhase::Assigned),
    ];
    let mut wanted: Vec<AttemptRow> = rows.attempts[..5].to_vec();
    wanted.sort_by_key(|row| std::cmp::Reverse((row.assigned_at, row.attempt)));
    store.commit(&rows, &ledger).await.unwrap();
    for limit in [0, 1, 2, 3, 5, 2001] {
        let most = wanted.len().min(limit as usize);
        assert_eq!(store.latest_attempts(TaskId(1), limit).await.unwrap(), wanted[..most], "{limit}");
    }
    assert_eq!(store.latest_attempts(TaskId(3), 9).await.unwrap(), []);
}

#[tokio::test]
async fn a_grid_of_a_hundred_thousand_elements_is_read_in_parts() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let (mut rows, ledger) = founding();
    rows.new_tasks = vec![task(1, 2, TaskState::Running)];
    store.commit(&rows, &ledger).await.unwrap();
    let ways = all_ways();
    let runs: Vec<(u32, Element)> = ways.iter().cycle().take(CHUNK as usize).map(|way| (1, way.clone())).collect();
    let chunks = (0..98).map(|chunk| ChunkRow { task: TaskId(1), chunk, runs: runs.clone() }).collect();
    let rows = RowChanges { chunks, ..RowChanges::default() };
    store.commit(&rows, &LedgerChanges::default()).await.unwrap();
    let (mut from, mut elements) = (0, 0);
    loop {
        let part = store.grid(TaskId(1), from, 64).await.unwrap();
        let Some(last) = part.last() else { break };
        from = last.chunk + 1;
        elements += part.iter().flat_map(|row| &row.runs).map(|(count, _)| count).sum::<u32>();
    }
    assert_eq!(elements, 98 * CHUNK);
}
