//! The part of the machine that all tasks get together: made before the runtime that works within it, changed when the
//! owner's preferences change, and removed when nothing runs in it any more.
//!
//! Start at [`HeldShare::make`]. Copies are the same share.
//!
//! Invariant: nothing is written into the group once it was removed; what the kernel does not hold is said, not hidden.

use hivemind_model::{MilliCores, Resources};
use hivemind_owner::preferences::Shares;
use hivemind_owner::{Capacity, NoShare, Share};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// See the module.
#[derive(Debug, Clone)]
pub struct HeldShare {
    name: Option<String>,
    machine: Capacity,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    /// `None` where there is none, or none any more.
    share: Option<Share>,
    /// Why the kernel does not hold it, or not all of it.
    fault: Option<String>,
    /// Processor time that was used in it before.
    before: Duration,
}

impl HeldShare {
    /// Makes the group of `instance` on the machine below `root` (`/` but in tests) with the limits `shares`, or takes over
    /// the one that an earlier process left. Where the kernel lets it make none, the worker runs without: [`Self::name`]
    /// is `None`, [`Self::fault`] says why, and the worker's offer is still no more than the shares. It blocks for a moment.
    #[must_use]
    pub fn make(root: &Path, instance: &str, shares: &Shares) -> Self {
        Self::of(root, instance, shares, Capacity::here())
    }

    pub(crate) fn of(root: &Path, instance: &str, shares: &Shares, machine: Capacity) -> Self {
        let (share, fault) = match Share::make(root, instance, shares, machine) {
            Ok(share) => (Some(share), None),
            Err(why) => {
                tracing::warn!("the kernel does not hold tasks within the owner's shares: {why}");
                (None, Some(why.to_string()))
            }
        };
        let before = share.as_ref().map_or(Duration::ZERO, Share::cpu_used);
        let name = share.as_ref().map(|share| share.name().to_owned());
        Self { name, machine, inner: Arc::new(Mutex::new(Inner { share, fault, before })) }
    }

    /// The name of the group, for the settings of runtimes; `None` where there is none.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The folders of a group `leaf` in it, for processes that their runtime puts there itself; none where there is no group.
    #[must_use]
    pub fn below(&self, leaf: &str) -> Vec<PathBuf> {
        self.inner.lock().share.as_ref().map(|share| share.below(leaf)).unwrap_or_default()
    }

    /// What all tasks together get of the processors now; `None` where there is no group.
    pub(crate) fn cpu(&self) -> Option<MilliCores> {
        self.inner.lock().share.as_ref().map(Share::cpu)
    }

    /// Why the kernel does not hold the shares, or not all of them; `None` where it does.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.inner.lock().fault.clone()
    }

    /// Removes the group, once nothing runs in it any more: after the worker has ended and its runtime was swept. It
    /// blocks for a moment. Where there is none, it does nothing.
    ///
    /// # Errors
    /// Something runs in it; the next start takes the group over.
    pub fn remove(&self) -> Result<(), NoShare> {
        let share = self.inner.lock().share.take();
        share.map_or(Ok(()), Share::remove)
    }

    /// At most this part of `capacity`, or tasks would end each other.
    pub(crate) fn capped(&self, capacity: Resources, shares: &Shares) -> Resources {
        let (cpu, memory) = self.machine.shared(shares);
        Resources { cpu: capacity.cpu.min(cpu), memory: capacity.memory.min(memory), ..capacity }
    }

    /// Other limits, of what runs now, too.
    pub(crate) fn set(&self, shares: &Shares) {
        self.change(|share| share.set(shares));
    }

    /// Puts back what others have changed, and tries again what the kernel did not take.
    pub(crate) fn keep(&self) {
        self.change(|share| {
            if share.keep()? {
                tracing::info!(
                    "the limits of the group {} had been changed, and are what the owner wants again",
                    share.name()
                );
            }
            Ok(())
        });
    }

    /// Processor time of everything in it since it was made here; `None` where there is no group.
    pub(crate) fn cpu_used(&self) -> Option<Duration> {
        let inner = self.inner.lock();
        inner.share.as_ref().map(|share| share.cpu_used().saturating_sub(inner.before))
    }

    fn change(&self, how: impl FnOnce(&mut Share) -> Result<(), NoShare>) {
        let mut inner = self.inner.lock();
        let Some(share) = &mut inner.share else { return };
        let fault = how(share).err().map(|why| why.to_string());
        if fault != inner.fault {
            match &fault {
                Some(why) => tracing::warn!("the kernel does not hold tasks within all of the owner's shares: {why}"),
                None => tracing::info!("the kernel holds tasks within the owner's shares"),
            }
        }
        inner.fault = fault;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hivemind_model::Bytes;
    use std::fs;

    const MACHINE: Capacity = Capacity { cores: 8, memory_bytes: 8 << 30 };

    fn shares(cpu_percent: u32, memory_percent: u32) -> Shares {
        Shares { cpu_percent, memory_percent }
    }

    #[test]
    fn a_share_is_set_kept_and_not_touched_once_it_is_removed() {
        let machine = crate::owner::machine::with_groups("a");
        let read = |file: &str| fs::read_to_string(machine.group.join(file)).unwrap();
        let held = HeldShare::of(machine.root.path(), "a", &shares(50, 50), MACHINE);
        assert_eq!((held.name(), held.fault()), (Some("hivemind_a.slice"), None));
        assert_eq!((read("cpu.max"), held.cpu()), ("400000 100000".into(), Some(MilliCores(4000))));
        held.set(&shares(25, 25));
        assert_eq!((read("cpu.max"), read("memory.max")), ("200000 100000".into(), (2u64 << 30).to_string()));
        fs::write(machine.group.join("cpu.max"), "max 100000").unwrap();
        held.clone().keep();
        assert_eq!(read("cpu.max"), "200000 100000");
        fs::write(machine.group.join("cpu.stat"), "usage_usec 3500000\n").unwrap();
        assert_eq!(held.cpu_used(), Some(Duration::from_secs(2)), "what was used before is not counted");
        // A file in the way, as the kernel may refuse a value; it is tried again.
        fs::remove_file(machine.group.join("memory.max")).unwrap();
        held.keep();
        assert!(held.fault().is_some_and(|why| why.contains("memory.max")));
        fs::write(machine.group.join("memory.max"), "max").unwrap();
        held.keep();
        assert_eq!((held.fault(), read("memory.max")), (None, (2u64 << 30).to_string()));
        // Files of a real group are no hindrance; those here are.
        assert!(held.remove().is_err());
        fs::write(machine.group.join("cpu.max"), "max 100000").unwrap();
        held.keep();
        held.set(&shares(1, 1));
        assert_eq!((read("cpu.max"), held.cpu_used()), ("max 100000".into(), None));
        assert!(held.remove().is_ok());
    }

    #[test]
    fn without_groups_the_offer_is_still_no_more_than_the_share() {
        let root = tempfile::tempdir().unwrap();
        let held = HeldShare::of(root.path(), "a", &Shares::default(), MACHINE);
        assert_eq!((held.name(), held.cpu_used(), held.cpu()), (None, None, None));
        assert!(held.fault().is_some_and(|why| why.contains("no control groups")));
        let capacity = Resources { cpu: MilliCores(8000), memory: Bytes(1 << 30), disk: Bytes(7), gpus: 1 };
        let capped = held.capped(capacity, &shares(25, 50));
        assert_eq!(capped, Resources { cpu: MilliCores(2000), ..capacity });
        assert_eq!(held.capped(capacity, &shares(100, 1)).memory, Bytes((8 << 30) / 100));
        assert!(held.remove().is_ok());
    }
}
