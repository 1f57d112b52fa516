//! What has to be done so that systemd has the service, or has it no more.
//!
//! Invariant: the data of a worker is never removed here.

use super::unit::{BadUnit, NAME, unit};
use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the units of this machine's administrator lie.
const UNITS: &str = "/etc/systemd/system";
/// Most of what a program said that is repeated, in bytes.
const MAX_SAID_BYTES: usize = 500;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make a folder, and those above it; one that is there stays as it is.
    Folder {
        /// Which.
        path: PathBuf,
        /// Who may enter it.
        mode: u32,
    },
    /// Write a file, whole or not at all, in place of one that is there.
    File {
        /// Which.
        path: PathBuf,
        /// Who may read it.
        mode: u32,
        /// What is in it.
        contents: String,
    },
    /// Remove a file, where there is one.
    Remove {
        /// Which.
        path: PathBuf,
    },
    /// Run a program.
    Run {
        /// Its name.
        program: String,
        /// What it is told.
        arguments: Vec<String>,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { path, .. } => write!(f, "make the folder {}", path.display()),
            Self::File { path, .. } => write!(f, "write {}", path.display()),
            Self::Remove { path } => write!(f, "remove {}", path.display()),
            Self::Run { program, arguments } => write!(f, "run `{program} {}`", arguments.join(" ")),
        }
    }
}

/// A step that failed; those before it were done.
#[derive(Debug, thiserror::Error)]
#[error("could not {step}: {error}; run it as root on a machine with systemd, and repeat: what was done is no harm")]
pub struct Failed {
    /// Which.
    pub step: Step,
    /// Why.
    pub error: io::Error,
}

/// So that the worker runs from now on and at every start of the machine. It has to have joined before.
///
/// # Errors
/// As [`unit()`].
pub fn install(exe: &Path, data: &Path, user: &str) -> Result<Vec<Step>, BadUnit> {
    let contents = unit(exe, data, user)?;
    let mut steps = vec![Step::Folder { path: data.to_owned(), mode: 0o700 }];
    if user != "root" {
        let owner = format!("{user}:");
        steps.push(command("chown", &["--no-dereference", &owner, "--", &data.to_string_lossy()]));
    }
    steps.push(Step::File { path: path(), mode: 0o644, contents });
    steps.push(command("systemctl", &["daemon-reload"]));
    steps.push(command("systemctl", &["enable", NAME]));
    // A start would leave one that runs as it is.
    steps.push(command("systemctl", &["restart", NAME]));
    Ok(steps)
}

/// So that it runs no more. Its data stays.
#[must_use]
pub fn uninstall() -> Vec<Step> {
    vec![
        command("systemctl", &["disable", "--now", NAME]),
        Step::Remove { path: path() },
        command("systemctl", &["daemon-reload"]),
    ]
}

fn path() -> PathBuf {
    Path::new(UNITS).join(NAME)
}

fn command(program: &str, arguments: &[&str]) -> Step {
    Step::Run { program: program.into(), arguments: arguments.iter().map(|text| (*text).to_owned()).collect() }
}

/// Does `steps` one after the other below `root` (`/` but in tests), running programs by `run`: [`run()`] but in tests.
/// Tells each that was done.
///
/// # Errors
/// The first that failed; those after it were not tried.
pub fn carry_out(
    steps: &[Step],
    root: &Path,
    mut run: impl FnMut(&str, &[String]) -> io::Result<()>,
    mut tell: impl FnMut(&Step),
) -> Result<(), Failed> {
    for step in steps {
        let done = match step {
            Step::Folder { path, mode } => {
                std::fs::DirBuilder::new().recursive(true).mode(*mode).create(below(root, path))
            }
            Step::File { path, mode, contents } => write(&below(root, path), *mode, contents),
            Step::Remove { path } => match std::fs::remove_file(below(root, path)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                other => other,
            },
            Step::Run { program, arguments } => run(program, arguments),
        };
        done.map_err(|error| Failed { step: step.clone(), error })?;
        tell(step);
    }
    Ok(())
}

