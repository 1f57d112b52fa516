//! Graphics processors: how busy they are, and how busy others keep them.
//!
//! NVIDIA's are asked through NVML, which is loaded where its driver is; AMD's through files of the kernel. Others are not
//! seen.
//!
//! Invariant: a machine without such a driver loads nothing.

use super::Ours;
use super::heat::{celsius, hottest};
use super::nvidia::Nvidia;
use super::root::Root;

/// Most cards that are looked at.
const MOST: usize = 64;
/// How AMD is called on the bus.
const AMD: &str = "0x1002";

/// What one graphics processor does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gpu {
    /// What its maker calls it.
    pub name: String,
    /// In percent.
    pub busy: f32,
    /// Of its own memory.
    pub memory_used_bytes: u64,
    /// Of its own.
    pub memory_bytes: u64,
    /// In degrees Celsius; zero: unknown.
    pub temperature_celsius: f32,
}

/// See the module.
#[derive(Debug)]
pub struct Gpus {
    root: Root,
    nvidia: Nvidia,
}

impl Gpus {
    /// Those of the machine below `root`.
    #[must_use]
    pub fn new(root: Root) -> Self {
        Self { nvidia: Nvidia::new(root.clone()), root }
    }

    /// What each does now. Empty where there is none that can be asked.
    pub fn read(&mut self) -> Vec<Gpu> {
        let mut found = self.nvidia.read();
        found.extend(self.amd().iter().map(|folder| self.card(folder)));
        found.truncate(MOST);
        found
    }

    /// How busy others keep the one that they use most, in percent; `None` where that is not known. An AMD card does not
    /// tell whose its work is, so nothing is known of it while a task has a graphics processor.
    pub fn others(&mut self, ours: &Ours) -> Option<f32> {
        let amd = if ours.gpu { Vec::new() } else { self.amd() };
        let nvidia = self.nvidia.others(ours);
        amd.iter().filter_map(|folder| self.busy(folder)).chain(nvidia).reduce(f32::max)
    }

    fn amd(&self) -> Vec<String> {
        let cards = self.root.names("sys/class/drm").into_iter();
        // `card0` is a card, `card0-DP-1` a plug of it.
        let cards = cards.filter(|name| {
            name.strip_prefix("card").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        });
        let folders = cards.take(MOST).map(|name| format!("sys/class/drm/{name}/device"));
        folders.filter(|folder| self.root.line(&format!("{folder}/vendor")).as_deref() == Some(AMD)).collect()
    }

    fn busy(&self, folder: &str) -> Option<f32> {
        self.root.number::<u32>(&format!("{folder}/gpu_busy_percent")).map(|percent| percent.min(100) as f32)
    }

    fn card(&self, folder: &str) -> Gpu {
        let text = |file: &str| self.root.line(&format!("{folder}/{file}")).filter(|text| !text.is_empty());
        let bytes = |file: &str| self.root.number::<u64>(&format!("{folder}/{file}")).unwrap_or(0);
        let chips = self.root.names(&format!("{folder}/hwmon")).into_iter().take(MOST);
        let heat = chips.filter_map(|chip| hottest(&self.root, &format!("{folder}/hwmon/{chip}"))).max();
        let name = text("product_name").map(|name| named("AMD", &name));
        Gpu {
            name: name.unwrap_or_else(|| format!("AMD {}", text("device").unwrap_or_default()).trim().to_owned()),
            busy: self.busy(folder).unwrap_or(0.0),
            memory_used_bytes: bytes("mem_info_vram_used"),
            memory_bytes: bytes("mem_info_vram_total"),
            temperature_celsius: heat.map_or(0.0, celsius),
        }
    }
}

/// `name` with its maker before it, once, and bounded.
pub(super) fn named(maker: &str, name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
    if name.to_lowercase().contains(&maker.to_lowercase()) { name } else { format!("{maker} {name}") }
}

#[cfg(test)]
mod tests {
    use super::super::root::fake::Fake;
    use super::*;

    #[test]
    fn amd_cards_are_read_from_files() {
        let fake = Fake::new();
        for (path, text) in [
            ("card0/device/vendor", "0x8086"),
            ("card0/device/gpu_busy_percent", "77"),
            ("card1/device/vendor", "0x1002"),
            ("card1/device/device", "0x744c"),
            ("card1/device/gpu_busy_percent", "42"),
            ("card1/device/mem_info_vram_used", "1000"),
            ("card1/device/mem_info_vram_total", "25753026560"),
            ("card1/device/hwmon/hwmon4/temp1_input", "55000"),
            ("card1/device/hwmon/hwmon4/temp2_input", "65500"),
            ("card1-DP-1/device/vendor", "0x1002"),
            ("card2/device/vendor", "0x1002"),
            ("card2/device/product_name", "Radeon PRO\u{1b}"),
            ("card2/device/gpu_busy_percent", "odd"),
        ] {
            fake.file(&format!("sys/class/drm/{path}"), format!("{text}\n"));
        }
        let mut gpus = Gpus::new(fake.root());
        let card = Gpu {
            name: "AMD 0x744c".into(),
            busy: 42.0,
            memory_used_bytes: 1000,
            memory_bytes: 25_753_026_560,
            temperature_celsius: 65.5,
        };
        assert_eq!(gpus.read(), [card, Gpu { name: "AMD Radeon PRO".into(), ..Gpu::default() }]);
        assert_eq!(gpus.others(&Ours::default()), Some(42.0));
        assert_eq!(gpus.others(&Ours { gpu: true, ..Ours::default() }), None);
    }

    #[test]
    fn none_is_none() {
        let mut gpus = Gpus::new(Fake::new().root());
        assert_eq!((gpus.read(), gpus.others(&Ours::default())), (Vec::new(), None));
    }
}
