//! The elements of one task, in chunks: those of which nothing differs take no room.
//!
//! Start at [`Elements::get`]. An element is found by its position, the place of its index in the
//! ascending list of the task's indices.
//!
//! Invariant: a chunk that changed is written with the next batch.

use hivemind_model::TaskId;
use hivemind_model::rows::{CHUNK, ChunkRow, Element, ElementPhase};
use hivemind_model::state::Outcome;
use std::collections::BTreeSet;

/// The state of every element of a task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Elements {
    len: u32,
    chunks: Vec<Chunk>,
    /// Chunks that changed in this batch.
    dirty: BTreeSet<u32>,
}

#[derive(Debug, Clone, PartialEq)]
enum Chunk {
    /// All of them are alike.
    Alike(Box<Element>),
    Each(Box<[Element]>),
}

/// A stored chunk that cannot be one of the task.
pub(crate) struct BadChunk;

impl Elements {
    /// `len` elements that were never tried.
    pub(crate) fn fresh(len: u32) -> Self {
        let chunks = (0..len.div_ceil(CHUNK)).map(|_| Chunk::Alike(Box::new(Element::FRESH))).collect();
        Self { len, chunks, dirty: BTreeSet::new() }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// The element at `position`; `None` behind the last.
    pub(crate) fn get(&self, position: u32) -> Option<&Element> {
        match self.chunks.get(place(position / CHUNK))? {
            Chunk::Alike(element) => (position < self.len).then_some(element),
            Chunk::Each(elements) => elements.get(place(position % CHUNK)),
        }
    }

    /// The element at `position`, to change it.
    pub(crate) fn get_mut(&mut self, position: u32) -> Option<&mut Element> {
        if position >= self.len {
            return None;
        }
        let number = position / CHUNK;
        self.dirty.insert(number);
        let size = self.size_of(number);
        let chunk = self.chunks.get_mut(place(number))?;
        if let Chunk::Alike(element) = chunk {
            *chunk = Chunk::Each(vec![(**element).clone(); place(size)].into());
        }
        match chunk {
            Chunk::Each(elements) => elements.get_mut(place(position % CHUNK)),
            Chunk::Alike(_) => None,
        }
    }

    /// Every element, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Element> {
        (0u32..).zip(&self.chunks).flat_map(|(number, chunk)| {
            let (alike, each): (_, &[Element]) = match chunk {
                Chunk::Alike(element) => (Some(std::iter::repeat_n(&**element, place(self.size_of(number)))), &[]),
                Chunk::Each(elements) => (None, elements),
            };
            alike.into_iter().flatten().chain(each)
        })
    }

    /// The elements from `first` to `last`, equal ones of an untouched chunk together, each run with its first and
    /// last position.
    pub(crate) fn runs_in(&self, first: u32, last: u32) -> impl Iterator<Item = (u32, u32, &Element)> {
        let last = last.min(self.len.saturating_sub(1));
        (first / CHUNK..=last / CHUNK).flat_map(move |number| {
            let begin = number.saturating_mul(CHUNK);
            let (from, to) = (begin.max(first), begin.saturating_add(CHUNK - 1).min(last));
            let (alike, each): (_, &[Element]) = match self.chunks.get(place(number)) {
                Some(Chunk::Alike(element)) if from <= to => (Some((from, to, &**element)), &[]),
                Some(Chunk::Each(elements)) if from <= to => {
                    (None, elements.get(place(from - begin)..=place(to - begin)).unwrap_or(&[]))
                }
                Some(Chunk::Alike(_) | Chunk::Each(_)) | None => (None, &[]),
            };
            alike.into_iter().chain((from..).zip(each).map(|(at, element)| (at, at, element)))
        })
    }

    /// Ends the elements from `first` to `last`, all in the same way; whole chunks of equal ones in one step.
    pub(crate) fn end(&mut self, first: u32, last: u32, outcome: &Outcome) {
        let mut at = first;
        while at <= last {
            let number = at / CHUNK;
            let (begin, size) = (number.saturating_mul(CHUNK), self.size_of(number));
            let to = begin.saturating_add(size.saturating_sub(1)).min(last);
            let whole = at == begin && to - begin + 1 == size;
            match self.chunks.get_mut(place(number)) {
                Some(Chunk::Alike(element)) if whole => {
                    element.phase = ElementPhase::Ended { outcome: outcome.clone() };
                    self.dirty.insert(number);
                }
                Some(Chunk::Alike(_) | Chunk::Each(_)) => {
                    for at in at..=to {
                        if let Some(element) = self.get_mut(at) {
                            element.phase = ElementPhase::Ended { outcome: outcome.clone() };
                        }
                    }
                }
                None => return,
            }
            let Some(next) = to.checked_add(1) else { return };
            at = next;
        }
    }

