use super::*;
use std::fs::{create_dir, read, read_dir, read_to_string, write};
use std::io::Cursor;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

/// A header with any name, which the builder itself would refuse.
fn header(name: &[u8], kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    header
}

fn archive(entries: &[(&[u8], EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, kind, content) in entries {
        builder.append(&header(name, *kind, content.len() as u64), *content).expect("appended");
    }
    builder.into_inner().expect("an archive")
}

fn file(name: &[u8], content: &[u8]) -> Vec<u8> {
    archive(&[(name, EntryType::Regular, content)])
}

fn pax(record: &[u8], name: &[u8], content: &[u8]) -> Vec<u8> {
    archive(&[(b"pax", EntryType::XHeader, record), (name, EntryType::Regular, content)])
}

struct Place {
    _dir: TempDir,
    outside: PathBuf,
    into: PathBuf,
}

fn place() -> Place {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (outside, into) = (dir.path().join("outside"), dir.path().join("into"));
    create_dir(&outside).expect("a folder");
    Place { _dir: dir, outside, into }
}

fn try_unpack(archive: &[u8], into: &Path, existing: Existing) -> std::result::Result<Unpacked, ClientError> {
    unpack(Cursor::new(archive), into, UnpackLimits { entries: 10, bytes: 10_000 }, existing)
}

#[test]
fn files_and_folders_come_out_as_they_went_in() {
    let long = format!("{}/{}/deep.txt", "d".repeat(120), "e".repeat(120));
    let mut builder = Builder::new(Vec::new());
    builder.append(&header(b"./", EntryType::Directory, 0), &b""[..]).expect("appended");
    builder.append(&header(b"./a/b.txt", EntryType::Regular, 2), &b"hi"[..]).expect("appended");
    builder.append(&header(b"empty/", EntryType::Directory, 0), &b""[..]).expect("appended");
    let mut tool = header(b"tool", EntryType::Regular, 1);
    tool.set_mode(0o4755);
    tool.set_cksum();
    builder.append(&tool, &b"x"[..]).expect("appended");
    let mut plain = Header::new_gnu();
    plain.set_size(4);
    plain.set_mode(0o600);
    builder.append_data(&mut plain, &long, &b"deep"[..]).expect("appended");
    builder.append_pax_extensions([("mtime", &b"1.5"[..]), ("path", "p/ü.txt".as_bytes())]).expect("appended");
    builder.append(&header(b"short", EntryType::Regular, 3), &b"pax"[..]).expect("appended");
    let place = place();
    let done = try_unpack(&builder.into_inner().expect("an archive"), &place.into, Existing::Refuse).expect("unpacked");
    assert_eq!(done, Unpacked { files: 4, bytes: 10 });
    for (name, content) in [("a/b.txt", "hi"), ("tool", "x"), (long.as_str(), "deep"), ("p/ü.txt", "pax")] {
        assert_eq!(read_to_string(place.into.join(name)).expect(name), content);
    }
    assert!(place.into.join("empty").is_dir());
    let mode = |name: &str| place.into.join(name).metadata().expect(name).permissions().mode();
    assert_eq!(mode("tool") & 0o7111, 0o111 & mode("tool"), "no set-user-id bit");
    assert_eq!(mode("a/b.txt") & 0o111, 0);
}

#[test]
fn a_hostile_archive_is_refused_and_nothing_is_written() {
    use EntryType::{
        Block, Char, Directory, Fifo, GNULongName, GNUSparse, Link, Regular, Symlink, XGlobalHeader, XHeader,
    };
    let harmless: (&[u8], EntryType, &[u8]) = (b"harmless", Regular, b"1");
    let with =
        |name: &'static [u8], kind: EntryType, content: &'static [u8]| archive(&[harmless, (name, kind, content)]);
    let many: Vec<(Vec<u8>, EntryType)> = (0..11).map(|n| (format!("f{n}").into_bytes(), Regular)).collect();
    let many: Vec<(&[u8], EntryType, &[u8])> =
        many.iter().map(|(name, kind)| (name.as_slice(), *kind, &b""[..])).collect();
    let mut cut = with(b"x", Regular, &[7; 2000]);
    cut.truncate(3000);
    let mut forged = file(b"x", b"1");
    forged[0] = b'y';
    let mut bomb = header(b"bomb", Regular, u64::MAX / 4).as_bytes().to_vec();
    bomb.extend([0; 1024]);
    let mut long_bomb = header(b"long", GNULongName, 1 << 40).as_bytes().to_vec();
    long_bomb.extend([0; 4096]);
    for (archive, why) in [
        (with(b"../x", Regular, b"1"), "leaves the folder"),
        (with(b"a/../../x", Regular, b"1"), "leaves the folder"),
        (with(b"..", Directory, b""), "leaves the folder"),
        (with(b"/tmp/x", Regular, b"1"), "is absolute"),
        (with(b"a\x1b[2J", Regular, b"1"), "control character"),
        (with(b"./", Regular, b"1"), "a folder with content"),
        (with(b".", Regular, b"1"), "without a name"),
        (with(b"l", Symlink, b""), "a symbolic link"),
        (with(b"l", Link, b""), "a hard link"),
        (with(b"l", Char, b""), "a device"),
        (with(b"l", Block, b""), "a device"),
        (with(b"l", Fifo, b""), "a pipe"),
        (with(b"l", GNUSparse, b""), "entry of type"),
        (with(b"l", XGlobalHeader, b""), "entry of type"),
        (with(b"harmless", Regular, b"2"), "twice"),
        (with(b"./harmless", Regular, b"2"), "twice"),
        (with(b"harmless/x", Regular, b"2"), "as a file and as a folder"),
        (with(b"harmless/./", Directory, b""), "twice"),
        (with(b"big", Regular, &[0; 10_001]), "which is the limit"),
        (archive(&many), "which is the limit"),
        (bomb, "which is the limit"),
        (long_bomb, "longer than any file system"),
        (archive(&[(b"n", GNULongName, b"../x\0"), harmless]), "leaves the folder"),
        (archive(&[(b"n", GNULongName, b"x\0")]), "ends after a long name"),
        (pax(b"13 path=../x\n", b"x", b"1"), "leaves the folder"),
        (pax(b"26 size=99999999999999999\n", b"x", b"1"), "which is the limit"),
        (pax(b"22 GNU.sparse.major=1\n", b"x", b"1"), "sparse"),
        (pax(b"99 path=x\n", b"x", b"1"), "extended header"),
        (pax(b"path=x\n", b"x", b"1"), "extended header"),
        (archive(&[(b"p", XHeader, &[b'1'; 70_000])]), "longer than any file system"),
        (cut, "cut short"),
        (forged, "wrong checksum"),
        (b"not an archive at all".to_vec(), "cut short"),
    ] {
        let place = place();
        let refused = try_unpack(&archive, &place.into, Existing::Replace).expect_err(why).to_string();
        assert!(refused.contains(why), "{why}: {refused}");
        assert!(!place.into.exists(), "{why}: something was written");
    }
}

#[test]
fn links_that_are_already_there_are_not_followed() {
    for existing in [Existing::Refuse, Existing::Replace] {
        let place = place();
        create_dir(&place.into).expect("a folder");
        symlink(&place.outside, place.into.join("link")).expect("a link");
        let refused = try_unpack(&file(b"link/x", b"1"), &place.into, existing).expect_err("a link on the way");
        assert!(matches!(&refused, ClientError::Io { source, .. } if source.to_string().contains("link")), "{refused}");
        assert_eq!(read_dir(&place.outside).expect("a folder").count(), 0);
    }
}

#[test]
fn a_link_in_the_place_of_a_file_is_refused_or_replaced_itself() {
    let place = place();
    create_dir(&place.into).expect("a folder");
    let victim = place.outside.join("victim");
    write(&victim, "precious").expect("written");
    symlink(&victim, place.into.join("x")).expect("a link");
    assert!(try_unpack(&file(b"x", b"1"), &place.into, Existing::Refuse).is_err());
    assert!(place.into.join("x").is_symlink());
    try_unpack(&file(b"x", b"1"), &place.into, Existing::Replace).expect("replaced");
    assert!(!place.into.join("x").is_symlink());
    assert_eq!(read(place.into.join("x")).expect("there"), b"1");
    assert_eq!(read_to_string(&victim).expect("there"), "precious");
}

#[test]
fn what_is_there_stays_unless_replacing_is_allowed() {
    let place = place();
    create_dir(&place.into).expect("a folder");
    write(place.into.join("x"), "old").expect("written");
    let refused = try_unpack(&file(b"x", b"new"), &place.into, Existing::Refuse).expect_err("already there");
    assert!(
        matches!(&refused, ClientError::Io { source, .. } if source.kind() == ErrorKind::AlreadyExists),
        "{refused}"
    );
    assert_eq!(read_to_string(place.into.join("x")).expect("there"), "old");
    try_unpack(&file(b"x", b"new"), &place.into, Existing::Replace).expect("replaced");
    assert_eq!(read_to_string(place.into.join("x")).expect("there"), "new");
    assert!(
        try_unpack(&file(b"x/y", b"1"), &place.into, Existing::Replace).is_err(),
        "a file stands where a folder should be"
    );
    assert_eq!(read_dir(&place.into).expect("a folder").count(), 1, "nothing temporary is left");
}
