//! What a task wrote, as a terminal may have it.
//!
//! A log comes from a stranger's machine. Terminals obey sequences of characters that set the clipboard, answer as if somebody had
//! typed, or paint over what stands there (ECMA-48, xterm's control sequences). Start at [`Harmless::pass`].
//!
//! Invariant: of what begins with an escape only colours and the erasing of a line come through.

/// Longest sequence that is kept; longer ones are no colours.
const MOST_BYTES: usize = 64;
const ESCAPE: u8 = 0x1b;
const BELL: u8 = 0x07;

/// Where in the text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    /// Outside of all sequences.
    #[default]
    Text,
    /// Behind the first byte of two, of which some are controls (U+0080 to U+009F).
    Lead,
    /// Behind an escape.
    Escape,
    /// Behind an escape and one that wants one more.
    Charset,
    /// In a control sequence.
    Control,
    /// In a text for the terminal itself, which ends with a bell or an escape and a backslash.
    Message,
    /// Behind an escape in such a text.
    MessageEscape,
}

/// Passes on what does no harm; it may be cut anywhere.
#[derive(Debug, Default)]
pub(super) struct Harmless {
    at: At,
    sequence: Vec<u8>,
}

impl Harmless {
    /// What of `bytes` may be shown.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut shown = Vec::with_capacity(bytes.len());
        for byte in bytes {
            self.at = self.next(*byte, &mut shown);
        }
        shown
    }

    fn next(&mut self, byte: u8, shown: &mut Vec<u8>) -> At {
        match (self.at, byte) {
            // It begins anew wherever it was.
            (At::Text | At::Lead | At::Escape | At::Charset | At::Control, ESCAPE) => At::Escape,
            (At::Text, 0xc2) => At::Lead,
            (At::Text, b'\n' | b'\r' | b'\t' | 0x20..=0x7e | 0x80..) => {
                shown.push(byte);
                At::Text
            }
            (At::Text, _) => At::Text,
            (At::Lead, 0x9b) => self.begin(),
            (At::Lead, 0x90 | 0x98 | 0x9d..=0x9f) => At::Message,
            (At::Lead, 0x80..=0x9f) => At::Text,
            (At::Lead, _) => {
                shown.push(0xc2);
                self.at = At::Text;
                self.next(byte, shown)
            }
            (At::Escape, b'[') => self.begin(),
            (At::Escape, b'P' | b'X' | b']' | b'^' | b'_') => At::Message,
            (At::Escape, 0x20..=0x2f) => At::Charset,
            (At::Escape | At::Charset, _) => At::Text,
            (At::Control, 0x20..=0x3f) => {
                if self.sequence.len() < MOST_BYTES {
                    self.sequence.push(byte);
                }
                At::Control
            }
            (At::Control, b'm' | b'K') if self.is_plain() => {
                shown.extend([ESCAPE, b'[']);
                shown.append(&mut self.sequence);
                shown.push(byte);
                At::Text
            }
            (At::Control, b'\n') => {
                shown.push(byte);
                At::Text
            }
            (At::Control, _) => At::Text,
            (At::Message | At::MessageEscape, BELL) | (At::MessageEscape, b'\\') => At::Text,
            (At::Message | At::MessageEscape, ESCAPE) => At::MessageEscape,
            (At::Message | At::MessageEscape, _) => At::Message,
        }
    }

    fn begin(&mut self) -> At {
        self.sequence.clear();
        At::Control
    }

    /// Numbers and what parts them; other marks make it another sequence.
    fn is_plain(&self) -> bool {
        let is_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b';' | b':');
        self.sequence.len() < MOST_BYTES && self.sequence.iter().all(is_number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_colours_come_through_and_nothing_else() {
        for (written, shown) in [
            ("plain\ttext\r\nü → 🐝", "plain\ttext\r\nü → 🐝"),
            ("\x1b[1;31mred\x1b[0m \x1b[38:2::1:2:3mdeep\x1b[m", "\x1b[1;31mred\x1b[0m \x1b[38:2::1:2:3mdeep\x1b[m"),
            ("50 %\x1b[K\r60 %", "50 %\x1b[K\r60 %"),
            ("a\x1b]52;c;cm0gLXJm\x07b", "ab"),
            ("a\x1b]0;title\x1b\\b", "ab"),
            ("a\x1bPquery\x1b\\b\x1b_x\x1b\\c", "abc"),
            ("a\x1b[2J\x1b[H\x1b[6n\x1b[?25l\x1b[>4;2m\x1b[1Ab", "ab"),
            ("a\x1b(0b\x1bcd\x1b7e", "abde"),
            ("a\u{9b}2Jb\u{9d}0;x\x07c\u{85}d", "abcd"),
            ("\u{a3}5 \u{c2}", "\u{a3}5 \u{c2}"),
            ("a\x07\x08\x7f\0\x0eb", "ab"),
            ("a\x1b[1\nb", "a\nb"),
        ] {
            let whole = Harmless::default().pass(written.as_bytes());
            assert_eq!(String::from_utf8_lossy(&whole), shown, "{written:?}");
            let mut cut = Harmless::default();
            let pieces: Vec<u8> = written.bytes().flat_map(|byte| cut.pass(&[byte])).collect();
            assert_eq!(pieces, whole, "{written:?} byte by byte");
        }
    }

    #[test]
    fn an_endless_sequence_takes_no_memory() {
        let mut filter = Harmless::default();
        assert!(filter.pass(b"\x1b[").is_empty() && filter.pass(&[b'1'; 1 << 20]).is_empty());
        assert!(filter.sequence.len() <= MOST_BYTES);
        assert_eq!(filter.pass(b"mx"), b"x");
    }
}
