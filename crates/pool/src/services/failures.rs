//! `FailureGroups`: what went wrong with a task, those elements together that failed alike.
//!
//! Start at [`groups`]. Elements are read chunk by chunk, and equal neighbours counted, so that a million elements
//! that failed in a hundred ways cost little more than the hundred ways.
//!
//! Invariant: what is read, remembered and told is bounded, however many elements failed and whatever they said.

use super::grid::{MANY, ranges, shown};
use crate::blobs::blocking;
use crate::logs::Stream;
use crate::shared::Shared;
use crate::status;
use fold::fold;
use hivemind_model::array::Indices;
use hivemind_model::rows::{CHUNK, ElementPhase, Standing, TaskRow};
use hivemind_model::{AttemptRef, ElementRef, Outcome};
use hivemind_proto::v1::{FailureGroup, FailureGroupsResponse};
use std::collections::HashMap;
use tonic::Status;

mod fold;

/// Groups that are told.
const MOST_GROUPS: usize = 100;
/// Groups that are told apart while elements are read; what fails in still more ways is only counted.
const MOST_KNOWN: usize = 1000;
/// Ranges of examples of one group.
const MOST_RANGES: usize = 20;
/// Elements that are looked at.
const MOST_LOOKED_AT: u32 = 1_000_000;
/// Chunks read at once.
const READ_AHEAD: u32 = 8;
/// Longest message that is told as it is, in characters.
const MOST_MESSAGE: usize = 1000;
/// What is read of the end of standard error, and what is told of its last line, in bytes.
const TAIL_BYTES: u64 = 4096;
const MOST_LINE: usize = 300;

/// Elements that failed alike.
struct Group {
    signature: String,
    message: String,
    exit_code: Option<i32>,
    count: u32,
    examples: Vec<(u32, u32)>,
}

impl Group {
    /// Adds indices to the examples, which come in ascending order.
    fn add(&mut self, count: u32, indices: &[(u32, u32)]) {
        self.count = self.count.saturating_add(count);
        for (first, last) in indices {
            let room = self.examples.len() < MOST_RANGES;
            match self.examples.last_mut() {
                Some((_, before)) if before.checked_add(1) == Some(*first) => *before = *last,
                Some(_) | None if room => self.examples.push((*first, *last)),
                Some(_) | None => return,
            }
        }
    }

    fn first(&self) -> u32 {
        self.examples.first().map_or(0, |(first, _)| *first)
    }
}

/// Groups as they are found.
#[derive(Default)]
struct Groups {
    groups: Vec<Group>,
    known: HashMap<(String, Option<i32>), usize>,
    /// The outcome that was seen last, and its group: neighbours often fail alike.
    last: Option<(Outcome, Option<usize>)>,
    failed: u32,
    ungrouped: u32,
}

impl Groups {
    fn add(&mut self, outcome: &Outcome, count: u32, indices: &[(u32, u32)]) {
        self.failed = self.failed.saturating_add(count);
        let place = match &self.last {
            Some((last, place)) if last == outcome => *place,
            Some(_) | None => {
                let place = self.place(outcome);
                self.last = Some((outcome.clone(), place));
                place
            }
        };
        match place.and_then(|place| self.groups.get_mut(place)) {
            Some(group) => group.add(count, indices),
            None => self.ungrouped = self.ungrouped.saturating_add(count),
        }
    }

    /// The group of what ended so; `None` where too many are known.
    fn place(&mut self, outcome: &Outcome) -> Option<usize> {
        let message = outcome.explain();
        let exit_code = super::summary::exit_code(outcome);
        // An exit code is what it is about, not one number among others.
        let signature = if exit_code.is_some() { message.clone() } else { fold(&message) };
        let key = (signature, exit_code);
        if let Some(place) = self.known.get(&key) {
            return Some(*place);
        }
        if self.groups.len() >= MOST_KNOWN {
            return None;
        }
        let place = self.groups.len();
        let message = message.chars().take(MOST_MESSAGE).collect();
        let group = Group { signature: key.0.clone(), message, exit_code, count: 0, examples: Vec::new() };
        self.groups.push(group);
        self.known.insert(key, place);
        Some(place)
    }

