//! Where things are kept on this machine.
//!
//! Invariant: every path that this program chooses by itself lies under the data folder.

use crate::args::Global;
use crate::failure::{Done, Failure};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The data folder: `--data`, else `$XDG_DATA_HOME/hivemind`, else `~/.local/share/hivemind`.
///
/// # Errors
/// There is no home folder and none was named.
pub fn data(global: &Global) -> Done<PathBuf> {
    choose(global, |name| std::env::var_os(name).map(PathBuf::from))
}

fn choose(global: &Global, variable: impl Fn(&str) -> Option<PathBuf>) -> Done<PathBuf> {
    if let Some(dir) = &global.data {
        return std::path::absolute(dir)
            .map_err(|error| Failure::io(format!("--data {} is no path", dir.display()), &error));
    }
    // The XDG rules: a relative path in these variables is to be ignored.
    let folder = |name: &str| variable(name).filter(|path| path.is_absolute());
    folder("XDG_DATA_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local/share")))
        .map(|base| base.join("hivemind"))
        .ok_or_else(|| {
            Failure::usage("there is no home folder to keep data in")
                .fix("name a folder with --data DIR or HIVEMIND_DATA")
        })
}

/// Makes a folder for what this program keeps. Outputs, inputs and keys of other people lie in it,
/// so a new one is for its owner's eyes only; one that is there keeps its mode.
///
/// # Errors
/// What the disk says.
pub fn make(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The certificate of the authority of a pool that runs here.
#[must_use]
pub fn local_ca(data: &std::path::Path) -> PathBuf {
    data.join("ca.pem")
}

/// What the worker of this machine keeps.
#[must_use]
pub fn worker(data: &std::path::Path) -> PathBuf {
    data.join("worker")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_is_for_its_owner_s_eyes_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        make(&folder).unwrap();
        make(&folder).unwrap();
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn the_data_folder_follows_flag_then_xdg_then_home() {
        let env = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
        };
        let none = Global::default();
        let flag = Global { data: Some("/d".into()), ..Global::default() };
        assert_eq!(choose(&flag, env(&[("XDG_DATA_HOME", "/x")])), Ok("/d".into()));
        assert_eq!(choose(&none, env(&[("XDG_DATA_HOME", "/x"), ("HOME", "/h")])), Ok("/x/hivemind".into()));
        assert_eq!(
            choose(&none, env(&[("XDG_DATA_HOME", "rel"), ("HOME", "/h")])),
            Ok("/h/.local/share/hivemind".into())
        );
        assert!(choose(&none, env(&[])).is_err());
    }
}
