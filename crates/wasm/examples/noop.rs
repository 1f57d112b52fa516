//! How long a module takes that does nothing: `noop [TIMES] [PAUSE_MILLIS]`. Prints one line of figures in
//! microseconds. As the worker's program it is its own helper, with the worker's allocator.

use hivemind_model::spec::Digest;
use hivemind_model::units::{Bytes, MilliCores, Millis};
use hivemind_model::{Egress, ElementRef, Kind, Resources, TaskId};
use hivemind_runtime::{Control, Image, Job, Runtime, Sink, Stop, Stream, Usage};
use hivemind_wasm::{WasmConfig, WasmRuntime};
use sha2::Digest as _;
use std::error::Error;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Deaf;

impl Sink for Deaf {
    fn note(&self, _: &str) {}
    fn started(&self) {}
    fn output(&self, _: Stream, _: &[u8]) {}
    fn progress(&self, _: u8) {}
    fn usage(&self, _: Usage) {}
}

fn job(folder: &Path) -> Result<Job, Box<dyn Error>> {
    let module = wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "_start")))"#)?;
    let digest = Digest(sha2::Sha256::digest(&module).into());
    let file = folder.join("module");
    std::fs::write(&file, module)?;
    Ok(Job {
        attempt: ElementRef::only(TaskId(1)).attempt(1),
        kind: Kind::Wasm,
        image: Image::Content { digest, file },
        command: Vec::new(),
        env: Vec::new(),
        files: Vec::new(),
        outputs: vec!["output".into()],
        egress: Egress::default(),
        warm: false,
        max_runtime: Millis(60_000),
        resources: Resources { cpu: MilliCores(1000), memory: Bytes::from_mib(64), disk: Bytes::from_mib(64), gpus: 0 },
    })
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|word| word == hivemind_wasm::HELPER_WORD) {
        return Ok(hivemind_wasm::helper_main(&arguments[2..]));
    }
    tokio::runtime::Runtime::new()?.block_on(measure())?;
    Ok(ExitCode::SUCCESS)
}

async fn measure() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let times: usize = arguments.next().as_deref().unwrap_or("1000").parse()?;
    let pause: u64 = arguments.next().as_deref().unwrap_or("0").parse()?;
    let folder = tempfile::tempdir()?;
    let runtime = WasmRuntime::open(WasmConfig::new(folder.path().join("state")))?;
    let job = job(folder.path())?;
    let mut took = Vec::new();
    for turn in 0..=times {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let began = Instant::now();
        let finished = runtime.run(job.clone(), Arc::new(Deaf), Control::stopping(Stop::new()), folder.path()).await;
        if !finished.outcome.is_success() {
            return Err(format!("{:?}", finished.outcome).into());
        }
        // The first compiles.
        if turn == 0 {
            println!("first (compiles): {} us", began.elapsed().as_micros());
        } else {
            took.push(began.elapsed().as_micros());
        }
    }
    took.sort_unstable();
    let at = |share: usize| took[(took.len() * share / 100).min(took.len() - 1)];
    println!(
        "n {} pause {pause} ms: p50 {} us, p90 {} us, p99 {} us, max {} us",
        times,
        at(50),
        at(90),
        at(99),
        at(100)
    );
    Ok(())
}
