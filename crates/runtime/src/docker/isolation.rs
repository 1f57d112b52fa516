//! How well the daemon's containers are kept from this machine, as it says itself.
//!
//! Start at [`of`].
//!
//! Invariant: what is not known to be better counts as the least.

use super::daemon;
use bollard::Docker;
use bollard::models::SystemInfo;
use hivemind_model::Isolation;
use std::path::Path;

/// gVisor's runtime.
const RUNSC: &str = "runsc";
/// gVisor's runtime where the daemon names it by its shim.
const RUNSC_SHIM: &str = "io.containerd.runsc.v1";

/// Asks the daemon.
///
/// # Errors
/// A sentence for people where it does not answer.
pub(super) async fn ask(docker: &Docker) -> Result<Isolation, String> {
    match docker.info().await {
        Ok(info) => Ok(of(&info)),
        Err(error) => Err(format!("the Docker daemon does not say how it isolates: {}", daemon::explain(&error))),
    }
}

/// The tier of the containers that a daemon makes where a request names neither runtime nor user
/// namespace, as ours do not.
pub(super) fn of(info: &SystemInfo) -> Isolation {
    if is_gvisor(info) {
        return Isolation::Sandboxed;
    }
    let options = info.security_options.as_deref().unwrap_or_default();
    let maps_users = |option: &String| option.split(',').any(|part| matches!(part, "name=rootless" | "name=userns"));
    if options.iter().any(maps_users) { Isolation::Rootless } else { Isolation::Basic }
}

fn is_gvisor(info: &SystemInfo) -> bool {
    let Some(name) = info.default_runtime.as_deref() else { return false };
    // A name is the administrator's choice; what stands behind it counts where the daemon says it.
    let behind = info.runtimes.as_ref().and_then(|runtimes| runtimes.get(name)).and_then(|it| it.path.as_deref());
    let program = behind.unwrap_or(name);
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
}
