//! The `hivemind` command: the servers, and every verb of a user.
//!
//! Start at [`main`]: the arguments are judged ([`args`], [`refused`]) before anything else is
//! started; then a server ([`serve`]) or a verb ([`verbs`]) runs and prints through [`face`].
//! What goes wrong is a [`failure::Failure`], whose number is in [`exit`].
//!
//! Invariant: no rule of the pool is decided here; this crate asks, shows, and tells what to do.

pub mod args;
pub mod connect;
pub mod entries;
pub mod exit;
pub mod face;
pub mod failure;
pub mod flags;
pub mod graph;
pub mod image;
pub mod input;
pub mod log;
pub mod machine;
pub mod place;
pub mod progress;
pub mod quantity;
pub mod refused;
pub mod runtimes;
pub mod secret;
pub mod selector;
pub mod serve;
pub mod show;
pub mod signals;
mod spans;
pub mod verbs;

use args::server::LogFormat;
use args::{Cli, Global, LedgerVerb, NodesVerb, Verb, WalletVerb};
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
use exit::Exit;
use face::{Channel, Face, Mode};
use failure::{Done, Failure};
use hivemind_model::service::NodeChange;
use log::Speaker;
use std::ffi::OsString;
use std::process::ExitCode;
use verbs::Context;

fn wants_help(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand)
}

/// A refusal of the parser, with the code and the form that every other one has.
fn misused(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let what = lines.next().unwrap_or_default().trim_start_matches("error: ");
    let rest: Vec<&str> = lines
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .map(|line| line.trim_start_matches("tip: "))
        .collect();
    let rest = rest.join("; ");
    // A list follows the colon; otherwise it is advice.
    if what.ends_with(':') {
        Failure::usage(format!("{what} {rest}")).fix("try `--help`")
    } else {
        Failure::usage(what).fix(if rest.is_empty() { "try `--help`" } else { &rest })
    }
}

fn refuse(argv: &[OsString], failure: &Failure) -> ExitCode {
    let mode = if argv.iter().any(|word| word == "--json") { Mode::Json } else { Mode::Human };
    Face::of_process(mode).fail(failure);
    ExitCode::from(failure.exit.number())
}

/// Does what the arguments say. The first is the program's own name.
#[must_use]
pub fn main(argv: &[OsString]) -> ExitCode {
    // Helpers that lock themselves up: nothing may have begun before them, no thread above all.
    match argv.get(1).and_then(|word| word.to_str()) {
        Some(hivemind_oci::HELPER_WORD) => return hivemind_oci::helper_main(argv.iter().skip(2).cloned()),
        Some(hivemind_wasm::HELPER_WORD) => return hivemind_wasm::helper_main(argv.get(2..).unwrap_or_default()),
        Some(_) | None => {}
    }
    // Before the memory is there that reading the arguments takes.
    if argv.iter().any(|word| word.to_str().is_some_and(|word| word == "worker" || word == "worker-reaper")) {
        serve::lean::small_pages();
    }
    let cli = match parse(argv) {
        Ok(cli) => cli,
        // Help and version are refusals to clap, with the exit code 0; so is a bare command, with its help.
        Err(Refused::Clap(error)) if !error.use_stderr() || wants_help(&error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.number());
            return if error.print().is_ok() { ExitCode::from(code) } else { ExitCode::FAILURE };
        }
        Err(Refused::Clap(error)) => return refuse(argv, &misused(&error)),
        Err(Refused::Here(failure)) => return refuse(argv, &failure),
    };
    let mut face = Face::of_process(mode(&cli.global));
    let ended = perform(cli, &mut face);
    let exit = ended.unwrap_or_else(|failure| {
        face.fail(&failure);
        failure.exit
    });
    ExitCode::from(exit.number())
}

/// Why the arguments were not taken.
#[derive(Debug)]
pub enum Refused {
    /// The parser's own refusal, or help.
    Clap(clap::Error),
    /// An option that has no place here.
    Here(Failure),
}

/// Judges the arguments, and nothing else.
///
/// # Errors
/// They ask for help, are not understood, or ask for what is not lent.
pub fn parse(argv: &[OsString]) -> Result<Cli, Refused> {
    let mut command = Cli::command();
    command.build();
    refused::check(argv, &command).map_err(Refused::Here)?;
    let matches = command.try_get_matches_from_mut(argv).map_err(Refused::Clap)?;
    Cli::from_arg_matches(&matches).map_err(|error| Refused::Clap(error.format(&mut command)))
}

const fn mode(global: &Global) -> Mode {
    if global.json {
        Mode::Json
    } else if global.quiet {
        Mode::Quiet
    } else {
        Mode::Human
    }
}

fn perform(cli: Cli, face: &mut Face) -> Done {
    let Cli { global, verb } = cli;
    match verb {
        Verb::Version => version(face),
        Verb::Completion(args) => completion(face, args.shell),
        Verb::WorkerReaper(args) => {
            log::start(Speaker::Server, LogFormat::Human, global.verbose);
            block_on(Some(1), serve::reap(&args))
        }
        Verb::Up(args) => {
            start_log(args.log.log_format, &global, face);
            block_on(None, spans::exported("hivemind-up", serve::up(&global, face, &args)))
        }
        Verb::Pool(args) => {
            start_log(args.log.log_format, &global, face);
            block_on(None, spans::exported("hivemind-pool", serve::pool(&global, face, &args)))
        }
        Verb::Master(args) => {
            start_log(args.log.log_format, &global, face);
            block_on(None, spans::exported("hivemind-master", serve::web::master(&global, face, &args)))
        }
        Verb::Worker(mut args) => match args.verb.take() {
            Some(verb) => {
                log::start(Speaker::Client, LogFormat::Human, global.verbose);
                block_on(Some(1), verbs::worker::own(&global, face, verb))
            }
            None => {
                start_log(args.log.log_format, &global, face);
                block_on(None, spans::exported("hivemind-worker", serve::worker(&global, face, &args)))
            }
        },
        verb => {
            log::start(Speaker::Client, LogFormat::Human, global.verbose);
            // Printing may block this thread; one more keeps the connection alive meanwhile.
            let mut ctx = Context { global, face: Face::of_process(face.mode) };
            block_on(Some(1), ask(&mut ctx, verb))
        }
    }
}

