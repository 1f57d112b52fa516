//! `worker status`, `start`, `finish`, `pause`, `stop-now`, `preferences`: an owner speaks with the worker here.
//! `worker install`, `uninstall`: it becomes a service. `worker selftest`: what keeps tasks in is attacked.
//!
//! Start at [`own`].
//!
//! Invariant: no pool is asked; all goes through the socket in the worker's folder, or to systemd.

use crate::args::Global;
use crate::args::owner::{InstallArgs, PartArgs, PreferencesVerb, PrintArgs, SpanArgs, WorkerVerb};
use crate::args::server::RuntimeKind;
use crate::exit::Exit;
use crate::face::Face;
use crate::failure::{Done, Failure};
use crate::serve::selftest;
use crate::show::worker::{Machine, Steps, Tested, Written};
use hivemind_owner::service::{self, Step};
use hivemind_worker::control::{self, Answer, AskError, Part, Request};
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// Largest file of preferences, in bytes.
const MAX_FILE_BYTES: u64 = hivemind_owner::preferences::MAX_FILE_BYTES;

/// Does what the owner wants.
///
/// # Errors
/// No worker runs here, it does not take what was wanted, or systemd does not.
pub async fn own(global: &Global, face: &mut Face, verb: WorkerVerb) -> Done {
    let request = match verb {
        WorkerVerb::Status => Request::Status,
        WorkerVerb::Start(part) => Request::Start { part: of(&part) },
        WorkerVerb::Finish(SpanArgs { part, span }) => Request::Finish { part: of(&part), for_ms: millis(span) },
        WorkerVerb::Pause(SpanArgs { part, span }) => Request::Pause { part: of(&part), for_ms: millis(span) },
        WorkerVerb::StopNow => Request::StopNow,
        WorkerVerb::Preferences { verb: None | Some(PreferencesVerb::Get) } => Request::Preferences,
        WorkerVerb::Preferences { verb: Some(PreferencesVerb::Set { file }) } => {
            Request::SetPreferences { toml: read(&file)? }
        }
        WorkerVerb::Selftest(args) => return test(global, face, args.runtime).await,
        WorkerVerb::Install(args) => return install(global, face, &args),
        WorkerVerb::Uninstall(args) => return carry_out(face, &service::uninstall(), &args),
    };
    match ask(global, &request).await? {
        Answer::Status(overview) => {
            let fault = overview.preferences_fault.clone();
            face.show(&Machine(*overview))?;
            if let Some(fault) = fault {
                face.warn(&format!("the older preferences count: {fault}"));
            }
        }
        Answer::Preferences { path, toml } => face.show(&Written { path, toml })?,
        Answer::Refused { code, message, fix } => return Err(refused(&code, &message).fix(fix)),
    }
    Ok(Exit::Ok)
}

/// Attacks every promise; exit code 1 where a required one does not hold.
async fn test(global: &Global, face: &mut Face, kind: RuntimeKind) -> Done {
    let data = crate::place::data(global)?;
    face.say("attacking this machine's isolation from inside, some seconds");
    let attacked = selftest::attack(&data, kind, |_| ()).await?;
    let tested = Tested::of(attacked.runtime, &attacked.lines);
    face.show(&tested)?;
    if let Err(why) = attacked.swept {
        face.warn(&format!("something of the attackers may be left: {why}"));
    }
    Ok(if tested.holds { Exit::Ok } else { Exit::Failure })
}

const fn of(part: &PartArgs) -> Part {
    if part.gpu { Part::Gpu } else { Part::Machine }
}

fn millis(span: Option<Duration>) -> Option<u64> {
    span.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

async fn ask(global: &Global, request: &Request) -> Done<Answer> {
    let data = crate::place::data(global)?;
    control::ask(&data, request).await.map_err(|error| match error {
        AskError::NotRunning(_) => Failure::new(Exit::NotFound, "E_NOT_RUNNING", &error)
            .fix("start one with `hivemind worker` (or `hivemind up`), or name its folder with --data DIR"),
        AskError::Denied(_) => Failure::new(Exit::Forbidden, "E_FORBIDDEN", &error)
            .fix("run this as the user who runs the worker, or as root"),
        AskError::Silent(_) => {
            Failure::new(Exit::Failure, "E_UNAVAILABLE", &error).fix("see the worker's log, and start it again")
        }
    })
}

fn refused(code: &str, message: &str) -> Failure {
    let exit = match code {
        "E_INVALID" | "E_TOO_LARGE" => Exit::Usage,
        // What a newer worker says is a plain failure.
        _other => Exit::Failure,
    };
    Failure::new(exit, code, message)
}

fn read(file: &Path) -> Done<String> {
    let cannot = |error: std::io::Error| Failure::io(format!("{} cannot be read", file.display()), &error);
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().take(MAX_FILE_BYTES + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text))
    };
    if read.map_err(cannot)? as u64 > MAX_FILE_BYTES {
        return Err(Failure::usage(format!("{} is larger than {MAX_FILE_BYTES} bytes", file.display())));
    }
    Ok(text)
}

fn install(global: &Global, face: &mut Face, args: &InstallArgs) -> Done {
    let data = crate::place::data(global)?;
    let exe = std::env::current_exe().map_err(|error| Failure::io("this program does not find itself", &error))?;
    let steps = service::install(&exe, &data, &args.user).map_err(Failure::usage)?;
    let joined = data.join("worker").join("pool.toml").exists();
    if !args.print.print && !joined {
        return Err(Failure::new(Exit::Conflict, "E_NOT_JOINED", format!("{} belongs to no pool yet", data.display()))
            .fix("run `hivemind worker --join TOKEN` once with the same --data, end it with Ctrl-C, then install"));
    }
    carry_out(face, &steps, &args.print)
}

fn carry_out(face: &mut Face, steps: &[Step], args: &PrintArgs) -> Done {
    if args.print {
        face.show(&Steps::of(steps))?;
        return Ok(Exit::Ok);
    }
    // What every systemd has, and nothing else.
    if !Path::new("/run/systemd/system").is_dir() {
        return Err(Failure::new(Exit::Failure, "E_NO_SYSTEMD", "this machine was not started by systemd")
            .fix("start `hivemind worker` in the way that this machine starts its services; `--print` shows what systemd would do"));
    }
    let done = service::carry_out(steps, Path::new("/"), service::run, |step| face.say(&step.to_string()));
    done.map_err(|failed| {
        let fix = match failed.error.kind() {
            std::io::ErrorKind::PermissionDenied => "run this as root",
            _other => "",
        };
        Failure::new(Exit::Failure, "E_IO", failed).fix(fix)
    })?;
    face.show(&Steps::of(steps))?;
    Ok(Exit::Ok)
}
