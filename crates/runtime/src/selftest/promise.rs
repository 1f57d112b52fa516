//! What a runtime promises the owner of a machine, in words for people.
//!
//! Invariant: nothing is tried here.

use std::fmt;

/// One promise; the order is that of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// Files, devices and the kernel of the machine are out of reach.
    HostFiles,
    /// No way to any other machine, or to this one over its network.
    Network,
    /// The machine's other processes are neither seen nor touched.
    HostProcesses,
    /// What another task keeps is neither seen nor touched.
    OtherTasks,
    /// Shared memory, message queues and the machine's name are the container's own.
    OwnNames,
    /// The command does not run as root.
    User,
    /// It has no capabilities and can get none.
    Capabilities,
    /// A program that belongs to root gives nothing to who starts it.
    Setuid,
    /// System calls that have been ways out are refused.
    SystemCalls,
    /// The image's files cannot be changed.
    ReadOnlyRoot,
    /// `/tmp` is small, and nothing is executed there.
    Tmp,
    /// Processes are limited.
    Forks,
    /// Who takes more memory than was asked for is ended.
    Memory,
    /// Memory is not laid out onto the machine's disk.
    Swap,
    /// Processor time is limited.
    Cpu,
    /// `/task` is as large as was promised.
    Disk,
    /// The number of files in `/task` is limited.
    Inodes,
    /// Open files are limited.
    OpenFiles,
    /// Nothing of a task runs on after its end.
    NothingStays,
    /// A command that runs for too long is killed.
    TimeLimit,
    /// A command that does not want to end is killed when it is stopped.
    Stop,
}

impl Promise {
    /// Every one, in the order of the table.
    pub const ALL: [Self; 21] = [
        Self::HostFiles,
        Self::Network,
        Self::HostProcesses,
        Self::OtherTasks,
        Self::OwnNames,
        Self::User,
        Self::Capabilities,
        Self::Setuid,
        Self::SystemCalls,
        Self::ReadOnlyRoot,
        Self::Tmp,
        Self::Forks,
        Self::Memory,
        Self::Swap,
        Self::Cpu,
        Self::Disk,
        Self::Inodes,
        Self::OpenFiles,
        Self::NothingStays,
        Self::TimeLimit,
        Self::Stop,
    ];

    /// Its one word, as attackers and machines write it.
    #[must_use]
    pub fn id(self) -> &'static str {
        self.words().0
    }

    /// A line for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.words().1
    }

    /// What to do where it does not hold.
    #[must_use]
    pub fn fix(self) -> &'static str {
        self.words().2
    }

    /// The promise with that [`Promise::id`].
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|promise| promise.id() == id)
    }

    /// True where a machine on which it does not hold must not run strangers' work.
    ///
    /// Swap and processor time cost an owner speed and nothing else. The size of `/task` is limited by a file
    /// system that only root can mount: a worker that runs as root must have it, any other says that it has
    /// not.
    #[must_use]
    pub fn is_required(self) -> bool {
        match self {
            Self::Swap | Self::Cpu => false,
            Self::Disk | Self::Inodes => rustix::process::geteuid().is_root(),
            Self::HostFiles
            | Self::Network
            | Self::HostProcesses
            | Self::OtherTasks
            | Self::OwnNames
            | Self::User
            | Self::Capabilities
            | Self::Setuid
            | Self::SystemCalls
            | Self::ReadOnlyRoot
            | Self::Tmp
            | Self::Forks
            | Self::Memory
            | Self::OpenFiles
            | Self::NothingStays
            | Self::TimeLimit
            | Self::Stop => true,
        }
    }

    fn words(self) -> (&'static str, &'static str, &'static str) {
        const GROUPS: &str = "enable the memory, cpu and pids controllers of control groups (rootless: delegate them to the user's slice)";
        const DAEMON: &str =
            "look for what the daemon's configuration or an authorisation plugin adds to containers, and take it out";
        match self {
            Self::HostFiles => ("host-files", "the machine's files, devices and kernel are out of reach", DAEMON),
            Self::Network => ("network", "no network that the task did not ask for", DAEMON),
            Self::HostProcesses => ("host-processes", "the machine's processes are not seen", DAEMON),
            Self::OtherTasks => ("other-tasks", "other tasks' data are not seen", DAEMON),
            Self::OwnNames => ("own-names", "shared memory and host name are the task's own", DAEMON),
            Self::User => ("user", "the command is not root", DAEMON),
            Self::Capabilities => ("capabilities", "no capabilities", DAEMON),
            Self::Setuid => ("setuid", "set-user-id programs give nothing", DAEMON),
            Self::SystemCalls => (
                "system-calls",
                "dangerous system calls are filtered",
                "use a kernel with seccomp, and remove `seccomp-profile` from the daemon's configuration",
            ),
            Self::ReadOnlyRoot => ("read-only-root", "the image's files cannot be changed", DAEMON),
            Self::Tmp => ("tmp", "/tmp is small and executes nothing", DAEMON),
            Self::Forks => ("forks", "a fork bomb is held", GROUPS),
            Self::Memory => ("memory", "a memory bomb is ended", GROUPS),
            Self::Swap => ("swap", "memory is not swapped out", "boot with `swapaccount=1`, or turn swap off"),
            Self::Cpu => ("cpu", "processor time is limited", GROUPS),
            Self::Disk => (
                "disk",
                "/task is as large as promised",
                "run the worker as root, with e2fsprogs (mkfs.ext4, debugfs) and util-linux (losetup) installed",
            ),
            Self::Inodes => (
                "inodes",
                "the files in /task are limited",
                "run the worker as root, with e2fsprogs (mkfs.ext4, debugfs) and util-linux (losetup) installed",
            ),
            Self::OpenFiles => ("open-files", "open files are limited", DAEMON),
            Self::NothingStays => (
                "nothing-stays",
                "nothing of a task runs on after its end",
                "end the processes that are named, and update Docker, containerd and runc",
            ),
            Self::TimeLimit => {
                ("time-limit", "the time limit kills", "see why the daemon does not kill: its log says it")
            }
            Self::Stop => ("stop", "a stop kills", "see why the daemon does not kill: its log says it"),
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.title())
    }
}

