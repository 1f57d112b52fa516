//! Pages of lists: their size, the token that leads from one to the next, and where one ends.
//!
//! A token is opaque to clients: the list it belongs to and where to go on, in base64.
//!
//! Invariant: a token leads nowhere that the list itself does not lead.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hivemind_model::Rejection;

/// Largest page.
pub(super) const MAX_PAGE: u32 = 1000;
/// Longest token that is looked at.
const MAX_TOKEN_BYTES: usize = 200;

/// How many lines a caller wants; `default` where they do not say.
pub(super) fn size(asked: i32, default: u32) -> Result<u32, Rejection> {
    match u32::try_from(asked) {
        Ok(0) => Ok(default),
        Ok(size) if size <= MAX_PAGE => Ok(size),
        Ok(_) | Err(_) => Err(Rejection::invalid("page_size", format!("{asked} is outside 1 to {MAX_PAGE}"))),
    }
}

/// The token for what follows `last` in the list of that name.
pub(super) fn token<const N: usize>(list: &str, last: [u64; N]) -> String {
    let numbers: Vec<String> = last.iter().map(u64::to_string).collect();
    URL_SAFE_NO_PAD.encode(format!("{list}:{}", numbers.join(":")))
}

/// Reads [`token`] back; `None` for the first page. Numbers that no database holds are refused.
pub(super) fn after<const N: usize>(list: &str, token: &str) -> Result<Option<[u64; N]>, Rejection> {
    if token.is_empty() {
        return Ok(None);
    }
    let bad =
        || Rejection::invalid("page_token", "is not one that this pool gave for this list; begin at the first page");
    read(list, token).map(Some).ok_or_else(bad)
}

fn read<const N: usize>(list: &str, token: &str) -> Option<[u64; N]> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let numbers = text.strip_prefix(list)?.strip_prefix(':')?.split(':');
    let number = |text: &str| text.parse().ok().filter(|number| i64::try_from(*number).is_ok());
    let numbers: Vec<u64> = numbers.map(number).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

/// Cuts what was read beyond a page, which is one line more; true where there was something.
pub(super) fn cut<T>(lines: &mut Vec<T>, size: u32) -> bool {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let more = lines.len() > size;
    lines.truncate(size);
    more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_back_and_nothing_else_is_one() {
        let given = token("rewards", [7, 0]);
        assert_eq!(after("rewards", &given), Ok(Some([7, 0])));
        assert_eq!(after::<2>("rewards", ""), Ok(None));
        let raw = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let long = "A".repeat(MAX_TOKEN_BYTES + 1);
        for bad in ["!", "x", &raw("rewards:1"), &raw("rewards:1:-1"), &raw("rewards:1:2:3"), &raw("tips:1:2"), &long] {
            assert_eq!(after::<2>("rewards", bad).unwrap_err().field, "page_token", "{bad}");
        }
        assert!(after::<1>("tips", &token("tips", [u64::MAX])).is_err());
    }

    #[test]
    fn sizes_have_bounds() {
        assert_eq!((size(0, 50), size(1, 50), size(1000, 50)), (Ok(50), Ok(1), Ok(1000)));
        assert!(size(-1, 50).is_err() && size(1001, 50).is_err());
    }

    #[test]
    fn a_page_ends_where_it_was_asked_to() {
        let mut lines = vec![1, 2, 3];
        assert!(cut(&mut lines, 2) && lines == [1, 2]);
        assert!(!cut(&mut lines, 2));
    }
}
