//! How long ago somebody used the machine.
//!
//! The newest of three signs counts: a keyboard, mouse, touch screen or game pad was touched ([`super::devices`]); somebody
//! typed into a terminal, of the machine itself, of a window or over ssh, which the kernel keeps as the time of the last
//! read of `/dev/tty*` and `/dev/pts/*` (in steps of eight seconds); and, only where no device can be watched, the interrupts
//! of the keyboard's controller went up. HTCondor and BOINC look at the last two; neither sees a USB mouse by them.
//!
//! Invariant: a change counts from the look that saw it, by the steady clock; a clock that is set changes nothing.

use super::devices::Devices;
use super::root::Root;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// Most terminals that are looked at.
const MOST_TERMINALS: usize = 4096;

/// See the module.
#[derive(Debug)]
pub struct Input {
    root: Root,
    devices: Devices,
    terminals: BTreeMap<String, SystemTime>,
    interrupts: Option<u64>,
    last: Option<Duration>,
}

/// By what input is seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Devices that are watched.
    pub devices: usize,
    /// Devices that this process may not open. Where there is any, it is not known whether somebody uses the machine.
    pub blind: usize,
    /// Terminals.
    pub terminals: usize,
    /// The interrupts of the keyboard's controller.
    pub interrupts: bool,
}

impl Input {
    /// Of the machine below `root`.
    #[must_use]
    pub fn new(root: Root) -> Self {
        let devices = Devices::new(root.clone());
        Self { root, devices, terminals: BTreeMap::new(), interrupts: None, last: None }
    }

    /// How long ago the last input was; `None` where that cannot be seen. Where a device is watched, what was before the
    /// first call is taken for use.
    pub fn read(&mut self, now: Duration) -> Option<Duration> {
        let touched = self.devices.touched(now);
        let interrupted = self.interrupted();
        let typed = self.typed();
        let last = match self.last {
            Some(last) if !(touched || interrupted || typed) => last,
            Some(_) => now,
            None => self.first(now),
        };
        self.last = Some(last);
        let Seen { devices, blind, terminals, interrupts } = self.seen();
        let sees = blind == 0 && (devices > 0 || terminals > 0 || interrupts);
        sees.then(|| now.saturating_sub(last))
    }

    /// By what it is seen.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen {
            devices: self.devices.watched(),
            blind: self.devices.blind(),
            terminals: self.terminals.len(),
            interrupts: self.interrupts.is_some(),
        }
    }

    /// Terminals tell what was before; devices do not.
    fn first(&self, now: Duration) -> Duration {
        if self.devices.watched() > 0 || self.interrupts.is_some() {
            return now;
        }
        let newest = self.terminals.values().max();
        let ago = newest.and_then(|at| SystemTime::now().duration_since(*at).ok());
        // A time that is yet to come says that the clock was set, and nothing else.
        now.saturating_sub(ago.unwrap_or_default())
    }

    /// True where a terminal was read from since the last call, or is new.
    fn typed(&mut self) -> bool {
        let pts = self.root.names("dev/pts").into_iter().map(|name| format!("dev/pts/{name}"));
        let ttys =
            self.root.names("dev").into_iter().filter(|name| name.starts_with("tty")).map(|name| format!("dev/{name}"));
        let found: BTreeMap<String, SystemTime> = ttys
            .chain(pts.filter(|path| !path.ends_with("ptmx")))
            .take(MOST_TERMINALS)
            .filter_map(|path| {
                let read = std::fs::metadata(self.root.path(&path)).and_then(|about| about.accessed()).ok()?;
                Some((path, read))
            })
            .collect();
        let typed = found.iter().any(|(path, at)| self.terminals.get(path) != Some(at));
        self.terminals = found;
        typed
    }

    /// True where the keyboard's controller interrupted since the last call. The file is long, so it is read only where
    /// nothing better is there.
    fn interrupted(&mut self) -> bool {
        let count = match self.devices.watched() {
            0 => self.root.text("proc/interrupts").and_then(|text| keyboard_interrupts(&text)),
            _ => None,
        };
        let more = matches!((self.interrupts, count), (Some(before), Some(now)) if before != now);
        self.interrupts = count;
        more
    }
}

