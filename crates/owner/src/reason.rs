//! Why a machine does not work, for people.
//!
//! Invariant: a reason that still holds reads the same at the next look, so that nothing is told twice.

use hivemind_model::owner::MAX_REASON_BYTES;
use std::fmt;

/// Why a machine, or its graphics processors, do not work now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The owner paused it by hand.
    Paused {
        /// When it ends, in their time; empty: when they say so.
        until: String,
    },
    /// The owner wants nothing new.
    Finishing {
        /// As above.
        until: String,
    },
    /// It is outside the hours of work.
    Hours {
        /// When they begin, in the owner's time; empty: never.
        opens: String,
    },
    /// Somebody uses the machine.
    InUse {
        /// Without input for so long, and it goes on.
        minutes: u32,
    },
    /// It was used a short time ago, or it is not known yet whether it was.
    UsedLately {
        /// Without input for so long, and it takes work.
        minutes: u32,
    },
    /// Nothing here tells whether somebody uses the machine.
    Unseen,
    /// A program runs beside which nothing runs.
    Program {
        /// Its name.
        name: String,
    },
    /// The machine runs on battery.
    Battery,
    /// The battery has less charge than the owner allows.
    Charge {
        /// Percent that are wanted.
        least: u32,
    },
    /// It is too hot.
    Hot {
        /// It stopped there, in degrees Celsius.
        stop: u32,
        /// It goes on there.
        resume: u32,
    },
    /// Others need the processor.
    Load {
        /// Percent of all cores from which on it stops.
        percent: u32,
    },
    /// The owner paused the graphics processors by hand.
    GpuPaused {
        /// As above.
        until: String,
    },
    /// The owner wants nothing new on the graphics processors.
    GpuFinishing {
        /// As above.
        until: String,
    },
    /// Others use a graphics processor.
    GpuBusy {
        /// Percent from which on it stops.
        percent: u32,
    },
}

impl Reason {
    /// True where it concerns the graphics processors alone.
    #[must_use]
    pub const fn is_of_gpu(&self) -> bool {
        match self {
            Self::GpuPaused { .. } | Self::GpuFinishing { .. } | Self::GpuBusy { .. } => true,
            Self::Paused { .. }
            | Self::Finishing { .. }
            | Self::Hours { .. }
            | Self::InUse { .. }
            | Self::UsedLately { .. }
            | Self::Unseen
            | Self::Program { .. }
            | Self::Battery
            | Self::Charge { .. }
            | Self::Hot { .. }
            | Self::Load { .. } => false,
        }
    }

    /// True where what runs may go on.
    #[must_use]
    pub const fn lets_finish(&self) -> bool {
        matches!(self, Self::Finishing { .. } | Self::GpuFinishing { .. })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused { until } => by_hand(f, "the owner paused it", until),
            Self::Finishing { until } => by_hand(f, "the owner wants no new work", until),
            Self::Hours { opens } if opens.is_empty() => f.write_str("outside the hours of work"),
            Self::Hours { opens } => write!(f, "outside the hours of work, which begin {opens}"),
            Self::InUse { minutes } => {
                write!(f, "somebody uses the machine; goes on after {minutes} min without input")
            }
            Self::UsedLately { minutes } => {
                write!(f, "the machine was used lately; takes work after {minutes} min without input")
            }
            Self::Unseen => f.write_str(
                "it cannot be seen here whether somebody uses the machine; run the worker as root or set `idle.only = false`",
            ),
            Self::Program { name } => write!(f, "{} runs; goes on when it has ended", shown(name)),
            Self::Battery => f.write_str("the machine runs on battery; goes on when it is plugged in"),
            Self::Charge { least } => write!(f, "the battery has less than {least} %; goes on when it has more"),
            Self::Hot { stop, resume } => write!(f, "it is too hot ({stop} °C or more); goes on at {resume} °C"),
            Self::Load { percent } => {
                write!(f, "other programs need the processor ({percent} % of it or more); goes on when they need less")
            }
            Self::GpuPaused { until } => by_hand(f, "the owner paused the graphics processors", until),
            Self::GpuFinishing { until } => by_hand(f, "the owner wants no new work on the graphics processors", until),
            Self::GpuBusy { percent } => {
                write!(f, "other programs use a graphics processor ({percent} % or more); goes on when they use less")
            }
        }
    }
}

fn by_hand(f: &mut fmt::Formatter<'_>, what: &str, until: &str) -> fmt::Result {
    match until {
        "" => f.write_str(what),
        _ => write!(f, "{what} until {until}"),
    }
}

/// A program's name is what anybody on the machine chose.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// The sentence of `reasons`, the first of them first, at most [`MAX_REASON_BYTES`] long.
#[must_use]
pub fn sentence<'a>(reasons: impl IntoIterator<Item = &'a Reason>) -> String {
    let mut text = String::new();
    for reason in reasons {
        let next = reason.to_string();
        if text.is_empty() {
            text = next;
            continue;
        }
        // Half a reason would mislead.
        if text.len() + "; also: ".len() + next.len() > MAX_REASON_BYTES {
            break;
        }
        text.push_str("; also: ");
        text.push_str(&next);
    }
    while text.len() > MAX_REASON_BYTES {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_say_what_and_when_it_goes_on() {
        let in_use = Reason::InUse { minutes: 5 };
        assert_eq!(sentence([&in_use]), "somebody uses the machine; goes on after 5 min without input");
        let both = sentence([&in_use, &Reason::Battery]);
        assert!(both.ends_with("; also: the machine runs on battery; goes on when it is plugged in"), "{both}");
    }

    #[test]
    fn sentences_are_bounded_and_hostile_names_harmless() {
        let program = Reason::Program { name: "ä\u{1b}[31m".repeat(100) };
        let text = sentence([&program, &Reason::Unseen, &Reason::Battery, &Reason::Load { percent: 50 }]);
        assert!(text.len() <= MAX_REASON_BYTES && !text.contains('\u{1b}'), "{text}");
        let longest = sentence([&Reason::Unseen]);
        assert!(longest.ends_with("`idle.only = false`"), "{longest}");
    }
}
