//! A text of entries: where its lines are.
//!
//! Start at [`Text::scan`]. Of a text only every so many bytes the beginning of a line is remembered, so
//! that a text of any number of lines takes little room; a line is found within the block after a mark.
//!
//! Invariant: no file is named or opened here.

use hivemind_model::array::MAX_ENTRY_BYTES;
use std::io::{self, BufRead, Read};

/// Bytes between two marks, at least.
const BLOCK: u64 = 64 << 10;

/// Why a text does not hold entries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadText {
    /// A line is longer than an environment variable may be.
    #[error("line {0} of the text is longer than {MAX_ENTRY_BYTES} bytes; put long input into files")]
    TooLong(u32),
    /// No environment variable holds this.
    #[error("line {0} of the text holds a NUL character")]
    Nul(u32),
    /// It is no text.
    #[error("line {0} of the text is not UTF-8")]
    NotText(u32),
    /// More lines than there are indices.
    #[error("the text has more lines than there are indices")]
    TooManyLines,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    /// Lines before it.
    line: u32,
    /// Bytes before it.
    offset: u64,
}

/// Where the lines of a text are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    marks: Vec<Mark>,
    lines: u32,
    size: u64,
}

/// Some lines of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    first: u32,
    lines: u32,
    bytes: Vec<u8>,
}

/// Which bytes hold a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The first line in them, from 0.
    pub(crate) first: u32,
    /// How many lines there are.
    pub(crate) lines: u32,
    /// Where they begin.
    pub(crate) offset: u64,
    /// How many there are.
    pub(crate) len: u64,
}

impl Text {
    /// Reads a text once, line by line; lines end in a line feed, with a carriage return before it or not.
    pub(crate) fn scan(mut reader: impl BufRead) -> io::Result<Result<Self, BadText>> {
        // A line that is as long as it may be, and how it ends; one byte more tells that it is longer.
        let most = MAX_ENTRY_BYTES as u64 + 3;
        let (mut marks, mut lines, mut offset, mut next_mark) = (Vec::new(), 0u32, 0u64, 0u64);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut reader).take(most).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(Ok(Self { marks, lines, size: offset }));
            }
            let Some(number) = lines.checked_add(1) else { return Ok(Err(BadText::TooManyLines)) };
            if let Err(bad) = check(without_end(&line), number) {
                return Ok(Err(bad));
            }
            if offset >= next_mark {
                marks.push(Mark { line: lines, offset });
                next_mark = offset + BLOCK;
            }
            lines = number;
            offset += read as u64;
        }
    }

    /// How many lines it has.
    pub(crate) fn lines(&self) -> u32 {
        self.lines
    }

    /// Where the line of that number, from 1, is; `None` where there is none.
    pub(crate) fn place(&self, number: u32) -> Option<Place> {
        let line = number.checked_sub(1).filter(|line| *line < self.lines)?;
        let at = self.marks.partition_point(|mark| mark.line <= line);
        let mark = self.marks.get(at.checked_sub(1)?)?;
        let end = self.marks.get(at).copied().unwrap_or(Mark { line: self.lines, offset: self.size });
        Some(Place {
            first: mark.line,
            lines: end.line - mark.line,
            offset: mark.offset,
            len: end.offset - mark.offset,
        })
    }
}

impl Block {
    /// The bytes at `place`.
    pub(crate) fn new(place: Place, bytes: Vec<u8>) -> Self {
        Self { first: place.first, lines: place.lines, bytes }
    }

    /// The line of that number, from 1; `None` where it is not here.
    pub(crate) fn line(&self, number: u32) -> Option<String> {
        let within = number.checked_sub(1)?.checked_sub(self.first).filter(|within| *within < self.lines)?;
        let line = self.bytes.split_inclusive(|byte| *byte == b'\n').nth(within as usize)?;
        String::from_utf8(without_end(line).to_vec()).ok()
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn check(line: &[u8], number: u32) -> Result<(), BadText> {
    if line.len() > MAX_ENTRY_BYTES {
        return Err(BadText::TooLong(number));
    }
    if line.contains(&0) {
        return Err(BadText::Nul(number));
    }
    std::str::from_utf8(line).map(drop).map_err(|_| BadText::NotText(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &[u8]) -> Result<Text, BadText> {
        Text::scan(text).unwrap()
    }

    fn line(text: &[u8], number: u32) -> Option<String> {
        let place = scan(text).unwrap().place(number)?;
        let from = usize::try_from(place.offset).unwrap();
        let bytes = text[from..from + usize::try_from(place.len).unwrap()].to_vec();
        Block::new(place, bytes).line(number)
    }

    #[test]
    fn lines_are_counted_from_one_and_end_as_everywhere() {
        for (text, lines) in [("", 0), ("\n", 1), ("a", 1), ("a\n", 1), ("a\n\nb", 3), ("a\r\nb\r\n", 2)] {
            assert_eq!(scan(text.as_bytes()).unwrap().lines(), lines, "{text:?}");
        }
        let text = "first\r\n\nthird ü\nlast".as_bytes();
        let found: Vec<Option<String>> = (0..=5).map(|number| line(text, number)).collect();
        let told = |text: &str| Some(text.to_owned());
        assert_eq!(found, [None, told("first"), told(""), told("third ü"), told("last"), None]);
    }

    #[test]
    fn what_no_variable_holds_is_refused_by_its_line() {
        let long = |len: usize| format!("a\n{}\n", "x".repeat(len)).into_bytes();
        assert!(scan(&long(MAX_ENTRY_BYTES)).is_ok());
        assert_eq!(scan(&long(MAX_ENTRY_BYTES + 1)), Err(BadText::TooLong(2)));
        assert_eq!(scan(&vec![b'x'; 1 << 20]), Err(BadText::TooLong(1)));
        assert_eq!(scan(b"a\nb\0\n"), Err(BadText::Nul(2)));
        assert_eq!(scan(b"a\nb\n\xff\xfe"), Err(BadText::NotText(3)));
    }

    #[test]
    fn large_texts_take_little_room_and_every_line_is_found() {
        let text: String = (1..=100_000).map(|number| format!("entry number {number}\n")).collect();
        let scanned = scan(text.as_bytes()).unwrap();
        assert!(scanned.marks.len() < 50, "{}", scanned.marks.len());
        for number in [1, 2, 3000, 50_000, 65_537, 99_999, 100_000] {
            assert_eq!(line(text.as_bytes(), number), Some(format!("entry number {number}")));
        }
        assert_eq!(line(text.as_bytes(), 100_001), None);
    }
}
