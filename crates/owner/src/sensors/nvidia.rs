//! NVIDIA's graphics processors, through the library of their driver.
//!
//! Invariant: the library is loaded only where the driver runs, and tried again seldom where it does not answer.

use super::Ours;
use super::gpus::{Gpu, named};
use super::programs::is_within;
use super::root::Root;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;

/// The driver's own name of its library; the one without a number comes with development files only.
const LIBRARY: &str = "libnvidia-ml.so.1";
/// Most cards.
const MOST: u32 = 64;
/// Looks before the library is tried again.
const REST: u32 = 120;

/// See the module.
pub(super) struct Nvidia {
    root: Root,
    library: Option<Nvml>,
    rest: u32,
    /// The driver's time of the last sample, of each card.
    samples: BTreeMap<u32, u64>,
}

impl fmt::Debug for Nvidia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nvidia").field("loaded", &self.library.is_some()).finish_non_exhaustive()
    }
}

impl Nvidia {
    pub(super) fn new(root: Root) -> Self {
        Self { root, library: None, rest: 0, samples: BTreeMap::new() }
    }

    /// What each card does.
    pub(super) fn read(&mut self) -> Vec<Gpu> {
        self.load();
        let Some(library) = &self.library else { return Vec::new() };
        cards(library).map(|(_, card)| usage(&card)).collect()
    }

    /// How busy others keep the card that they use most, in percent.
    pub(super) fn others(&mut self, ours: &Ours) -> Option<f32> {
        self.load();
        let library = self.library.as_ref()?;
        let (root, samples) = (&self.root, &mut self.samples);
        cards(library)
            .filter_map(|(index, card)| others(&card, root, ours, samples.entry(index).or_default()))
            .reduce(f32::max)
    }

    fn load(&mut self) {
        if self.library.is_some() {
            return;
        }
        if self.rest > 0 {
            self.rest -= 1;
            return;
        }
        self.rest = REST;
        if !self.root.has("dev/nvidiactl") {
            return;
        }
        match Nvml::builder().lib_path(OsStr::new(LIBRARY)).init() {
            Ok(library) => self.library = Some(library),
            Err(error) => {
                tracing::warn!(%error, "NVIDIA's graphics processors cannot be asked; is {LIBRARY} of the driver's version?")
            }
        }
    }
}

fn cards(library: &Nvml) -> impl Iterator<Item = (u32, Device<'_>)> {
    let count = library.device_count().unwrap_or(0).min(MOST);
    (0..count).filter_map(|index| Some((index, library.device_by_index(index).ok()?)))
}

fn usage(card: &Device<'_>) -> Gpu {
    let memory = card.memory_info().ok();
    Gpu {
        name: named("NVIDIA", &card.name().unwrap_or_default()),
        busy: card.utilization_rates().map_or(0.0, |rates| rates.gpu.min(100) as f32),
        memory_used_bytes: memory.as_ref().map_or(0, |memory| memory.used),
        memory_bytes: memory.as_ref().map_or(0, |memory| memory.total),
        temperature_celsius: card.temperature(TemperatureSensor::Gpu).map_or(0.0, |degrees| degrees as f32),
    }
}

/// The sum over the processes that are not ours, by the driver's samples since `last`. Where the card keeps none, all of its
/// work is others' while no task has a graphics processor, and nothing is known otherwise.
fn others(card: &Device<'_>, root: &Root, ours: &Ours, last: &mut u64) -> Option<f32> {
    let samples = match card.process_utilization_stats(*last) {
        Ok(samples) => samples,
        Err(NvmlError::NotFound) => return Some(0.0),
        Err(_) if ours.gpu => return None,
        Err(_) => return Some(card.utilization_rates().ok()?.gpu.min(100) as f32),
    };
    let mut latest = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.timestamp > *last) {
        latest.insert(sample.pid, sample.sm_util.min(100));
    }
    *last = samples.iter().map(|sample| sample.timestamp).max().unwrap_or(*last).max(*last);
    let others = latest.into_iter().filter(|(pid, _)| !is_within(root, &pid.to_string(), &ours.cgroup));
    Some(others.map(|(_, busy)| busy).sum::<u32>().min(100) as f32)
}
