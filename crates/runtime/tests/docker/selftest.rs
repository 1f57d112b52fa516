//! The self-test against a real daemon: sound, and with each promise broken once on purpose.

use crate::rig::{DEADLINE, Rig};
use async_trait::async_trait;
use futures::StreamExt;
use hivemind_model::units::Millis;
use hivemind_model::{Isolation, Kinds};
use hivemind_runtime::docker::{DockerConfig, DockerRuntime};
use hivemind_runtime::selftest::{Line, Promise, Verdict, selftest};
use hivemind_runtime::{Check, Control, Finished, Job, Runtime, Sink, Stop};
use parking_lot::Mutex;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

fn failed(lines: &[Line]) -> Vec<Promise> {
    lines.iter().filter(|line| line.verdict == Verdict::Fail).map(|line| line.promise).collect()
}

fn table(lines: &[Line]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[tokio::test]
async fn a_sound_runtime_keeps_every_promise() {
    let Some(rig) = Rig::up("sound").await else { return };
    let begun = std::time::Instant::now();
    let lines = selftest(&rig.runtime, rig.folder.path(), |line| println!("{line}")).await;
    println!("in {:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!(failed(&lines), [], "{}", table(&lines));
    assert!(lines.iter().all(|line| !line.forbids_to_join()));
    assert_eq!(lines.iter().filter(|line| line.required).count(), 19, "run as root, two promises are not required");
    rig.down().await;
}

/// What fails beside the broken promise, because the one cannot be broken without the other.
fn companions(broken: Promise) -> &'static [Promise] {
    match broken {
        // /task belongs to the promised user, and root without capabilities may not write there.
        Promise::User => &[Promise::Disk, Promise::Inodes],
        // Without a limit of memory there is none of swap.
        Promise::Memory => &[Promise::Swap],
        Promise::HostFiles
        | Promise::Network
        | Promise::HostProcesses
        | Promise::OtherTasks
        | Promise::OwnNames
        | Promise::Capabilities
        | Promise::Setuid
        | Promise::SystemCalls
        | Promise::ReadOnlyRoot
        | Promise::Tmp
        | Promise::Forks
        | Promise::Swap
        | Promise::Cpu
        | Promise::Disk
        | Promise::Inodes
        | Promise::OpenFiles
        | Promise::NothingStays
        | Promise::TimeLimit
        | Promise::Stop => &[],
    }
}

/// Each promise broken once: its line fails, and no other but its companions.
#[tokio::test]
async fn the_right_line_fails_when_a_promise_is_broken() {
    let Some(rig) = Rig::up("sabotage").await else { return };
    // A few at once: most of a trial is waiting for the daemon.
    let wrong = futures::stream::iter(Promise::ALL)
        .map(|promise| async move {
            let lines = broken(promise).await;
            let (failed, allowed) = (failed(&lines), companions(promise));
            let right =
                failed.contains(&promise) && failed.iter().all(|other| *other == promise || allowed.contains(other));
            println!("{promise:?}: {failed:?}");
            (!right).then(|| format!("{promise:?} was broken, and {failed:?} failed:\n{}", table(&lines)))
        })
        .buffered(4)
        .filter_map(std::future::ready)
        .collect::<Vec<_>>()
        .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Where tasks share the machine's own names, what one of them left there is the other's to remove.
    let names = std::fs::read_dir("/dev/shm").expect("a machine's memory").flatten().map(|entry| entry.file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with("hivemind-")).collect();
    assert!(left.is_empty(), "left on this machine: {left:?}");
    rig.down().await;
}

async fn broken(promise: Promise) -> Vec<Line> {
    let sabotage = |config| DockerConfig { sabotage: Some(promise), ..config };
    let rig = Rig::with(&format!("broken-{}", promise.id()), sabotage).await.expect("a daemon, as before");
    let saboteur = Saboteur { inner: rig.runtime.clone(), promise, left: Mutex::default() };
    let lines = selftest(&saboteur, rig.folder.path(), |_| {}).await;
    for mut child in saboteur.left.into_inner() {
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    // What is stopped by being dropped, and the volume that two tasks shared.
    let gone = async {
        while rig.leftovers().await != (0, 0, 0) {
            rig.runtime.sweep().await.expect("swept");
        }
    };
    tokio::time::timeout(DEADLINE, gone).await.expect("something is left");
    rig.down().await;
    lines
}

/// Breaks what no request to the daemon could.
struct Saboteur {
    inner: DockerRuntime,
    promise: Promise,
    left: Mutex<Vec<Child>>,
}

#[async_trait]
impl Runtime for Saboteur {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn kinds(&self) -> Kinds {
        self.inner.kinds()
    }

    fn no_network(&self) -> Option<String> {
        self.inner.no_network()
    }

    fn isolation(&self) -> Isolation {
        self.inner.isolation()
    }

    async fn run(&self, mut job: Job, sink: Arc<dyn Sink>, control: Control, scratch: &Path) -> Finished {
        let stop = if self.promise == Promise::Stop { Stop::new() } else { control.stop };
        if self.promise == Promise::TimeLimit {
            job.max_runtime = Millis(u64::MAX);
        }
        let words = job.command.clone();
        let finished = self.inner.run(job, sink, Control { stop, paused: control.paused }, scratch).await;
        if self.promise == Promise::NothingStays && words.get(1).is_some_and(|theme| theme == "linger") {
            // As if one of the daemons had got away.
            let child =
                Command::new("sh").args(["-c", "read -r line", "sh"]).args(&words).stdin(Stdio::piped()).spawn();
            let child = child.expect("sh");
            // It is there a moment before the kernel tells its words.
            let told = format!("/proc/{}/cmdline", child.id());
            while std::fs::read(&told).expect("it runs").is_empty() {
                tokio::task::yield_now().await;
            }
            self.left.lock().push(child);
        }
        finished
    }

    async fn sweep(&self) -> Result<usize, String> {
        self.inner.sweep().await
    }

    async fn health(&self) -> Vec<Check> {
        self.inner.health().await
    }
}