    /// The largest groups; what is in others is counted as being in none.
    fn largest(&mut self) -> Vec<Group> {
        let mut groups = std::mem::take(&mut self.groups);
        groups.sort_by_key(|group| (std::cmp::Reverse(group.count), group.first()));
        let rest = groups.split_off(groups.len().min(MOST_GROUPS));
        let others = rest.iter().fold(0u32, |sum, group| sum.saturating_add(group.count));
        self.ungrouped = self.ungrouped.saturating_add(others);
        groups
    }
}

/// Groups of the failed elements of a task of the caller.
pub(super) async fn groups(shared: &Shared, row: &TaskRow) -> Result<FailureGroupsResponse, Status> {
    let mut found = Groups::default();
    match (&row.spec.array, &row.progress.failure) {
        (None, Some(outcome)) if row.progress.ended.failed > 0 => found.add(outcome, 1, &[(0, 0)]),
        (None, _) => {}
        (Some(array), _) => of_array(shared, row, &array.indices, &mut found).await?,
    }
    let groups = found.largest();
    let mut lines = last_lines(shared, row, &groups).await?;
    let told = |group: Group| {
        let last_line_element = group.first();
        let last_line = lines.remove(&last_line_element).unwrap_or_default();
        FailureGroup {
            signature: group.signature,
            error_message: group.message,
            count: group.count,
            example_elements: shown(&group.examples),
            exit_code: group.exit_code,
            last_line_element: if last_line.is_empty() { 0 } else { last_line_element },
            last_line,
        }
    };
    Ok(FailureGroupsResponse {
        groups: groups.into_iter().map(told).collect(),
        failed: found.failed,
        ungrouped: found.ungrouped,
        cut: row.spec.elements() > MOST_LOOKED_AT,
    })
}

async fn of_array(shared: &Shared, row: &TaskRow, all: &Indices, found: &mut Groups) -> Result<(), Status> {
    let elements = row.spec.elements().min(MOST_LOOKED_AT);
    let _turn = match elements {
        0..=MANY => None,
        _ => Some(shared.turns.take(row.user).await.map_err(|rejection| status::rejected(&rejection))?),
    };
    let mut chunk = 0;
    // Once all were found that had failed when it was asked, the rest need not be read.
    while found.failed < row.progress.ended.failed && chunk < elements.div_ceil(CHUNK) {
        let rows = shared.store.chunks(row.progress.id, chunk, READ_AHEAD).await;
        let rows = rows.map_err(|error| status::store(&error))?;
        let Some(newest) = rows.last().map(|row| row.chunk) else { break };
        for row in rows {
            let mut position = row.chunk.saturating_mul(CHUNK);
            for (count, element) in &row.runs {
                if position >= elements {
                    break;
                }
                match &element.phase {
                    ElementPhase::Ended { outcome } if Standing::of(&element.phase) == Standing::Failed => {
                        found.add(outcome, *count, &ranges(all, position, *count, MOST_RANGES));
                    }
                    ElementPhase::Ended { .. } | ElementPhase::Waiting { .. } | ElementPhase::Live => {}
                }
                position = position.saturating_add(*count);
            }
        }
        chunk = newest.saturating_add(1);
    }
    Ok(())
}

