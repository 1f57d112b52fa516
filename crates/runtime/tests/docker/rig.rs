//! A runtime, a recording sink, and an image made from this machine's busybox.

use bollard::Docker;
use bollard::query_parameters::{CreateImageOptionsBuilder, ListContainersOptionsBuilder, ListVolumesOptionsBuilder};
use futures::StreamExt;
use hivemind_model::units::{Bytes, MilliCores, Millis};
use hivemind_model::{AttemptRef, ElementRef, Resources, TaskId};
use hivemind_runtime::docker::{DiskLimit, DockerConfig, DockerRuntime, ImageRules};
use hivemind_runtime::{Control, Finished, Job, Runtime, Sink, Stop, Stream, Usage};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Notify;

/// The image of most tests: busybox as `sh` and everything else, no command, no entry point.
pub(crate) const IMAGE: &str = "hivemind-runtime-test:busybox";
/// Longest wait for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Rig {
    pub(crate) runtime: DockerRuntime,
    pub(crate) docker: Docker,
    pub(crate) instance: String,
    pub(crate) folder: TempDir,
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
        let heard = self.heard.lock();
        let bytes: Vec<u8> = heard
            .iter()
            .filter_map(|one| match one {
                Heard::Output(stream, data) if *stream == wanted => Some(data.as_slice()),
                _ => None,
            })
            .flatten()
            .copied()
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn out(&self) -> String {
        self.text(Stream::Stdout)
    }

    pub(crate) fn err(&self) -> String {
        self.text(Stream::Stderr)
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
        tokio::time::timeout(DEADLINE, waiting).await.expect("what was waited for was not heard");
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

/// A config for tests whose instance nobody else has.
pub(crate) fn config(name: &str, folder: &Path) -> DockerConfig {
    DockerConfig {
        pull_stall: Duration::from_secs(60),
        // The tests' registries.
        images: ImageRules { private_registries: vec!["127.0.0.1".into()], ..ImageRules::default() },
        ..DockerConfig::new(format!("test-{name}-{}", std::process::id()), folder)
    }
}

impl Rig {
    /// `None`, with a line, where there is no daemon and none is required.
    pub(crate) async fn up(name: &str) -> Option<Self> {
        Self::with(name, |config| config).await
    }

    pub(crate) async fn with(name: &str, change: impl FnOnce(DockerConfig) -> DockerConfig) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let config = change(config(name, folder.path()));
        let instance = config.instance.clone();
        let is_required = std::env::var("HIVEMIND_REQUIRE_DOCKER").is_ok_and(|value| value == "1");
        let runtime = match DockerRuntime::connect(config).await {
            Ok(runtime) => runtime,
            Err(error) if is_required => panic!("a Docker daemon is required: {error}"),
            Err(error) => {
                println!("skipped: {error}");
                return None;
            }
        };
        let docker = client().await;
        make_image(&docker, IMAGE, &[]).await;
        Some(Self { runtime, docker, instance, folder, next: AtomicU64::new(1) })
    }

    /// A job of the test image with a fresh attempt and modest limits.
    pub(crate) fn job(&self, command: &[&str]) -> Job {
        let task = TaskId(self.next.fetch_add(1, Ordering::Relaxed));
        Job {
            attempt: ElementRef::only(task).attempt(1),
            kind: hivemind_model::Kind::Container,
            image: IMAGE.into(),
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

    pub(crate) fn container(&self, attempt: AttemptRef) -> String {
        format!("hivemind-{}-{attempt}", self.instance)
    }

    pub(crate) async fn run(&self, job: Job) -> (Finished, Arc<Ear>) {
        let ear = Arc::new(Ear::default());
        let running = self.runtime.run(job, ear.clone(), Control::stopping(Stop::new()), self.folder.path());
        let finished = tokio::time::timeout(DEADLINE, running).await.expect("the job did not end");
        (finished, ear)
    }

    /// Runs `job` in the background.
    pub(crate) fn start(&self, job: Job) -> (tokio::task::JoinHandle<Finished>, Arc<Ear>, Stop) {
        let stop = Stop::new();
        let (running, ear) = self.start_with(job, Control::stopping(stop.clone()));
        (running, ear, stop)
    }

    /// Runs `job` in the background, steered by `control`.
    pub(crate) fn start_with(&self, job: Job, control: Control) -> (tokio::task::JoinHandle<Finished>, Arc<Ear>) {
        let ear = Arc::new(Ear::default());
        let (runtime, heard, scratch) = (self.runtime.clone(), ear.clone(), self.folder.path().to_owned());
        (tokio::spawn(async move { runtime.run(job, heard, control, &scratch).await }), ear)
    }

    /// How many containers, volumes and image files of this instance there are.
    pub(crate) async fn leftovers(&self) -> (usize, usize, usize) {
        let labels = HashMap::from([("label".to_owned(), vec![format!("hivemind.instance={}", self.instance)])]);
        let containers = self
            .docker
            .list_containers(Some(ListContainersOptionsBuilder::default().all(true).filters(&labels).build()))
            .await
            .expect("listed");
        let volumes = self
            .docker
            .list_volumes(Some(ListVolumesOptionsBuilder::default().filters(&labels).build()))
            .await
            .expect("listed");
        let files = std::fs::read_dir(self.folder.path().join("volumes")).expect("listed").count();
        (containers.len(), volumes.volumes.unwrap_or_default().len(), files)
    }

    /// Ends a test: nothing may be left, no device either.
    pub(crate) async fn down(self) {
        self.runtime.settled().await;
        assert_eq!(self.leftovers().await, (0, 0, 0), "containers, volumes, image files");
        let folder = self.folder.path().display().to_string();
        // A device that somebody looks at in the same moment goes when they look away.
        let gone = async {
            while devices().contains(&folder) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, gone).await.expect("a loop device is left");
    }
}

impl Drop for Rig {
    /// A failed test leaves nothing either.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let config = DockerConfig {
                disk_limit: DiskLimit::None,
                ..DockerConfig::new(self.instance.clone(), self.folder.path())
            };
            let sweep = async { DockerRuntime::connect(config).await?.sweep().await };
            let swept = std::thread::scope(|scope| {
                let work = scope.spawn(|| {
                    tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .expect("a runtime")
                        .block_on(sweep)
                });
                work.join()
            });
            println!("swept after a failure: {swept:?}");
        }
    }
}

