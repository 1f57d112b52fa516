//! How hot the processors are.
//!
//! Invariant: sensors of disks, network cards and boards do not count; many of them are not even connected.

use super::root::Root;

/// What chips call themselves that measure processors.
const CHIPS: [&str; 10] = [
    "coretemp",
    "k8temp",
    "k10temp",
    "zenpower",
    "amdgpu",
    "radeon",
    "nouveau",
    "cpu_thermal",
    "soc_thermal",
    "scpi_sensors",
];
/// Parts of the names of zones that do.
const ZONES: [&str; 5] = ["x86_pkg_temp", "cpu", "soc", "gpu", "acpitz"];
/// What is colder or hotter, in thousandths of a degree, is no sensor.
const SANE: std::ops::RangeInclusive<i64> = 1_000..=130_000;
/// Most chips or zones, and most sensors of one.
const MOST: usize = 256;

/// See the module.
#[derive(Debug)]
pub struct Heat(Root);

impl Heat {
    /// Of the machine below `root`.
    #[must_use]
    pub fn new(root: Root) -> Self {
        Self(root)
    }

    /// The hottest, in degrees Celsius; `None` where there is none.
    #[must_use]
    pub fn read(&self) -> Option<f32> {
        self.chips().max(self.zones()).map(celsius)
    }

    fn chips(&self) -> Option<i64> {
        let folders = self.0.names("sys/class/hwmon").into_iter().take(MOST);
        let known = folders
            .map(|name| format!("sys/class/hwmon/{name}"))
            .filter(|folder| self.0.line(&format!("{folder}/name")).is_some_and(|name| CHIPS.contains(&name.as_str())));
        known.filter_map(|folder| hottest(&self.0, &folder)).max()
    }

    fn zones(&self) -> Option<i64> {
        let folders = self.0.names("sys/class/thermal").into_iter().filter(|name| name.starts_with("thermal_zone"));
        let known = folders.take(MOST).map(|name| format!("sys/class/thermal/{name}")).filter(|folder| {
            let kind = self.0.line(&format!("{folder}/type")).unwrap_or_default();
            ZONES.into_iter().any(|part| kind.contains(part))
        });
        known.filter_map(|folder| sane(self.0.number(&format!("{folder}/temp")))).max()
    }
}

/// The hottest sensor of a chip, in thousandths of a degree.
pub(super) fn hottest(root: &Root, folder: &str) -> Option<i64> {
    let files = root.names(folder).into_iter().filter(|name| name.starts_with("temp") && name.ends_with("_input"));
    files.take(MOST).filter_map(|file| sane(root.number(&format!("{folder}/{file}")))).max()
}

/// Degrees of thousandths of them.
pub(super) fn celsius(thousandths: i64) -> f32 {
    thousandths as f32 / 1000.0
}

fn sane(value: Option<i64>) -> Option<i64> {
    value.filter(|value| SANE.contains(value))
}

#[cfg(test)]
mod tests {
    use super::super::root::fake::Fake;
    use super::*;

    #[test]
    fn the_hottest_processor_counts() {
        let fake = Fake::new();
        let read = || Heat::new(fake.root()).read();
        assert_eq!(read(), None);
        for (path, text) in [
            ("hwmon/hwmon0/name", "nvme"),
            ("hwmon/hwmon0/temp1_input", "90000"),
            ("hwmon/hwmon1/name", "nct6798"),
            ("hwmon/hwmon1/temp1_input", "127000"),
            ("hwmon/hwmon2/name", "k10temp"),
            ("hwmon/hwmon2/temp1_input", "61250"),
            ("hwmon/hwmon2/temp2_input", "-273000"),
            ("hwmon/hwmon2/temp3_input", "odd"),
            ("hwmon/hwmon2/temp1_crit", "105000"),
        ] {
            fake.file(&format!("sys/class/{path}"), format!("{text}\n"));
        }
        assert_eq!(read(), Some(61.25));
        fake.file("sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n");
        fake.file("sys/class/thermal/thermal_zone0/temp", "70000\n");
        fake.file("sys/class/thermal/thermal_zone1/type", "iwlwifi_1\n");
        fake.file("sys/class/thermal/thermal_zone1/temp", "80000\n");
        assert_eq!(read(), Some(70.0));
    }
}
