//! How much a body holds, before it is read.
//!
//! A value of JSON can be two bytes long, and a hundred times that in memory. Start at [`check`].
//!
//! Invariant: nothing is kept of what is counted.

use crate::fault::Fault;
use hivemind_http::Problem;
use http::StatusCode;

/// Objects in one body: a graph of 10,000 tasks, each with ten files or dependencies.
const MOST_OBJECTS: usize = 110_000;
/// Values in one body, of any kind.
const MOST_VALUES: usize = 1_500_000;

/// Counts the objects and values of a text of JSON; what is none is refused later, by who reads it.
///
/// # Errors
/// 413 `E_TOO_LARGE` where there are too many.
pub(super) fn check(json: &[u8]) -> Result<(), Fault> {
    let (mut objects, mut values) = (0_usize, 0_usize);
    let (mut is_text, mut is_escaped) = (false, false);
    for byte in json {
        match (is_text, byte) {
            (true, _) if is_escaped => is_escaped = false,
            (true, b'\\') => is_escaped = true,
            (true, b'"') => is_text = false,
            (true, _) => {}
            (false, b'"') => is_text = true,
            (false, b'{') => (objects, values) = (objects + 1, values + 1),
            (false, b'[' | b',') => values += 1,
            (false, _) => {}
        }
    }
    let refused = |most: usize, what: &str| {
        let detail = format!("the body holds more than {most} {what}; hand in less at once");
        Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "E_TOO_LARGE", detail).into())
    };
    match (objects > MOST_OBJECTS, values > MOST_VALUES) {
        (true, _) => refused(MOST_OBJECTS, "objects"),
        (false, true) => refused(MOST_VALUES, "values"),
        (false, false) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_on_the_wire_and_large_in_memory_is_refused() {
        let list = |value: &str, count: usize| format!("{{\"tasks\":[{}]}}", vec![value; count].join(","));
        assert!(check(list("{}", MOST_OBJECTS - 1).as_bytes()).is_ok());
        let Fault(problem) = check(list("{}", MOST_OBJECTS).as_bytes()).unwrap_err();
        assert_eq!((problem.status(), problem.code()), (StatusCode::PAYLOAD_TOO_LARGE, "E_TOO_LARGE"));
        assert!(check(list("0", MOST_VALUES).as_bytes()).is_err());
        assert!(check(&[b'['; MOST_VALUES + 1]).is_err());
    }

    #[test]
    fn texts_count_as_one_value() {
        let text = format!("{{\"a\":\"{}\\\"{}\\\\\"}}", "{".repeat(MOST_OBJECTS + 1), ",[".repeat(MOST_VALUES));
        assert!(check(text.as_bytes()).is_ok());
    }
}
