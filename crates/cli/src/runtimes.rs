//! What runs tasks on this machine: Docker or the built-in runtime for containers, and one for modules.
//!
//! Start at [`choose`].
//!
//! Invariant: what the owner allows is in the runtime before the first task is.

use crate::args::server::RuntimeKind;
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::machine;
use hivemind_egress::NetworkLimits;
use hivemind_model::Bytes;
use hivemind_oci::{Helper, OciConfig, OciRuntime};
use hivemind_owner::Preferences;
use hivemind_runtime::Runtime;
use hivemind_runtime::docker::{DockerRuntime, ImageRules};
use hivemind_runtime::fake::{FakeConfig, FakeRuntime};
use hivemind_runtime::together::Together;
use hivemind_wasm::{WasmConfig, WasmRuntime};
use hivemind_worker::HeldShare;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What runs tasks, and what cleans up after it.
pub struct Chosen {
    /// The runtime.
    pub runtime: Arc<dyn Runtime>,
    /// What runs containers: they are looked after when the worker cannot.
    pub containers: Containers,
}

/// What runs containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Containers {
    /// Nothing.
    None,
    /// Docker.
    Docker,
    /// The built-in runtime.
    Builtin,
}

/// The runtime that was asked for, as the owner of the machine allows it; `share` is the control group of all tasks.
///
/// # Errors
/// It cannot be had here, with what to do.
pub async fn choose(kind: RuntimeKind, data: &Path, owner: &Preferences, share: Option<&HeldShare>) -> Done<Chosen> {
    let group = share.and_then(HeldShare::name);
    let chosen = |runtime| Chosen { runtime, containers: Containers::None };
    match kind {
        RuntimeKind::Fake => {
            tracing::warn!("the fake runtime runs nothing real; it is for tests and benchmarks");
            Ok(chosen(Arc::new(FakeRuntime::new(FakeConfig::default()))))
        }
        RuntimeKind::Wasm => modules(data, share).map(|runtime| chosen(Arc::new(runtime))),
        RuntimeKind::Docker => {
            let runtime = docker(data, owner, group).await.map_err(|why| why.fix(START_DOCKER))?;
            Ok(Chosen {
                runtime: with_modules("docker", Arc::new(runtime), data, share),
                containers: Containers::Docker,
            })
        }
        RuntimeKind::Builtin => {
            let runtime = builtin(data, owner, group).await?;
            let runtime = with_modules("builtin", Arc::new(runtime), data, share);
            Ok(Chosen { runtime, containers: Containers::Builtin })
        }
        RuntimeKind::Auto => automatic(data, owner, share).await,
    }
}

/// The group of modules in the owner's share.
const MODULES: &str = "modules";
const START_DOCKER: &str = "start Docker (on Debian and Ubuntu: apt install docker.io) and see that this user may use it; then start this again";

/// The best that can be had; what cannot is said in the log.
async fn automatic(data: &Path, owner: &Preferences, share: Option<&HeldShare>) -> Done<Chosen> {
    let group = share.and_then(HeldShare::name);
    let no_docker = match docker(data, owner, group).await {
        Ok(runtime) => {
            return Ok(Chosen {
                runtime: with_modules("docker", Arc::new(runtime), data, share),
                containers: Containers::Docker,
            });
        }
        Err(why) => why,
    };
    let no_builtin = match builtin(data, owner, group).await {
        Ok(runtime) => {
            tracing::info!("no Docker ({}): the built-in runtime runs containers", no_docker.what);
            let runtime = with_modules("builtin", Arc::new(runtime), data, share);
            return Ok(Chosen { runtime, containers: Containers::Builtin });
        }
        Err(why) => why,
    };
    match modules(data, share) {
        Ok(runtime) => {
            tracing::warn!(
                "this machine runs WebAssembly modules only: {}; {}. {START_DOCKER}",
                no_docker.what,
                no_builtin.what
            );
            Ok(Chosen { runtime: Arc::new(runtime), containers: Containers::None })
        }
        Err(no_modules) => {
            let what =
                format!("nothing can run tasks here: {}; {}; {}", no_docker.what, no_builtin.what, no_modules.what);
            Err(Failure::new(Exit::Failure, "E_RUNTIME", what).fix(START_DOCKER))
        }
    }
}

async fn docker(data: &Path, owner: &Preferences, group: Option<&str>) -> Done<DockerRuntime> {
    let mut config = machine::docker_config(data)?;
    config.cgroup_parent = group.map(str::to_owned);
    config.egress = owner.network.egress.clone();
    config.network = network(owner);
    config.images = images(owner);
    DockerRuntime::connect(config).await.map_err(failed)
}

async fn builtin(data: &Path, owner: &Preferences, group: Option<&str>) -> Done<OciRuntime> {
    let instance = machine::docker_config(data)?.instance;
    let mut config = OciConfig::new(instance, oci_folder(data), Helper::this_program());
    config.parent_group = group.map(PathBuf::from).unwrap_or_default();
    config.egress = owner.network.egress.clone();
    config.network = network(owner);
    config.rules = images(owner);
    OciRuntime::open(config).await.map_err(failed)
}

fn network(owner: &Preferences) -> NetworkLimits {
    let usual = NetworkLimits::default();
    NetworkLimits {
        bytes_per_second: owner.network.bytes_per_second().unwrap_or(usual.bytes_per_second),
        volume: owner.network.bytes_per_day().map_or(usual.volume, |day| day.min(usual.volume)),
        ..usual
    }
}

fn images(owner: &Preferences) -> ImageRules {
    let usual = ImageRules::default();
    let cache_bytes = owner.cache.limit_bytes().map_or(usual.cache_bytes, Bytes);
    ImageRules { allow: owner.images.allow.clone(), cache_bytes, ..usual }
}

/// Where the built-in runtime keeps its things.
#[must_use]
pub fn oci_folder(data: &Path) -> PathBuf {
    data.join("oci")
}

fn modules(data: &Path, share: Option<&HeldShare>) -> Done<WasmRuntime> {
    let groups = share.map(|share| share.below(MODULES)).unwrap_or_default();
    WasmRuntime::open(WasmConfig { groups, ..WasmConfig::new(data.join("wasm")) }).map_err(failed)
}

/// `containers`, and modules where they can be had.
fn with_modules(
    name: &'static str,
    containers: Arc<dyn Runtime>,
    data: &Path,
    share: Option<&HeldShare>,
) -> Arc<dyn Runtime> {
    match modules(data, share) {
        Ok(modules) => Arc::new(Together::new(name, containers, vec![Arc::new(modules)])),
        Err(why) => {
            tracing::warn!("this machine runs no WebAssembly modules: {}", why.what);
            containers
        }
    }
}

fn failed(why: String) -> Failure {
    Failure::new(Exit::Failure, "E_RUNTIME", why)
}
