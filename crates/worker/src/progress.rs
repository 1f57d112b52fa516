//! How a command says in its own words how much of its work is done: a line `HIVEMIND_PROGRESS 42`.
//!
//! Start at [`ProgressLines::read`]. A line counts where it is nothing but that; it stays in the log like any other.
//!
//! Invariant: however long a line is and however it arrives in pieces, a few bytes of it are kept.

/// What stands before the number.
const MARK: &[u8] = b"HIVEMIND_PROGRESS ";

/// Longest line that can count: three digits and a carriage return behind the mark.
const LONGEST: usize = MARK.len() + 4;

/// The line of one stream that has not ended yet.
#[derive(Debug, Default)]
pub(crate) struct ProgressLines {
    begun: Vec<u8>,
    /// True where the line is another one; it is skipped to its end.
    skips: bool,
}

impl ProgressLines {
    /// Takes the next piece of the stream; gives the most that a line which ended in it says, 0 to 100.
    pub(crate) fn read(&mut self, mut data: &[u8]) -> Option<u8> {
        let mut most = None;
        while !data.is_empty() {
            let end = data.iter().position(|byte| *byte == b'\n');
            let (piece, rest) = data.split_at(end.unwrap_or(data.len()));
            self.add(piece);
            if end.is_some() {
                most = most.max(if self.skips { None } else { percent(&self.begun) });
                self.begun.clear();
                self.skips = false;
            }
            data = rest.get(1..).unwrap_or_default();
        }
        most
    }

    fn add(&mut self, piece: &[u8]) {
        if self.skips {
            return;
        }
        let fits = self.begun.len() + piece.len() <= LONGEST;
        let marked = piece.iter().zip(MARK.iter().skip(self.begun.len())).all(|(is, wanted)| is == wanted);
        if fits && marked {
            self.begun.extend_from_slice(piece);
        } else {
            self.skips = true;
        }
    }
}

fn percent(line: &[u8]) -> Option<u8> {
    let digits = line.strip_prefix(MARK)?;
    let digits = digits.strip_suffix(b"\r").unwrap_or(digits);
    // A sign, which a number may have elsewhere, has no place here.
    let all_digits = digits.iter().all(u8::is_ascii_digit);
    let number: u8 = std::str::from_utf8(digits).ok().filter(|_| all_digits)?.parse().ok()?;
    (number <= 100).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_line_counts() {
        for (text, most) in [
            ("HIVEMIND_PROGRESS 42\n", Some(42)),
            ("HIVEMIND_PROGRESS 0\n", Some(0)),
            ("HIVEMIND_PROGRESS 100\r\n", Some(100)),
            ("before\nHIVEMIND_PROGRESS 7\nafter\n", Some(7)),
            ("HIVEMIND_PROGRESS 30\nHIVEMIND_PROGRESS 20\n", Some(30)),
            ("HIVEMIND_PROGRESS 42", None),
            ("HIVEMIND_PROGRESS 101\n", None),
            ("HIVEMIND_PROGRESS 999\n", None),
            ("HIVEMIND_PROGRESS 0042\n", Some(42)),
            ("HIVEMIND_PROGRESS 00042\n", None),
            ("HIVEMIND_PROGRESS \n", None),
            ("HIVEMIND_PROGRESS -1\n", None),
            ("HIVEMIND_PROGRESS +1\n", None),
            ("HIVEMIND_PROGRESS 4 2\n", None),
            ("HIVEMIND_PROGRESS 42 % done\n", None),
            (" HIVEMIND_PROGRESS 42\n", None),
            ("xHIVEMIND_PROGRESS 42\n", None),
            ("HIVEMIND_PROGRESSES 42\n", None),
            ("HIVEMIND_PROGRESS \u{664}\u{662}\n", None),
            ("\n\n\n", None),
        ] {
            assert_eq!(ProgressLines::default().read(text.as_bytes()), most, "{text:?}");
        }
    }

    #[test]
    fn pieces_of_any_size_are_the_same_line() {
        let text = b"a long line that is none of ours, and longer than one could be\nHIVEMIND_PROGRESS 55\nx\nHIVEMIND_PROGRESS 56\r\n";
        for size in 1..=text.len() {
            let mut lines = ProgressLines::default();
            let most = text.chunks(size).filter_map(|piece| lines.read(piece)).max();
            assert_eq!(most, Some(56), "pieces of {size}");
            assert!(lines.begun.capacity() <= 2 * LONGEST);
        }
    }

    #[test]
    fn a_line_without_an_end_is_not_kept() {
        let mut lines = ProgressLines::default();
        for _ in 0..1000 {
            assert_eq!(lines.read(b"HIVEMIND_PROGRESS 1"), None);
        }
        assert!(lines.begun.len() <= LONGEST);
        assert_eq!(lines.read(b"\nHIVEMIND_PROGRESS 9\n"), Some(9));
    }
}
