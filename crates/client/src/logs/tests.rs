use super::*;

fn chunk(attempt: u32, stream: WireStream, offset: i64, data: &'static str) -> LogChunk {
    LogChunk { stream: stream.into(), offset, data: Bytes::from_static(data.as_bytes()), attempt }
}

fn given(attempt: u32, stream: LogStream, offset: u64, data: &'static str) -> Verdict {
    Verdict::Give(LogPart { attempt, stream, offset, data: Bytes::from_static(data.as_bytes()) })
}

#[test]
fn no_byte_is_given_twice_or_left_out() {
    use WireStream::{Stderr, Stdout};
    let mut place = Place::default();
    for (chunk, expected) in [
        (chunk(1, Stdout, 0, "hello"), given(1, LogStream::Stdout, 0, "hello")),
        (chunk(1, Stderr, 0, "oh"), given(1, LogStream::Stderr, 0, "oh")),
        (chunk(1, Stdout, 0, "hello"), Verdict::Known),
        (chunk(1, Stdout, 3, "lo world"), given(1, LogStream::Stdout, 5, " world")),
        (chunk(1, Stdout, 12, "x"), Verdict::Gap),
        (chunk(2, Stdout, 11, "late"), Verdict::Gap),
        (chunk(1, Stdout, 11, "old"), Verdict::Known),
        (chunk(2, Stdout, 0, "anew"), given(2, LogStream::Stdout, 0, "anew")),
        (chunk(2, Stderr, 2, "x"), Verdict::Gap),
    ] {
        assert_eq!(place.take(chunk.clone()).expect("well formed"), expected, "{chunk:?}");
    }
    assert_eq!(place, Place { attempt: 2, stdout: 4, ..Place::default() });
}

#[test]
fn what_is_not_well_formed_is_refused() {
    let mut place = Place::default();
    assert!(place.take(chunk(1, WireStream::Unspecified, 0, "x")).is_err());
    assert!(place.take(chunk(1, WireStream::Stdout, -1, "x")).is_err());
}
