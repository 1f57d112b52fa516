use super::*;
use hivemind_model::{ElementRef, TaskId};
use std::os::unix::fs::PermissionsExt;

const ADA: Sender = Sender::User(UserId(1));

fn files_below(dir: &Path) -> usize {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| if entry.path().is_dir() { files_below(&entry.path()) } else { 1 })
        .sum()
}

fn store(dir: &Path) -> Blobs {
    Blobs::open(dir.join("blobs"), Disk::new(dir, 0, 0)).unwrap()
}

#[tokio::test]
async fn a_stream_becomes_a_blob_of_its_digest() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = store(dir.path());
    let mut writer = blobs.writer(ADA, 6).await.unwrap();
    writer.write(Bytes::from_static(b"abc")).await.unwrap();
    writer.write(Bytes::from_static(b"def")).await.unwrap();
    let blob = writer.finish().await.unwrap();
    assert_eq!(blob.digest, digest_of(b"abcdef"));
    assert_eq!(blobs.put(Bytes::from_static(b"abcdef")).await.unwrap(), blob);
    assert_eq!(blobs.size(blob.digest).await.unwrap(), Some(6));
    assert!(blobs.read(digest_of(b"other")).await.unwrap().is_none());
}

#[tokio::test]
async fn what_does_not_end_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = store(dir.path());
    let mut writer = blobs.writer(ADA, 6).await.unwrap();
    writer.write(Bytes::from_static(b"abc")).await.unwrap();
    assert!(matches!(writer.write(Bytes::from_static(b"defg")).await, Err(BlobError::TooLong(6))));
    assert!(matches!(writer.finish().await, Err(BlobError::TooShort { got: 3, announced: 6 })));
    drop(blobs.writer(ADA, 6).await.unwrap());
    assert_eq!(files_below(&dir.path().join("blobs")), 0);
}

#[tokio::test]
async fn leftovers_go_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    drop(store(dir.path()));
    fs::write(dir.path().join("blobs/tmp/half"), b"x").unwrap();
    drop(store(dir.path()));
    assert_eq!(files_below(&dir.path().join("blobs")), 0);
}

#[tokio::test]
async fn a_full_disk_takes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path().join("blobs"), Disk::new(dir.path(), u64::MAX, 0)).unwrap();
    for error in [blobs.put(Bytes::from_static(b"x")).await.err().unwrap(), blobs.writer(ADA, 1).await.err().unwrap()] {
        assert!(matches!(error, BlobError::Io(error) if error.kind() == io::ErrorKind::StorageFull));
    }
    assert_eq!(files_below(&dir.path().join("blobs")), 0);
}

#[tokio::test]
async fn a_digest_alone_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = store(dir.path());
    let blob = blobs.put(Bytes::from_static(b"secret")).await.unwrap();
    blobs.allow(UserId(1), blob.digest).await.unwrap();
    assert_eq!(blobs.size_for(UserId(1), blob.digest).await.unwrap(), Some(6));
    assert_eq!(blobs.size_for(UserId(2), blob.digest).await.unwrap(), None);
}

#[tokio::test]
async fn an_output_is_what_was_sent_for_that_very_attempt() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = store(dir.path());
    let attempt = |number| ElementRef::only(TaskId(7)).attempt(number);
    let blob = blobs.put(Bytes::from_static(b"secret")).await.unwrap();
    assert_eq!(blobs.output_size(attempt(1), blob.digest).await.unwrap(), None);
    blobs.note_output(attempt(1), blob.digest).await.unwrap();
    drop(blobs);
    let blobs = store(dir.path());
    assert_eq!(blobs.output_size(attempt(1), blob.digest).await.unwrap(), Some(6));
    assert_eq!(blobs.output_size(attempt(2), blob.digest).await.unwrap(), None);
    blobs.forget_output(attempt(1), blob.digest).await.unwrap();
    blobs.forget_output(attempt(1), blob.digest).await.unwrap();
    assert_eq!(blobs.output_size(attempt(1), blob.digest).await.unwrap(), None);
}

#[tokio::test]
async fn no_other_user_of_the_machine_may_look() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = store(dir.path());
    blobs.put(Bytes::from_static(b"secret")).await.unwrap();
    let mode = fs::metadata(dir.path().join("blobs")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}
