use super::pool::Pool;
use super::{client, soon};
use crate::ClientError;
use bytes::Bytes;
use hivemind_model::TaskId;
use hivemind_proto::v1::DownloadChunk;
use sha2::{Digest, Sha256};
use std::path::Path;
use tonic::Status;

fn content() -> Vec<u8> {
    (0..1_000_000u32).map(|n| (n % 251) as u8).collect()
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

fn head(content: &[u8]) -> Result<DownloadChunk, Status> {
    Ok(DownloadChunk { size: content.len() as i64, digest: digest(content), data: Bytes::new() })
}

fn data(content: &[u8]) -> Result<DownloadChunk, Status> {
    Ok(DownloadChunk { size: 0, digest: String::new(), data: Bytes::copy_from_slice(content) })
}

fn lost() -> Result<DownloadChunk, Status> {
    Err(Status::unavailable("the pool is stopping"))
}

#[tokio::test]
async fn a_download_goes_on_where_it_broke() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let whole = content();
    pool.scripts
        .download
        .then(vec![head(&whole), data(&whole[..300_000]), lost()])
        .then(vec![head(&whole), data(&whole[300_000..700_000])])
        .then(vec![head(&whole), data(&whole[700_000..])]);
    let (mut got, mut last) = (Vec::new(), (0, 0));
    let blob = soon(client.download(TaskId(1), &mut got, |done, of| last = (done, of))).await.expect("downloaded");
    assert_eq!(blob.digest.to_string(), digest(&whole));
    assert!(got == whole && last == (1_000_000, 1_000_000));
    let offsets: Vec<i64> = pool.scripts.download.asked().iter().map(|request| request.offset).collect();
    assert_eq!(offsets, [0, 300_000, 700_000]);
}

#[tokio::test]
async fn an_empty_content_is_a_content() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    pool.scripts.download.then(vec![head(b"")]);
    let mut got = Vec::new();
    let blob = soon(client.download(TaskId(1), &mut got, |_, _| {})).await.expect("downloaded");
    assert_eq!((blob.size.0, got.len()), (0, 0));
}

#[tokio::test]
async fn content_that_is_not_what_was_told_is_refused() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let bad_digest = Ok(DownloadChunk { size: 2, digest: "md5:0".into(), data: Bytes::new() });
    for (said, why) in [
        (vec![vec![head(b"ab"), data(b"xx")]], "which is not the one that was told"),
        (vec![vec![head(b"ab"), data(b"abc")]], "more bytes"),
        (vec![vec![head(b"ab"), data(b"a"), lost()], vec![head(b"cd"), data(b"b")]], "became another"),
        (vec![vec![bad_digest]], "digest"),
        (vec![vec![data(b"ab")]], "digest"),
    ] {
        for said in said {
            pool.scripts.download.then(said);
        }
        let error = soon(client.download(TaskId(1), &mut Vec::new(), |_, _| {})).await.expect_err(why);
        assert!(matches!(&error, ClientError::Protocol { .. }) && error.to_string().contains(why), "{error}");
    }
    pool.scripts.download.then(vec![Err(Status::not_found("E_NOT_FOUND: task_1 left no files"))]);
    let error = soon(client.download(TaskId(1), &mut Vec::new(), |_, _| {})).await.expect_err("none");
    assert_eq!(error.code(), Some("E_NOT_FOUND"));
}

#[tokio::test]
async fn an_upload_tells_the_digest_and_is_repeated_while_nobody_answers() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let whole = content();
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("input");
    std::fs::write(&path, &whole).expect("written");
    let script = &pool.scripts.upload;
    script.then(vec![Err(Status::unavailable("starting"))]).then(vec![Ok(())]).then(vec![Ok(())]).then(vec![Ok(())]);
    let mut last = (0, 0);
    let done = soon(client.upload(path.as_path(), |done, of| last = (done, of))).await.expect("uploaded");
    assert_eq!(
        (done.blob.digest.to_string(), done.blob.size.0, last),
        (digest(&whole), 1_000_000, (1_000_000, 1_000_000))
    );
    soon(client.upload(whole.clone(), |_, _| {})).await.expect("uploaded");
    soon(client.upload(Bytes::new(), |_, _| {})).await.expect("uploaded");
    let asked = script.asked();
    assert!(asked == [(0, whole.clone()), (0, whole.clone()), (0, whole), (0, Vec::new())]);
}

