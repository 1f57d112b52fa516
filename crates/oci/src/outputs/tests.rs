use super::*;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};

/// What is packed of `names`: paths with modes, and the remark.
fn packed(disk: &Path, names: &[&str], limit: u64) -> (Vec<(String, u32)>, String) {
    let scratch = tempfile::tempdir().expect("a folder");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let root = File::open(disk).expect("opened");
    let collected = pack(root.as_fd(), &names, limit, scratch.path()).expect("packed");
    let mut entries = Vec::new();
    if let Some(archive) = collected.archive {
        let mut archive = tar::Archive::new(archive.reopen().expect("opened"));
        for entry in archive.entries().expect("entries") {
            let entry = entry.expect("sound");
            entries.push((entry.path().expect("a path").display().to_string(), entry.header().mode().expect("a mode")));
        }
    }
    (entries, collected.remark.unwrap_or_default())
}

fn disk() -> tempfile::TempDir {
    let disk = tempfile::tempdir().expect("a folder");
    let at = |name: &str| disk.path().join(name);
    fs::create_dir_all(at("output/sub")).expect("made");
    fs::create_dir_all(at("a/b")).expect("made");
    fs::write(at("output/x"), "x").expect("written");
    fs::write(at("output/sub/run"), "#!").expect("written");
    fs::set_permissions(at("output/sub/run"), fs::Permissions::from_mode(0o700)).expect("set");
    fs::write(at("a/b/c"), "12345").expect("written");
    fs::write(at("a/other"), "not asked for").expect("written");
    disk
}

#[test]
fn the_usual_folder_is_the_root_of_the_archive() {
    let disk = disk();
    let expected = [("sub", 0o755), ("sub/run", 0o755), ("x", 0o644)].map(|(path, mode)| (path.to_owned(), mode));
    assert_eq!(packed(disk.path(), &["output"], 100), (expected.to_vec(), String::new()));
}

#[test]
fn named_files_keep_their_paths() {
    let disk = disk();
    let (entries, remark) = packed(disk.path(), &["output", "a/b/c", "missing", "x/y"], 100);
    let paths: Vec<_> = entries.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["a", "a/b", "a/b/c", "output", "output/sub", "output/sub/run", "output/x"]);
    assert_eq!(remark, "");
    assert_eq!(packed(disk.path(), &["missing"], 100).0, []);
}

#[test]
fn links_pipes_and_odd_names_are_left_out_and_told() {
    let disk = disk();
    symlink("/etc/passwd", disk.path().join("output/secret")).expect("linked");
    symlink("/etc", disk.path().join("output/etc")).expect("linked");
    fs::write(disk.path().join("output/a\nb"), "").expect("written");
    let pipe = disk.path().join("output/pipe");
    rustix::fs::mknodat(rustix::fs::CWD, pipe, FileType::Fifo, Mode::from_raw_mode(0o644), 0).expect("made");
    let (entries, remark) = packed(disk.path(), &["output"], 100);
    assert_eq!(entries.len(), 3, "{entries:?}");
    assert!(remark.starts_with("4 of the outputs left out"), "{remark}");
    fs::remove_dir_all(disk.path().join("output")).expect("removed");
    symlink("/etc", disk.path().join("output")).expect("linked");
    symlink("/etc", disk.path().join("way")).expect("linked");
    for names in [&["output"][..], &["way"], &["way/passwd"], &["output", "way/passwd"]] {
        let (entries, remark) = packed(disk.path(), names, 100);
        assert_eq!(entries, [], "{names:?}");
        assert!(remark.contains("left out"), "{names:?}: {remark}");
    }
}

#[test]
fn more_than_the_disk_is_not_kept() {
    let disk = disk();
    fs::File::create(disk.path().join("output/hole")).expect("made").set_len(1 << 40).expect("sized");
    let (entries, remark) = packed(disk.path(), &["output"], 1 << 20);
    assert_eq!(entries, []);
    assert!(remark.contains("not kept"), "{remark}");
}

#[test]
fn a_deep_path_is_left_out() {
    let disk = disk();
    let deep: PathBuf = std::iter::repeat_n("d", 80).collect();
    fs::create_dir_all(disk.path().join("output").join(deep)).expect("made");
    let (entries, remark) = packed(disk.path(), &["output"], 100);
    assert_eq!(entries.len(), 3 + MOST_DEPTH);
    assert!(remark.starts_with('1'), "{remark}");
}
