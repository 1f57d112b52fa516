//! `sim`: runs seeds, prints how many a second, and how to replay the one that fails.

use clap::{Parser, Subcommand, ValueEnum};
use hivemind_model::economy::Mode;
use hivemind_sim::{Config, Sabotage, Summary, economy, run};
use std::process::ExitCode;
use std::time::Instant;

/// Runs the real engine in a simulated world of faults, one seed after the other.
#[derive(Parser)]
#[command(name = "sim", version, args_conflicts_with_subcommands = true)]
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
    #[command(subcommand)]
    workload: Option<Workload>,
}

#[derive(Subcommand)]
enum Workload {
    /// Runs a town of honest and hostile accounts around the real engine.
    Economy(Town),
}

#[derive(clap::Args)]
struct Town {
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many seeds to run.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// People who live in the town; one of them tries as many sign-ups again.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(20..=100_000))]
    accounts: u32,
    /// What free credit is good for.
    #[arg(long, value_enum, default_value_t = Credit::Guarded)]
    mode: Credit,
    /// How many minutes the town lives.
    #[arg(long, default_value_t = 360)]
    minutes: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Credit {
    /// Free credit is money like any other.
    Open,
    /// Free credit buys computing and never becomes money.
    Guarded,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match &args.workload {
        Some(Workload::Economy(town)) => run_towns(town),
        None => run_worlds(&args),
    }
}

fn run_towns(args: &Town) -> ExitCode {
    let (word, mode) = match args.mode {
        Credit::Open => ("open", Mode::Open),
        Credit::Guarded => ("guarded", Mode::Guarded),
    };
    for seed in args.seed..args.seed.saturating_add(args.seeds) {
        let accounts = usize::try_from(args.accounts).unwrap_or(usize::MAX);
        match economy::run(economy::Config { minutes: args.minutes, ..economy::Config::new(seed, accounts, mode) }) {
            Ok(report) => println!("seed {seed}, {word}: every promise held\n{report}"),
            Err(failure) => {
                let Town { accounts, minutes, .. } = args;
                eprintln!("FAILED {failure}");
                eprintln!("replay: sim economy --seed {seed} --accounts {accounts} --mode {word} --minutes {minutes}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn run_worlds(args: &Args) -> ExitCode {
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
