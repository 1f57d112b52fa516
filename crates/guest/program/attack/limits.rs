//! More of everything than was promised.
//!
//! Every attack has a bound of its own, far beyond what a runtime should give and far below what hurts a
//! machine whose runtime gives everything.
//!
//! Invariant: nothing is left behind where the container's own end removes it.

use super::{LONGEST_SECONDS, Options, Report};
use crate::sys::{self, Forked};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A runtime that lets so many processes live lets all live.
const MANY_PROCESSES: usize = 1024;
/// A runtime that lets so many files be open lets all be open.
const MANY_FILES: usize = 16_384;
/// A disk of the tests' size that takes so many files has no limit of its own.
const MANY_ENTRIES: u32 = 65_536;
/// How much is written at once.
const PIECE: usize = 64 << 10;
const PAGE: usize = 4096;

/// Forks until the kernel refuses.
pub fn forks(report: &mut Report) {
    let mut children = Vec::new();
    let refused = loop {
        if children.len() >= MANY_PROCESSES {
            break None;
        }
        match sys::split() {
            Ok(Forked::Child) => {
                sys::end_after(LONGEST_SECONDS);
                sys::wait_for_ever()
            }
            Ok(Forked::Parent(child)) => children.push(child),
            Err(error) => break Some(error),
        }
    };
    let count = children.len();
    report.fact("processes", count);
    report.check("forks", format!("{count} processes live at once"), refused.is_some());
    for child in children {
        // Hundreds that end at once are much for whoever inherits them. What cannot be killed ends by its own clock.
        let _ = sys::end(child);
    }
}

/// Takes memory until somebody ends it.
pub fn memory(report: &mut Report, options: &Options<'_>) {
    let most = usize::try_from(options.number("bytes")).unwrap_or(0);
    report.fact("memory", "begins");
    let mut held: Vec<Vec<u8>> = Vec::new();
    let mut taken = 0;
    while taken < most {
        let mut piece = vec![0u8; 1 << 20];
        piece.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
        taken += piece.len();
        held.push(piece);
    }
    let held = std::hint::black_box(held).len();
    report.check("memory", format!("{held} MiB are held at once"), false);
}

/// Whether memory could be laid out onto the machine's disk.
pub fn swap(report: &mut Report, options: &Options<'_>) {
    const SWAP: &str = "swap";
    let memory = options.number("memory");
    let number = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().parse::<u64>().unwrap_or(u64::MAX));
    // Generation 2 counts swap alone, generation 1 with memory.
    let more = number("/sys/fs/cgroup/memory.swap.max");
    let with_memory = number("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes");
    let more = more.or_else(|| with_memory.map(|sum| sum.saturating_sub(memory)));
    if let Some(more) = more {
        report.check(SWAP, format!("{more} bytes of swap may be used"), more < PAGE as u64);
        return;
    }
    let table = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = table.lines().find_map(|line| line.strip_prefix("SwapTotal:")).unwrap_or_default();
    let none = total.split_whitespace().next() == Some("0");
    report.check(SWAP, format!("the machine has {} of swap and no limit is seen", total.trim()), none);
}

/// Two threads at work.
pub fn cpu(report: &mut Report, options: &Options<'_>) {
    let span = Duration::from_millis(options.number("millis").min(10_000));
    let begun = Instant::now();
    let work = move || {
        let mut n = 1u64;
        while begun.elapsed() < span {
            for _ in 0..10_000 {
                n = std::hint::black_box(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            }
        }
    };
    let threads = [std::thread::spawn(work), std::thread::spawn(work)];
    let ended = threads.into_iter().all(|thread| thread.join().is_ok());
    let wall = begun.elapsed();
    // What the kernel was told, where it shows that: under load an unlimited process gets little, too.
    let quota = ["/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"];
    if let Some(text) = quota.iter().find_map(|path| fs::read_to_string(path).ok()) {
        let is_limited = text.split_whitespace().next().is_some_and(|word| word.parse::<u64>().is_ok());
        report.check("cpu", format!("the limit of processor time is `{}`", text.trim()), is_limited);
    }
    // The scheduler's own count, in nanoseconds; this thread waited, so the whole process counts.
    report.fact("cpu", format!("{} {} {ended}", used().as_millis(), wall.as_millis()));
}

/// Processor time of this process, in ticks of a hundredth of a second.
fn used() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = |at: usize| fields.split_whitespace().nth(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

/// Files without end, then a file without end.
pub fn disk(report: &mut Report, options: &Options<'_>) {
    let promised = options.number("bytes");
    let folder = Path::new("/task/many");
    let made = fs::create_dir(folder).map(|()| fill_with_files(folder));
    let count = made.as_ref().map_or(0, |(count, _)| *count);
    let refused = made.is_ok_and(|(_, error)| error.is_some());
    report.fact("files", count);
    report.check("inodes", format!("{count} files were made"), refused && count > 0);
    if let Err(error) = fs::remove_dir_all(folder) {
        report.fact("files-remain", error);
    }
    let (written, error) = fill(Path::new("/task/large"), promised.saturating_mul(2).saturating_add(64 << 20));
    report.fact("bytes", written);
    let most = promised + promised / 8 + (4 << 20);
    report.check("disk", format!("{written} bytes were written"), error.is_some() && written <= most);
    report.check("disk", format!("{written} bytes had room"), written >= promised / 2);
}

fn fill_with_files(folder: &Path) -> (u32, Option<io::Error>) {
    for count in 0..MANY_ENTRIES {
        if let Err(error) = File::create_new(folder.join(count.to_string())) {
            return (count, Some(error));
        }
    }
    (MANY_ENTRIES, None)
}

/// Writes until there is no room or `most` is reached; removes the file.
fn fill(path: &Path, most: u64) -> (u64, Option<io::Error>) {
    let piece = vec![0x5a; PIECE];
    let mut written = 0;
    let error = match File::create_new(path) {
        Err(error) => Some(error),
        Ok(mut file) => loop {
            if written >= most {
                break file.sync_all().err();
            }
            match file.write(&piece) {
                Ok(count) => written += count as u64,
                Err(error) => break Some(error),
            }
        },
    };
    if let Err(error) = fs::remove_file(path) {
        return (written, Some(error));
    }
    (written, error)
}

/// /tmp is small, and what is put there is not executed.
pub fn tmp(report: &mut Report) {
    const TMP: &str = "tmp";
    const MOST: u64 = 96 << 20;
    let program = Path::new("/tmp/program");
    let copied = fs::copy("/proc/self/exe", program)
        .and_then(|_| fs::set_permissions(program, fs::Permissions::from_mode(0o755)));
    match copied {
        Ok(()) => report.refused(TMP, "executed a program there", Command::new(program).arg("pause").spawn().map(end)),
        Err(error) => report.check(TMP, format!("cannot be written: {error}"), false),
    }
    // What cannot be removed shows as less room.
    let _ = fs::remove_file(program);
    let (written, error) = fill(Path::new("/tmp/large"), MOST);
    report.check(TMP, format!("took {written} bytes"), error.is_some() && written < MOST);
}

fn end(mut child: std::process::Child) {
    // It ends with the container at the latest.
    let _ = child.kill();
}

/// Opens files until the kernel refuses.
pub fn open_files(report: &mut Report) {
    let mut held = Vec::new();
    while held.len() < MANY_FILES {
        match File::open("/dev/null") {
            Ok(file) => held.push(file),
            Err(_) => break,
        }
    }
    let count = held.len();
    drop(held);
    report.check("open-files", format!("{count} files are open at once"), (1..MANY_FILES).contains(&count));
}
