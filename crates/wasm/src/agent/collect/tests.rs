use super::*;
use crate::wire::Voice;
use std::os::unix::net::UnixStream;

fn wanted(outputs: &[&str]) -> Wanted {
    Wanted { outputs: outputs.iter().map(|output| (*output).to_owned()).collect(), most: 100 }
}

#[test]
fn only_plain_paths_within_what_is_kept() {
    let one = wanted(&["output"]);
    assert_eq!(one.inner("output").expect("kept"), None);
    assert_eq!(one.inner("output/a/b").expect("kept"), Some("a/b"));
    let two = wanted(&["a/b", "output"]);
    assert_eq!(two.inner("output/x").expect("kept"), Some("output/x"));
    assert_eq!(two.inner("a/b").expect("kept"), Some("a/b"));
    for path in ["", "/", "x", "a", "a/bc", "outputs", "output/../x", "output//x", "output/.", "/output", "output/\n"] {
        assert!(two.inner(path).is_err(), "{path:?}");
    }
}

/// What comes of a helper that says this, in this order.
fn told(says: &[(Tell, &[u8])], scratch: &Path) -> io::Result<Collected> {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let voice = Voice::new(theirs);
    says.iter().for_each(|(tell, bytes)| voice.say(*tell, bytes).expect("said"));
    drop(voice);
    collect(BlockingFrames::of(ours), &wanted(&["output"]), scratch)
}

fn entry(path: &str, size: u64) -> Vec<u8> {
    format!(r#"{{"path":"{path}","size":{size}}}"#).into_bytes()
}

const DONE: (Tell, &[u8]) = (Tell::Done, br#"{"count":0,"first":""}"#);

#[test]
fn a_sound_helper_is_believed() {
    let scratch = tempfile::tempdir().expect("a folder");
    let file = entry("output/a", 5);
    let says: [(Tell, &[u8]); 4] = [(Tell::Entry, &file), (Tell::Data, b"he"), (Tell::Data, b"llo"), DONE];
    let collected = told(&says, scratch.path()).expect("collected");
    let archive = collected.archive.expect("something");
    let mut archive = tar::Archive::new(archive.reopen().expect("there"));
    let mut content = String::new();
    let mut first = archive.entries_with_seek().expect("entries").next().expect("one").expect("sound");
    first.read_to_string(&mut content).expect("text");
    assert_eq!(content, "hello");
}

#[test]
fn a_broken_in_helper_is_not() {
    let scratch = tempfile::tempdir().expect("a folder");
    let (small, large, out) = (entry("output/a", 5), entry("output/a", 101), entry("output/../../a", 0));
    let small = (Tell::Entry, &small[..]);
    let cases: [&[(Tell, &[u8])]; 11] = [
        &[],
        &[small],
        &[small, (Tell::Data, b"he")],
        &[small, (Tell::Data, b"hello!"), DONE],
        &[small, (Tell::Data, b""), DONE],
        &[small, (Tell::Data, b"he"), small, DONE],
        &[(Tell::Entry, &large), DONE],
        &[(Tell::Entry, &out), DONE],
        &[(Tell::Entry, b"{}"), DONE],
        &[(Tell::Data, b"he"), DONE],
        &[(Tell::Stdout, b"he"), DONE],
    ];
    for (number, says) in cases.into_iter().enumerate() {
        assert!(told(says, scratch.path()).is_err(), "{number}");
    }
}
