use super::*;
use crate::disk::Disk;
use bytes::Bytes;
use hivemind_model::UserId;

const ADA: UserId = UserId(1);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

fn store(dir: &Path) -> Blobs {
    Blobs::open(dir.join("blobs"), Disk::new(dir, 0, 0)).unwrap()
}

async fn put(blobs: &Blobs, content: &'static str) -> Digest {
    blobs.put(Bytes::from_static(content.as_bytes())).await.unwrap().digest
}

/// Makes a file look as if nobody had touched it for so long.
fn age(path: &Path, by: Duration) {
    File::open(path).unwrap().set_modified(SystemTime::now() - by).unwrap();
}

fn all_of(mut walk: Walk) -> Vec<PathBuf> {
    let mut files = Vec::new();
    while let Some(more) = walk.step().unwrap() {
        files.extend(more);
    }
    files
}

/// A pass without the rows of a store.
async fn pass(blobs: &Blobs, keep: Duration, live: bool) -> (u64, u64, u64) {
    let pass = blobs.begin_pass().await;
    let rights = blobs.check_rights(all_of(blobs.rights().unwrap()), Some(keep)).await.unwrap();
    let notes = blobs.check_notes(all_of(blobs.notes().unwrap()), move |_| live).await.unwrap();
    let gone = blobs.remove_unmarked(all_of(blobs.all().unwrap()), pass, Duration::ZERO).await.unwrap();
    (rights.files, notes.files, gone.files)
}

fn attempt() -> AttemptRef {
    ElementRef::only(TaskId(4)).attempt(2)
}

#[tokio::test]
async fn what_has_no_name_goes_and_a_name_goes_before_its_content() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = store(dir.path());
    let (unnamed, sent, left) = (put(&blobs, "unnamed").await, put(&blobs, "sent").await, put(&blobs, "left").await);
    blobs.allow(ADA, sent).await.unwrap();
    blobs.note_output(attempt(), left).await.unwrap();
    let inner = blobs.inner.clone();
    let (right, note) = (inner.reference(ADA, &sent), inner.output(attempt(), &left));
    [unnamed, sent, left].iter().for_each(|digest| age(&inner.path(digest), 2 * MONTH));
    age(&note, 2 * MONTH);
    assert_eq!(pass(&blobs, MONTH, true).await, (0, 0, 1));
    assert_eq!(blobs.size(unnamed).await.unwrap(), None);
    assert_eq!(blobs.size_for(ADA, sent).await.unwrap(), Some(4));
    assert_eq!(blobs.output_size(attempt(), left).await.unwrap(), Some(4));
    // A use keeps a right, and a right its content.
    age(&right, MONTH / 2);
    blobs.size_for(ADA, sent).await.unwrap();
    age(&inner.path(&sent), 2 * MONTH);
    assert_eq!(pass(&blobs, MONTH / 3, true).await, (0, 0, 0));
    age(&right, 2 * MONTH);
    let mut reader = blobs.read(sent).await.unwrap().unwrap();
    assert_eq!(pass(&blobs, MONTH, false).await, (1, 1, 2));
    assert_eq!((blobs.size_for(ADA, sent).await.unwrap(), blobs.size(left).await.unwrap()), (None, None));
    let mut text = String::new();
    io::Read::read_to_string(&mut reader, &mut text).unwrap();
    assert_eq!(text, "sent", "who reads is not disturbed");
    assert_eq!(put(&blobs, "sent").await, sent, "it can be sent again");
    assert_eq!(pass(&blobs, MONTH, false).await, (0, 0, 1));
}

#[tokio::test]
async fn what_has_no_name_yet_waits_for_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = store(dir.path());
    let digest = put(&blobs, "new").await;
    let path = blobs.inner.path(&digest);
    for (old, gone) in [(23, 0), (25, 1)] {
        age(&path, Duration::from_secs(old * 3600));
        let pass = blobs.begin_pass().await;
        let freed = blobs.remove_unmarked(all_of(blobs.all().unwrap()), pass, Duration::from_secs(24 * 3600)).await;
        assert_eq!(freed.unwrap().files, gone, "after {old} hours");
    }
}

#[tokio::test]
async fn what_is_found_while_a_pass_goes_on_stays() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = store(dir.path());
    let mut digests = Vec::new();
    for number in 0..200u32 {
        let blob = blobs.put(Bytes::from(number.to_le_bytes().to_vec())).await.unwrap();
        age(&blobs.inner.path(&blob.digest), MONTH);
        digests.push(blob.digest);
    }
    let pass = blobs.begin_pass().await;
    let _use = blobs.begin_use();
    let files = all_of(blobs.all().unwrap());
    assert_eq!(files.len(), digests.len());
    let removing = tokio::spawn({
        let blobs = blobs.clone();
        async move { blobs.remove_unmarked(files, pass, Duration::ZERO).await.unwrap().files }
    });
    let mut found = Vec::new();
    for digest in &digests {
        if blobs.size(*digest).await.unwrap().is_some() {
            found.push(*digest);
        }
    }
    let removed = removing.await.unwrap();
    assert_eq!(removed + found.len() as u64, digests.len() as u64);
    for digest in found {
        assert!(blobs.read(digest).await.unwrap().is_some(), "{digest} was found, and then removed");
    }
}

#[tokio::test]
async fn files_of_others_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = store(dir.path());
    let digest = put(&blobs, "x").await;
    let folder = blobs.inner.path(&digest).parent().unwrap().to_owned();
    for place in [folder.join("lost+found"), dir.path().join("blobs/refs/outputs/1.2.x"), dir.path().join("blobs/zz")] {
        fs::write(&place, "?").unwrap();
        age(&place, MONTH);
    }
    assert_eq!(pass(&blobs, MONTH, false).await, (0, 0, 1));
    assert!(folder.join("lost+found").exists() && dir.path().join("blobs/refs/outputs/1.2.x").exists());
}
