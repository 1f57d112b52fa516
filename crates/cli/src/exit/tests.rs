use super::*;
use std::sync::Arc;

#[test]
fn every_refusal_has_its_number() {
    let table = [
        (Code::Invalid, 2),
        (Code::NotFound, 3),
        (Code::Taken, 7),
        (Code::BadCredentials, 4),
        (Code::Forbidden, 5),
        (Code::InsufficientCpt, 6),
        (Code::MaxPrice, 6),
        (Code::Invitation, 5),
        (Code::IdReused, 7),
        (Code::Conflict, 7),
        (Code::Stale, 7),
        (Code::TokenUsed, 7),
        (Code::TokenExpired, 4),
        (Code::Busy, 1),
        (Code::TooLarge, 2),
    ];
    let listed: Vec<Code> = table.iter().map(|(code, _)| *code).collect();
    assert_eq!(listed, Code::ALL, "a new code needs its line here");
    for (code, number) in table {
        assert_eq!(of_code(code).number(), number, "{code}");
        assert_eq!(of_word(code.as_str()).number(), number, "{code}");
    }
    assert_eq!(of_word("E_FROM_THE_FUTURE").number(), 1);
}

#[test]
fn every_fault_on_the_way_has_its_number() {
    let text = || String::from("x");
    for (error, number) in [
        (ClientError::Unreachable { server: text(), why: text() }, 9),
        (ClientError::Untrusted { server: text(), why: text() }, 9),
        (ClientError::Rejected { code: "E_NOT_FOUND".into(), field: text(), message: text() }, 3),
        (ClientError::Login { code: text(), message: text() }, 4),
        (ClientError::Protocol { what: text(), why: text() }, 1),
        (ClientError::Invalid { what: text(), why: text() }, 2),
        (ClientError::Io { action: "read", path: "x".into(), source: Arc::new(std::io::Error::other("x")) }, 1),
    ] {
        assert_eq!(of_client(&error).number(), number, "{error}");
    }
}

#[test]
fn the_numbers_are_the_documented_ones() {
    let all = [
        Exit::Ok,
        Exit::Failure,
        Exit::Usage,
        Exit::NotFound,
        Exit::Login,
        Exit::Forbidden,
        Exit::InsufficientCpt,
        Exit::Conflict,
        Exit::TimedOut,
        Exit::Unreachable,
        Exit::Platform,
        Exit::Interrupted,
        Exit::Task(42),
    ];
    assert_eq!(all.map(Exit::number), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 125, 130, 42]);
}
