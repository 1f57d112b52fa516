//! `sim`: runs seeds, prints how many a second, and how to replay the one that fails.

use clap::Parser;
use hivemind_sim::{Config, Sabotage, Summary, run};
use std::process::ExitCode;
use std::time::Instant;

/// Runs the real engine in a simulated world of faults, one seed after the other.
#[derive(Parser)]
#[command(name = "sim", version)]
struct Args {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    start: u64,
    /// Events with faults in each run.
    #[arg(long, default_value_t = 800)]
    steps: u64,
    /// Run only this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Print everything that happens.
    #[arg(long)]
    trace: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let (first, count) = args.seed.map_or((args.start, args.seeds), |seed| (seed, 1));
    let began = Instant::now();
    let mut all = Summary::default();
    for seed in first..first.saturating_add(count) {
        match run(Config { seed, steps: args.steps, trace: args.trace, sabotage: Sabotage::None }) {
            Ok(summary) => {
                all.add(&summary);
                if args.seed.is_some() {
                    println!("seed {seed}: trace {:016x}", summary.trace_hash);
                }
            }
            Err(failure) => {
                eprintln!("FAILED {failure}");
                eprintln!("replay: sim --seed {seed} --steps {} --trace", args.steps);
                return ExitCode::FAILURE;
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{count} seeds held every promise: {} events, {} tasks, {} attempts", all.events, all.tasks, all.attempts);
    println!(
        "{} pool kills ({} batches lost), {} machine kills, {} broken links, {} lost nodes, {} stale messages",
        all.pool_kills, all.lost_batches, all.worker_kills, all.link_breaks, all.lost_nodes, all.stale_messages
    );
    println!(
        "{} accruals, {} returned, {} recovered after a kill, {} holds expired, {} rewards",
        all.accruals, all.returns, all.accruals_recovered, all.expiries, all.rewards
    );
    println!("{:.1} seeds/s over {seconds:.1} s", f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / seconds);
    ExitCode::SUCCESS
}