/// The last line on standard error of the first element of each group, where it is kept, by its index.
async fn last_lines(shared: &Shared, row: &TaskRow, groups: &[Group]) -> Result<HashMap<u32, String>, Status> {
    if groups.is_empty() {
        return Ok(HashMap::new());
    }
    let first = |group: &Group| row.source(ElementRef { task: row.progress.id, index: group.first() });
    let elements: Vec<ElementRef> = groups.iter().map(first).collect();
    let newest = shared.store.newest_attempts(&elements).await.map_err(|error| status::store(&error))?;
    let attempts: Vec<AttemptRef> = newest.iter().map(|row| row.attempt).collect();
    let live = shared.live.clone();
    let read = blocking(move || {
        let mut lines = HashMap::new();
        for attempt in attempts {
            let from = live.logs.lengths(attempt)?.stderr.saturating_sub(TAIL_BYTES);
            let tail = live.logs.read(attempt, Stream::Stderr, from, TAIL_BYTES as usize)?;
            lines.insert(attempt.element.index, last_line(&tail));
        }
        Ok(lines)
    });
    read.await.map_err(|error| status::file("reading logs", &error))
}

/// The last line with something in it, as text that can be shown.
fn last_line(tail: &[u8]) -> String {
    let text = String::from_utf8_lossy(tail);
    let Some(line) = text.lines().rev().map(str::trim).find(|line| !line.is_empty()) else { return String::new() };
    let mut shown: String = line.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    shown.truncate(shown.floor_char_boundary(MOST_LINE));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: String) -> Outcome {
        Outcome::Infrastructure { reason: text }
    }

    #[test]
    fn what_fails_alike_is_one_group_and_exit_codes_are_told_apart() {
        let mut found = Groups::default();
        found.add(&Outcome::Exited { code: 3 }, 2, &[(1, 2)]);
        found.add(&Outcome::Exited { code: 4 }, 1, &[(3, 3)]);
        found.add(&fault("node 7 is lost".into()), 1, &[(4, 4)]);
        found.add(&fault("node 8 is lost".into()), 4, &[(5, 6), (50, 51)]);
        let told: Vec<_> = found.largest().into_iter().map(|group| (group.signature, group.exit_code)).collect();
        let words = [
            ("E_INFRASTRUCTURE: node <n> is lost".to_owned(), None),
            ("E_EXIT: the command ended with exit code 3".to_owned(), Some(3)),
            ("E_EXIT: the command ended with exit code 4".to_owned(), Some(4)),
        ];
        assert_eq!(told, words);
        assert_eq!((found.failed, found.ungrouped), (8, 0));
    }

    #[test]
    fn groups_and_examples_have_bounds() {
        let mut found = Groups::default();
        let letters = |number: u32| -> String {
            number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'g')).collect()
        };
        for index in 0..2000 {
            found.add(&fault(letters(index)), 1, &[(index, index)]);
        }
        assert_eq!((found.groups.len(), found.ungrouped), (MOST_KNOWN, 1000));
        for index in 0..100 {
            found.add(&fault(letters(7)), 1, &[(3000 + 2 * index, 3000 + 2 * index)]);
        }
        let groups = found.largest();
        assert_eq!((groups.len(), groups[0].count, groups[0].examples.len()), (MOST_GROUPS, 101, MOST_RANGES));
        assert_eq!((found.failed, found.ungrouped), (2100, 1900));
    }

    #[test]
    fn neighbours_of_one_group_are_one_range() {
        let mut found = Groups::default();
        found.add(&Outcome::TimedOut, 2, &[(1, 2)]);
        found.add(&Outcome::OutOfMemory, 1, &[(3, 3)]);
        found.add(&Outcome::OutOfMemory, 3, &[(4, 5), (9, 9)]);
        let groups = found.largest();
        assert_eq!(shown(&groups[0].examples), "3-5,9");
    }

    #[test]
    fn the_last_line_is_short_and_has_nothing_in_it_that_moves_a_cursor() {
        assert_eq!(last_line(b"one\ntwo \r\n\n  \n"), "two");
        assert_eq!(last_line(b"\x1b[31mred\xff"), "?[31mred\u{fffd}");
        assert_eq!((last_line(b""), last_line(b"\n \n")), (String::new(), String::new()));
        assert_eq!(last_line("ä".repeat(400).as_bytes()).len(), 300);
    }
}
