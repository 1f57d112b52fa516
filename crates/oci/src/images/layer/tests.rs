use super::*;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

/// An entry of a hostile archive: any path, any link, any kind.
fn entry(path: &str, kind: EntryType, link: &str, mode: u32, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(65534);
    header.set_gid(65534);
    header.set_mtime(1_000_000);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(path: &str, content: &[u8]) -> Vec<u8> {
    entry(path, EntryType::Regular, "", 0o644, content)
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn digest(bytes: &[u8]) -> String {
    crate::images::manifest::digest_of(bytes)
}

/// Unpacks into a fresh folder below `outer`.
fn unpacked(outer: &Path, bytes: &[u8], limits: &ImageLimits) -> Result<PathBuf, String> {
    let root = tempfile::Builder::new().prefix("layer").tempdir_in(outer).expect("a folder").keep();
    let done = unpack(bytes, &digest(bytes), &root, (&mut Budget::of(limits), limits), &Stop::new());
    match done {
        Ok(_) => Ok(root),
        Err(Trouble::Image(reason)) => Err(reason),
        Err(other) => panic!("not the image's own fault: {other:?}"),
    }
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: unpacking needs root");
    }
    root
}

#[test]
fn files_links_and_removals_are_made_and_nothing_special_else() {
    if !is_root() {
        return;
    }
    let outer = tempfile::tempdir().expect("a folder");
    let bytes = archive(&[
        entry("./", EntryType::Directory, "", 0o755, b""),
        entry("bin", EntryType::Symlink, "usr/bin", 0o777, b""),
        file("usr/bin/tool", b"tool"),
        file("bin/other", b"through a link of its own"),
        entry("suid", EntryType::Regular, "", 0o6755, b"x"),
        entry("sticky", EntryType::Directory, "", 0o1777, b""),
        entry("hard", EntryType::Link, "usr/bin/tool", 0, b""),
        entry("null", EntryType::Char, "", 0o666, b""),
        entry("pipe", EntryType::Fifo, "", 0o666, b""),
        file("etc/.wh.gone", b""),
        file("opaque/.wh..wh..opq", b""),
        file(".wh..wh.plnk", b""),
        file("twice", b"first"),
        file("twice", b"second"),
    ]);
    let root = unpacked(outer.path(), &bytes, &ImageLimits::default()).expect("unpacked");
    let meta = |name: &str| std::fs::symlink_metadata(root.join(name)).expect(name);
    assert_eq!(std::fs::read(root.join("usr/bin/other")).expect("there"), b"through a link of its own");
    assert_eq!(meta("suid").permissions().mode() & 0o7777, 0o755);
    assert_eq!(meta("sticky").permissions().mode() & 0o7777, 0o1777);
    assert_eq!(
        (meta("hard").ino(), meta("hard").uid(), meta("hard").mtime()),
        (meta("usr/bin/tool").ino(), 65534, 1_000_000)
    );
    assert!(meta("etc/gone").file_type().is_char_device() && meta("etc/gone").rdev() == 0);
    assert!(!root.join("null").exists() && !root.join("pipe").exists() && !root.join(".wh..wh.plnk").exists());
    assert_eq!(std::fs::read(root.join("twice")).expect("there"), b"second");
    let mut value = [0u8; 8];
    let opaque = rustix::fs::getxattr(root.join("opaque"), "trusted.overlay.opaque", &mut value).expect("set");
    assert_eq!(&value[..opaque], b"y");
}

#[test]
fn nothing_leads_out_of_the_folder() {
    if !is_root() {
        return;
    }
    let outer = tempfile::tempdir().expect("a folder");
    let secret = outer.path().join("secret");
    std::fs::write(&secret, "untouched").expect("written");
    let absolute = secret.display().to_string();
    let link = |path: &str, to: &str| entry(path, EntryType::Symlink, to, 0o777, b"");
    for (what, entries) in [
        ("through ..", vec![file("../secret", b"x")]),
        ("through .. within", vec![file("a/../../secret", b"x")]),
        ("absolute", vec![file(&absolute, b"x")]),
        ("a hard link out", vec![entry("h", EntryType::Link, "../secret", 0, b"")]),
        ("a hard link out, absolute", vec![entry("h", EntryType::Link, &absolute, 0, b""), file("h", b"x")]),
        ("a link to itself", vec![link("l", "l"), file("l/x", b"x")]),
        ("a removal of ..", vec![file("a/.wh...", b"")]),
        ("a folder in place of a file", vec![file("f", b""), file("f/x", b"x")]),
        ("a file in place of a folder", vec![entry("d", EntryType::Directory, "", 0o755, b""), file("d", b"x")]),
        ("sparse", vec![entry("s", EntryType::GNUSparse, "", 0o644, b"")]),
    ] {
        let refused = unpacked(outer.path(), &archive(&entries), &ImageLimits::default());
        assert!(refused.is_err(), "{what}");
    }
    // What a link names is looked up within the folder.
    for to in ["..", "/", &outer.path().display().to_string()] {
        let bytes = archive(&[link("l", to), file("l/secret", b"inside"), file("l/deep/secret", b"inside")]);
        let root = unpacked(outer.path(), &bytes, &ImageLimits::default());
        if let Ok(root) = root {
            assert!(
                root.join("secret").exists()
                    || root.join(outer.path().strip_prefix("/").expect("absolute")).join("secret").exists(),
                "{to}"
            );
        }
    }
    // A file that replaces a link, instead of following it.
    let bytes = archive(&[link("l", &absolute), file("l", b"own")]);
    let root = unpacked(outer.path(), &bytes, &ImageLimits::default()).expect("unpacked");
    assert_eq!(std::fs::read(root.join("l")).expect("there"), b"own");
    assert_eq!(std::fs::read_to_string(&secret).expect("there"), "untouched");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).expect("packed");
    packer.finish().expect("packed")
}