/// The loop devices and what they stand on.
fn devices() -> String {
    let mut lines = String::new();
    for entry in std::fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        lines += &std::fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
    }
    lines
}

pub(crate) async fn client() -> Docker {
    Docker::connect_with_unix_defaults().expect("a socket").negotiate_version().await.expect("a daemon")
}

/// Makes the image `name` unless it is there. `changes` are lines of a Dockerfile.
pub(crate) async fn make_image(docker: &Docker, name: &str, changes: &[&str]) {
    if docker.inspect_image(name).await.is_ok() {
        return;
    }
    let (repository, tag) = name.rsplit_once(':').expect("a tag");
    let changes = changes.iter().map(|change| (*change).to_owned()).collect();
    let options = CreateImageOptionsBuilder::default().from_src("-").repo(repository).tag(tag).changes(changes).build();
    let mut lines =
        std::pin::pin!(docker.create_image(Some(options), Some(bollard::body_full(root_file_system("").into())), None));
    while let Some(line) = lines.next().await {
        line.expect("imported");
    }
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
    header.set_mode(0o755);
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
        "sh", "cat", "chmod", "cp", "dd", "echo", "env", "false", "find", "grep", "head", "id", "ln", "ls", "mkdir",
        "mkfifo", "pwd", "sleep", "sort", "stat", "touch", "true", "truncate", "wc", "yes",
    ] {
        builder.append_link(&mut header, format!("bin/{name}"), "busybox").expect("packed");
    }
    builder.into_inner().expect("packed")
}
