//! A million elements in one submission, to a pool that nobody works for.

use crate::array;
use crate::child::Pool;
use crate::machine;
use crate::report::Report;
use anyhow::{Context, ensure};
use std::path::Path;
use std::time::{Duration, Instant};

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["queued_element_bytes", "million_submit_seconds"];

const ELEMENTS: u32 = 1_000_000;
/// What the pool does after its answer is over by then.
const SETTLED: Duration = Duration::from_secs(3);

/// Measures [`FIGURES`].
///
/// # Errors
/// Where something does not run.
pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    report.begin(&format!("one array of {ELEMENTS} elements, no workers"));
    let dir = machine::scratch()?;
    let data = dir.path().join("pool");
    let pool = Pool::start_with(&data, array::grant()).await?;
    let pid = pool.process.pid()?;
    let client = pool.new_user("requester").await?;
    // The code and the connection are as warm as in a pool that runs.
    client.submit(array::array(1)).await.context("an array of one was refused")?;
    tokio::time::sleep(SETTLED).await;
    let (memory_before, disk_before) = (machine::memory_of(pid)?, database(&data)?);
    let begin = Instant::now();
    client.submit(array::array(ELEMENTS)).await.context("the array was refused")?;
    let seconds = begin.elapsed().as_secs_f64();
    tokio::time::sleep(SETTLED).await;
    let (memory, disk) = (machine::memory_of(pid)?, database(&data)?);
    let waiting = client.info().await?.tasks_pending;
    ensure!(waiting == 2, "{waiting} tasks wait");
    pool.process.stop().await?;
    let bytes = memory.saturating_sub(memory_before) as f64 / f64::from(ELEMENTS);
    println!(
        "  answered after {seconds:.3} s; memory {:.1} MB before, {:.1} MB after: {bytes:.1} bytes per element; database {} KiB before, {} KiB after",
        memory_before as f64 / 1e6,
        memory as f64 / 1e6,
        disk_before >> 10,
        disk >> 10
    );
    report.add("queued_element_bytes", bytes, "bytes", None);
    report.add("million_submit_seconds", seconds, "s", None);
    Ok(())
}

/// Bytes of the database and its log.
fn database(data: &Path) -> anyhow::Result<u64> {
    let size = |name: &str| match std::fs::metadata(data.join(name)) {
        Ok(file) => Ok(file.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error).with_context(|| format!("cannot see the size of {name}")),
    };
    Ok(size("pool.db")? + size("pool.db-wal")?)
}
