//! What error messages have in common: the same sentence about other numbers, paths and names.
//!
//! Start at [`fold`].
//!
//! Invariant: the work and the result are bounded, whatever a machine said.

/// Most characters of a message that are looked at.
const MOST_READ: usize = 1000;
/// Most characters of what is left of it.
const MOST_KEPT: usize = 300;
/// Longest quotation, in bytes; beyond that a quotation mark is a character as others.
const LONGEST_QUOTATION: usize = 300;
/// Fewest digits of a digest or an id.
const SHORTEST_HEX: usize = 8;
/// From so many hexadecimal digits on, letters alone are enough.
const LONG_HEX: usize = 16;

/// The message with `<text>` for what stands in quotation marks, `<path>` for paths and addresses, `<hex>` for
/// digests and ids, `<n>` for numbers, and a blank for everything that is not shown.
pub(super) fn fold(message: &str) -> String {
    let message: String = message.chars().take(MOST_READ).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let (mut rest, mut before, mut folded) = (message.as_str(), ' ', String::new());
    while let Some(first) = rest.chars().next() {
        let length = if let Some(length) = quotation(rest, before) {
            folded.push_str("<text>");
            length
        } else if in_word(first) {
            let word = word(rest);
            fold_word(word, &mut folded);
            word.len()
        } else {
            if first != ' ' || before != ' ' {
                folded.push(first);
            }
            first.len_utf8()
        };
        before = rest[..length].chars().next_back().unwrap_or(' ');
        rest = &rest[length..];
    }
    folded.trim_end().chars().take(MOST_KEPT).collect()
}

/// The length of the quotation that `rest` begins with.
fn quotation(rest: &str, before: char) -> Option<usize> {
    let mark = rest.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    if before.is_alphanumeric() {
        // As in: the pool's.
        return None;
    }
    let mut ends = rest.char_indices().skip(1).take_while(|(at, _)| *at <= LONGEST_QUOTATION);
    let closes = |at: usize| !rest[at + 1..].chars().next().is_some_and(char::is_alphanumeric);
    ends.find(|(at, c)| *c == mark && (mark != '\'' || closes(*at))).map(|(at, _)| at + mark.len_utf8())
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '~' | ':' | '@' | '%' | '+')
}

/// The word that `rest` begins with, without the punctuation behind it.
fn word(rest: &str) -> &str {
    let end = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
    let word = rest[..end].trim_end_matches(['.', ':']);
    if word.is_empty() { &rest[..end] } else { word }
}

fn fold_word(word: &str, folded: &mut String) {
    if is_path(word) {
        folded.push_str("<path>");
    } else if is_hex(word.rsplit_once(':').map_or(word, |(_, last)| last)) {
        folded.push_str("<hex>");
    } else {
        fold_numbers(word, folded);
    }
}

fn is_path(word: &str) -> bool {
    let begins = ["/", "./", "../", "~/"].iter().any(|begin| word.len() > begin.len() && word.starts_with(begin));
    begins || word.contains("://") || word.matches('/').count() >= 2
}

fn is_hex(word: &str) -> bool {
    let digits = word.strip_prefix("0x").unwrap_or(word);
    let count = digits.bytes().filter(u8::is_ascii_hexdigit).count();
    let only = digits.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let numbers = digits.bytes().filter(u8::is_ascii_digit).count();
    let long = count >= SHORTEST_HEX && (numbers > 0 || count >= LONG_HEX) && numbers < count;
    only && (long || count >= LONG_HEX || (count > 0 && digits.len() < word.len()))
}

/// Each number of a word, with its decimals, as `<n>`.
fn fold_numbers(word: &str, folded: &mut String) {
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        if !c.is_ascii_digit() {
            folded.push(c);
            continue;
        }
        folded.push_str("<n>");
        while let Some(next) = chars.peek().copied() {
            let mut ahead = chars.clone();
            ahead.next();
            let decimal = next == '.' && ahead.peek().is_some_and(char::is_ascii_digit);
            if !next.is_ascii_digit() && !decimal {
                break;
            }
            chars.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_sentence_about_other_things_is_the_same() {
        for (message, folded) in [
            ("E_INFRASTRUCTURE: node7 was lost after 12.5 s", "E_INFRASTRUCTURE: node<n> was lost after <n> s"),
            ("no file /task/in-3.txt: gone", "no file <path>: gone"),
            ("pull https://example.org:443/v2/x?y failed", "pull <path>?y failed"),
            ("exec: \"foo bar\": not found", "exec: <text>: not found"),
            ("the pool's `x` is not the node's 'y'.", "the pool's <text> is not the node's <text>."),
            ("image sha256:0123456789abcdef0123456789abcdef is gone", "image <hex> is gone"),
            ("at 0x7f12, id 0190e5a8-7c1b-7d3e-8a5f-001122334455.", "at <hex>, id <hex>."),
            ("task_12[3] of 10,000", "task_<n>[<n>] of <n>,<n>"),
            ("connect 10.0.0.1:443: refused", "connect <n>:<n>: refused"),
            ("deadline added", "deadline added"),
            ("12345678 bytes", "<n> bytes"),
            ("a lone ' or \" stays", "a lone ' or \" stays"),
            ("two\n lines\u{1b}[31m", "two lines [<n>m"),
            ("", ""),
            ("...", "..."),
        ] {
            assert_eq!(fold(message), folded, "{message}");
        }
    }

    #[test]
    fn folding_twice_changes_nothing_more() {
        for message in ["E_X: `a` /b/c 0xff 12", "ü 'ß' ../x"] {
            assert_eq!(fold(&fold(message)), fold(message));
        }
    }

    #[test]
    fn a_long_message_has_a_bound() {
        for piece in ["ä", "'", "\" ", "/a ", "9.", "x\u{202e}"] {
            let folded = fold(&piece.repeat(100_000));
            assert!(folded.chars().count() <= MOST_KEPT, "{piece}");
        }
    }
}