/// Runs a program of this machine to its end.
///
/// # Errors
/// Where there is none, or it fails; with what it said.
pub fn run(program: &str, arguments: &[String]) -> io::Result<()> {
    let done = Command::new(program).args(arguments).stdin(Stdio::null()).output()?;
    if done.status.success() {
        return Ok(());
    }
    let mut said = String::from_utf8_lossy(&done.stderr).trim().replace('\n', "; ");
    while said.len() > MAX_SAID_BYTES {
        said.pop();
    }
    Err(io::Error::other(format!("{}: {said}", done.status)))
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn write(path: &Path, mode: u32, contents: &str) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("it has no folder"))?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(contents.as_bytes())?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(steps: &[Step]) -> Vec<String> {
        steps.iter().map(ToString::to_string).collect()
    }

    fn plan(user: &str) -> Vec<Step> {
        install(Path::new("/usr/bin/hivemind"), Path::new("/var/lib/hivemind-worker"), user).unwrap()
    }

    #[test]
    fn the_plan_says_what_it_does() {
        let file = "write /etc/systemd/system/hivemind-worker.service";
        assert_eq!(
            shown(&plan("root")),
            [
                "make the folder /var/lib/hivemind-worker",
                file,
                "run `systemctl daemon-reload`",
                "run `systemctl enable hivemind-worker.service`",
                "run `systemctl restart hivemind-worker.service`",
            ]
        );
        assert_eq!(shown(&plan("ann"))[1], "run `chown --no-dereference ann: -- /var/lib/hivemind-worker`");
        assert_eq!(
            shown(&uninstall()),
            [
                "run `systemctl disable --now hivemind-worker.service`",
                "remove /etc/systemd/system/hivemind-worker.service",
                "run `systemctl daemon-reload`",
            ]
        );
        assert!(install(Path::new("hivemind"), Path::new("/data"), "root").is_err());
    }

    #[test]
    fn it_is_carried_out_twice_and_undone() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/systemd/system")).unwrap();
        let unit = root.path().join("etc/systemd/system").join(NAME);
        for _ in 0..2 {
            let (mut ran, mut told) = (Vec::new(), 0);
            let run = |program: &str, arguments: &[String]| {
                ran.push(format!("{program} {}", arguments[0]));
                Ok(())
            };
            carry_out(&plan("root"), root.path(), run, |_| told += 1).unwrap();
            assert_eq!(
                (ran.as_slice(), told),
                (&["systemctl daemon-reload", "systemctl enable", "systemctl restart"].map(String::from)[..], 5)
            );
            assert!(std::fs::read_to_string(&unit).unwrap().contains("[Service]"));
            assert_eq!(unit.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        }
        let data = root.path().join("var/lib/hivemind-worker");
        assert_eq!(data.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        for _ in 0..2 {
            carry_out(&uninstall(), root.path(), |_, _| Ok(()), |_| {}).unwrap();
            assert!(!unit.exists() && data.exists());
        }
    }

    #[test]
    fn the_first_failure_ends_it_and_says_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        let mut told = Vec::new();
        let failed =
            carry_out(&plan("root"), root.path(), |_, _| Ok(()), |step| told.push(step.to_string())).unwrap_err();
        assert!(failed.to_string().starts_with("could not write /etc/systemd/system"), "{failed}");
        assert_eq!(told, ["make the folder /var/lib/hivemind-worker"]);
        let refused = carry_out(&uninstall(), root.path(), |_, _| Err(io::Error::other("no")), |_| {}).unwrap_err();
        assert!(refused.to_string().contains("run it as root"), "{refused}");
    }

    #[test]
    fn programs_that_fail_say_why() {
        let arguments = ["-c".to_owned(), "echo one >&2; echo two >&2; exit 3".to_owned()];
        let failed = run("sh", &arguments).unwrap_err().to_string();
        assert!(failed.contains("exit status: 3: one; two"), "{failed}");
        assert!(run("no such program", &[]).is_err());
        run("true", &[]).unwrap();
    }
}
