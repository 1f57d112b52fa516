use super::*;
use tar::EntryType;

/// One entry of a hostile archive: path as raw bytes, type, mode, content, link target.
type Raw<'a> = (&'a [u8], EntryType, u32, &'a [u8], &'a str);

fn archive(entries: &[Raw<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, mode, content, link) in entries {
        let mut header = tar::Header::new_gnu();
        // Past `set_path`, which refuses what an attacker would write.
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        header.set_uid(4242);
        header.set_gid(4242);
        header.set_mtime(1_700_000_000);
        if !link.is_empty() {
            header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        }
        header.set_cksum();
        builder.append(&header, *content).expect("appended");
    }
    builder.into_inner().expect("archive")
}

/// A daemon's archive of these entries by another user, at another time.
fn archive_at(entries: &[Raw<'_>], owner: u64, mtime: u64) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, mode, content, _) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        header.set_uid(owner);
        header.set_gid(owner);
        header.set_mtime(mtime);
        header.set_username(&format!("user{owner}")).expect("short");
        header.set_device_major(7).expect("a GNU header");
        header.set_device_minor(3).expect("a GNU header");
        builder.append_data(&mut header, std::str::from_utf8(path).expect("a path"), *content).expect("appended");
    }
    builder.into_inner().expect("archive")
}

#[test]
fn the_same_files_give_the_same_bytes_whoever_made_them_when_and_in_which_order() {
    let normal = |archive: &[u8]| {
        let scratch = tempfile::tempdir().expect("a folder");
        let file = kept(archive, 1000, scratch.path()).expect("repacked").archive.expect("an archive");
        std::fs::read(file.path()).expect("read")
    };
    let one = [
        ROOT,
        (b"output/a.txt", EntryType::Regular, 0o600, b"one", ""),
        (b"output/d/", EntryType::Directory, 0o700, b"", ""),
        (b"output/d/run", EntryType::Regular, 0o4711, b"two", ""),
    ];
    let other = [
        ROOT,
        (b"output/d/", EntryType::Directory, 0o1777, b"", ""),
        (b"output/d/run", EntryType::Regular, 0o755, b"two", ""),
        (b"output/a.txt", EntryType::Regular, 0o644, b"one", ""),
    ];
    let normal_form = normal(&archive_at(&one, 0, 1));
    assert_eq!(normal(&archive_at(&other, 1000, 1_700_000_000)), normal_form);
    let changed = [ROOT, (b"output/a.txt", EntryType::Regular, 0o755, b"one", ""), other[1], other[2]];
    assert_ne!(normal(&archive_at(&changed, 0, 1)), normal_form, "that a file is run is a part of it");
}

fn kept(archive: &[u8], limit: u64, scratch: &Path) -> io::Result<Collected> {
    let outputs = ["output".to_owned()];
    repack(archive, Path::new("output"), Kept::new(&outputs, limit, scratch)?)?.finish()
}

#[test]
fn an_output_of_any_name_is_known_by_its_last_part() {
    let output = Path::new("a/b");
    for (raw, path) in [
        (&b"b"[..], Some("a/b")),
        (b"b/", Some("a/b")),
        (b"./b/c", Some("a/b/c")),
        (b"a/b", None),
        (b"/b", None),
        (b"b/../c", None),
        (b"", None),
    ] {
        assert_eq!(path_of(raw, output).as_deref(), path.map(Path::new), "{}", String::from_utf8_lossy(raw));
    }
}

