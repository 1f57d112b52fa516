//! `sim`: runs seeds, prints how many a second, and how to replay the one that fails.

use clap::{Parser, Subcommand, ValueEnum};
use hivemind_model::economy::Mode;
use hivemind_model::verify::{Doubt, Rule};
use hivemind_sim::{Config, Sabotage, Summary, days, economy, run};
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
    /// Runs days of a pool of thousands of nodes that come and go, some of which lie.
    Days(Days),
    /// One user with 100,000 tasks in the queue, one with 10: how long the second waits for the first of them.
    TwoUsers {
        /// The seed.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Tasks of the first user.
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1000..=900_000))]
        tasks: u32,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
struct Days {
    /// The seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Machines.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    nodes: u32,
    /// People who submit.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    requesters: u32,
    /// Days that are measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=365))]
    days: u64,
    /// Hours before that, in which the pool fills.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(0..=8760))]
    warm_up: u64,
    /// Work that is submitted, in percent of what the machines can do.
    #[arg(long, default_value_t = 70, value_parser = clap::value_parser!(u64).range(1..=1000))]
    load: u64,
    /// Submissions whose results are verified, in percent.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=100))]
    verified: u64,
    /// The confidence that these ask for.
    #[arg(long, default_value = "0.999")]
    confidence: Doubt,
    /// A quorum instead, such as `2/3`: two of three copies agree.
    #[arg(long, value_parser = quorum, conflicts_with = "confidence")]
    rule: Option<Rule>,
    /// Owners whose nodes lie, in percent.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100))]
    cheats: u64,
    /// How they lie.
    #[arg(long, value_enum, default_value_t = Lies::Colluding)]
    kind: Lies,
    /// Check every invariant from scratch after so many hours, and at the end.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=8760))]
    check_every: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Lies {
    /// Always, each differently.
    Independent,
    /// Always, all in the same way.
    Colluding,
    /// In the same way on the same tenth of the elements.
    Occasional,
    /// Right until trusted, then colluding.
    Sleeper,
    /// Right until half-time, then colluding.
    Ambush,
}

impl From<Lies> for days::Kind {
    fn from(lies: Lies) -> Self {
        match lies {
            Lies::Independent => Self::Independent,
            Lies::Colluding => Self::Colluding,
            Lies::Occasional => Self::Occasional,
            Lies::Sleeper => Self::Sleeper,
            Lies::Ambush => Self::Ambush,
        }
    }
}

/// Reads `2/3`.
fn quorum(text: &str) -> Result<Rule, String> {
    let parts =
        text.split_once('/').and_then(|(quorum, replicas)| Some((quorum.parse().ok()?, replicas.parse().ok()?)));
    match parts {
        Some((quorum, replicas)) if (1..=replicas).contains(&quorum) && replicas <= 16 => {
            Ok(Rule::Quorum { replicas, quorum })
        }
        Some(_) | None => Err("is not a quorum; write `2/3` for two of three copies, of at most 16".into()),
    }
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
        Some(Workload::Days(args)) => run_days(args),
        Some(Workload::TwoUsers { seed, tasks, json }) => run_two_users(*seed, *tasks, *json),
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

fn run_days(args: &Days) -> ExitCode {
    let Days { seed, nodes, requesters, warm_up, load, verified, cheats, check_every, .. } = *args;
    let rule = args.rule.unwrap_or(Rule::Confidence { doubt: args.confidence });
    let (hours, kind) = (24 * args.days, args.kind.into());
    let config =
        days::Config { seed, nodes, requesters, hours, warm_up, load, verified, rule, cheats, kind, check_every };
    let began = Instant::now();
    let report = match days::run(config) {
        Ok(report) => report,
        Err(failure) => return failed(&failure),
    };
    let seconds = began.elapsed().as_secs_f64();
    if args.json {
        return print_json(&report);
    }
    println!("{report}");
    let simulated = 3600.0 * f64::from(u32::try_from(hours + warm_up).unwrap_or(u32::MAX));
    println!(
        "speed:       {seconds:.1} s for {:.1} days, {:.0} simulated seconds a second",
        simulated / 86_400.0,
        simulated / seconds
    );
    ExitCode::SUCCESS
}

fn run_two_users(seed: u64, tasks: u32, json: bool) -> ExitCode {
    match days::two_users(seed, usize::try_from(tasks).unwrap_or(usize::MAX)) {
        Ok(two) if json => print_json(&two),
        Ok(two) => {
            println!("{two}");
            ExitCode::SUCCESS
        }
        Err(failure) => failed(&failure),
    }
}

fn failed(failure: &hivemind_sim::Failure) -> ExitCode {
    eprintln!("FAILED {failure}");
    eprintln!("replay: the same command again");
    ExitCode::FAILURE
}

fn print_json<T: serde::Serialize>(report: &T) -> ExitCode {
    match serde_json::to_string_pretty(report) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("the report cannot be written as JSON: {error}");
            ExitCode::FAILURE
        }
    }
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
