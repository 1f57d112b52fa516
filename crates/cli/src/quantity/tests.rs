use super::*;

#[test]
fn sizes_are_read_or_refused() {
    for (text, bytes) in
        [("512m", 512 << 20), ("2g", 2 << 30), ("2GiB", 2 << 30), ("64kb", 64 << 10), ("100b", 100), ("1T", 1 << 40)]
    {
        assert_eq!(parse_size(text), Ok(Bytes(bytes)), "{text}");
    }
    for (text, part) in [
        ("512", "unit is missing"),
        ("1.5g", "parts of a unit"),
        ("m", "whole number and a unit"),
        ("-1g", "whole number and a unit"),
        ("0g", "zero"),
        ("5x", "`x` is no unit"),
        ("99999999999999t", "more than any machine"),
        ("", "whole number and a unit"),
    ] {
        let refusal = parse_size(text).expect_err(text);
        assert!(refusal.contains(part), "{text}: {refusal}");
    }
}

#[test]
fn spans_are_read_or_refused() {
    for (text, millis) in [
        ("90s", 90_000),
        ("2h", 7_200_000),
        ("1h30m", 5_400_000),
        ("3d", 259_200_000),
        ("500ms", 500),
        ("1m1ms", 60_001),
    ] {
        assert_eq!(parse_span(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for (text, part) in [
        ("90", "unit is missing"),
        ("30m1h", "large to small"),
        ("1h1h", "large to small"),
        ("0s", "give numbers"),
        ("", "give numbers"),
        ("-5s", "give numbers"),
        ("1.5h", "give numbers"),
        ("5 m", "give numbers"),
        ("5y", "`y` is no unit"),
        ("99999999999999999d", "too long"),
    ] {
        let refusal = parse_span(text).expect_err(text);
        assert!(refusal.contains(part), "{text}: {refusal}");
    }
}

#[test]
fn parts_of_a_core_are_refused() {
    assert_eq!(parse_cores("2"), Ok(2));
    assert_eq!(parse_cores("2.0"), Ok(2));
    for (text, part) in [
        ("1.5", "parts of a core"),
        ("0", "at least 1"),
        ("0.5", "parts of a core"),
        ("-1", "whole number"),
        ("1.x", "whole number"),
        ("", "whole number"),
    ] {
        let refusal = parse_cores(text).expect_err(text);
        assert!(refusal.contains(part), "{text}: {refusal}");
    }
}

#[test]
fn money_is_read_exactly_or_refused() {
    for (text, micro) in [("12", 12_000_000), ("0.25", 250_000), ("0.000001", 1), ("7.10", 7_100_000)] {
        assert_eq!(parse_cpt(text), Ok(Cpt::from_micro(micro)), "{text}");
    }
    for text in
        ["0", "-1", "1e3", "0.0000001", "", ".", "1.", ".5", "1 000", "99999999999999999999", "9999999999999", "+1"]
    {
        assert!(parse_cpt(text).is_err(), "{text}");
    }
}

#[test]
fn spans_and_ages_print_for_people() {
    for (millis, text) in [
        (0, "0s"),
        (420, "420ms"),
        (3_299, "3.2s"),
        (12_000, "12s"),
        (12_300, "12s"),
        (200_000, "3m 20s"),
        (7_500_000, "2h 5m"),
        (7_200_000, "2h"),
        (273_600_000, "3d 4h"),
    ] {
        assert_eq!(show_span(Millis(millis)), text);
    }
    assert_eq!(show_age(Timestamp(0), Timestamp(7_500_000)), "2h");
    assert_eq!(show_age(Timestamp(9), Timestamp(0)), "0s");
}

#[test]
fn whole_seconds_have_no_part() {
    assert_eq!([3_000, 3_099, 3_100].map(|millis| show_span(Millis(millis))), ["3s", "3s", "3.1s"]);
}

#[test]
fn moments_are_read_or_refused() {
    for (text, millis) in [
        ("1970-01-01", 0),
        ("2026-01-31", 1_769_817_600_000),
        ("2026-01-31T12:00:00Z", 1_769_860_800_000),
        ("2026-01-31T12:00:00.250+01:00", 1_769_857_200_250),
    ] {
        assert_eq!(parse_moment(text), Ok(Timestamp(millis)), "{text}");
    }
    for (text, part) in [
        ("yesterday", "give a day such as"),
        ("2026-02-30", "give a day such as"),
        ("2026-01-31T12:00:00", "give a day such as"),
        ("2026-01", "give a day such as"),
        ("1769817600", "give a day such as"),
        ("-5", "give a day such as"),
        ("", "give a day such as"),
        ("1969-12-31", "before 1970"),
    ] {
        let refusal = parse_moment(text).expect_err(text);
        assert!(refusal.contains(part), "{text}: {refusal}");
    }
}

#[test]
fn hours_are_rounded_down() {
    for (millis, text) in
        [(0, "0.0 h"), (359_999, "0.0 h"), (360_000, "0.1 h"), (3_600_000, "1.0 h"), (444_599_999, "123.4 h")]
    {
        assert_eq!(show_hours(Millis(millis)), text);
    }
}
