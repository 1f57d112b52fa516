//! What this machine has to offer.
//!
//! Start at [`detect`].
//!
//! Invariant: something is always left for the owner.

use crate::Offer;
use hivemind_model::Resources;
use hivemind_model::units::{Bytes, MilliCores};
use std::io;
use std::path::Path;

/// The least memory left to the owner, where there is that much twice.
const MEMORY_RESERVE: Bytes = Bytes::from_gib(1);
/// The least disk left to the owner, where there is that much twice.
const DISK_RESERVE: Bytes = Bytes::from_gib(5);

/// The whole machine, less a reserve of memory and disk for its owner.
///
/// `folder` lies on the disk that tasks will use. The reserve is a tenth, but at least 1 GiB of
/// memory and 5 GiB of free disk, and never more than half. Graphics processors are not offered.
///
/// # Errors
/// Where the operating system does not say how much disk `folder` has.
pub fn detect(folder: &Path) -> io::Result<Offer> {
    let system = rustix::system::sysinfo();
    let memory = Bytes((system.totalram as u64).saturating_mul(u64::from(system.mem_unit)));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(offer(cores, memory, free_disk(folder)?))
}

/// Bytes that an unprivileged user could still write into `folder`.
///
/// # Errors
/// Where the operating system does not say.
pub fn free_disk(folder: &Path) -> io::Result<Bytes> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(Bytes(disk.f_bavail.saturating_mul(disk.f_frsize)))
}

fn offer(cores: usize, memory: Bytes, disk: Bytes) -> Offer {
    let capacity = Resources {
        cpu: MilliCores::from_cores(u32::try_from(cores).unwrap_or(u32::MAX)),
        memory: keep(memory, MEMORY_RESERVE),
        disk: keep(disk, DISK_RESERVE),
        gpus: 0,
    };
    Offer { capacity, gpu_info: String::new() }
}

fn keep(all: Bytes, least: Bytes) -> Bytes {
    let reserve = (all.0 / 10).max(least.0).min(all.0 / 2);
    Bytes(all.0 - reserve)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_keeps_a_tenth_at_least_a_gibibyte_at_most_half() {
        for (memory, offered) in [(64, 57_6), (8, 7_0), (2, 1_0), (1, 0_5)] {
            let offer = offer(4, Bytes::from_gib(memory), Bytes::from_gib(100));
            assert_eq!(offer.capacity.memory.0 * 10 >> 30, offered, "of {memory} GiB");
            assert_eq!(offer.capacity.disk, Bytes::from_gib(90));
            assert_eq!(offer.capacity.cpu, MilliCores(4000));
        }
    }

    #[test]
    fn this_machine_has_something() {
        let offer = detect(&std::env::temp_dir()).expect("detected");
        assert!(offer.capacity.cpu.0 >= 1000 && offer.capacity.memory.0 > 0);
    }
}
