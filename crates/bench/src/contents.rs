//! Contents on their way to the pool, over TLS to its disk, beside `cp` of the same file with a sync.

use crate::child::Pool;
use crate::machine;
use crate::report::{Report, percentile};
use anyhow::ensure;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["blob_throughput"];

const MIB: usize = 1 << 20;
const SIZE_MIB: usize = 256;
const ROUNDS: usize = 4;

/// Measures [`FIGURES`].
///
/// # Errors
/// Where something does not run.
pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    report.begin(&format!("contents: {ROUNDS} uploads of {SIZE_MIB} MiB, and as many copies"));
    let dir = machine::scratch()?;
    let pool = Pool::start(&dir.path().join("pool")).await?;
    let client = pool.new_user("requester").await?;
    let (mut ours, mut copies) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Another content each time: what the pool has is not sent.
        let file = dir.path().join(format!("content-{round}"));
        fill(&file, round)?;
        let begin = Instant::now();
        let uploaded = client.upload(file.as_path(), |_, _| ()).await?;
        ours.push(rate(begin));
        ensure!(uploaded.sent as usize == SIZE_MIB * MIB, "{} bytes were sent", uploaded.sent);
        let copy = dir.path().join("copy");
        let begin = Instant::now();
        std::fs::copy(&file, &copy)?;
        std::fs::File::open(&copy)?.sync_all()?;
        copies.push(rate(begin));
        std::fs::remove_file(&copy)?;
        std::fs::remove_file(&file)?;
    }
    pool.process.stop().await?;
    let (our, their) = (percentile(&mut ours, 0.5), percentile(&mut copies, 0.5));
    report.add("blob_throughput", our, "MB/s", Some(("cp and fsync".to_owned(), their)));
    Ok(())
}

fn rate(begin: Instant) -> f64 {
    (SIZE_MIB * MIB) as f64 / 1e6 / begin.elapsed().as_secs_f64()
}

/// Bytes that nothing compresses away, other ones in each round.
fn fill(path: &Path, round: usize) -> anyhow::Result<()> {
    let mut file = std::fs::File::create(path)?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ round as u64;
    let mut piece = vec![0u8; MIB];
    for _ in 0..SIZE_MIB {
        for word in piece.chunks_exact_mut(8) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&piece)?;
    }
    file.sync_all()?;
    Ok(())
}
