//! Keyboards, mice and their like, and whether one was touched.
//!
//! A device is opened beside the desktop, which goes on as before, and asked whether something waits to be read. If so, it
//! was touched; it is closed and opened again, which forgets what waited.
//!
//! Invariant: nothing is ever read from a device, so nobody's keys are known here.

use super::root::Root;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::time::Duration;

/// Most devices that are watched.
const MOST: usize = 64;
/// How often new ones are looked for.
const RESCAN: Duration = Duration::from_secs(10);
/// A device with one of these is used by hand: enter, a, left button, touch, a game pad's first button.
const KEYS: [usize; 5] = [28, 30, 0x110, 0x14a, 0x130];

/// See the module.
#[derive(Debug)]
pub(super) struct Devices {
    root: Root,
    open: Vec<(String, File)>,
    blind: usize,
    scanned: Option<Duration>,
}

impl Devices {
    pub(super) fn new(root: Root) -> Self {
        Self { root, open: Vec::new(), blind: 0, scanned: None }
    }

    /// How many are watched.
    pub(super) fn watched(&self) -> usize {
        self.open.len()
    }

    /// How many there are that this process may not open.
    pub(super) fn blind(&self) -> usize {
        self.blind
    }

    /// True where one was touched since the last call, or has come.
    pub(super) fn touched(&mut self, now: Duration) -> bool {
        let came = match self.scanned {
            Some(at) if now.saturating_sub(at) < RESCAN => false,
            before => self.scan(now) && before.is_some(),
        };
        let ready = self.ready();
        let mut touched = false;
        for (at, flags) in ready.into_iter().enumerate().rev() {
            if flags.is_empty() {
                continue;
            }
            touched |= flags.contains(PollFlags::IN);
            let (name, waiting) = self.open.swap_remove(at);
            drop(waiting);
            match self.root.open(&format!("dev/input/{name}")) {
                // Those that come to the place of this one have been looked at.
                Some(file) if !gone(flags) => self.open.push((name, file)),
                // It was unplugged, or is another one by that name.
                Some(_) | None => self.scanned = Some(Duration::ZERO),
            }
        }
        came || touched
    }

    fn ready(&self) -> Vec<PollFlags> {
        let mut fds: Vec<_> = self.open.iter().map(|(_, file)| PollFd::new(file, PollFlags::IN)).collect();
        match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(_) => fds.iter().map(PollFd::revents).collect(),
            // Interrupted: the next look sees it.
            Err(_) => Vec::new(),
        }
    }

    /// Opens what is new. True where there was anything.
    fn scan(&mut self, now: Duration) -> bool {
        self.scanned = Some(now);
        self.blind = 0;
        let names: Vec<String> =
            self.root.names("dev/input").into_iter().filter(|name| name.starts_with("event")).take(MOST).collect();
        self.open.retain(|(name, _)| names.contains(name));
        let mut came = false;
        for name in names {
            if self.open.iter().any(|(known, _)| *known == name) || !self.is_by_hand(&name) {
                continue;
            }
            match self.root.open(&format!("dev/input/{name}")) {
                Some(file) => {
                    self.open.push((name, file));
                    came = true;
                }
                None => self.blind += 1,
            }
        }
        came
    }

    /// By what the kernel says that it can. A device of which it says nothing may be anything.
    fn is_by_hand(&self, name: &str) -> bool {
        let Some(keys) = self.root.line(&format!("sys/class/input/{name}/device/capabilities/key")) else {
            return true;
        };
        KEYS.into_iter().any(|key| has_bit(&keys, key))
    }
}

fn gone(flags: PollFlags) -> bool {
    flags.intersects(PollFlags::ERR | PollFlags::NVAL)
}

/// A bit of the kernel's form: words of the machine's size in hexadecimal, the highest first.
fn has_bit(words: &str, bit: usize) -> bool {
    let size = usize::BITS as usize;
    let word = words.split_ascii_whitespace().rev().nth(bit / size);
    word.and_then(|word| usize::from_str_radix(word, 16).ok()).is_some_and(|word| word >> (bit % size) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::super::root::fake::Fake;
    use super::*;
    use std::io::Write;

    /// A keyboard of an ordinary desktop, a mouse, a power button.
    const KEYBOARD: &str = "10000 7 ff9f207ac14057ff febeffdfffefffff fffffffffffffffe\n";
    const MOUSE: &str = "ff0000 0 0 0 0\n";
    const BUTTON: &str = "10000000000000 0\n";

    fn device(fake: &Fake, name: &str, keys: &str) {
        fake.file(&format!("sys/class/input/{name}/device/capabilities/key"), keys);
        std::fs::create_dir_all(fake.path().join("dev/input")).unwrap();
        let path = fake.path().join("dev/input").join(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    }

    fn touch(fake: &Fake, name: &str) {
        let path = fake.path().join("dev/input").join(name);
        std::fs::OpenOptions::new().write(true).open(path).unwrap().write_all(b"a key").unwrap();
    }

    #[test]
    fn touches_are_seen_once() {
        let fake = Fake::new();
        device(&fake, "event0", KEYBOARD);
        device(&fake, "event1", MOUSE);
        device(&fake, "event2", BUTTON);
        let mut devices = Devices::new(fake.root());
        let at = Duration::from_secs;
        assert!(!devices.touched(at(100)));
        assert_eq!((devices.watched(), devices.blind()), (2, 0));
        touch(&fake, "event1");
        assert!(devices.touched(at(101)));
        assert!(!devices.touched(at(102)));
        touch(&fake, "event0");
        assert!(devices.touched(at(103)));
        assert!(!devices.touched(at(104)));
    }

    #[test]
    fn what_is_plugged_in_is_use_and_what_is_unplugged_is_forgotten() {
        let fake = Fake::new();
        device(&fake, "event0", KEYBOARD);
        let mut devices = Devices::new(fake.root());
        let at = Duration::from_secs;
        devices.touched(at(100));
        device(&fake, "event5", MOUSE);
        assert!(!devices.touched(at(109)) && devices.touched(at(110)));
        fake.remove("dev/input/event0");
        assert!(!devices.touched(at(120)));
        assert_eq!(devices.watched(), 1);
    }

    #[test]
    fn bits_are_counted_from_the_right() {
        assert!(has_bit(KEYBOARD, 28) && has_bit(KEYBOARD, 30) && has_bit(MOUSE, 0x110));
        assert!(!has_bit(BUTTON, 28) && has_bit(BUTTON, 116) && !has_bit("", 0) && !has_bit("xyz", 0));
    }
}
