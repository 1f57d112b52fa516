//! What people are shown of one another must be seen as what it is.
//!
//! Start at [`is_unseen`].
//!
//! Invariant: a text without such characters does nothing to what stands beside it.

/// Whether a character is not seen as what it is: control characters, and those that hide, or turn around, what stands
/// beside them. Names, and texts that others are shown, have none.
#[must_use]
pub fn is_unseen(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}');
    let hides = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2064}');
    c.is_control() || turns || hides || matches!(c, '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_any_script_are_seen_and_what_turns_or_hides_is_not() {
        assert!(!"Müller's \u{1F41D} שלום 日本 100% <b>".chars().any(is_unseen));
        for c in [
            '\n',
            '\u{1b}',
            '\u{7f}',
            '\u{202e}',
            '\u{2066}',
            '\u{200b}',
            '\u{200d}',
            '\u{2060}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            assert!(is_unseen(c), "{c:?}");
        }
    }
}
