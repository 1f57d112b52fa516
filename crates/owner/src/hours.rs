//! The hours of a week in which a machine may work.
//!
//! They are those of the clock on the wall: `22:00-06:00` ends when the wall says six, in the night in which clocks
//! change, too. An interval belongs to the day on which it begins.
//!
//! Invariant: no clock; the moment is an argument, and brings its time zone.

use jiff::civil::{Date, Weekday};
use jiff::{ToSpan, Zoned};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Most intervals of one day.
pub const MAX_INTERVALS: usize = 12;
const DAY: u16 = 24 * 60;

/// From one time of day until another; over midnight where the second is not later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Interval {
    /// Minutes since midnight, below 1440.
    from: u16,
    /// Minutes since midnight, 1 to 1440; up to `from` where it is those of the next day.
    until: u16,
}

/// A text that is not an interval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is not a time from and until; write it such as `08:00-12:30`, `22:00-06:00` or `00:00-24:00`")]
pub struct BadInterval {
    shown: String,
}

impl FromStr for Interval {
    type Err = BadInterval;

    fn from_str(text: &str) -> Result<Self, BadInterval> {
        let bad = || BadInterval { shown: text.chars().filter(|c| !c.is_control()).take(40).collect() };
        let (from, until) = text.split_once('-').ok_or_else(bad)?;
        let (from, until) = (minutes(from).ok_or_else(bad)?, minutes(until).ok_or_else(bad)?);
        // Midnight at the end is that of the next day.
        let until = if until == 0 { DAY } else { until };
        if from == DAY || from == until {
            return Err(bad());
        }
        Ok(Self { from, until })
    }
}

fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |text: &str| {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let all = hour.checked_mul(60)?.checked_add(minute)?;
    (minute < 60 && all <= DAY).then_some(all)
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, until } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60)
    }
}

impl TryFrom<String> for Interval {
    type Error = BadInterval;

    fn try_from(text: String) -> Result<Self, BadInterval> {
        text.parse()
    }
}

impl From<Interval> for String {
    fn from(interval: Interval) -> Self {
        interval.to_string()
    }
}

/// The intervals of each weekday. None at all: always.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hours {
    /// Those that begin on a Monday; and so on.
    pub monday: Vec<Interval>,
    #[allow(missing_docs, reason = "as above")]
    pub tuesday: Vec<Interval>,
    #[allow(missing_docs, reason = "as above")]
    pub wednesday: Vec<Interval>,
    #[allow(missing_docs, reason = "as above")]
    pub thursday: Vec<Interval>,
    #[allow(missing_docs, reason = "as above")]
    pub friday: Vec<Interval>,
    #[allow(missing_docs, reason = "as above")]
    pub saturday: Vec<Interval>,
    #[allow(missing_docs, reason = "as above")]
    pub sunday: Vec<Interval>,
}

impl Hours {
    /// The intervals that begin on `day`.
    #[must_use]
    pub fn of(&self, day: Weekday) -> &[Interval] {
        match day {
            Weekday::Monday => &self.monday,
            Weekday::Tuesday => &self.tuesday,
            Weekday::Wednesday => &self.wednesday,
            Weekday::Thursday => &self.thursday,
            Weekday::Friday => &self.friday,
            Weekday::Saturday => &self.saturday,
            Weekday::Sunday => &self.sunday,
        }
    }

    /// Each weekday's name in the file, with its intervals.
    pub fn days(&self) -> impl Iterator<Item = (&'static str, &[Interval])> {
        [
            ("monday", &self.monday),
            ("tuesday", &self.tuesday),
            ("wednesday", &self.wednesday),
            ("thursday", &self.thursday),
            ("friday", &self.friday),
            ("saturday", &self.saturday),
            ("sunday", &self.sunday),
        ]
        .into_iter()
        .map(|(name, intervals)| (name, intervals.as_slice()))
    }

    /// True where there is any interval.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.days().any(|(_, intervals)| !intervals.is_empty())
    }

    /// True where the machine may work at `now`.
    #[must_use]
    pub fn allow(&self, now: &Zoned) -> bool {
        if !self.is_limited() {
            return true;
        }
        let minute = u16::try_from(i32::from(now.hour()) * 60 + i32::from(now.minute())).unwrap_or(0);
        let today = self.of(now.weekday()).iter();
        let begun = today.clone().any(|at| minute >= at.from && (at.until <= at.from || minute < at.until));
        let yesterday = self.of(now.weekday().previous()).iter();
        begun || yesterday.clone().any(|at| at.until <= at.from && minute < at.until)
    }

    /// When the machine may work next, where it may not at `now`; `None` where it may, or never may.
    #[must_use]
    pub fn next_opening(&self, now: &Zoned) -> Option<Zoned> {
        if self.allow(now) {
            return None;
        }
        let mut day = now.date();
        for _ in 0..=7 {
            let opening = self.of(day.weekday()).iter().filter_map(|at| beginning(day, *at, now)).min();
            if opening.is_some() {
                return opening;
            }
            day = day.checked_add(1.day()).ok()?;
        }
        None
    }
}

