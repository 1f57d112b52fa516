//! A runtime, a recording sink, and images made from this machine's busybox.

use hivemind_model::spec::Digest;
use hivemind_model::units::{Bytes, MilliCores, Millis};
use hivemind_model::{ElementRef, Resources, TaskId};
use hivemind_oci::{Helper, OciConfig, OciRuntime};
use hivemind_runtime::{Control, Finished, Image, Job, Runtime, Sink, Stop, Stream, Usage};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::{Notify, watch};

/// Longest wait for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Rig {
    pub(crate) runtime: OciRuntime,
    pub(crate) instance: String,
    pub(crate) folder: TempDir,
    /// busybox as `sh` and everything else, no command, no entry point.
    pub(crate) image: Image,
    next: AtomicU64,
}

/// What a sink heard, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    Note(String),
    Started,
    Output(Stream, Vec<u8>),
    Progress(u8),
    Usage(Usage),
}

#[derive(Default)]
pub(crate) struct Ear {
    heard: Mutex<Vec<Heard>>,
    more: Notify,
}

impl Ear {
    fn keep(&self, heard: Heard) {
        self.heard.lock().push(heard);
        self.more.notify_waiters();
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().clone()
    }

    fn text(&self, wanted: Stream) -> String {
        let mut bytes = Vec::new();
        for one in self.heard.lock().iter() {
            if let Heard::Output(stream, data) = one
                && *stream == wanted
            {
                bytes.extend_from_slice(data);
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn out(&self) -> String {
        self.text(Stream::Stdout)
    }

    pub(crate) fn err(&self) -> String {
        self.text(Stream::Stderr)
    }

    pub(crate) fn usages(&self) -> Vec<Usage> {
        let heard = self.heard.lock();
        heard.iter().filter_map(|one| if let Heard::Usage(usage) = one { Some(*usage) } else { None }).collect()
    }

    pub(crate) fn starts(&self) -> usize {
        self.heard.lock().iter().filter(|one| **one == Heard::Started).count()
    }

    /// Waits until `seen` is true of what was heard.
    pub(crate) async fn until(&self, seen: impl Fn(&Self) -> bool) {
        let waiting = async {
            loop {
                let more = self.more.notified();
                if seen(self) {
                    return;
                }
                more.await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, waiting).await;
        assert!(waited.is_ok(), "what was waited for was not heard, but {:?}", self.heard());
    }
}

impl Sink for Ear {
    fn note(&self, text: &str) {
        self.keep(Heard::Note(text.to_owned()));
    }
    fn started(&self) {
        self.keep(Heard::Started);
    }
    fn output(&self, stream: Stream, data: &[u8]) {
        self.keep(Heard::Output(stream, data.to_vec()));
    }
    fn progress(&self, percent: u8) {
        self.keep(Heard::Progress(percent));
    }
    fn usage(&self, usage: Usage) {
        self.keep(Heard::Usage(usage));
    }
}

pub(crate) fn helper() -> Helper {
    Helper { program: env!("CARGO_BIN_EXE_hivemind-oci-helper").into(), words: vec![hivemind_oci::HELPER_WORD.into()] }
}

/// A config for tests whose instance nobody else has.
pub(crate) fn config(name: &str, folder: &Path) -> OciConfig {
    let mut config = OciConfig::new(format!("oci-test-{name}-{}", std::process::id()), folder.join("state"), helper());
    config.plain_loopback = true;
    config.pull_stall = DEADLINE;
    config
}

impl Rig {
    /// `None`, with a line, where there can be no containers and none are required.
    pub(crate) async fn up(name: &str) -> Option<Self> {
        Self::with(name, |config| config).await
    }

    pub(crate) async fn with(name: &str, change: impl FnOnce(OciConfig) -> OciConfig) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let config = change(config(name, folder.path()));
        let instance = config.instance.clone();
        let is_required = std::env::var("HIVEMIND_REQUIRE_DOCKER").is_ok_and(|value| value == "1");
        let runtime = match OciRuntime::open(config).await {
            Ok(runtime) => runtime,
            Err(error) if is_required => panic!("containers are required: {error}"),
            Err(error) => {
                println!("skipped: {error}");
                return None;
            }
        };
        let image = image(folder.path(), "busybox", json!({}), &[root_file_system("")]);
        Some(Self { runtime, instance, folder, image, next: AtomicU64::new(1) })
    }

    /// A job of the test image with a fresh attempt and modest limits.
    pub(crate) fn job(&self, command: &[&str]) -> Job {
        let task = TaskId(self.next.fetch_add(1, Ordering::Relaxed));
        Job {
            attempt: ElementRef::only(task).attempt(1),
            kind: hivemind_model::Kind::Container,
            image: self.image.clone(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            env: Vec::new(),
            files: Vec::new(),
            outputs: vec!["output".into()],
            egress: hivemind_model::Egress::default(),
            warm: false,
            max_runtime: Millis(100_000),
            resources: Resources {
                cpu: MilliCores(1000),
                memory: Bytes::from_mib(64),
                disk: Bytes::from_mib(8),
                gpus: 0,
            },
        }
    }

    pub(crate) fn script(&self, script: &str) -> Job {
        self.job(&["sh", "-c", script])
    }

    pub(crate) async fn run(&self, job: Job) -> (Finished, Arc<Ear>) {
        let ear = Arc::new(Ear::default());
        let running = self.runtime.run(job, ear.clone(), Control::stopping(Stop::new()), self.folder.path());
        let finished = tokio::time::timeout(DEADLINE, running).await.expect("the job did not end");
        (finished, ear)
    }

    /// Runs `job` in the background.
    pub(crate) fn start(&self, job: Job) -> (tokio::task::JoinHandle<Finished>, Arc<Ear>, Stop) {
        let (running, ear, stop, _) = self.start_paused(job, false);
        (running, ear, stop)
    }

    /// Runs `job` in the background; the last one makes it stand still.
    pub(crate) fn start_paused(
        &self,
        job: Job,
        still: bool,
    ) -> (tokio::task::JoinHandle<Finished>, Arc<Ear>, Stop, watch::Sender<bool>) {
        let (ear, stop) = (Arc::new(Ear::default()), Stop::new());
        let (pause, paused) = watch::channel(still);
        let control = Control { stop: stop.clone(), paused };
        let (runtime, heard, scratch) = (self.runtime.clone(), ear.clone(), self.folder.path().to_owned());
        (tokio::spawn(async move { runtime.run(job, heard, control, &scratch).await }), ear, stop, pause)
    }

    /// The control groups, image files and loop devices of this instance.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        for group in groups(&self.instance) {
            let entries = std::fs::read_dir(&group).into_iter().flatten().flatten();
            let folders = entries.filter(|entry| entry.path().is_dir());
            left.extend(folders.map(|entry| entry.path().display().to_string()));
        }
        let volumes = std::fs::read_dir(self.folder.path().join("state/volumes")).into_iter().flatten().flatten();
        left.extend(volumes.map(|entry| entry.path().display().to_string()));
        let state = self.folder.path().display().to_string();
        let shown = std::fs::read_to_string("/proc/mounts").expect("mounts");
        left.extend(shown.lines().filter(|line| line.contains(&state)).map(str::to_owned));
        left.extend(devices().lines().filter(|line| line.contains(&state)).map(str::to_owned));
        left
    }

    /// Waits until nothing is left.
    pub(crate) async fn clean(&self) {
        let gone = async {
            while !self.leftovers().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, gone).await;
        assert!(waited.is_ok(), "left: {:?}", self.leftovers());
    }

    /// Ends the test: nothing may be left.
    pub(crate) async fn down(self) {
        self.runtime.settled().await;
        self.clean().await;
        self.runtime.retire().await.expect("nothing is left");
    }
}

impl Drop for Rig {
    /// After a failure: nothing is left of it either.
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("ended after a failure: {:?}", hivemind_oci::end_all(&self.instance, Path::new("")));
            for group in groups(&self.instance) {
                println!("{}: {:?}", group.display(), std::fs::remove_dir(&group));
            }
        }
    }
}

