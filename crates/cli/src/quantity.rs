//! Amounts as people write and read them: sizes, spans of time, cores, CPT.
//!
//! Invariant: nothing is rounded silently on the way in; what does not fit is refused with the
//! form that does.

use hivemind_model::egress::Endpoint;
use hivemind_model::node::Label;
use hivemind_model::units::MICRO_PER_CPT;
use hivemind_model::{Bytes, Cpt, Millis, Timestamp};
use std::time::Duration;

/// Reads `512m`, `2g`, `2GiB`, `1024k`, or plain bytes with `b`. Units are powers of 1024.
///
/// # Errors
/// A sentence for people. A bare number is refused: docker reads it as bytes, people as MiB.
pub fn parse_size(text: &str) -> Result<Bytes, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let form = "give a whole number and a unit, such as 512m or 2g";
    if unit.starts_with(['.', ',']) {
        return Err(format!("parts of a unit are not taken; {form}"));
    }
    let number: u64 = number.parse().map_err(|_| form.to_owned())?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "" => return Err(format!("the unit is missing; {form}")),
        _ => return Err(format!("`{unit}` is no unit; {form}")),
    };
    let bytes = number.checked_mul(1 << shift).ok_or("that is more than any machine has")?;
    if bytes == 0 {
        return Err("zero is no amount; leave the option out for the default".into());
    }
    Ok(Bytes(bytes))
}

/// Reads `90s`, `15m`, `2h`, `1h30m`, `3d`, `500ms`. Units go from large to small, each once.
///
/// # Errors
/// A sentence for people.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let form = "give numbers with units, such as 90s, 15m, 2h or 1h30m";
    let mut rest = text;
    let mut least_seen = u64::MAX;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| form.to_owned())?;
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        if unit.is_empty() {
            return Err(if tail.is_empty() { format!("the unit is missing; {form}") } else { form.into() });
        }
        let (_, millis) = *UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(|| format!("`{unit}` is no unit of time; {form}"))?;
        if millis >= least_seen {
            return Err(format!("units go from large to small, each once; {form}"));
        }
        least_seen = millis;
        total = number.checked_mul(millis).and_then(|part| total.checked_add(part)).ok_or("that is too long")?;
        rest = tail;
    }
    if total == 0 {
        return Err(form.into());
    }
    Ok(Duration::from_millis(total))
}

/// Reads whole cores; refuses parts, which this pool does not lend.
///
/// # Errors
/// A sentence for people.
pub fn parse_cores(text: &str) -> Result<u32, String> {
    let is_decimal = text.split_once('.').is_some_and(|(whole, part)| {
        [whole, part].iter().all(|s| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit()))
    });
    if is_decimal {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        if part.bytes().all(|b| b == b'0') {
            return parse_cores(whole);
        }
        return Err("parts of a core are not lent; give a whole number, such as 1 or 2".into());
    }
    match text.parse::<u32>() {
        Ok(0) => Err("a task needs at least 1 core".into()),
        Ok(cores) => Ok(cores),
        Err(_) => Err("give a whole number of cores, such as 2".into()),
    }
}

/// Reads an amount such as `12` or `0.25` CPT, exactly, with at most six places.
///
/// # Errors
/// A sentence for people.
pub fn parse_cpt(text: &str) -> Result<Cpt, String> {
    let form = "give an amount above zero with at most six places, such as 12 or 0.25";
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let plain = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !plain(whole) || !plain(part) || part.len() > 6 {
        return Err(form.into());
    }
    let whole: i64 = whole.parse().map_err(|_| "that is more CPT than there are".to_owned())?;
    let micro: i64 = format!("{part:0<6}").parse().map_err(|_| form.to_owned())?;
    let sum = whole
        .checked_mul(MICRO_PER_CPT)
        .and_then(|base| base.checked_add(micro))
        .ok_or("that is more CPT than there are")?;
    if sum == 0 {
        return Err(form.into());
    }
    Ok(Cpt::from_micro(sum))
}

/// Reads a moment: RFC 3339 such as `2026-01-31T12:00:00Z`, or a day such as `2026-01-31`, which
/// stands for its beginning in UTC.
///
/// # Errors
/// A sentence for people; also for a moment before 1970.
pub fn parse_moment(text: &str) -> Result<Timestamp, String> {
    let form = "give a day such as 2026-01-31 (UTC), or a moment such as 2026-01-31T12:00:00Z";
    let bad = |why: jiff::Error| format!("{form}: {why}");
    let moment = if text.contains([':', 'T', 't']) {
        text.parse::<jiff::Timestamp>().map_err(bad)?
    } else {
        let day: jiff::civil::Date = text.parse().map_err(bad)?;
        day.to_zoned(jiff::tz::TimeZone::UTC).map_err(bad)?.timestamp()
    };
    match moment.as_millisecond() {
        before if before < 0 => Err("that is before 1970".into()),
        millis => Ok(Timestamp(millis)),
    }
}

/// A moment that is named, or a time from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// Then.
    At(Timestamp),
    /// So long from now.
    In(Duration),
}

/// Reads a moment as [`parse_moment`] does, or a span as [`parse_span`] does, which counts from now.
///
/// # Errors
/// A sentence for people.
pub fn parse_deadline(text: &str) -> Result<Deadline, String> {
    if text.contains('-') {
        return parse_moment(text).map(Deadline::At);
    }
    parse_span(text).map(Deadline::In).map_err(|why| format!("{why}; or a moment such as 2026-01-31T12:00:00Z"))
}

/// Reads `key=value`.
///
/// # Errors
/// A sentence for people.
pub fn parse_label(text: &str) -> Result<Label, String> {
    text.parse().map_err(|bad: hivemind_model::node::BadLabel| bad.to_string())
}

/// Reads `HOST:PORT`.
///
/// # Errors
/// A sentence for people; of a network as docker names it, what there is in its place.
pub fn parse_endpoint(text: &str) -> Result<Endpoint, String> {
    let of_docker = ["host", "none", "bridge", "default"].contains(&text) || text.starts_with("container:");
    if of_docker {
        return Err(
            "it is a network of docker, and a task shares none with a machine; leave it out for no network, or \
                    name what it may reach, such as --network data.example.net:443"
                .into(),
        );
    }
    text.parse().map_err(|bad: hivemind_model::egress::BadEndpoint| bad.to_string())
}

/// Hours for people, with one place, rounded down: `123.4 h`.
#[must_use]
pub fn show_hours(span: Millis) -> String {
    let tenths = span.0 / 360_000;
    format!("{}.{} h", tenths / 10, tenths % 10)
}

/// A span for people: `420ms`, `3.2s`, `12s`, `3m 20s`, `2h 5m`, `3d 4h`.
#[must_use]
pub fn show_span(span: Millis) -> String {
    let seconds = span.secs();
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| {
        if small == 0 { format!("{large}{large_unit}") } else { format!("{large}{large_unit} {small}{small_unit}") }
    };
    match seconds {
        0 if span.0 > 0 => format!("{}ms", span.0),
        1..=9 if span.0 % 1000 >= 100 => format!("{seconds}.{}s", span.0 % 1000 / 100),
        0..=59 => format!("{seconds}s"),
        60..=3599 => two(seconds / 60, "m", seconds % 60, "s"),
        3600..=86_399 => two(seconds / 3600, "h", seconds % 3600 / 60, "m"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

/// How long ago something was, in the largest unit that fits.
#[must_use]
pub fn show_age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(then).secs();
    match seconds {
        0..=59 => format!("{seconds}s"),
        60..=3599 => format!("{}m", seconds / 60),
        3600..=86_399 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