    /// The chunks that changed, as they are stored.
    pub(crate) fn take_dirty(&mut self, task: TaskId) -> Vec<ChunkRow> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().map(|chunk| ChunkRow { task, chunk, runs: self.runs(chunk) }).collect()
    }

    /// Takes a stored chunk.
    pub(crate) fn restore(&mut self, row: ChunkRow) -> Result<(), BadChunk> {
        let size = self.size_of(row.chunk);
        let elements: u64 = row.runs.iter().map(|(count, _)| u64::from(*count)).sum();
        let chunk = self.chunks.get_mut(place(row.chunk)).ok_or(BadChunk)?;
        if elements != u64::from(size) {
            return Err(BadChunk);
        }
        let each = row.runs.into_iter().flat_map(|(count, element)| std::iter::repeat_n(element, place(count)));
        *chunk = Chunk::Each(each.collect());
        Ok(())
    }

    fn runs(&self, chunk: u32) -> Vec<(u32, Element)> {
        let mut runs: Vec<(u32, Element)> = Vec::new();
        match self.chunks.get(place(chunk)) {
            Some(Chunk::Alike(element)) => runs.push((self.size_of(chunk), (**element).clone())),
            Some(Chunk::Each(elements)) => {
                for element in elements {
                    match runs.last_mut() {
                        Some((count, like)) if like == element => *count += 1,
                        Some(_) | None => runs.push((1, element.clone())),
                    }
                }
            }
            None => {}
        }
        runs
    }

    fn size_of(&self, chunk: u32) -> u32 {
        self.len.saturating_sub(chunk.saturating_mul(CHUNK)).min(CHUNK)
    }
}

fn place(number: u32) -> usize {
    number as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: Element = Element { attempts: 1, phase: ElementPhase::Live, ..Element::FRESH };

    #[test]
    fn what_did_not_change_is_not_written() {
        let mut elements = Elements::fresh(3000);
        assert_eq!((elements.len(), elements.iter().count(), elements.take_dirty(TaskId(1))), (3000, 3000, Vec::new()));
        *elements.get_mut(2999).expect("the last") = LIVE;
        assert_eq!(
            (elements.get(2998), elements.get(2999), elements.get(3000)),
            (Some(&Element::FRESH), Some(&LIVE), None)
        );
        assert!(elements.get_mut(3000).is_none());
        let rows = elements.take_dirty(TaskId(1));
        assert_eq!(rows, [ChunkRow { task: TaskId(1), chunk: 2, runs: vec![(951, Element::FRESH), (1, LIVE)] }]);
        assert!(elements.take_dirty(TaskId(1)).is_empty());
    }

    #[test]
    fn chunks_come_back_as_they_were() {
        let mut elements = Elements::fresh(1500);
        *elements.get_mut(7).expect("there") = LIVE;
        *elements.get_mut(1499).expect("there") = LIVE;
        let mut again = Elements::fresh(1500);
        for row in elements.take_dirty(TaskId(1)) {
            assert!(again.restore(row).is_ok());
        }
        assert!(again.iter().eq(elements.iter()));
        let wrong = |chunk, count| ChunkRow { task: TaskId(1), chunk, runs: vec![(count, LIVE)] };
        assert!(again.restore(wrong(2, 1)).is_err() && again.restore(wrong(1, 1024)).is_err());
    }

    #[test]
    fn whole_chunks_are_seen_and_ended_in_one_step() {
        let mut elements = Elements::fresh(3000);
        *elements.get_mut(3).expect("there") = LIVE;
        let runs = |elements: &Elements, first, last| {
            elements.runs_in(first, last).map(|(from, to, element)| (from, to, element.attempts)).collect::<Vec<_>>()
        };
        assert_eq!(runs(&elements, 2, 4), [(2, 2, 0), (3, 3, 1), (4, 4, 0)]);
        assert_eq!(runs(&elements, 1023, 9999), [(1023, 1023, 0), (1024, 2047, 0), (2048, 2999, 0)]);
        elements.take_dirty(TaskId(1));
        elements.end(4, 2999, &Outcome::Cancelled);
        assert!(matches!(elements.chunks[1..], [Chunk::Alike(_), Chunk::Alike(_)]));
        let rows = elements.take_dirty(TaskId(1));
        assert_eq!(rows.iter().map(|row| row.runs.len()).collect::<Vec<_>>(), [3, 1, 1]);
        assert_eq!((elements.get(2), elements.get(3)), (Some(&Element::FRESH), Some(&LIVE)));
        elements.end(0, 0, &Outcome::Expired);
        assert_eq!(elements.iter().filter(|element| matches!(element.phase, ElementPhase::Ended { .. })).count(), 2997);
    }
}