/// The folders of the instance's own control groups.
pub(crate) fn groups(instance: &str) -> Vec<PathBuf> {
    let roots = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    let all = roots.chain([PathBuf::from("/sys/fs/cgroup")]);
    all.map(|root| root.join(format!("hivemind-{instance}"))).filter(|group| group.is_dir()).collect()
}

/// What the loop devices stand on.
fn devices() -> String {
    let mut lines = String::new();
    for entry in std::fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        lines += &std::fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
    }
    lines
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// The configuration of an image of `layers`, with `own` in its `config`.
pub(crate) fn configuration(own: Value, layers: &[Vec<u8>]) -> Vec<u8> {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
    let text = json!({
        "architecture": architecture, "os": "linux", "config": own, "rootfs": {"type": "layers", "diff_ids": ids},
    });
    text.to_string().into_bytes()
}

/// An archive as `docker save` writes it, with this configuration.
pub(crate) fn saved(config: &[u8], layers: &[Vec<u8>]) -> Vec<u8> {
    let name = format!("{}.json", digest(config).trim_start_matches("sha256:"));
    let places: Vec<String> = (0..layers.len()).map(|n| format!("{n}/layer.tar")).collect();
    let manifest = json!([{"Config": name, "RepoTags": null, "Layers": places}]).to_string();
    let mut files = vec![("manifest.json".to_owned(), manifest.into_bytes()), (name, config.to_vec())];
    files.extend(places.into_iter().zip(layers.iter().cloned()));
    tar_of(&files)
}

