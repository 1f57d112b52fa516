//! A pool killed with many open tasks, until it accepts again.

use crate::child::Pool;
use crate::report::Report;
use crate::{machine, noop};
use anyhow::Context;
use futures::future::try_join_all;
use std::time::Instant;

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["recovery_seconds"];

const USERS: usize = 5;
const TASKS_PER_USER: usize = 20_000;

/// Measures [`FIGURES`].
///
/// # Errors
/// Where something does not run.
pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    report.begin(&format!("recovery: {} open tasks, kill -9, start again", USERS * TASKS_PER_USER));
    let dir = machine::scratch()?;
    let data = dir.path().join("pool");
    let pool = Pool::start(&data).await?;
    let mut clients = Vec::with_capacity(USERS);
    for number in 0..USERS {
        clients.push(pool.new_user(&format!("requester-{number}")).await?);
    }
    let submitted = try_join_all(clients.iter().map(async |client| {
        for answer in client.submit_many(vec![noop::task(); TASKS_PER_USER]).await {
            answer.context("a submission was refused")?;
        }
        anyhow::Ok(())
    }));
    submitted.await?;
    let token = pool.token_of("requester-0").await?;
    drop(clients);
    pool.process.kill().await?;
    let begin = Instant::now();
    let pool = Pool::start(&data).await?;
    let client = pool.known_user(&token).await?;
    client.submit(noop::task()).await.context("the pool does not accept after its restart")?;
    let seconds = begin.elapsed().as_secs_f64();
    let open = client.info().await?.tasks_pending;
    anyhow::ensure!(usize::try_from(open) == Ok(USERS * TASKS_PER_USER + 1), "{open} tasks are open after the restart");
    pool.process.stop().await?;
    report.add("recovery_seconds", seconds, "s", None);
    Ok(())
}
