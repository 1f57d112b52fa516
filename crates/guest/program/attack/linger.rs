//! A program that does not want to end: it ignores what is polite, and leaves children that have nothing to do
//! with it any more.
//!
//! Invariant: the kernel ends them after a minute, whatever the runtime does.

use super::{LONGEST_SECONDS, Options, Report};
use crate::sys::{self, Forked};
use std::fs;
use std::time::Duration;

/// Children that try to outlive the container.
const CHILDREN: u32 = 3;

/// Leaves children, says `fact ready`, and stays unless `then=exit`.
pub fn run(report: &mut Report, options: &Options<'_>) {
    sys::ignore_polite_signals();
    for _ in 0..CHILDREN {
        match sys::split() {
            Ok(Forked::Child) => daemon(),
            Ok(Forked::Parent(_)) => {}
            Err(error) => report.fact("no-child", error),
        }
    }
    // Both sides know the same thing at the same time only through a file: each child leaves one.
    while count() < CHILDREN as usize {
        std::thread::sleep(Duration::from_millis(2));
    }
    report.fact("ready", count());
    if options.text("then") != "exit" {
        sys::wait_for_ever();
    }
}

/// Away from its parent, its session and its terminal.
fn daemon() -> ! {
    sys::end_after(LONGEST_SECONDS);
    // A second fork, so that nobody is its parent. What fails leaves a child that is easier to end.
    let _ = sys::new_session();
    if let Ok(Forked::Parent(_)) = sys::split() {
        std::process::exit(0);
    }
    sys::end_after(LONGEST_SECONDS);
    // The parent waits for the file, and ends after a minute without it.
    let _ = fs::write(format!("/tmp/daemon-{}", std::process::id()), "");
    sys::wait_for_ever()
}

fn count() -> usize {
    let listed = fs::read_dir("/tmp").into_iter().flatten().flatten();
    listed.filter(|entry| entry.file_name().to_string_lossy().starts_with("daemon-")).count()
}
