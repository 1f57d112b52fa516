//! The control group that all containers of an agent are made in, so that they get their part of the machine together.
//!
//! Start at [`Parent::of`].
//!
//! Invariant: the group is somebody else's; it is named here, and neither made nor changed.

use bollard::models::{SystemInfo, SystemInfoCgroupDriverEnum};

/// Begins the names of such groups.
pub(super) const PREFIX: &str = "hivemind_";
/// Ends them, as systemd wants it.
pub(super) const SUFFIX: &str = ".slice";

/// Such a group, as the daemon wants to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parent(String);

impl Parent {
    /// The group `name`, for the daemon that says `info` of itself.
    ///
    /// # Errors
    /// A sentence for people: it is no such name, or the daemon cannot put containers into groups.
    pub(super) fn of(name: &str, info: &SystemInfo) -> Result<Self, String> {
        let middle = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !middle.is_some_and(|middle| (1..=64).contains(&middle.len()) && middle.chars().all(fits)) {
            return Err(format!(
                "`{}` cannot be the control group of an agent's containers: it is called {PREFIX}NAME{SUFFIX}, with 1 to 64 of A-Z a-z 0-9 _",
                name.escape_debug()
            ));
        }
        match info.cgroup_driver {
            Some(SystemInfoCgroupDriverEnum::SYSTEMD) => Ok(Self(name.to_owned())),
            // Without the slash it would be below the daemon's own group.
            Some(SystemInfoCgroupDriverEnum::CGROUPFS | SystemInfoCgroupDriverEnum::EMPTY) | None => {
                Ok(Self(format!("/{name}")))
            }
            Some(SystemInfoCgroupDriverEnum::NONE) => Err(
                "the Docker daemon has no control groups, as rootless ones do, so the owner's shares cannot be held: run the daemon as root or with systemd, or start the worker without shares"
                    .into(),
            ),
        }
    }

    /// What requests have as `CgroupParent`.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(driver: Option<SystemInfoCgroupDriverEnum>) -> SystemInfo {
        SystemInfo { cgroup_driver: driver, ..SystemInfo::default() }
    }

    #[test]
    fn each_driver_is_told_in_its_own_words() {
        for (driver, word) in [
            (Some(SystemInfoCgroupDriverEnum::SYSTEMD), "hivemind_a.slice"),
            (Some(SystemInfoCgroupDriverEnum::CGROUPFS), "/hivemind_a.slice"),
            (None, "/hivemind_a.slice"),
        ] {
            assert_eq!(Parent::of("hivemind_a.slice", &said(driver)).map(|parent| parent.0).as_deref(), Ok(word));
        }
        let none = Parent::of("hivemind_a.slice", &said(Some(SystemInfoCgroupDriverEnum::NONE)));
        assert!(none.is_err_and(|why| why.contains("no control groups")));
    }

    #[test]
    fn other_names_are_refused() {
        let long = format!("hivemind_{}.slice", "a".repeat(65));
        let bad = [
            "",
            "/",
            "system.slice",
            "hivemind_.slice",
            "hivemind_a/b.slice",
            "hivemind_../x.slice",
            "hivemind_a-b.slice",
        ];
        for name in bad.into_iter().chain([long.as_str()]) {
            assert!(Parent::of(name, &said(None)).is_err(), "{name}");
        }
    }
}
