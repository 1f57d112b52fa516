//! Whether the machine runs on battery.
//!
//! Invariant: batteries of mice and headsets are nobody's power supply.

use super::root::Root;
use crate::rules::Power;

/// See the module.
#[derive(Debug)]
pub struct Supply(Root);

impl Supply {
    /// Of the machine below `root`.
    #[must_use]
    pub fn new(root: Root) -> Self {
        Self(root)
    }

    /// Where the power comes from; `None` where the kernel does not say.
    #[must_use]
    pub fn read(&self) -> Option<Power> {
        let (mut charges, mut discharging, mut online, mut offline) = (Vec::new(), false, false, false);
        let mut batteries = 0;
        for name in self.0.names("sys/class/power_supply") {
            let of = |file: &str| self.0.line(&format!("sys/class/power_supply/{name}/{file}"));
            match of("type").as_deref() {
                Some("Battery" | "UPS") if of("scope").as_deref() != Some("Device") => {
                    batteries += 1;
                    discharging |= of("status").as_deref() == Some("Discharging");
                    charges
                        .extend(of("capacity").and_then(|text| text.parse::<u32>().ok()).map(|charge| charge.min(100)));
                }
                Some("Mains" | "USB" | "Wireless") => match of("online").as_deref() {
                    Some("0") => offline = true,
                    Some(_) => online = true,
                    None => {}
                },
                Some(_) | None => {}
            }
        }
        if batteries == 0 {
            return (online || offline).then_some(Power::Mains);
        }
        let on_battery = !online && (discharging || offline);
        let count = u32::try_from(charges.len()).ok().filter(|count| *count > 0);
        let percent = count.map(|count| charges.iter().sum::<u32>() / count);
        Some(if on_battery { Power::Battery { percent } } else { Power::Mains })
    }
}

#[cfg(test)]
mod tests {
    use super::super::root::fake::Fake;
    use super::*;

    /// Each supply by its name, with its files.
    type Supplies<'a> = &'a [(&'a str, &'a [(&'a str, &'a str)])];

    fn read(supplies: Supplies<'_>) -> Option<Power> {
        let fake = Fake::new();
        for (name, files) in supplies {
            for (file, text) in *files {
                fake.file(&format!("sys/class/power_supply/{name}/{file}"), format!("{text}\n"));
            }
        }
        Supply::new(fake.root()).read()
    }

    #[test]
    fn laptops_desktops_and_mice() {
        let full = [("type", "Battery"), ("status", "Full"), ("capacity", "100")];
        let empty = [("type", "Battery"), ("status", "Discharging"), ("capacity", "40")];
        let mouse = [("type", "Battery"), ("scope", "Device"), ("status", "Discharging"), ("capacity", "5")];
        let odd = [("type", "Battery"), ("capacity", "-7"), ("status", "")];
        let on = [("type", "Mains"), ("online", "1")];
        let off = [("type", "Mains"), ("online", "0")];
        let battery = |percent| Some(Power::Battery { percent });
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[("AC", &on), ("BAT0", &full)]), Some(Power::Mains));
        assert_eq!(read(&[("AC", &off), ("BAT0", &empty)]), battery(Some(40)));
        assert_eq!(read(&[("AC", &off), ("BAT0", &full), ("BAT1", &empty)]), battery(Some(70)));
        assert_eq!(read(&[("BAT0", &empty)]), battery(Some(40)));
        // A weak charger.
        assert_eq!(read(&[("USB", &[("type", "USB"), ("online", "1")]), ("BAT0", &empty)]), Some(Power::Mains));
        assert_eq!(read(&[("hidpp_battery_0", &mouse)]), None);
        assert_eq!(read(&[("AC", &on), ("hidpp_battery_0", &mouse)]), Some(Power::Mains));
        assert_eq!(read(&[("AC", &off), ("BAT0", &odd)]), battery(None));
    }
}
