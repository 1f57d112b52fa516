//! Options of `docker run` that have no place here, each refused by name with the supported way.
//!
//! A task runs on a stranger's machine, so nothing of either side's host may be handed in. Start
//! at [`check`]; it looks at what stands between `run`, `submit` or `plan` and the image, and
//! nowhere else: the words after the image are the task's own.
//!
//! Invariant: this only refuses; what is allowed is decided by the parser.

use crate::failure::Failure;
use clap::Command;
use std::ffi::{OsStr, OsString};

struct Refusal {
    long: &'static str,
    short: Option<char>,
    way: &'static str,
}

const fn refusal(long: &'static str, short: Option<char>, way: &'static str) -> Refusal {
    Refusal { long, short, way }
}

const NO_HOST: &str = "tasks run on other people's machines and get nothing of the host; leave it out";
const NO_RIGHTS: &str = "tasks run as a non-root user without capabilities under the default seccomp profile; build what needs root into the image";
const FILES: &str = "no folder of a host is mounted; send files with --input PATH[:DEST], name what is kept of /task with --output PATH, and get it with `run --to DIR` or `fetch`";
const NETWORK: &str = "a task shares no network with a machine; name what it may reach with --network HOST:PORT, or send what it needs with --input";
const ENVIRONMENT: &str =
    "environment variables are not handed in; put `env NAME=value` before the command, or send a file with --input";
const TERMINAL: &str = "tasks have no terminal and no standard input; send input as a file with --input";

const REFUSED: &[Refusal] = &[
    refusal("privileged", None, NO_RIGHTS),
    refusal("cap-add", None, NO_RIGHTS),
    refusal("cap-drop", None, "all capabilities are dropped already; leave it out"),
    refusal("security-opt", None, NO_RIGHTS),
    refusal("user", Some('u'), NO_RIGHTS),
    refusal("group-add", None, NO_RIGHTS),
    refusal("volume", Some('v'), FILES),
    refusal("volumes-from", None, FILES),
    refusal("mount", None, FILES),
    refusal("tmpfs", None, "/tmp is there already, limited in size; for more space use /task and --disk SIZE"),
    refusal("device", None, "no device of a host is handed in; ask for graphics processors with --gpus N"),
    refusal("net", None, NETWORK),
    refusal("publish", Some('p'), NETWORK),
    refusal("publish-all", Some('P'), NETWORK),
    refusal("add-host", None, NETWORK),
    refusal("dns", None, NETWORK),
    refusal("link", None, NETWORK),
    refusal("pid", None, NO_HOST),
    refusal("ipc", None, NO_HOST),
    refusal("uts", None, NO_HOST),
    refusal("userns", None, NO_HOST),
    refusal("cgroupns", None, NO_HOST),
    refusal("cgroup-parent", None, NO_HOST),
    refusal("runtime", None, NO_HOST),
    refusal("sysctl", None, NO_HOST),
    refusal("ulimit", None, "limits are set by the platform; ask for memory with --memory and disk with --disk"),
    refusal("shm-size", None, "shared memory is part of --memory; leave it out"),
    refusal("memory-swap", None, "there is no swap: --memory is the whole of it; leave it out"),
    refusal("env", Some('e'), ENVIRONMENT),
    refusal("env-file", None, ENVIRONMENT),
    refusal("interactive", Some('i'), TERMINAL),
    refusal("tty", Some('t'), TERMINAL),
    refusal("workdir", Some('w'), "the working directory is /task; put `sh -c 'cd DIR && ...'` as the command"),
    refusal("entrypoint", None, "name the program as the first word after the image"),
    refusal("restart", None, "what fails through the platform is tried again by itself; leave it out"),
    refusal("rm", None, "containers are always removed; leave it out"),
];

/// Looks for refused options in `argv`, whose first word is the program's own name.
///
/// # Errors
/// [`Failure::usage`] that names the option and the supported way.
pub fn check(argv: &[OsString], cli: &Command) -> Result<(), Failure> {
    let mut words = argv.iter().skip(1);
    let Some(verb) = skip_options(&mut words, cli, |_| None)? else { return Ok(()) };
    if !["run", "submit", "plan"].iter().any(|with_image| verb == *with_image) {
        return Ok(());
    }
    let Some(command) = cli.find_subcommand(verb) else { return Ok(()) };
    skip_options(&mut words, command, find).map(|_| ())
}

/// Goes over options and their values up to the first free word, which is given back.
fn skip_options<'a>(
    words: &mut impl Iterator<Item = &'a OsString>,
    command: &Command,
    refuse: impl Fn(Name) -> Option<&'static Refusal>,
) -> Result<Option<&'a OsStr>, Failure> {
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        if let Some(long) = text.strip_prefix("--") {
            if long.is_empty() {
                return Ok(None);
            }
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            if let Some(refusal) = refuse(Name::Long(name)) {
                return Err(refused(&format!("--{name}"), refusal));
            }
            if value.is_none() && takes_value(command, Name::Long(name)) {
                words.next();
            }
        } else if let Some(shorts) = text.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            for (at, letter) in shorts.char_indices() {
                if let Some(refusal) = refuse(Name::Short(letter)) {
                    return Err(refused(&format!("-{letter}"), refusal));
                }
                if takes_value(command, Name::Short(letter)) {
                    if at + letter.len_utf8() == shorts.len() {
                        words.next();
                    }
                    break;
                }
            }
        } else {
            return Ok(Some(word));
        }
    }
    Ok(None)
}

#[derive(Clone, Copy)]
enum Name<'a> {
    Long(&'a str),
    Short(char),
}

fn find(name: Name) -> Option<&'static Refusal> {
    REFUSED.iter().find(|refusal| match name {
        Name::Long(long) => refusal.long == long,
        Name::Short(letter) => refusal.short == Some(letter),
    })
}

fn takes_value(command: &Command, name: Name) -> bool {
    let matches = |arg: &&clap::Arg| match name {
        Name::Long(long) => arg.get_long() == Some(long),
        Name::Short(letter) => arg.get_short() == Some(letter),
    };
    command.get_arguments().find(matches).is_some_and(|arg| arg.get_action().takes_values())
}

fn refused(option: &str, refusal: &Refusal) -> Failure {
    let full = if option.starts_with("--") { option.to_owned() } else { format!("{option} (--{})", refusal.long) };
    let verbose = if option == "-v" { "; to hear more of what is done, say --verbose" } else { "" };
    Failure::usage(format!("the docker option {full} is not supported")).fix(format!("{}{verbose}", refusal.way))
}

#[cfg(test)]
mod tests;
