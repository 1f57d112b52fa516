//! Measures HiveMind beside its peers, in one run on one machine, and prints a table.
//!
//! Start at [`main`]; every figure has a module of its own. A pool and its workers run as child
//! processes of this program (see [`child`]), over real TLS, on a real disk. Figures go to the
//! file that `BENCH_JSON` names, else to `bench.json` in the target folder.
//!
//! Invariant: nothing here decides whether a figure is good; tests judge, benchmarks measure.

mod array;
mod child;
mod contents;
mod docker;
mod heartbeats;
mod idle;
mod latency;
mod machine;
mod million;
mod nodes;
mod noop;
mod pages;
mod peer;
mod pgbench;
mod placing;
mod recovery;
mod report;
mod runtimes;
mod transfers;

use anyhow::bail;
use clap::{Parser, Subcommand};
use peer::{Cluster, HYPERQUEUE};
use report::Report;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// As in the program `hivemind`: what is measured is what runs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures HiveMind beside its peers.
#[derive(Debug, Parser)]
struct Args {
    /// Measure this figure only, with those that come of the same run.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Nodes that say heartbeats.
    #[arg(long, value_name = "COUNT", default_value_t = heartbeats::NODES)]
    nodes: usize,
    /// What to do instead.
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Runs a pool until standard input ends.
    #[command(name = "pool-child", hide = true)]
    Pool {
        /// The pool's folder.
        data: PathBuf,
        /// What new users are given, in micro-CPT.
        grant: i64,
    },
    /// Runs workers with the fake runtime, one per token, until standard input ends.
    #[command(name = "workers-child", hide = true)]
    Workers {
        /// The folder of the workers' folders.
        data: PathBuf,
        /// Cores of each.
        cores: u32,
        /// Join tokens.
        tokens: Vec<String>,
    },
    /// Runs nodes that only say heartbeats, until standard input ends.
    #[command(name = "nodes-child", hide = true)]
    Nodes {
        /// The pool's address.
        server: String,
        /// The certificate of its authority.
        ca: PathBuf,
        /// The owner's token.
        token: String,
        /// How many nodes.
        count: usize,
    },
}

fn main() -> anyhow::Result<()> {
    // Helpers of the runtimes: nothing may have begun before them, no thread above all.
    let argv: Vec<OsString> = std::env::args_os().collect();
    let helper = match argv.get(1).and_then(|word| word.to_str()) {
        Some(hivemind_oci::HELPER_WORD) => Some(hivemind_oci::helper_main(argv.iter().skip(2).cloned())),
        Some(hivemind_wasm::HELPER_WORD) => Some(hivemind_wasm::helper_main(argv.get(2..).unwrap_or_default())),
        Some(_) | None => None,
    };
    if let Some(ended) = helper {
        anyhow::ensure!(ended == ExitCode::SUCCESS, "a helper failed; it says above why");
        return Ok(());
    }
    let args = Args::parse();
    hivemind_pki::install_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match args.role {
            Some(Role::Pool { data, grant }) => child::run_pool(data, grant).await,
            Some(Role::Workers { data, cores, tokens }) => child::run_workers(data, cores, tokens).await,
            Some(Role::Nodes { server, ca, token, count }) => {
                // One file for each.
                machine::most_files();
                nodes::run(server, ca, token, count).await
            }
            None => measure(args.only.as_deref(), args.nodes).await,
        }
    })
}

async fn measure(only: Option<&str>, nodes: usize) -> anyhow::Result<()> {
    let groups: [&[&str]; 13] = [
        noop::FIGURES,
        array::FIGURES,
        latency::FIGURES,
        million::FIGURES,
        placing::FIGURES,
        docker::FIGURES,
        runtimes::FIGURES,
        contents::FIGURES,
        idle::FIGURES,
        recovery::FIGURES,
        transfers::FIGURES,
        heartbeats::FIGURES,
        pages::FIGURES,
    ];
    if let Some(name) = only.filter(|name| !groups.iter().any(|group| group.contains(name))) {
        bail!("no figure is called `{name}`; there are {}", groups.concat().join(", "));
    }
    let wanted = |group: &[&str]| only.is_none_or(|name| group.contains(&name));
    let mut report = Report::new(only);
    let beside_hyperqueue = [noop::FIGURES, array::FIGURES, latency::FIGURES, &["warm_element_throughput"]];
    let mut peer = if beside_hyperqueue.into_iter().any(wanted) { Cluster::start(&HYPERQUEUE).await } else { None };
    if wanted(noop::FIGURES) {
        noop::measure(&mut report, peer.as_mut()).await?;
    }
    if wanted(array::FIGURES) {
        array::measure(&mut report, peer.as_mut()).await?;
    }
    if wanted(latency::FIGURES) {
        latency::measure(&mut report, peer.as_mut()).await?;
    }
    if wanted(runtimes::FIGURES) {
        runtimes::measure(&mut report, peer.as_mut()).await?;
    }
    if let Some(peer) = peer {
        peer.stop().await;
    }
    if wanted(contents::FIGURES) {
        contents::measure(&mut report).await?;
    }
    if wanted(idle::FIGURES) {
        idle::measure(&mut report).await?;
    }
    if wanted(million::FIGURES) {
        million::measure(&mut report).await?;
    }
    if wanted(placing::FIGURES) {
        placing::measure(&mut report);
    }
    if wanted(docker::FIGURES) {
        docker::measure(&mut report).await?;
    }
    if wanted(recovery::FIGURES) {
        recovery::measure(&mut report).await?;
    }
    if wanted(transfers::FIGURES) {
        transfers::measure(&mut report).await?;
    }
    if wanted(heartbeats::FIGURES) {
        heartbeats::measure(&mut report, nodes).await?;
    }
    if wanted(pages::FIGURES) {
        pages::measure(&mut report).await?;
    }
    report.write()
}
