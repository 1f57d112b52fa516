use super::*;
use std::io::{Read, Write};

fn key(byte: u8) -> Key {
    Key { module: Digest([byte; 32]), config: "00ff".into() }
}

fn keep(cache: &Cache, byte: u8, content: &[u8]) {
    let mut half = cache.half().expect("made");
    half.write_all(content).expect("written");
    cache.keep(&key(byte), half).expect("kept");
}

fn content(cache: &Cache, byte: u8) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(&cache.index.lock().kept.get(&key(byte))?.path).expect("there").read_to_end(&mut bytes).expect("read");
    cache.find(&key(byte)).map(|_| bytes)
}

#[test]
fn code_is_found_again_also_by_the_next_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::open(folder.path(), 1 << 20).expect("opened");
    assert!(cache.find(&key(1)).is_none());
    keep(&cache, 1, b"one");
    keep(&cache, 1, b"one again");
    let next = Cache::open(folder.path(), 1 << 20).expect("opened");
    assert_eq!(content(&next, 1).as_deref(), Some(&b"one again"[..]));
    assert!(next.find(&Key { config: "00fe".into(), ..key(1) }).is_none(), "another compiler's");
}

#[test]
fn what_was_changed_is_not_handed_out() {
    let folder = tempfile::tempdir().expect("a folder");
    keep(&Cache::open(folder.path(), 1 << 20).expect("opened"), 1, b"one");
    let file = std::fs::read_dir(folder.path()).expect("read").next().expect("one").expect("sound").path();
    std::fs::write(&file, b"two").expect("written");
    let cache = Cache::open(folder.path(), 1 << 20).expect("opened");
    assert!(cache.find(&key(1)).is_none());
    assert!(!file.exists());
}

#[test]
fn what_was_used_longest_ago_goes_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::open(folder.path(), 10).expect("opened");
    keep(&cache, 1, b"12345");
    keep(&cache, 2, b"12345");
    assert!(cache.find(&key(1)).is_some());
    keep(&cache, 3, b"12345");
    assert!(cache.find(&key(1)).is_some() && cache.find(&key(3)).is_some() && cache.find(&key(2)).is_none());
    keep(&cache, 4, b"more than all of it");
    assert!(cache.find(&key(4)).is_some());
    assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 1);
}

#[test]
fn only_half_made_files_are_swept() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::open(folder.path(), 10).expect("opened");
    keep(&cache, 1, b"12345");
    let (_, left) = cache.half().expect("made").keep().expect("kept");
    cache.sweep().expect("swept");
    assert!(!left.exists() && cache.find(&key(1)).is_some());
}