/// An archive of files.
pub(crate) fn tar_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, &content[..]).expect("packed");
    }
    builder.into_inner().expect("packed")
}

/// Writes `archive` to a file and names it by its content.
pub(crate) fn content(folder: &Path, name: &str, archive: &[u8]) -> Image {
    let file = folder.join(format!("{name}.tar"));
    std::fs::write(&file, archive).expect("written");
    let digest: Digest = digest(archive).parse().expect("a digest");
    Image::Content { digest, file }
}

/// An image of `layers`, the lowest first.
pub(crate) fn image(folder: &Path, name: &str, own: Value, layers: &[Vec<u8>]) -> Image {
    content(folder, name, &saved(&configuration(own, layers), layers))
}

/// busybox and its names, with `mark` in a file, so that the layer is like no other.
pub(crate) fn root_file_system(mark: &str) -> Vec<u8> {
    let busybox = std::fs::read("/bin/busybox").expect("/bin/busybox: install busybox-static");
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    for (folder, mode) in [("bin/", 0o755), ("etc/", 0o755), ("tmp/", 0o1777)] {
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(mode);
        header.set_size(0);
        builder.append_data(&mut header, folder, std::io::empty()).expect("packed");
    }
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o4755);
    header.set_size(busybox.len() as u64);
    builder.append_data(&mut header, "bin/busybox", &busybox[..]).expect("packed");
    header.set_mode(0o644);
    header.set_size(6);
    builder.append_data(&mut header, "etc/secret", &b"secret"[..]).expect("packed");
    header.set_size(mark.len() as u64);
    builder.append_data(&mut header, "etc/mark", mark.as_bytes()).expect("packed");
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    for name in [
        "sh", "cat", "chmod", "chroot", "cp", "dd", "echo", "env", "false", "find", "grep", "head", "hostname", "id",
        "ln", "ls", "mkdir", "mkfifo", "mknod", "mount", "ping", "pwd", "readlink", "seq", "sleep", "sort", "stat",
        "touch", "true", "truncate", "unshare", "wc", "yes",
    ] {
        builder.append_link(&mut header, format!("bin/{name}"), "busybox").expect("packed");
    }
    builder.into_inner().expect("packed")
}