/// The sum over the controllers of keyboards and touch pads that have a line of their own. Those of USB are shared with
/// disks and network cards, and say nothing.
fn keyboard_interrupts(text: &str) -> Option<u64> {
    let lines = text.lines().filter(|line| line.contains("i8042") || line.contains("i2c_hid"));
    let counts = lines.map(|line| {
        let numbers = line.split_ascii_whitespace().skip(1).map_while(|word| word.parse::<u64>().ok());
        numbers.fold(0, u64::wrapping_add)
    });
    counts.reduce(u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::super::root::fake::Fake;
    use super::*;

    fn read_at(fake: &Fake, path: &str, ago: u64) {
        let at = SystemTime::now() - Duration::from_secs(ago);
        let file = std::fs::File::options().write(true).open(fake.path().join(path)).unwrap();
        file.set_times(std::fs::FileTimes::new().set_accessed(at)).unwrap();
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn terminals_tell_also_what_was_before() {
        let fake = Fake::new();
        for path in ["dev/tty1", "dev/pts/0", "dev/pts/ptmx", "dev/null"] {
            fake.file(path, "");
        }
        read_at(&fake, "dev/tty1", 5000);
        read_at(&fake, "dev/pts/0", 2000);
        let mut input = Input::new(fake.root());
        let first = input.read(at(10_000)).unwrap();
        assert!((2000..2100).contains(&first.as_secs()), "{first:?}");
        assert_eq!(input.seen(), Seen { terminals: 2, ..Seen::default() });
        read_at(&fake, "dev/pts/0", 0);
        assert_eq!(input.read(at(10_001)), Some(at(0)));
        assert_eq!(input.read(at(10_031)), Some(at(30)));
        // A clock that was set back: the time of the read is before the one known.
        read_at(&fake, "dev/pts/0", 90_000);
        assert_eq!(input.read(at(10_032)), Some(at(0)));
    }

    #[test]
    fn a_new_terminal_is_use_and_one_that_is_gone_is_not() {
        let fake = Fake::new();
        fake.file("dev/tty1", "");
        let mut input = Input::new(fake.root());
        input.read(at(100));
        fake.file("dev/pts/3", "");
        assert_eq!(input.read(at(200)), Some(at(0)));
        fake.remove("dev/pts/3");
        assert_eq!(input.read(at(300)), Some(at(100)));
    }

    #[test]
    fn times_to_come_are_not_idle_time() {
        let fake = Fake::new();
        fake.file("dev/tty1", "");
        let file = std::fs::File::options().write(true).open(fake.path().join("dev/tty1")).unwrap();
        let ahead = SystemTime::now() + at(100_000);
        file.set_times(std::fs::FileTimes::new().set_accessed(ahead)).unwrap();
        let mut input = Input::new(fake.root());
        assert_eq!(input.read(at(500)), Some(at(0)));
        assert_eq!(input.read(at(600)), Some(at(100)));
    }

    #[test]
    fn the_keyboards_controller_counts_where_nothing_else_does() {
        let fake = Fake::new();
        let line = |count: u64| format!("  CPU0 CPU1\n 1: {count} 3 IO-APIC 1-edge i8042\n 24: 9 9 xhci_hcd\n");
        fake.file("proc/interrupts", line(5));
        let mut input = Input::new(fake.root());
        assert_eq!(input.read(at(100)), Some(at(0)));
        assert_eq!(input.read(at(150)), Some(at(50)));
        fake.file("proc/interrupts", line(6));
        assert_eq!(input.read(at(160)), Some(at(0)));
        assert!(input.seen().interrupts);
    }

    #[test]
    fn where_nothing_is_seen_nothing_is_said() {
        let fake = Fake::new();
        fake.file("proc/interrupts", "24: 9 9 xhci_hcd\n");
        assert_eq!(Input::new(fake.root()).read(at(100)), None);
    }

    #[test]
    fn a_device_that_may_not_be_opened_makes_it_unknown() {
        let fake = Fake::new();
        fake.file("dev/tty1", "");
        // A socket cannot be opened by anybody, root neither.
        std::fs::create_dir_all(fake.path().join("dev/input")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(fake.path().join("dev/input/event0")).unwrap();
        let mut input = Input::new(fake.root());
        assert_eq!(input.read(at(100)), None);
        assert_eq!(input.seen().blind, 1);
    }
}
