//! This machine: what it offers, and what its folders are called.
//!
//! Start at [`offer`].
//!
//! Invariant: nothing is offered that the machine does not have, whatever the flags say.

use crate::args::server::{OfferArgs, RuntimeKind};
use crate::failure::{Done, Failure};
use crate::place;
use hivemind_model::{Bytes, MilliCores, Resources};
use hivemind_runtime::Offer;
use hivemind_runtime::docker::DockerConfig;
use std::fs;
use std::path::Path;

/// Share of memory that is offered where nothing is said, in percent.
const MEMORY_PERCENT: u64 = 80;
/// Share of the free disk that is offered where nothing is said, in percent. The worker's cache of
/// inputs may take as much again, so four fifths are used at most.
const DISK_PERCENT: u64 = 40;
/// Graphics processors are not lent by this runtime.
const GPUS: u32 = 0;

/// What this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Has {
    cores: u32,
    memory: Bytes,
    free_disk: Bytes,
}

/// What this machine offers: what the flags say, else all cores and most of the rest.
///
/// # Errors
/// More is to be offered than there is, or the machine does not tell what it has.
pub fn offer(args: &OfferArgs, data: &Path) -> Done<Offer> {
    let space = rustix::fs::statvfs(data)
        .map_err(|error| Failure::io(format!("the free space of {} is not known", data.display()), &error.into()))?;
    let info = rustix::system::sysinfo();
    let cores = std::thread::available_parallelism()
        .map_err(|error| Failure::io("the number of cores is not known", &error))?;
    let has = Has {
        cores: u32::try_from(cores.get()).unwrap_or(u32::MAX),
        memory: Bytes(memory_bytes(info.totalram, info.mem_unit)),
        free_disk: Bytes(space.f_bavail.saturating_mul(space.f_frsize)),
    };
    match args.runtime {
        // Nothing real is used, so anything may be pretended.
        RuntimeKind::Fake => Ok(pretended(args, has)),
        RuntimeKind::Auto | RuntimeKind::Docker | RuntimeKind::Builtin | RuntimeKind::Wasm => limited(args, has),
    }
}

fn memory_bytes(total: impl Into<u64>, unit: u32) -> u64 {
    total.into().saturating_mul(u64::from(unit.max(1)))
}

fn limited(args: &OfferArgs, has: Has) -> Done<Offer> {
    let within = |name: &str, wanted: Option<u64>, most: u64, usual: u64, shown: String| match wanted {
        Some(wanted) if wanted > most => Err(Failure::usage(format!("{name}: this machine has only {shown}"))
            .fix("offer at most that, or leave the option out")),
        Some(wanted) => Ok(wanted),
        None => Ok(usual),
    };
    let share = |bytes: Bytes, percent: u64| bytes.0 / 100 * percent;
    let cores = within(
        "--cpus",
        args.cpus.map(u64::from),
        has.cores.into(),
        has.cores.into(),
        MilliCores::from_cores(has.cores).to_string(),
    )?;
    let memory = within(
        "--memory",
        args.memory.map(|size| size.0),
        has.memory.0,
        share(has.memory, MEMORY_PERCENT),
        has.memory.to_string(),
    )?;
    let disk = within(
        "--disk",
        args.disk.map(|size| size.0),
        has.free_disk.0,
        share(has.free_disk, DISK_PERCENT),
        format!("{} free", has.free_disk),
    )?;
    Ok(made(u32::try_from(cores).unwrap_or(u32::MAX), memory, disk))
}

fn pretended(args: &OfferArgs, has: Has) -> Offer {
    made(args.cpus.unwrap_or(has.cores), args.memory.unwrap_or(has.memory).0, args.disk.unwrap_or(has.free_disk).0)
}

fn made(cores: u32, memory: u64, disk: u64) -> Offer {
    let capacity =
        Resources { cpu: MilliCores::from_cores(cores), memory: Bytes(memory), disk: Bytes(disk), gpus: GPUS };
    Offer { capacity, gpu_info: String::new() }
}

/// The Docker settings of this data folder.
///
/// # Errors
/// The folder cannot be written to.
pub fn docker_config(data: &Path) -> Done<DockerConfig> {
    let state = data.join("docker");
    let cannot = |error: std::io::Error| Failure::io(format!("{} cannot be used", state.display()), &error);
    place::make(&state).map_err(cannot)?;
    let file = state.join("instance");
    // The name lasts as long as the folder: with it a later process knows what to sweep.
    let instance = match fs::read_to_string(&file) {
        Ok(text) => text.trim().to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let fresh = uuid::Uuid::new_v4().simple().to_string();
            hivemind_pki::write_private(&file, fresh.as_bytes())
                .map_err(|error| Failure::new(crate::exit::Exit::Failure, "E_IO", error))?;
            fresh
        }
        Err(error) => return Err(cannot(error)),
    };
    Ok(DockerConfig::new(instance, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HAS: Has = Has { cores: 4, memory: Bytes(1000 << 20), free_disk: Bytes(500 << 30) };

    #[test]
    fn all_cores_and_most_of_the_rest_are_offered() {
        let offer = limited(&OfferArgs::default(), HAS).unwrap().capacity;
        assert_eq!(offer.cpu, MilliCores::from_cores(4));
        assert_eq!((offer.memory.mib(), offer.disk), (800, Bytes((500 << 30) / 100 * 40)));
    }

    #[test]
    fn more_than_there_is_is_not_offered() {
        let args = OfferArgs { cpus: Some(5), ..OfferArgs::default() };
        assert!(limited(&args, HAS).unwrap_err().what.contains("only 4 cores"));
        let args = OfferArgs { memory: Some(Bytes::from_gib(1)), ..OfferArgs::default() };
        assert!(limited(&args, HAS).unwrap_err().what.contains("--memory"));
        assert_eq!(
            pretended(&OfferArgs { cpus: Some(64), ..OfferArgs::default() }, HAS).capacity.cpu,
            MilliCores::from_cores(64)
        );
    }
}