/// How a promise stood the attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every attack failed.
    Pass,
    /// One succeeded, or did not run, which proves nothing.
    Fail,
    /// It cannot be tried here.
    Skipped,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Skipped => "skipped",
        })
    }
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What was tried.
    pub promise: Promise,
    /// See [`Promise::is_required`].
    pub required: bool,
    /// What came of it.
    pub verdict: Verdict,
    /// What was seen, for people.
    pub detail: String,
    /// What to do where it failed; else empty.
    pub fix: String,
}

impl Line {
    /// True where a worker must not join with this.
    #[must_use]
    pub fn forbids_to_join(&self) -> bool {
        self.required && self.verdict == Verdict::Fail
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:7}  {}: {}", self.verdict, self.promise, self.detail)?;
        if self.fix.is_empty() { Ok(()) } else { write!(f, " (to do: {})", self.fix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_promise_has_words_of_its_own() {
        let ids: BTreeSet<_> = Promise::ALL.iter().map(|promise| promise.id()).collect();
        let titles: BTreeSet<_> = Promise::ALL.iter().map(|promise| promise.title()).collect();
        assert_eq!((ids.len(), titles.len()), (Promise::ALL.len(), Promise::ALL.len()));
        for promise in Promise::ALL {
            assert_eq!(Promise::parse(promise.id()), Some(promise));
            assert!(!promise.fix().is_empty());
        }
        assert_eq!(Promise::parse("nothing"), None);
        assert!(Promise::ALL.is_sorted());
    }

    #[test]
    fn a_line_says_what_why_and_what_to_do() {
        let mut line = Line {
            promise: Promise::Network,
            required: true,
            verdict: Verdict::Fail,
            detail: "has routes".into(),
            fix: "take it out".into(),
        };
        assert_eq!(
            line.to_string(),
            "FAIL     no network that the task did not ask for: has routes (to do: take it out)"
        );
        assert!(line.forbids_to_join());
        line = Line { verdict: Verdict::Pass, fix: String::new(), detail: "9 attempts refused".into(), ..line };
        assert_eq!(line.to_string(), "pass     no network that the task did not ask for: 9 attempts refused");
        assert!(!line.forbids_to_join());
        assert!(!Line { required: false, verdict: Verdict::Fail, ..line }.forbids_to_join());
    }
}
