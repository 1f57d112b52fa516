//! Measures HiveMind beside its peers, in one run on one machine, and prints a table.
//!
//! Start at [`main`]; every figure has a module of its own. A pool and its workers run as child
//! processes of this program (see [`child`]), over real TLS, on a real disk. Figures go to the
//! file that `BENCH_JSON` names, else to `bench.json` in the target folder.
//!
//! Invariant: nothing here decides whether a figure is good; tests judge, benchmarks measure.

mod array;
mod child;
mod docker;
mod heartbeats;
mod latency;
mod machine;
mod million;
mod nodes;
mod noop;
mod peer;
mod pgbench;
mod placing;
mod recovery;
mod report;
mod transfers;

use anyhow::bail;
use clap::{Parser, Subcommand};
use peer::{Cluster, HYPERQUEUE};
use report::Report;
use std::path::PathBuf;

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
    let groups: [&[&str]; 9] = [
        noop::FIGURES,
        array::FIGURES,
        latency::FIGURES,
        million::FIGURES,
        placing::FIGURES,
        docker::FIGURES,
        recovery::FIGURES,
        transfers::FIGURES,
        heartbeats::FIGURES,
    ];
    if let Some(name) = only.filter(|name| !groups.iter().any(|group| group.contains(name))) {
        bail!("no figure is called `{name}`; there are {}", groups.concat().join(", "));
    }
    let wanted = |group: &[&str]| only.is_none_or(|name| group.contains(&name));
    let mut report = Report::new(only);
    let beside_hyperqueue = [noop::FIGURES, array::FIGURES, latency::FIGURES];
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
    if let Some(peer) = peer {
        peer.stop().await;
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
    report.write()
}
