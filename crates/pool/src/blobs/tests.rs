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

fn half(blobs: &Blobs, content: &[u8]) -> impl Future<Output = ()> {
    let whole = BlobRef { digest: digest_of(content), size: Size(content.len() as u64) };
    let (name, half) = (PartName::of_user(UserId(1), &whole.digest), Bytes::copy_from_slice(&content[..1]));
    let blobs = blobs.clone();
    async move {
        let mut writer = blobs.resume(ADA, name, whole, 0).await.unwrap();
        writer.write(half).await.unwrap();
    }
}

#[tokio::test]
async fn a_sender_has_few_parts_and_the_oldest_goes() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = store(dir.path());
    let content = |n: usize| format!("{n} and more").into_bytes();
    for n in 0..partial::MOST_OF_ONE + 3 {
        half(&blobs, &content(n)).await;
        let part = PartName::of_user(UserId(1), &digest_of(&content(n)));
        assert_eq!(blobs.received(part).await.unwrap(), 1);
    }
    assert_eq!(files_below(&dir.path().join("blobs/partial")), partial::MOST_OF_ONE);
}

#[tokio::test]
async fn a_part_that_nobody_touches_goes_at_the_start_and_later() {
    let dir = tempfile::tempdir().unwrap();
    let parts = dir.path().join("blobs/partial");
    let blobs = store(dir.path());
    half(&blobs, b"abc").await;
    let now = SystemTime::now();
    blobs.sweep_partials(now + partial::KEPT_FOR / 2).await.unwrap();
    assert_eq!(files_below(&parts), 1);
    blobs.sweep_partials(now + partial::KEPT_FOR * 2).await.unwrap();
    assert_eq!(fs::read_dir(&parts).unwrap().count(), 0);
    half(&blobs, b"abc").await;
    drop(blobs);
    let part = fs::read_dir(parts.join("user-1")).unwrap().next().unwrap().unwrap().path();
    File::options().write(true).open(part).unwrap().set_modified(now - partial::KEPT_FOR * 2).unwrap();
    drop(store(dir.path()));
    assert_eq!(files_below(&parts), 0);
}

#[tokio::test]
async fn a_part_without_content_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = store(dir.path());
    let whole = BlobRef { digest: digest_of(b"abc"), size: Size(3) };
    let name = || PartName::of_user(UserId(1), &whole.digest);
    drop(blobs.resume(ADA, name(), whole, 0).await.unwrap());
    assert_eq!(files_below(&dir.path().join("blobs")), 0);
    let refused = blobs.resume(ADA, name(), whole, 1).await.err().unwrap();
    assert!(matches!(refused, BlobError::Offset { offset: 1, here: 0 }));
    let empty = BlobRef { digest: digest_of(b""), size: Size(0) };
    let writer = blobs.resume(ADA, PartName::of_user(UserId(1), &empty.digest), empty, 0).await.unwrap();
    assert_eq!(writer.finish().await.unwrap(), empty);
}
