//! Modules written as text, and a runtime to run them with.
#![allow(dead_code, reason = "each test takes what it needs")]

use hivemind_model::spec::Digest;
use hivemind_model::state::Outcome;
use hivemind_model::units::{Bytes, MilliCores, Millis};
use hivemind_model::{ElementRef, Kind, Resources, TaskId};
use hivemind_runtime::{Control, Finished, Image, Job, Runtime, Sink, Stream, Usage};
use hivemind_wasm::{WasmConfig, WasmRuntime};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What the modules of the tests begin with. Below 1024 is for the functions here; tests put their texts
/// from there on, and read into what is above 65536.
const PRELUDE: &str = r#"
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir" (func $fd_readdir (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_get" (func $fd_filestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_symlink" (func $symlink (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_link" (func $link (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_rename" (func $rename (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_tell" (func $tell (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pread" (func $pread (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pwrite" (func $pwrite (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $set_size (param i32 i64) (result i32)))
  (import "wasi_snapshot_preview1" "fd_renumber" (func $renumber (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 4)
  (func $put (param $fd i32) (param $at i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $length))
    (if (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable)))
  (func $say (param $at i32) (param $length i32) (call $put (i32.const 1) (local.get $at) (local.get $length)))
  ;; As 16 hexadecimal digits and a newline.
  (func $number (param $n i64) (local $i i32) (local $d i32)
    (local.set $i (i32.const 15))
    (loop $next
      (local.set $d (i32.and (i32.wrap_i64 (local.get $n)) (i32.const 15)))
      (i32.store8 (i32.add (i32.const 32) (local.get $i))
        (i32.add (local.get $d) (select (i32.const 48) (i32.const 87) (i32.lt_u (local.get $d) (i32.const 10)))))
      (local.set $n (i64.shr_u (local.get $n) (i64.const 4)))
      (local.set $i (i32.sub (local.get $i) (i32.const 1)))
      (br_if $next (i32.ge_s (local.get $i) (i32.const 0))))
    (i32.store8 (i32.const 48) (i32.const 10))
    (call $say (i32.const 32) (i32.const 17)))
  (func $errno (param $n i32) (call $number (i64.extend_i32_u (local.get $n))))
  ;; Opens under /task for reading and writing; how: 1 make, 2 a folder, 4 only if new, 8 empty. The number is at 12.
  (func $open (param $at i32) (param $length i32) (param $how i32) (result i32)
    (call $path_open (i32.const 3) (i32.const 1) (local.get $at) (local.get $length) (local.get $how)
      (i64.const 0x3fffffff) (i64.const 0x3fffffff) (i32.const 0) (i32.const 12)))
  (func $opened (result i32) (i32.load (i32.const 12)))
"#;

/// A module whose `_start` is among `body`.
pub(crate) fn module(body: &str) -> Vec<u8> {
    wat::parse_str(format!("(module {PRELUDE} {body})")).expect("a module")
}

/// A module that does `what`.
pub(crate) fn doing(what: &str) -> Vec<u8> {
    module(&format!(r#"(func (export "_start") {what})"#))
}

/// What a job said.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) stdout: Mutex<Vec<u8>>,
    pub(crate) stderr: Mutex<Vec<u8>>,
    pub(crate) progress: Mutex<Vec<u8>>,
    pub(crate) usage: Mutex<Vec<Usage>>,
    pub(crate) started: CancellationToken,
    pub(crate) used: tokio::sync::Notify,
}

impl Heard {
    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout.lock().expect("sound")).into_owned()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr.lock().expect("sound")).into_owned()
    }

    /// The numbers that it said, each on a line.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.out().lines().map(|line| u64::from_str_radix(line, 16).expect("a number")).collect()
    }
}

impl Sink for Heard {
    fn note(&self, _: &str) {}

    fn started(&self) {
        self.started.cancel();
    }

    fn output(&self, stream: Stream, data: &[u8]) {
        let held = match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        };
        held.lock().expect("sound").extend_from_slice(data);
    }

    fn progress(&self, percent: u8) {
        self.progress.lock().expect("sound").push(percent);
    }

    fn usage(&self, usage: Usage) {
        self.usage.lock().expect("sound").push(usage);
        self.used.notify_one();
    }
}

/// A runtime with a folder and a program of its own.
pub(crate) struct Kit {
    pub(crate) runtime: WasmRuntime,
    pub(crate) folder: TempDir,
    pub(crate) program: PathBuf,
}

impl Kit {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // Under a path of its own its helpers can be told from those of other tests.
        let program = folder.path().join("helper-of-this-test");
        let built = Path::new(env!("CARGO_BIN_EXE_hivemind-wasm-helper"));
        if std::fs::hard_link(built, &program).is_err() {
            std::fs::copy(built, &program).expect("copied");
        }
        let runtime = Self::open(folder.path(), &program);
        Self { runtime, folder, program }
    }

    pub(crate) fn open(folder: &Path, program: &Path) -> WasmRuntime {
        let config = WasmConfig { program: Some(program.to_owned()), ..WasmConfig::new(folder.join("state")) };
        WasmRuntime::open(config).expect("opened")
    }

    /// A job of `module` with small limits.
    pub(crate) fn job(&self, module: &[u8]) -> Job {
        job(self.folder.path(), module)
    }

    /// Runs `job` to its end.
    pub(crate) async fn run(&self, job: Job) -> (Finished, Arc<Heard>) {
        let heard = Arc::new(Heard::default());
        let control = Control::stopping(CancellationToken::new());
        let finished = self.runtime.run(job, heard.clone(), control, self.folder.path()).await;
        (finished, heard)
    }

    /// What a module that ends well says.
    pub(crate) async fn said(&self, module: &[u8]) -> Arc<Heard> {
        let (finished, heard) = self.run(self.job(module)).await;
        assert_eq!(finished.outcome, Outcome::Exited { code: 0 }, "{}", heard.err());
        heard
    }

    /// The first line of `/proc/PID/stat` behind the name, of each helper of this test.
    pub(crate) fn helpers(&self) -> Vec<(i32, String)> {
        helpers(&self.program)
    }
}

pub(crate) fn helpers(program: &Path) -> Vec<(i32, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("processes").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if !line.starts_with(program.to_str().expect("text").as_bytes()) {
            continue;
        }
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some((_, rest)) = stat.rsplit_once(") ") {
            found.push((pid, rest.to_owned()));
        }
    }
    found
}

