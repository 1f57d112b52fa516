//! How long a task that does nothing takes, one after the other: `noop ARCHIVE HELPER [TIMES]`, as root.

use hivemind_model::units::{Bytes, MilliCores, Millis};
use hivemind_model::{ElementRef, Resources, TaskId};
use hivemind_oci::{HELPER_WORD, Helper, OciConfig, OciRuntime};
use hivemind_runtime::{Control, Image, Job, Runtime, Sink, Stop, Stream, Usage};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

struct Deaf;

impl Sink for Deaf {
    fn note(&self, _: &str) {}
    fn started(&self) {}
    fn output(&self, _: Stream, _: &[u8]) {}
    fn progress(&self, _: u8) {}
    fn usage(&self, _: Usage) {}
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), String> {
    let mut args = std::env::args().skip(1);
    let (Some(archive), Some(helper)) = (args.next(), args.next()) else {
        return Err("usage: noop ARCHIVE HELPER [TIMES]".into());
    };
    let times: u64 = args.next().and_then(|times| times.parse().ok()).unwrap_or(100);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let helper = Helper { program: helper.into(), words: vec![HELPER_WORD.into()] };
    let config = OciConfig::new(format!("oci-noop-{}", std::process::id()), folder.path().join("state"), helper);
    let runtime = OciRuntime::open(config).await?;
    let content = std::fs::read(&archive).map_err(|error| error.to_string())?;
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&content)));
    let digest = digest.parse().map_err(|error| format!("{error:?}"))?;
    let image = Image::Content { digest, file: PathBuf::from(archive) };
    let mut spans = Vec::new();
    for task in 0..=times {
        let job = Job {
            attempt: ElementRef::only(TaskId(task + 1)).attempt(1),
            kind: hivemind_model::Kind::Container,
            image: image.clone(),
            command: vec!["/bin/true".into()],
            env: Vec::new(),
            files: Vec::new(),
            outputs: vec!["output".into()],
            egress: hivemind_model::Egress::default(),
            warm: false,
            max_runtime: Millis(60_000),
            resources: Resources {
                cpu: MilliCores(1000),
                memory: Bytes::from_mib(64),
                disk: Bytes::from_mib(64),
                gpus: 0,
            },
        };
        let begun = Instant::now();
        let finished = runtime.run(job, Arc::new(Deaf), Control::stopping(Stop::new()), folder.path()).await;
        if !finished.outcome.is_success() {
            return Err(format!("{:?}", finished.outcome));
        }
        // The first one loads the image and formats a disk.
        if task > 0 {
            spans.push(begun.elapsed());
        }
    }
    runtime.retire().await?;
    spans.sort();
    let sum: Duration = spans.iter().sum();
    let at = |percent: usize| spans[(spans.len() - 1) * percent / 100];
    println!("{times} no-ops: mean {:?}, p50 {:?}, p95 {:?}", sum / spans.len() as u32, at(50), at(95));
    Ok(())
}