fn start_log(format: LogFormat, global: &Global, face: &mut Face) {
    log::start(Speaker::Server, format, global.verbose);
    if format == LogFormat::Json {
        face.talk_through_log();
    }
}

async fn ask(ctx: &mut Context, verb: Verb) -> Done {
    match verb {
        Verb::Register(args) => verbs::account::register(ctx, &args).await,
        Verb::Login(args) => verbs::account::login(ctx, &args).await,
        Verb::Logout => verbs::account::logout(ctx),
        Verb::Whoami => verbs::account::whoami(ctx).await,
        Verb::Run(args) => verbs::run::run(ctx, &args).await,
        Verb::Submit(args) => verbs::submit::submit(ctx, args).await,
        Verb::Wait(args) => verbs::wait::wait(ctx, &args).await,
        Verb::Plan(args) => verbs::plan::plan(ctx, &args).await,
        Verb::Status(args) => verbs::status::status(ctx, &args).await,
        Verb::Explain(args) => verbs::explain::explain(ctx, &args).await,
        Verb::Ps(args) => verbs::tasks::ps(ctx, &args).await,
        Verb::Logs(args) => verbs::logs::logs(ctx, &args).await,
        Verb::Image(verb) => verbs::image::image(ctx, &verb).await,
        Verb::Fetch(args) => verbs::fetch::fetch(ctx, &args).await,
        Verb::Cancel(args) => verbs::tasks::cancel(ctx, &args).await,
        Verb::Retry(args) => verbs::retry::retry(ctx, &args).await,
        Verb::Nodes(args) => match args.verb {
            None => verbs::nodes::list(ctx, args.all).await,
            Some(NodesVerb::JoinToken { valid }) => verbs::nodes::join_token(ctx, valid).await,
            Some(NodesVerb::Show { node, all }) => verbs::nodes::show(ctx, &node, all).await,
            Some(NodesVerb::Cordon { node }) => verbs::nodes::set(ctx, &node, NodeChange::Cordon).await,
            Some(NodesVerb::Uncordon { node }) => verbs::nodes::set(ctx, &node, NodeChange::Uncordon).await,
            Some(NodesVerb::Drain { node, deadline }) => verbs::nodes::drain(ctx, &node, deadline).await,
            Some(NodesVerb::Ban { node, reason }) => verbs::nodes::set(ctx, &node, NodeChange::Ban { reason }).await,
            Some(NodesVerb::Unban { node }) => verbs::nodes::set(ctx, &node, NodeChange::Unban).await,
        },
        Verb::Wallet(verb) => wallet(ctx, verb).await,
        Verb::Project(verb) => verbs::project::project(ctx, &verb).await,
        Verb::Ledger(LedgerVerb::Verify) => verbs::ledger::verify(ctx).await,
        Verb::Ledger(LedgerVerb::TrialBalance { csv }) => verbs::ledger::trial_balance(ctx, csv).await,
        Verb::Invite(args) => verbs::account::invite(ctx, &args).await,
        Verb::Keys(verb) => verbs::access::keys(ctx, &verb).await,
        Verb::Sessions(verb) => verbs::access::sessions(ctx, &verb).await,
        Verb::Doctor => verbs::doctor::doctor(ctx).await,
        Verb::Up(_)
        | Verb::Pool(_)
        | Verb::Master(_)
        | Verb::Worker(_)
        | Verb::WorkerReaper(_)
        | Verb::Completion(_)
        | Verb::Version => Err(Failure::new(Exit::Failure, "E_BUG", "this command asks no pool")),
    }
}

async fn wallet(ctx: &mut Context, verb: WalletVerb) -> Done {
    match verb {
        WalletVerb::Balance => verbs::wallet::balance(ctx).await,
        WalletVerb::Statement(args) => verbs::wallet::statement(ctx, &args).await,
        WalletVerb::Rewards(args) => verbs::wallet::rewards(ctx, &args).await,
        WalletVerb::Transfer { username, amount, id } => {
            verbs::wallet::transfer(ctx, &username, &amount, id.as_deref()).await
        }
        WalletVerb::Tip { project, amount, message, id } => {
            verbs::wallet::tip(ctx, &project, &amount, &message, id.as_deref()).await
        }
    }
}

/// Runs `work` on threads of its own number, or as many as there are cores.
fn block_on(threads: Option<usize>, work: impl Future<Output = Done>) -> Done {
    hivemind_pki::install_provider();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build().map_err(|error| Failure::io("no threads could be started", &error))?;
    let done = runtime.block_on(work);
    // A thread that waits for standard input must not keep the process.
    runtime.shutdown_background();
    done
}

fn version(face: &mut Face) -> Done {
    let version = env!("CARGO_PKG_VERSION");
    let text = match face.mode {
        Mode::Json => serde_json::json!({"schema": "hivemind.version/1", "version": version}).to_string(),
        Mode::Quiet => version.to_owned(),
        Mode::Human => format!("hivemind {version}"),
    };
    face.bytes(format!("{text}\n").as_bytes(), Channel::Out)?;
    Ok(Exit::Ok)
}

fn completion(face: &mut Face, shell: clap_complete::Shell) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hivemind", &mut script);
    face.bytes(&script, Channel::Out)?;
    Ok(Exit::Ok)
}