#[tokio::test]
async fn what_is_there_is_not_sent_again() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let whole = content();
    pool.scripts.here.lock().expect("whole").push((digest(&whole), None));
    let done = soon(client.upload(whole.clone(), |_, _| {})).await.expect("there");
    assert_eq!((done.sent, done.blob.size.0, pool.scripts.upload.asked().len()), (0, 1_000_000, 0));
    *pool.scripts.here.lock().expect("whole") = vec![(digest(&whole), Some(600_000))];
    pool.scripts.upload.then(vec![Ok(())]);
    let mut first = None;
    let done = soon(client.upload(whole.clone(), |done, _| {
        first.get_or_insert(done);
    }));
    assert_eq!(done.await.expect("sent").sent, 400_000);
    assert_eq!(first, Some(600_000));
    assert!(pool.scripts.upload.asked() == [(600_000, whole[600_000..].to_vec())]);
}

#[tokio::test]
async fn what_was_spoilt_is_sent_again_as_a_whole_and_once() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let spoilt = || Err(Status::invalid_argument("E_INVALID: digest: what came has the digest sha256:0"));
    pool.scripts.upload.then(vec![spoilt()]).then(vec![Ok(())]).then(vec![spoilt()]).then(vec![spoilt()]);
    soon(client.upload(content(), |_, _| {})).await.expect("the second time it was right");
    let error = soon(client.upload(content(), |_, _| {})).await.expect_err("spoilt twice");
    assert!(matches!(&error, ClientError::Invalid { .. }) && error.to_string().contains("at rest"), "{error}");
}

#[tokio::test]
async fn a_download_goes_on_with_what_a_file_holds() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let whole = content();
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("archive");
    let element = hivemind_model::ids::ElementRef::only(TaskId(1));
    let fetched = async |before: &[u8]| {
        std::fs::write(&path, before).expect("written");
        let mut file = tokio::fs::OpenOptions::new().read(true).write(true).open(&path).await.expect("opened");
        soon(client.download_into(element, &mut file, |_, _| {})).await.map(|_| std::fs::read(&path).expect("read"))
    };
    pool.scripts.download.then(vec![head(&whole), data(&whole[300_000..])]);
    assert!(fetched(&whole[..300_000]).await.expect("fetched") == whole);
    // What was there is something else, or longer than all of it.
    pool.scripts.download.then(vec![head(&whole), data(&whole[3..])]).then(vec![head(&whole), data(&whole)]);
    assert!(fetched(b"???").await.expect("fetched") == whole);
    let behind = Err(Status::invalid_argument("E_INVALID: offset: 1000001 is outside 0 to 1000000"));
    pool.scripts.download.then(vec![behind]).then(vec![head(&whole), data(&whole)]);
    assert!(fetched(&vec![0; 1_000_001]).await.expect("fetched") == whole);
    pool.scripts.download.then(vec![head(b"ab"), data(b"xx")]);
    assert!(fetched(b"").await.expect_err("a wrong digest").to_string().contains("which is not the one"));
    let offsets: Vec<i64> = pool.scripts.download.asked().iter().map(|request| request.offset).collect();
    assert_eq!(offsets, [300_000, 3, 0, 1_000_001, 0, 0]);
}

#[tokio::test]
async fn an_upload_that_cannot_be_is_told() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let error = soon(client.upload(Path::new("/nowhere/at/all"), |_, _| {})).await.expect_err("no file");
    assert!(matches!(error, ClientError::Io { .. }), "{error}");
    let error = soon(client.upload(Path::new("/dev/zero"), |_, _| {})).await.expect_err("no regular file");
    assert!(matches!(error, ClientError::Invalid { .. }), "{error}");
    pool.scripts.upload.then(vec![Err(Status::resource_exhausted("E_TOO_LARGE: the pool takes 1 MiB at most"))]);
    let error = soon(client.upload(content(), |_, _| {})).await.expect_err("too large");
    assert_eq!(error.code(), Some("E_TOO_LARGE"));
}