fn repacked(entries: &[Raw<'_>], limit: u64) -> (Vec<String>, Option<String>) {
    let scratch = tempfile::tempdir().expect("a folder");
    let collected = kept(&archive(entries)[..], limit, scratch.path()).expect("repacked");
    let seen = collected.archive.map(|file| {
        let mut archive = tar::Archive::new(std::fs::File::open(file.path()).expect("opened"));
        let lines = archive.entries().expect("entries").map(|entry| {
            let mut entry = entry.expect("sound");
            let mut content = String::new();
            entry.read_to_string(&mut content).expect("text");
            let header = entry.header();
            assert_eq!((header.mtime().ok(), header.uid().ok(), header.gid().ok()), (Some(0), Some(0), Some(0)));
            assert!(matches!(header.entry_type(), EntryType::Regular | EntryType::Directory));
            format!("{} {:o} {content}", String::from_utf8_lossy(&entry.path_bytes()), header.mode().expect("a mode"))
        });
        lines.collect()
    });
    (seen.unwrap_or_default(), collected.remark)
}

const ROOT: Raw<'static> = (b"output/", EntryType::Directory, 0o755, b"", "");

#[test]
fn files_and_folders_are_kept_without_their_owner_and_time() {
    let (seen, remark) = repacked(
        &[
            ROOT,
            (b"output/a.txt", EntryType::Regular, 0o600, b"one", ""),
            (b"output/d/", EntryType::Directory, 0o7777, b"", ""),
            (b"output/d/run", EntryType::Regular, 0o4711, b"two", ""),
        ],
        1000,
    );
    assert_eq!(seen, ["a.txt 644 one", "d 755 ", "d/run 755 two"]);
    assert_eq!(remark, None);
}

#[test]
fn links_devices_and_ways_out_are_left_out() {
    let (seen, remark) = repacked(
        &[
            ROOT,
            (b"output/link", EntryType::Symlink, 0o777, b"", "/etc/passwd"),
            (b"output/hard", EntryType::Link, 0o644, b"", "/etc/shadow"),
            (b"output/null", EntryType::Char, 0o666, b"", ""),
            (b"output/disk", EntryType::Block, 0o666, b"", ""),
            (b"output/pipe", EntryType::Fifo, 0o666, b"", ""),
            (b"output/../up", EntryType::Regular, 0o644, b"x", ""),
            (b"/output/abs", EntryType::Regular, 0o644, b"x", ""),
            (b"/etc/passwd", EntryType::Regular, 0o644, b"x", ""),
            (b"other/x", EntryType::Regular, 0o644, b"x", ""),
            (b"output/kept", EntryType::Regular, 0o644, b"x", ""),
        ],
        1000,
    );
    assert_eq!(seen, ["kept 644 x"]);
    let remark = remark.expect("a remark");
    assert!(remark.starts_with("9 under /task/output left out") && remark.ends_with("first `output/link`"), "{remark}");
}

#[test]
fn the_folder_itself_may_not_be_a_link_or_a_file() {
    let (seen, remark) = repacked(&[(b"output", EntryType::Symlink, 0o777, b"", "/etc")], 1000);
    assert!(seen.is_empty() && remark.is_some());
    let (seen, remark) = repacked(&[(b"output", EntryType::Regular, 0o644, b"x", "")], 1000);
    assert!(seen.is_empty() && remark.is_some());
}

#[test]
fn names_that_nobody_unpacks_are_left_out_alone() {
    let (seen, remark) = repacked(
        &[
            ROOT,
            (b"output/good", EntryType::Regular, 0o644, b"1", ""),
            (b"output/a\nb", EntryType::Regular, 0o644, b"2", ""),
            (b"output/\x1b[31m", EntryType::Regular, 0o644, b"3", ""),
        ],
        1000,
    );
    assert_eq!(seen, ["good 644 1"]);
    assert!(remark.is_some_and(|remark| remark.starts_with("2 under /task/output left out")));
}

#[test]
fn an_empty_folder_is_nothing() {
    assert_eq!(repacked(&[ROOT], 1000), (Vec::new(), None));
}

#[test]
fn more_than_the_disk_is_not_taken() {
    let (seen, remark) = repacked(
        &[
            ROOT,
            (b"output/a", EntryType::Regular, 0o644, b"12345", ""),
            (b"output/b", EntryType::Regular, 0o644, b"6", ""),
        ],
        5,
    );
    assert!(seen.is_empty());
    assert!(remark.expect("a remark").contains("was not kept"));
}

#[test]
fn a_folder_that_carries_content_does_not_shift_what_follows() {
    let (seen, _) = repacked(
        &[
            ROOT,
            (b"output/d", EntryType::Directory, 0o755, b"hidden", ""),
            (b"output/a", EntryType::Regular, 0o644, b"x", ""),
        ],
        1000,
    );
    assert_eq!(seen, ["a 644 x", "d 755 "]);
}

#[test]
fn a_broken_archive_is_an_error_and_not_half_an_archive() {
    let scratch = tempfile::tempdir().expect("a folder");
    let mut bytes = archive(&[ROOT, (b"output/a", EntryType::Regular, 0o644, &[7; 2000], "")]);
    bytes.truncate(1500);
    assert!(kept(&bytes[..], 10_000, scratch.path()).is_err());
}