pub(crate) fn job(folder: &Path, module: &[u8]) -> Job {
    use sha2::Digest as _;
    let digest = Digest(sha2::Sha256::digest(module).into());
    let file = folder.join(digest.to_string());
    std::fs::write(&file, module).expect("written");
    Job {
        attempt: ElementRef { task: TaskId(7), index: 3 }.attempt(1),
        kind: Kind::Wasm,
        image: Image::Content { digest, file },
        command: Vec::new(),
        env: Vec::new(),
        files: Vec::new(),
        outputs: vec!["output".into()],
        egress: hivemind_model::Egress::default(),
        warm: false,
        max_runtime: Millis(120_000),
        resources: Resources { cpu: MilliCores(1000), memory: Bytes::from_mib(64), disk: Bytes::from_mib(16), gpus: 0 },
    }
}

/// The paths and contents in an archive.
pub(crate) fn unpacked(finished: &Finished) -> Vec<(String, String)> {
    let Some(output) = &finished.output else { return Vec::new() };
    let mut archive = tar::Archive::new(std::fs::File::open(output.path()).expect("there"));
    let read = |entry: std::io::Result<tar::Entry<'_, std::fs::File>>| {
        let mut entry = entry.expect("sound");
        let mut content = String::new();
        std::io::Read::read_to_string(&mut entry, &mut content).expect("text");
        (entry.path().expect("a path").display().to_string(), content)
    };
    archive.entries().expect("entries").map(read).collect()
}

/// A steering that can pause, and stop.
pub(crate) fn steering() -> (Control, CancellationToken, watch::Sender<bool>) {
    let stop = CancellationToken::new();
    let (pause, paused) = watch::channel(false);
    (Control { stop: stop.clone(), paused }, stop, pause)
}
