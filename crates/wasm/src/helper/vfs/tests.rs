use super::*;
use crate::helper::vfs::path::{Place, find, walk};
use proptest::prelude::*;

fn vfs(most: u64) -> Vfs {
    Vfs::new(tempfile::tempfile().expect("a file"), most)
}

fn errno<T: std::fmt::Debug>(answer: Answer<T>) -> Errno {
    match answer.expect_err("refused") {
        Fail::Errno(errno) => errno,
        Fail::Halt(halt) => panic!("{halt}"),
    }
}

fn given(content: &[u8]) -> File {
    let file = tempfile::tempfile().expect("a file");
    file.write_all_at(content, 0).expect("written");
    file
}

fn all(vfs: &Vfs, ino: Ino) -> Vec<u8> {
    let mut bytes = vec![0xAA; usize::try_from(vfs.facts(ino).expect("there").size).expect("small")];
    assert_eq!(vfs.read(ino, 0, &mut bytes).expect("read"), bytes.len());
    bytes
}

#[test]
fn no_path_leads_above_its_beginning() {
    let mut vfs = vfs(1 << 20);
    let inner = vfs.make_folder(ROOT, "a").expect("made");
    let file = vfs.make_file(inner, "f").expect("made");
    let place = |base, path: &'static str| walk(&vfs, base, path.as_bytes());
    for path in ["..", "../x", "a/../..", "a/../../a", "/", "/etc/passwd", "./../x", "a/./../.."] {
        assert_eq!(errno(place(ROOT, path)), Errno::Notcapable, "{path}");
    }
    assert_eq!(errno(place(inner, "../a/f")), Errno::Notcapable);
    assert_eq!(place(ROOT, "a/..").expect("found"), Place::Folder(ROOT));
    assert_eq!(place(ROOT, "a//./f").expect("found"), Place::Named { folder: inner, name: "f", is_folder: false });
    assert_eq!(find(&vfs, ROOT, b"a/f").expect("found"), file);
    for (path, expected) in [
        ("a/f/x", Errno::Notdir),
        ("a/f/..", Errno::Notdir),
        ("a/f/", Errno::Notdir),
        ("b/x", Errno::Noent),
        ("", Errno::Noent),
        ("a\0b", Errno::Inval),
    ] {
        assert_eq!(errno(find(&vfs, ROOT, path.as_bytes())), expected, "{path:?}");
    }
    assert_eq!(errno(find(&vfs, ROOT, b"\xff")), Errno::Ilseq);
    assert_eq!(errno(find(&vfs, ROOT, &[b'x'; 256])), Errno::Nametoolong);
    assert_eq!(errno(find(&vfs, ROOT, &[b'.'; 4097])), Errno::Nametoolong);
}

#[test]
fn inputs_are_copied_when_they_are_written_to() {
    let mut vfs = vfs(1 << 20);
    let content: Vec<u8> = (0..10_000u32).map(|n| n.to_le_bytes()[0]).collect();
    let original = given(&content);
    vfs.add_input("in/data", 10_000, original.try_clone().expect("cloned")).expect("added");
    let ino = find(&vfs, ROOT, b"in/data").expect("found");
    assert_eq!(all(&vfs, ino), content);
    vfs.write(ino, 5_000, b"new").expect("written");
    let mut expected = content.clone();
    expected[5_000..5_003].copy_from_slice(b"new");
    assert_eq!(all(&vfs, ino), expected);
    let mut before = vec![0; 10_000];
    original.read_exact_at(&mut before, 0).expect("read");
    assert_eq!(before, content);
}

#[test]
fn the_disk_is_counted_in_blocks_holes_too() {
    let mut vfs = vfs(3 * store::BLOCK + 100);
    let one = vfs.make_file(ROOT, "1").expect("made");
    let two = vfs.make_file(ROOT, "2").expect("made");
    vfs.write(one, 0, b"x").expect("fits");
    vfs.set_size(two, 2 * store::BLOCK).expect("fits");
    assert_eq!(errno(vfs.write(one, store::BLOCK - 1, b"xy")), Errno::Nospc);
    assert_eq!(errno(vfs.set_size(two, 2 * store::BLOCK + 1)), Errno::Nospc);
    assert_eq!(errno(vfs.write(one, u64::MAX - 1, b"xyz")), Errno::Fbig);
    assert_eq!(errno(vfs.set_size(one, u64::MAX)), Errno::Fbig);
    vfs.hold(two).expect("held");
    vfs.remove_file(ROOT, "2").expect("removed");
    assert_eq!(errno(vfs.set_size(one, store::BLOCK + 1)), Errno::Nospc, "an open file still counts");
    vfs.release(two).expect("released");
    vfs.set_size(one, 3 * store::BLOCK).expect("fits now");
}

