//! How well the daemon's containers are kept from this machine, as it says itself, and which of its runtimes makes
//! them.
//!
//! Start at [`choose`].
//!
//! Invariant: what is not known to be better counts as the least.

use bollard::models::SystemInfo;
use hivemind_model::Isolation;
use std::path::Path;

/// gVisor's runtime.
const RUNSC: &str = "runsc";
/// gVisor's runtime where the daemon names it by its shim.
const RUNSC_SHIM: &str = "io.containerd.runsc.v1";

/// Whether gVisor makes the containers: each then has a kernel of its own, outside of the machine's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sandbox {
    /// Where the daemon has it.
    #[default]
    Auto,
    /// Only where it is the daemon's usual runtime.
    Off,
    /// Yes; without it nothing runs.
    Require,
}

/// The tier, and the runtime that requests have to name for it, of the daemon that says `info` of itself.
///
/// # Errors
/// A sentence for people where it lacks what is required.
pub(super) fn choose(info: &SystemInfo, sandbox: Sandbox) -> Result<(Isolation, Option<String>), String> {
    let usual = of(info);
    if usual == Isolation::Sandboxed {
        return Ok((usual, None));
    }
    match (sandbox, gvisor_of(info)) {
        (Sandbox::Auto | Sandbox::Require, Some(name)) => Ok((Isolation::Sandboxed, Some(name.to_owned()))),
        (Sandbox::Auto, None) | (Sandbox::Off, _) => Ok((usual, None)),
        (Sandbox::Require, None) => Err(
            "a sandbox is required, and the Docker daemon has no runtime of gVisor's: install it (`runsc install`, then `systemctl restart docker`), or do not require it"
                .into(),
        ),
    }
}

/// The tier of the containers that a daemon makes where a request names neither runtime nor user
/// namespace.
fn of(info: &SystemInfo) -> Isolation {
    if info.default_runtime.as_deref().is_some_and(|name| is_gvisor(info, name)) {
        return Isolation::Sandboxed;
    }
    let options = info.security_options.as_deref().unwrap_or_default();
    let maps_users = |option: &String| option.split(',').any(|part| matches!(part, "name=rootless" | "name=userns"));
    if options.iter().any(maps_users) { Isolation::Rootless } else { Isolation::Basic }
}

/// The first registered runtime, by name, behind which gVisor stands.
fn gvisor_of(info: &SystemInfo) -> Option<&str> {
    let names = info.runtimes.iter().flatten().map(|(name, _)| name.as_str());
    names.filter(|name| is_gvisor(info, name)).min()
}

fn is_gvisor(info: &SystemInfo, name: &str) -> bool {
    // A name is the administrator's choice; what stands behind it counts where the daemon says it.
    let behind = info.runtimes.as_ref().and_then(|runtimes| runtimes.get(name)).and_then(|it| it.path.as_deref());
    let program = behind.filter(|path| !path.is_empty()).unwrap_or(name);
    program == RUNSC_SHIM || Path::new(program).file_name().is_some_and(|file| file == RUNSC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::Runtime;
    use std::collections::HashMap;

    fn info(options: &[&str], default: &str, runtimes: &[(&str, &str)]) -> SystemInfo {
        let runtime = |path: &str| Runtime { path: (!path.is_empty()).then(|| path.to_owned()), ..Runtime::default() };
        let runtimes = runtimes.iter().map(|(name, path)| ((*name).to_owned(), runtime(path)));
        SystemInfo {
            security_options: Some(options.iter().map(|option| (*option).to_owned()).collect()),
            default_runtime: (!default.is_empty()).then(|| default.to_owned()),
            runtimes: Some(runtimes.collect::<HashMap<_, _>>()),
            ..SystemInfo::default()
        }
    }

    #[test]
    fn the_tier_is_what_the_daemon_shows() {
        let usual = &["name=seccomp,profile=default", "name=cgroupns"][..];
        for (info, tier) in [
            (SystemInfo::default(), Isolation::Basic),
            (info(usual, "runc", &[("runc", "runc"), ("runsc", "/usr/bin/runsc")]), Isolation::Basic),
            (info(&["name=seccomp,profile=rootless"], "runc", &[]), Isolation::Basic),
            (info(&["name=seccomp,profile=default", "name=userns"], "runc", &[]), Isolation::Rootless),
            (info(&["name=rootless"], "", &[]), Isolation::Rootless),
            (info(usual, "runsc", &[("runsc", "/usr/local/bin/runsc")]), Isolation::Sandboxed),
            (info(usual, "runsc", &[("runsc", "")]), Isolation::Sandboxed),
            (info(usual, "io.containerd.runsc.v1", &[]), Isolation::Sandboxed),
            (info(usual, "safe", &[("safe", "/opt/runsc")]), Isolation::Sandboxed),
            (info(usual, "runsc", &[("runsc", "/usr/bin/runc")]), Isolation::Basic),
            (info(&["name=rootless"], "runsc", &[("runsc", "runsc")]), Isolation::Sandboxed),
        ] {
            assert_eq!(of(&info), tier, "{info:?}");
        }
    }
    #[test]
    fn gvisor_makes_the_containers_where_it_is_there_and_wanted() {
        let plain = info(&["name=rootless"], "runc", &[("runc", "runc")]);
        let there = info(&[], "runc", &[("runc", "runc"), ("safe", "/opt/runsc"), ("runsc", "/usr/bin/runc")]);
        let usual = info(&[], "runsc", &[("runsc", "runsc")]);
        let sandboxed = |name: Option<&str>| Ok((Isolation::Sandboxed, name.map(str::to_owned)));
        for (info, sandbox, expected) in [
            (&plain, Sandbox::Auto, Ok((Isolation::Rootless, None))),
            (&plain, Sandbox::Off, Ok((Isolation::Rootless, None))),
            (&there, Sandbox::Auto, sandboxed(Some("safe"))),
            (&there, Sandbox::Require, sandboxed(Some("safe"))),
            (&there, Sandbox::Off, Ok((Isolation::Basic, None))),
            (&usual, Sandbox::Require, sandboxed(None)),
            (&usual, Sandbox::Off, sandboxed(None)),
        ] {
            assert_eq!(choose(info, sandbox), expected, "{sandbox:?}");
        }
        let error = choose(&plain, Sandbox::Require).expect_err("there is none");
        assert!(error.contains("runsc install"), "{error}");
    }

    /// As `docker info --format '{{json .}}'` shows it on three machines.
    #[test]
    fn what_daemons_say_is_read() {
        for (text, tier, runtime) in [
            (
                r#"{"SecurityOptions":["name=seccomp,profile=default"],"DefaultRuntime":"runc","Runtimes":{"io.containerd.runc.v2":{"path":"runc"},"runc":{"path":"runc"}}}"#,
                Isolation::Basic,
                None,
            ),
            (
                r#"{"SecurityOptions":["name=seccomp,profile=builtin","name=rootless","name=cgroupns"],"DefaultRuntime":"runc","Runtimes":{"runc":{"path":"runc"}}}"#,
                Isolation::Rootless,
                None,
            ),
            (
                r#"{"SecurityOptions":["name=seccomp,profile=builtin","name=cgroupns"],"DefaultRuntime":"runc","Runtimes":{"runc":{"path":"runc"},"runsc":{"path":"/usr/local/bin/runsc"}}}"#,
                Isolation::Sandboxed,
                Some("runsc".to_owned()),
            ),
        ] {
            let info: SystemInfo = serde_json::from_str(text).expect("what a daemon says");
            assert_eq!(choose(&info, Sandbox::Auto), Ok((tier, runtime)));
        }
    }
}
