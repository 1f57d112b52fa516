//! Transfers of money, beside PostgreSQL's own benchmark of small transactions.
//!
//! 32 clients, each with a connection of its own over TLS, send batches of transfers to a pool with its database on
//! the disk; each transfer has an id that its client made and an answer of its own, which leaves the pool once the
//! transfer is in the journal and flushed. The peer runs as long, on the same disk, with as many clients.

use crate::child::Pool;
use crate::report::Report;
use crate::{machine, pgbench};
use anyhow::Context;
use futures::future::try_join_all;
use hivemind_client::{Client, Transfer};
use hivemind_model::Cpt;
use std::time::{Duration, Instant};

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["ledger_transfers"];

pub(crate) const CLIENTS: usize = 32;
/// Transfers of one message.
const BATCH: usize = 500;
/// How long either side runs.
pub(crate) const RUN: Duration = Duration::from_secs(10);

/// Measures [`FIGURES`].
///
/// # Errors
/// Where something does not run; a peer that does not is left out.
pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    report.begin(&format!("transfers: the peer, {CLIENTS} clients for {} s", RUN.as_secs()));
    let peer = pgbench::measure(CLIENTS, RUN).await;
    report.begin(&format!("transfers: {CLIENTS} clients for {} s, {BATCH} in a message", RUN.as_secs()));
    let dir = machine::scratch()?;
    let pool = Pool::start(&dir.path().join("pool")).await?;
    let mut clients = Vec::with_capacity(CLIENTS);
    for number in 0..CLIENTS {
        clients.push(pool.new_user(&name(number)).await?);
    }
    let (pool_before, own_before) = (machine::cpu_of(pool.process.pid()?)?, machine::cpu_of(std::process::id())?);
    let begin = Instant::now();
    let until = begin + RUN;
    let transfers: u64 = try_join_all(
        clients.into_iter().enumerate().map(|(number, client)| tokio::spawn(transfer(client, number, until))),
    )
    .await?
    .into_iter()
    .sum::<anyhow::Result<u64>>()?;
    let seconds = begin.elapsed().as_secs_f64();
    // Far below 2^52.
    let total = transfers as f64;
    let per_transfer = |before: Duration, after: Duration| (after - before).as_secs_f64() * 1e6 / total;
    let pool_cpu = per_transfer(pool_before, machine::cpu_of(pool.process.pid()?)?);
    let own_cpu = per_transfer(own_before, machine::cpu_of(std::process::id())?);
    println!(
        "  {transfers} in {seconds:.2} s: {:.0} transfers/s; processor time per transfer: pool {pool_cpu:.1} us, clients {own_cpu:.1} us",
        total / seconds
    );
    pool.process.stop().await?;
    report.add("ledger_transfers", total / seconds, "transfers/s", peer);
    Ok(())
}

fn name(number: usize) -> String {
    format!("payer-{number}")
}

/// One client: a micro-CPT to its neighbour, again and again. Gives how many were acknowledged.
async fn transfer(client: Client, number: usize, until: Instant) -> anyhow::Result<u64> {
    let to_username = name((number + 1) % CLIENTS);
    let mut made = 0;
    while Instant::now() < until {
        let batch: Vec<Transfer> = (made..made + BATCH as u64)
            .map(|next| Transfer {
                to_username: to_username.clone(),
                amount: Cpt::from_micro(1),
                id: format!("{number}-{next}"),
            })
            .collect();
        for answer in client.transfer_many(&batch).await {
            answer.context("a transfer was refused")?;
        }
        made += BATCH as u64;
    }
    Ok(made)
}
