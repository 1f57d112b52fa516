use super::*;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};

/// A folder as a task leaves it, and a place for archives.
struct Left {
    task: tempfile::TempDir,
    scratch: tempfile::TempDir,
}

impl Left {
    fn new() -> Self {
        Self { task: tempfile::tempdir().expect("a folder"), scratch: tempfile::tempdir().expect("a folder") }
    }

    fn file(&self, path: &str, mode: u32, content: &str) {
        let path = self.task.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(&path, content).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
    }

    fn collected(&self, outputs: &[&str], limit: u64) -> (Vec<String>, Option<String>) {
        let outputs: Vec<String> = outputs.iter().map(|output| (*output).to_owned()).collect();
        let folder = File::open(self.task.path()).expect("opened");
        let collected = collect(folder.as_fd(), &outputs, limit, self.scratch.path()).expect("collected");
        let lines = collected.archive.map(|file| {
            let mut archive = tar::Archive::new(File::open(file.path()).expect("opened"));
            let lines = archive.entries().expect("entries").map(|entry| {
                let mut entry = entry.expect("sound");
                let mut content = String::new();
                entry.read_to_string(&mut content).expect("text");
                let (path, mode) = (entry.path().expect("a path").into_owned(), entry.header().mode().expect("a mode"));
                format!("{} {mode:o} {content}", path.display())
            });
            lines.collect()
        });
        (lines.unwrap_or_default(), collected.remark)
    }
}

#[test]
fn the_usual_folder_is_the_root_of_its_archive() {
    let left = Left::new();
    assert_eq!(left.collected(&["output"], 100), (vec![], None));
    left.file("output/d/run", 0o4711, "two");
    left.file("output/a.txt", 0o600, "one");
    left.file("secret", 0o600, "not kept");
    assert_eq!(left.collected(&["output"], 100).0, ["a.txt 644 one", "d 755 ", "d/run 755 two"]);
    fs::remove_dir_all(left.task.path().join("output")).expect("removed");
    left.file("output", 0o600, "a file");
    let (lines, remark) = left.collected(&["output"], 100);
    assert!(lines.is_empty() && remark.is_some_and(|remark| remark.starts_with("1 under /task/output left out")));
}

#[test]
fn files_and_folders_are_kept_under_their_own_names() {
    let left = Left::new();
    for (path, content) in [("z.txt", "z"), ("deep/er/b", "b"), ("deep/other", "no"), ("all/x/y", "y")] {
        left.file(path, 0o644, content);
    }
    let (lines, remark) = left.collected(&["z.txt", "deep/er", "all", "none/at", "all2"], 100);
    assert_eq!(
        lines,
        ["all 755 ", "all/x 755 ", "all/x/y 644 y", "deep 755 ", "deep/er 755 ", "deep/er/b 644 b", "z.txt 644 z"]
    );
    assert_eq!(remark.as_deref(), Some("nothing to keep at `/task/none/at`, `/task/all2`"));
}

#[test]
fn no_link_leads_anywhere() {
    let left = Left::new();
    left.file("real/file", 0o644, "x");
    let at = |path: &str| left.task.path().join(path);
    fs::create_dir(at("output")).expect("made");
    symlink("/etc", at("output/folder")).expect("made");
    symlink("../real/file", at("output/file")).expect("made");
    symlink("/etc", at("etc")).expect("made");
    symlink("real", at("within")).expect("made");
    rustix::fs::mknodat(rustix::fs::CWD, at("output/pipe"), FileType::Fifo, Mode::from_raw_mode(0o666), 0)
        .expect("made");
    std::os::unix::net::UnixListener::bind(at("output/socket")).expect("bound");
    let (lines, remark) = left.collected(&["output"], 100);
    assert!(lines.is_empty(), "{lines:?}");
    assert!(remark.is_some_and(|remark| remark.starts_with("4 under /task/output left out")));
    let (lines, remark) = left.collected(&["etc", "etc/passwd", "within/file", "real/file/x"], 100);
    assert!(lines.is_empty(), "{lines:?}");
    let remark = remark.expect("a remark");
    assert!(remark.starts_with("3 under /task left out") && remark.contains("`/task/real/file/x`"), "{remark}");
}

#[test]
fn more_than_the_disk_is_not_taken_and_holes_count() {
    let left = Left::new();
    left.file("output/a", 0o644, "12345");
    assert_eq!(left.collected(&["output"], 5).0, ["a 644 12345"]);
    File::create(left.task.path().join("output/hole")).expect("made").set_len(1 << 40).expect("set");
    let (lines, remark) = left.collected(&["output"], 5);
    assert!(lines.is_empty() && remark.is_some_and(|remark| remark.starts_with("/task/output was not kept")));
}

#[test]
fn names_that_nobody_unpacks_are_left_out_alone() {
    let left = Left::new();
    left.file("output/good", 0o644, "1");
    left.file("output/a\nb", 0o644, "2");
    left.file("output/\u{1b}[31m", 0o644, "3");
    left.file(&format!("output/{}x", "d/".repeat(70)), 0o644, "4");
    let (lines, remark) = left.collected(&["output"], 100);
    assert_eq!(lines.first().map(String::as_str), Some("d 755 "));
    assert_eq!((lines.len(), lines.last().map(String::as_str)), (65, Some("good 644 1")));
    assert!(remark.is_some_and(|remark| remark.starts_with("3 under /task/output left out")));
}

#[test]
fn a_file_that_shrinks_is_an_error_and_not_a_broken_archive() {
    let mut content = Vec::new();
    let error = Exactly { from: &b"123"[..], left: 4 }.read_to_end(&mut content).expect_err("read");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    let mut content = String::new();
    Exactly { from: &b"12345"[..], left: 4 }.read_to_string(&mut content).expect("read");
    assert_eq!(content, "1234");
}

/// Each folder has few enough names, and another folder that is entered before they are looked at.
#[test]
fn names_of_all_open_folders_count_together() {
    let left = Left::new();
    let mut kept = Kept::new(&["output".into()], 1 << 30, left.scratch.path()).expect("begun");
    let (names, mut path) = (MOST_ENTRIES / 3, left.task.path().to_owned());
    let mut held = Vec::new();
    for _ in 0..4 {
        path.push("d");
        fs::create_dir(&path).expect("made");
        // Links, which take no inode of the task's disk.
        fs::write(path.join("0"), "").expect("written");
        (2..names).for_each(|name| fs::hard_link(path.join("0"), path.join(name.to_string())).expect("linked"));
        fs::write(path.join("1"), "").expect("written");
        held.push(kept.names_of(&File::open(&path).expect("opened").into()).expect("read").len());
    }
    assert_eq!(held, [names, names, names, 0]);
    assert!(kept.is_full());
    let remark = kept.finish().expect("ended").remark;
    assert!(remark.is_some_and(|remark| remark.contains("was not kept")));
}