/// When `at` begins on `day`, where that is after `now`. Where clocks jump over that time, it is when they have.
fn beginning(day: Date, at: Interval, now: &Zoned) -> Option<Zoned> {
    let (hour, minute) = (i8::try_from(at.from / 60).ok()?, i8::try_from(at.from % 60).ok()?);
    let begins = day.at(hour, minute, 0, 0).to_zoned(now.time_zone().clone()).ok()?;
    (begins > *now).then_some(begins)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    fn berlin(text: &str) -> Zoned {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        text.parse::<Timestamp>().unwrap().to_zoned(zone)
    }

    fn list(texts: &[&str]) -> Vec<Interval> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn intervals_read_back() {
        for (text, printed) in [
            ("08:00-12:30", "08:00-12:30"),
            ("8:05 - 9:00", "08:05-09:00"),
            ("22:00-06:00", "22:00-06:00"),
            ("00:00-24:00", "00:00-24:00"),
            ("22:00-0:00", "22:00-24:00"),
        ] {
            let interval: Interval = text.parse().expect(text);
            assert_eq!(interval.to_string(), printed);
            assert_eq!(printed.parse(), Ok(interval));
        }
    }

    #[test]
    fn what_is_no_interval_is_refused() {
        let texts =
            ["", "8-9", "08:00", "08:00-08:00", "24:00-25:00", "08:60-09:00", "24:01-1:00", "-1:00-2:00", "24:00-1:00"];
        for text in texts.into_iter().chain(["+8:00-9:00", "８:00-9:00", "00:00-00:00x", "8:00-9:00-10:00"]) {
            let refused = text.parse::<Interval>().expect_err(text).to_string();
            assert!(refused.contains("write it such as"), "{refused}");
        }
    }

    #[test]
    fn several_intervals_and_nights_belong_to_their_day() {
        let hours = Hours { friday: list(&["08:00-09:00", "22:00-06:00"]), ..Hours::default() };
        // 2026-11-20 is a Friday; Berlin is an hour ahead of UTC then.
        for (utc, open) in [
            ("2026-11-20T06:59:59Z", false),
            ("2026-11-20T07:00:00Z", true),
            ("2026-11-20T07:59:59Z", true),
            ("2026-11-20T08:00:00Z", false),
            ("2026-11-20T21:00:00Z", true),
            ("2026-11-21T04:59:59Z", true),
            ("2026-11-21T05:00:00Z", false),
            ("2026-11-20T03:00:00Z", false),
        ] {
            assert_eq!(hours.allow(&berlin(utc)), open, "{utc}");
        }
    }

    #[test]
    fn no_hours_are_all_hours() {
        assert!(Hours::default().allow(&berlin("2026-11-20T06:59:59Z")));
        assert_eq!(Hours::default().next_opening(&berlin("2026-11-20T06:59:59Z")), None);
    }

    #[test]
    fn nights_in_which_clocks_change_end_by_the_wall() {
        let hours = Hours { saturday: list(&["22:00-06:00"]), ..Hours::default() };
        // 2026-03-29 02:00 becomes 03:00; 2026-10-25 03:00 becomes 02:00.
        for (utc, open) in [
            ("2026-03-29T03:59:00Z", true),
            ("2026-03-29T04:00:00Z", false),
            ("2026-10-25T00:30:00Z", true),
            ("2026-10-25T01:30:00Z", true),
            ("2026-10-25T04:59:00Z", true),
            ("2026-10-25T05:00:00Z", false),
        ] {
            assert_eq!(hours.allow(&berlin(utc)), open, "{utc}");
        }
    }

    #[test]
    fn it_says_when_it_opens_next() {
        let hours = Hours { monday: list(&["09:00-10:00"]), sunday: list(&["02:30-04:00"]), ..Hours::default() };
        let opens = |utc: &str| hours.next_opening(&berlin(utc)).map(|at| at.timestamp().to_string());
        assert_eq!(opens("2026-11-23T07:59:00Z").as_deref(), Some("2026-11-23T08:00:00Z"));
        assert_eq!(opens("2026-11-23T08:30:00Z"), None);
        assert_eq!(opens("2026-11-23T09:00:00Z").as_deref(), Some("2026-11-29T01:30:00Z"));
        // 02:30 is not on that wall: it opens when the clocks have jumped.
        assert_eq!(opens("2026-03-28T12:00:00Z").as_deref(), Some("2026-03-29T01:30:00Z"));
        let once = Hours { monday: list(&["09:00-10:00"]), ..Hours::default() };
        let next = once.next_opening(&berlin("2026-11-23T09:00:00Z")).map(|at| at.timestamp().to_string());
        assert_eq!(next.as_deref(), Some("2026-11-30T08:00:00Z"));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]

        #[test]
        fn the_next_opening_is_the_first_minute_that_is_allowed(
            intervals in proptest::collection::vec((0u8..7, 0u16..1440, 1u16..1440), 1..6),
            start in 0i64..20_000,
        ) {
            let mut hours = Hours::default();
            for (day, from, length) in intervals {
                let until = if from + length > DAY { from + length - DAY } else { from + length };
                let days = [
                    &mut hours.monday, &mut hours.tuesday, &mut hours.wednesday, &mut hours.thursday, &mut hours.friday,
                    &mut hours.saturday, &mut hours.sunday,
                ];
                days.into_iter().nth(day.into()).unwrap().push(Interval { from, until });
            }
            let at = |minute: i64| Timestamp::from_second(1_790_000_040 + minute * 60).unwrap().to_zoned(TimeZone::UTC);
            let now = at(start);
            let first = (start..start + 8 * 1440).map(at).find(|at| hours.allow(at));
            match hours.next_opening(&now) {
                Some(opening) => proptest::prop_assert_eq!(Some(opening), first),
                None => proptest::prop_assert_eq!(Some(now), first),
            }
        }
    }
}
