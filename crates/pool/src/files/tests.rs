use super::archive::MOST_ITEMS;
use super::*;
use hivemind_model::Bytes;
use std::io::Write;
use tar::{Builder, EntryType, Header};

fn on_disk(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file
}

fn read(content: &[u8]) -> io::Result<Index> {
    archive::read(&on_disk(content), content.len() as u64)
}

fn header(kind: EntryType, name: &[u8], size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_cksum();
    header
}

/// An archive of entries as they are, whatever a packer would say of them.
fn raw(entries: &[(EntryType, &[u8], &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (kind, name, content) in entries {
        archive.extend_from_slice(header(*kind, name, content.len() as u64).as_bytes());
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive
}

const FILE: EntryType = EntryType::Regular;

#[test]
fn contents_lie_where_they_are_said_to_lie() {
    let long = format!("{}/{}", "d".repeat(150), "f".repeat(150));
    let mut builder = Builder::new(Vec::new());
    for (name, content) in [("a", "one"), (&long, "two two"), ("b/c", "")] {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    let content = builder.into_inner().unwrap();
    let index = read(&content).unwrap();
    let found: Vec<(&str, &[u8])> = index
        .items
        .iter()
        .map(|item| (item.path.as_str(), &content[item.at as usize..(item.at + item.size) as usize]))
        .collect();
    assert_eq!(found, [("a", &b"one"[..]), (&long, b"two two"), ("b/c", b"")]);
    assert!(!index.cut);
}

#[test]
fn extended_headers_name_and_size_what_follows() {
    let pax = b"30 mtime=1350244992.023960108\n16 path=n/\xc3\xa4 \xff!\n9 size=3\n";
    let content = raw(&[(EntryType::XHeader, b"pax", pax), (FILE, b"short", b"abc"), (FILE, b"next", b"")]);
    let index = read(&content).unwrap();
    let found: Vec<(&str, u64)> = index.items.iter().map(|item| (item.path.as_str(), item.size)).collect();
    assert_eq!(found, [("n/ä \\xff!", 3), ("next", 0)]);
    let mut sizes = raw(&[(EntryType::XHeader, b"pax", b"12 size=600\n")]);
    sizes.extend(raw(&[(FILE, b"short", b"abc")]));
    assert!(read(&sizes).unwrap_err().to_string().contains("cut short"), "there are no 600 bytes");
}

#[test]
fn folders_that_are_named_twice_are_one_and_the_topmost_is_none() {
    let folder = EntryType::Directory;
    let content = raw(&[(folder, b"./", b""), (folder, b"a/", b""), (folder, b"./a", b""), (FILE, b"a//b", b"x")]);
    let index = read(&content).unwrap();
    let found: Vec<(&str, Kind)> = index.items.iter().map(|item| (item.path.as_str(), item.kind)).collect();
    assert_eq!(found, [("a", Kind::Folder), ("a/b", Kind::File)]);
}

#[test]
fn what_no_client_unpacks_is_refused_with_a_reason() {
    let whole = raw(&[(FILE, b"a", b"content")]);
    let mut sum = whole.clone();
    sum[0] = b'b';
    let mut broken = whole.clone();
    broken.truncate(515);
    let headers = |count: usize| {
        let mut archive = raw(&[(EntryType::XHeader, b"p", b"")]).repeat(count);
        archive.extend(raw(&[(FILE, b"a", b"")]));
        archive
    };
    for (content, why) in [
        (raw(&[(FILE, b"/etc/passwd", b"")]), "is absolute"),
        (raw(&[(FILE, b"a/../../b", b"")]), "leaves the folder"),
        (raw(&[(FILE, b".", b"")]), "a file has no name"),
        (raw(&[(FILE, b"a", b""), (FILE, b"./a", b"")]), "`a` is in it twice"),
        (raw(&[(EntryType::Symlink, b"a", b"")]), "a symbolic link"),
        (raw(&[(EntryType::Link, b"a", b"")]), "a hard link"),
        (raw(&[(EntryType::Char, b"a", b"")]), "a device"),
        (raw(&[(EntryType::Fifo, b"a", b"")]), "a pipe"),
        (raw(&[(EntryType::GNUSparse, b"a", b"")]), "an entry of type"),
        (raw(&[(EntryType::XGlobalHeader, b"a", b"")]), "an entry of type"),
        (raw(&[(EntryType::Directory, b"a", b"x")]), "a folder has content"),
        (raw(&[(EntryType::XHeader, b"a", b"19 path=x\n")]), "an extended header cannot be read"),
        (raw(&[(EntryType::XHeader, b"a", b"10 path=x\n")]), "it ends after a long name"),
        (raw(&[(EntryType::GNULongName, b"a", &[b'x'; 5000])]), "longer than any file system"),
        (raw(&[(EntryType::GNULongName, b"a", &[b'x'; 300]), (FILE, b"a", b"")]), "too long or too deep"),
        (sum, "a wrong checksum"),
        (broken, "it is cut short"),
        (b"archive".to_vec(), "it is cut short"),
        (header(FILE, b"a", 1 << 60).as_bytes().to_vec(), "it is cut short"),
        (headers(4 * MOST_ITEMS), "too many headers"),
    ] {
        let error = read(&content).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains(why), "{why}: {error}");
    }
}

#[test]
fn no_more_is_listed_than_the_bound() {
    let many = |count: usize| {
        let mut archive = Vec::new();
        for number in 0..count {
            archive.extend_from_slice(header(FILE, format!("f{number}").as_bytes(), 0).as_bytes());
        }
        read(&archive).unwrap()
    };
    let (all, more) = (many(MOST_ITEMS), many(MOST_ITEMS + 1));
    assert_eq!((all.items.len(), all.cut), (MOST_ITEMS, false));
    assert_eq!((more.items.len(), more.cut), (MOST_ITEMS, true));
    // Many long names end the list earlier.
    let mut archive = Vec::new();
    for number in 0..1000 {
        let name = vec![[b'n'; 250].as_slice(); 15].join(&b'/');
        let name = [name.as_slice(), format!("/{number}").as_bytes()].concat();
        archive.extend(raw(&[(EntryType::GNULongName, b"l", &name), (FILE, b"f", b"")]));
    }
    let index = read(&archive).unwrap();
    assert!(index.cut && index.bytes() < 4 << 20, "{}", index.items.len());
}

#[tokio::test]
async fn what_was_read_once_is_known_and_few_are_remembered() {
    let files = Files::default();
    let content = raw(&[(FILE, b"a", b"content")]);
    let blob = |number: usize| {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_le_bytes());
        BlobRef { digest: Digest(digest), size: Bytes(content.len() as u64) }
    };
    let first = files.index(blob(0), on_disk(&content)).await.unwrap();
    let again = files.index(blob(0), on_disk(b"")).await.unwrap();
    assert!(Arc::ptr_eq(&first, &again), "the file is not read again");
    for number in 1..=MOST_ARCHIVES {
        files.index(blob(number), on_disk(&content)).await.unwrap();
        files.index(blob(0), on_disk(b"")).await.unwrap();
    }
    {
        let cache = files.cache.lock();
        assert_eq!(cache.known.len(), MOST_ARCHIVES);
        assert!(cache.known.contains_key(&blob(0).digest) && !cache.known.contains_key(&blob(1).digest));
        assert_eq!(cache.bytes, cache.known.values().map(|(_, index)| index.bytes()).sum::<usize>());
    }
    assert!(files.index(blob(9999), on_disk(b"no archive")).await.is_err());
    assert!(!files.cache.lock().known.contains_key(&blob(9999).digest), "what cannot be read is not remembered");
}
