//! What a task needs and a node has.
//!
//! Invariant: arithmetic never wraps; taking more than there is gives `None`.

use crate::units::{Bytes, MilliCores};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Typed quantities of one machine or one element.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Resources {
    /// Processor time.
    pub cpu: MilliCores,
    /// Main memory.
    pub memory: Bytes,
    /// Disk space under `/task`.
    pub disk: Bytes,
    /// Whole graphics processors.
    pub gpus: u32,
}

impl Resources {
    /// True where every quantity of `need` is there.
    #[must_use]
    pub fn covers(&self, need: &Self) -> bool {
        self.checked_sub(need).is_some()
    }

    /// What is left after `need` was taken, or `None` where it is not there.
    #[must_use]
    pub fn checked_sub(&self, need: &Self) -> Option<Self> {
        Some(Self {
            cpu: MilliCores(self.cpu.0.checked_sub(need.cpu.0)?),
            memory: Bytes(self.memory.0.checked_sub(need.memory.0)?),
            disk: Bytes(self.disk.0.checked_sub(need.disk.0)?),
            gpus: self.gpus.checked_sub(need.gpus)?,
        })
    }

    /// Both together, or `None` on overflow.
    #[must_use]
    pub fn checked_add(&self, more: &Self) -> Option<Self> {
        Some(Self {
            cpu: MilliCores(self.cpu.0.checked_add(more.cpu.0)?),
            memory: Bytes(self.memory.0.checked_add(more.memory.0)?),
            disk: Bytes(self.disk.0.checked_add(more.disk.0)?),
            gpus: self.gpus.checked_add(more.gpus)?,
        })
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} memory, {} disk", self.cpu, self.memory, self.disk)?;
        match self.gpus {
            0 => Ok(()),
            1 => f.write_str(", 1 GPU"),
            n => write!(f, ", {n} GPUs"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_missing_quantity_is_enough_to_refuse() {
        let have = Resources { cpu: MilliCores(2000), memory: Bytes(10), disk: Bytes(10), gpus: 0 };
        assert!(have.covers(&Resources { gpus: 0, ..have }));
        assert!(!have.covers(&Resources { gpus: 1, ..have }));
        assert!(!have.covers(&Resources { memory: Bytes(11), ..have }));
        assert_eq!(have.checked_add(&Resources { disk: Bytes(u64::MAX), ..have }), None);
    }
}