#[test]
fn what_was_there_before_is_never_seen_again() {
    let mut vfs = vfs(1 << 20);
    let one = vfs.make_file(ROOT, "1").expect("made");
    vfs.write(one, 0, &[7; 9000]).expect("written");
    vfs.set_size(one, 10).expect("shorter");
    vfs.set_size(one, 9000).expect("longer");
    let mut expected = vec![0; 9000];
    expected[..10].fill(7);
    assert_eq!(all(&vfs, one), expected);
    let two = vfs.make_file(ROOT, "2").expect("made");
    vfs.write(two, 8999, b"z").expect("written");
    assert!(all(&vfs, two)[..8999].iter().all(|byte| *byte == 0));
}

#[test]
fn names_move_as_they_should() {
    let mut vfs = vfs(1 << 20);
    let outer = vfs.make_folder(ROOT, "outer").expect("made");
    let inner = vfs.make_folder(outer, "inner").expect("made");
    let file = vfs.make_file(ROOT, "file").expect("made");
    assert_eq!(errno(vfs.rename((ROOT, "outer"), (inner, "x"))), Errno::Inval);
    assert_eq!(errno(vfs.rename((ROOT, "outer"), (ROOT, "file"))), Errno::Notdir);
    assert_eq!(errno(vfs.rename((ROOT, "file"), (ROOT, "outer"))), Errno::Isdir);
    assert_eq!(errno(vfs.remove_folder(ROOT, "outer")), Errno::Notempty);
    assert_eq!(errno(vfs.remove_folder(ROOT, "file")), Errno::Notdir);
    assert_eq!(errno(vfs.remove_file(ROOT, "outer")), Errno::Isdir);
    assert_eq!(errno(vfs.make_file(ROOT, "file")), Errno::Exist);
    vfs.rename((ROOT, "file"), (inner, "g")).expect("moved");
    assert_eq!(find(&vfs, ROOT, b"outer/inner/g").expect("found"), file);
    vfs.rename((outer, "inner"), (ROOT, "inner")).expect("moved");
    assert_eq!(vfs.parent(inner).expect("a folder"), ROOT);
    vfs.hold(outer).expect("held");
    vfs.remove_folder(ROOT, "outer").expect("removed");
    assert_eq!(errno(vfs.make_file(outer, "late")), Errno::Noent);
}

proptest! {
    /// A file in blocks is what a vector would be, whatever is done to it and beside it.
    #[test]
    fn files_hold_what_was_written(steps in prop::collection::vec((0u8..3, 0u64..20_000, 0usize..9_000), 1..40)) {
        let mut vfs = vfs(1 << 20);
        let inos = [vfs.make_file(ROOT, "0").expect("made"), vfs.make_file(ROOT, "1").expect("made")];
        let mut models = [Vec::new(), Vec::new()];
        for (turn, (what, offset, length)) in steps.into_iter().enumerate() {
            let (ino, model): (Ino, &mut Vec<u8>) = (inos[turn % 2], &mut models[turn % 2]);
            let at = usize::try_from(offset).expect("small");
            if what == 0 {
                vfs.set_size(ino, offset).expect("sized");
                model.resize(at, 0);
            } else {
                let bytes = vec![u8::try_from(turn + 1).expect("small"); length];
                vfs.write(ino, offset, &bytes).expect("written");
                if length > 0 && model.len() < at + length {
                    model.resize(at + length, 0);
                }
                if length > 0 {
                    model[at..at + length].copy_from_slice(&bytes);
                }
            }
            prop_assert_eq!(&all(&vfs, ino), model);
        }
    }
}