fn refusal(bytes: &[u8], diff_id: &str, limits: &ImageLimits, stop: &Stop) -> Result<u64, Trouble> {
    let root = tempfile::tempdir().expect("a folder");
    unpack(bytes, diff_id, root.path(), (&mut Budget::of(limits), limits), stop)
}

#[test]
fn packed_and_plain_are_the_same_and_a_lie_is_told() {
    if !is_root() {
        return;
    }
    let bytes = archive(&[file("a", b"a")]);
    let (limits, stop) = (ImageLimits::default(), Stop::new());
    let plain = refusal(&bytes, &digest(&bytes), &limits, &stop).expect("unpacked");
    assert_eq!(refusal(&gzip(&bytes), &digest(&bytes), &limits, &stop).expect("unpacked"), plain);
    let is_refused = |result: Result<u64, Trouble>, word: &str| match result {
        Err(Trouble::Image(reason)) => assert!(reason.contains(word), "{reason}"),
        other => panic!("{other:?}"),
    };
    is_refused(refusal(&bytes, &digest(b"other"), &limits, &stop), "lies about its digest");
    let mut more = bytes.clone();
    more.push(1);
    is_refused(refusal(&more, &digest(&bytes), &limits, &stop), "lies about its digest");
    is_refused(refusal(&[0x28, 0xb5, 0x2f, 0xfd, 0, 0], &digest(&bytes), &limits, &stop), "zstd");
    is_refused(refusal(&gzip(&bytes)[..40], &digest(&bytes), &limits, &stop), "cannot be unpacked");
    is_refused(refusal(&bytes[..700], &digest(&bytes), &limits, &stop), "");
}

#[test]
fn bombs_end_where_the_limits_are() {
    if !is_root() {
        return;
    }
    let stop = Stop::new();
    let is_refused = |bytes: &[u8], limits: ImageLimits, word: &str| match refusal(bytes, "sha256:x", &limits, &stop) {
        Err(Trouble::Image(reason)) => assert!(reason.contains(word), "{reason}"),
        other => panic!("{other:?}"),
    };
    let limits = ImageLimits::default();
    let mebibyte = hivemind_model::units::Bytes::from_mib(1);
    is_refused(&archive(&[file("a", &vec![0; 2 << 20])]), ImageLimits { unpacked: mebibyte, ..limits }, "larger than");
    let many: Vec<_> = (0..20).map(|n| file(&format!("f{n}"), b"")).collect();
    is_refused(&archive(&many), ImageLimits { entries: 10, ..limits }, "more files");
    let small: Vec<_> = (0..2000).map(|n| file(&format!("f{n}"), b"")).collect();
    is_refused(&archive(&small), ImageLimits { unpacked: mebibyte, ..limits }, "larger than");
    let zeros = gzip(&archive(&[file("z", &vec![0; 80 << 20])]));
    is_refused(&zeros, ImageLimits { ratio: 2, ..limits }, "2 times its size");
    // What stands behind it makes it no better.
    let noise: Vec<u8> = (0..1_u64 << 19).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect();
    let mixed = gzip(&archive(&[file("z", &vec![0; 80 << 20]), file("noise", &noise)]));
    assert!(mixed.len() > 2 << 20, "as a whole it is not beyond the ratio: {} bytes", mixed.len());
    is_refused(&mixed, ImageLimits { ratio: 50, ..limits }, "50 times its size");
    stop.cancel();
    assert!(matches!(refusal(&archive(&many), "sha256:x", &limits, &stop), Err(Trouble::Stopped)));
}
