use super::*;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

/// A laid folder with the inputs `a`, `deep/er/b` (a program).
fn laid() -> (tempfile::TempDir, File, Folder) {
    let task = tempfile::tempdir().expect("a folder");
    let sources = tempfile::tempdir().expect("a folder");
    let source = |name: &str, content: &str| {
        let path = sources.path().join(name);
        fs::write(&path, content).expect("written");
        path
    };
    let files = [("a".to_owned(), source("a", "one")), ("deep/er/b".to_owned(), source("b", "#!/bin/sh\n"))];
    let opened = File::open(task.path()).expect("opened");
    let folder = Folder::lay(opened.as_fd(), &files, b"program", &|| false).expect("laid");
    (task, opened, folder)
}

/// Every path below, with its mode.
fn listed(root: &Path) -> Vec<(String, u32)> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("listed") {
            let entry = entry.expect("an entry");
            let stat = entry.metadata().expect("metadata");
            found.push((entry.path().strip_prefix(root).expect("below").display().to_string(), stat.mode() & 0o7777));
            if stat.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn inputs_are_there_and_belong_to_the_agent() {
    let (task, ..) = laid();
    let expected = [
        (".hivemind", 0o1777),
        (".hivemind/guest", 0o555),
        ("a", 0o444),
        ("deep", 0o1777),
        ("deep/er", 0o1777),
        ("deep/er/b", 0o555),
    ];
    assert_eq!(listed(task.path()), expected.map(|(path, mode)| (path.to_owned(), mode)));
    assert_eq!(fs::metadata(task.path()).expect("metadata").mode() & 0o7777, 0o1777);
    assert_eq!(fs::read(task.path().join("deep/er/b")).expect("read"), b"#!/bin/sh\n");
}

#[test]
fn everything_else_goes_however_it_lies_there() {
    let (task, opened, folder) = laid();
    let before = listed(task.path());
    let at = |path: &str| task.path().join(path);
    folder.set_back(opened.as_fd()).expect("nothing to do");
    for path in ["x", ".hidden", ".hivemind/progress", "deep/x", "deep/er/b2", "b/c/d/e", ".hivemind-gone-2/file"] {
        fs::create_dir_all(at(path).parent().expect("a parent")).expect("made");
        fs::write(at(path), "left").expect("written");
    }
    symlink("/etc", at("link")).expect("made");
    symlink("../..", at("b/c/up")).expect("made");
    std::os::unix::net::UnixListener::bind(at("deep/socket")).expect("bound");
    fs::hard_link(at("a"), at("deep/hard")).expect("linked");
    fs::create_dir_all(at("closed/inner")).expect("made");
    fs::set_permissions(at("closed"), fs::Permissions::from_mode(0o000)).expect("set");
    folder.set_back(opened.as_fd()).expect("set back");
    assert_eq!(listed(task.path()), before);
    assert!(Path::new("/etc/passwd").exists());
}

#[test]
fn neither_depth_nor_number_matters() {
    let (task, opened, folder) = laid();
    let before = listed(task.path());
    let mut top = openat(&opened, ".", folder_flags(), Mode::empty()).expect("opened");
    let name = "d".repeat(200);
    // Its path is far longer than the kernel takes.
    for _ in 0..200 {
        mkdirat(&top, name.as_str(), Mode::from_raw_mode(0o700)).expect("made");
        top = openat(&top, name.as_str(), folder_flags(), Mode::empty()).expect("opened");
    }
    for number in 0..BATCH + 10 {
        fs::write(task.path().join(format!("file-{number}")), "").expect("written");
    }
    folder.set_back(opened.as_fd()).expect("set back");
    assert_eq!(listed(task.path()), before);
}

#[test]
fn a_path_that_leads_elsewhere_and_a_source_that_is_gone_are_refused() {
    let task = tempfile::tempdir().expect("a folder");
    let opened = File::open(task.path()).expect("opened");
    let lay = |path: &str, from: &str| Folder::lay(opened.as_fd(), &[(path.to_owned(), from.into())], b"", &|| false);
    assert_eq!(lay("../x", "/dev/null").expect_err("taken").kind(), io::ErrorKind::InvalidInput);
    fs::remove_dir_all(task.path().join(HIDDEN)).expect("removed");
    let error = lay("x", "/none/such").expect_err("taken");
    assert!(error.kind() == io::ErrorKind::NotFound && error.to_string().starts_with("x: "), "{error}");
}

#[test]
fn a_stop_is_heard_in_the_middle() {
    let task = tempfile::tempdir().expect("a folder");
    let opened = File::open(task.path()).expect("opened");
    let files = [("x".to_owned(), PathBuf::from("/proc/self/exe"))];
    let error = Folder::lay(opened.as_fd(), &files, b"", &|| true).expect_err("taken");
    assert_eq!(error.kind(), io::ErrorKind::Interrupted);
}
