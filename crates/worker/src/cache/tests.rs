use super::*;
use hivemind_model::{ElementRef, TaskId};
use std::sync::atomic::{AtomicU32, Ordering};

/// Gives the same content for every digest, in small pieces.
struct Shop {
    content: Vec<u8>,
    sold: AtomicU32,
    failures: AtomicU32,
    /// Cut after so many bytes, each time.
    cut: usize,
    offsets: Mutex<Vec<u64>>,
}

impl Shop {
    fn new(content: &[u8]) -> Self {
        Self {
            content: content.to_vec(),
            sold: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            cut: usize::MAX,
            offsets: Mutex::default(),
        }
    }
}

impl Source for Shop {
    async fn fetch(&self, _: AttemptRef, _: Digest, offset: u64, pieces: &mut Pieces<'_>) -> Result<(), FetchError> {
        self.sold.fetch_add(1, Ordering::Relaxed);
        self.offsets.lock().push(offset);
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.fetch_sub(1, Ordering::Relaxed);
            return Err(FetchError::Transient("the line is cut".into()));
        }
        let rest = &self.content[usize::try_from(offset).unwrap().min(self.content.len())..];
        for piece in rest[..rest.len().min(self.cut)].chunks(3) {
            tokio::task::yield_now().await;
            pieces(piece)?;
        }
        if rest.len() > self.cut { Err(FetchError::Transient("the line is cut".into())) } else { Ok(()) }
    }
}

fn blob(content: &[u8]) -> BlobRef {
    BlobRef { digest: Digest(Sha256::digest(content).into()), size: Bytes(content.len() as u64) }
}

fn attempt() -> AttemptRef {
    ElementRef::only(TaskId(1)).attempt(1)
}

fn cache(dir: &Path, limit: u64) -> Arc<InputCache> {
    Arc::new(InputCache::open(dir, Bytes(limit), Duration::from_micros(1)).unwrap())
}

#[tokio::test]
async fn many_want_one_and_it_is_fetched_once() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(dir.path(), 100);
    let shop = Shop::new(b"hello world");
    let blob = blob(b"hello world");
    let (a, b, c) = tokio::join!(
        cache.hold(attempt(), blob, &shop),
        cache.hold(attempt(), blob, &shop),
        cache.hold(attempt(), blob, &shop)
    );
    for held in [a, b, c] {
        assert_eq!(fs::read(held.unwrap().path()).unwrap(), b"hello world");
    }
    assert_eq!(shop.sold.load(Ordering::Relaxed), 1);
    // It survives a restart; a file that somebody removed is fetched again.
    let again = self::cache(dir.path(), 100);
    let held = again.hold(attempt(), blob, &shop).await.unwrap();
    assert_eq!(shop.sold.load(Ordering::Relaxed), 1);
    fs::remove_file(held.path()).unwrap();
    again.hold(attempt(), blob, &shop).await.unwrap();
    assert_eq!(shop.sold.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn what_is_not_what_was_asked_for_is_refused_and_leaves_nothing() {
    for (sent, why) in [(&b"hello wOrld"[..], "has the digest"), (b"hello world!", "more than the 11 bytes")] {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), 100);
        let refused = cache.hold(attempt(), blob(b"hello world"), &Shop::new(sent)).await.unwrap_err();
        assert!(refused.contains(why), "{refused}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(cache.state.lock().total, 0);
    }
}

#[tokio::test]
async fn a_cut_line_is_tried_again_but_not_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(dir.path(), 100);
    let shop = Shop::new(b"x");
    shop.failures.store(MAX_TRIES - 1, Ordering::Relaxed);
    cache.hold(attempt(), blob(b"x"), &shop).await.unwrap();
    let shop = Shop::new(b"y");
    shop.failures.store(MAX_TRIES, Ordering::Relaxed);
    let refused = cache.hold(attempt(), blob(b"y"), &shop).await.unwrap_err();
    assert_eq!(refused, "the line is cut");
}

#[tokio::test]
async fn the_longest_unused_goes_first_and_what_is_in_use_stays() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(dir.path(), 10);
    let used = cache.hold(attempt(), blob(b"aaaa"), &Shop::new(b"aaaa")).await.unwrap();
    drop(cache.hold(attempt(), blob(b"bbb"), &Shop::new(b"bbb")).await.unwrap());
    drop(cache.hold(attempt(), blob(b"ccc"), &Shop::new(b"ccc")).await.unwrap());
    let new = cache.hold(attempt(), blob(b"dd"), &Shop::new(b"dd")).await.unwrap();
    assert!(used.path().exists() && new.path().exists());
    assert!(!cache.path(blob(b"bbb").digest).exists() && cache.path(blob(b"ccc").digest).exists());
    let refused = cache.hold(attempt(), blob(b"eeeeeee"), &Shop::new(b"eeeeeee")).await.unwrap_err();
    assert!(refused.contains("leave no room"), "{refused}");
}

#[tokio::test]
async fn what_breaks_off_goes_on_where_it_broke_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let content = b"abcdefghijklmnopqrstuvwxyz";
    let shop = Shop { cut: 4, ..Shop::new(content) };
    let refused = cache(dir.path(), 100).hold(attempt(), blob(content), &shop).await.unwrap_err();
    assert_eq!((refused.as_str(), shop.offsets.lock().as_slice()), ("the line is cut", &[0, 4, 8, 12, 16][..]));
    // Another process goes on, and counts the part as what it will be.
    let again = cache(dir.path(), 100);
    assert_eq!(again.state.lock().total, 26);
    let held = again.hold(attempt(), blob(content), &shop).await.unwrap();
    assert_eq!(fs::read(held.path()).unwrap(), content);
    assert_eq!(shop.offsets.lock()[5..], [20, 24]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_part_that_was_spoilt_is_fetched_anew() {
    let dir = tempfile::tempdir().unwrap();
    let content = b"abcdefghij";
    let shop = Shop { cut: 4, ..Shop::new(content) };
    shop.failures.store(0, Ordering::Relaxed);
    let part = dir.path().join(part_name(blob(content).digest, 10));
    fs::write(&part, "abcX").unwrap();
    let held = cache(dir.path(), 100).hold(attempt(), blob(content), &shop).await.unwrap();
    assert_eq!(fs::read(held.path()).unwrap(), content);
    assert_eq!(*shop.offsets.lock(), [4, 8, 0, 4, 8]);
    // One that is longer than the whole is none of it.
    drop(held);
    fs::remove_dir_all(dir.path()).unwrap();
    fs::create_dir(dir.path()).unwrap();
    fs::write(&part, "abcdefghijk").unwrap();
    cache(dir.path(), 100).hold(attempt(), blob(content), &Shop::new(content)).await.unwrap();
}

#[tokio::test]
async fn a_part_makes_room_for_what_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(part_name(blob(b"aaaaaa").digest, 6)), "aa").unwrap();
    let cache = cache(dir.path(), 10);
    let held = cache.hold(attempt(), blob(b"bbbbbb"), &Shop::new(b"bbbbbb")).await.unwrap();
    assert_eq!((fs::read_dir(dir.path()).unwrap().count(), cache.state.lock().total), (1, 6));
    drop(held);
    // Nobody is told another size of it for ever.
    let (digest, other) = (blob(b"cc").digest, cache);
    fs::write(dir.path().join(part_name(digest, 9)), "c").unwrap();
    drop(other);
    let again = self::cache(dir.path(), 100);
    again.hold(attempt(), blob(b"cc"), &Shop::new(b"cc")).await.unwrap();
    assert_eq!(again.state.lock().total, 8);
}

#[tokio::test]
async fn a_smaller_limit_evicts_what_is_unused_and_the_rest_when_it_is_let_go_of() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(dir.path(), 100);
    let shops = [b"aaaa", b"bbbb", b"cccc"].map(|content| (blob(content), Shop::new(content)));
    let mut held = Vec::new();
    for (blob, shop) in &shops {
        held.push(cache.hold(attempt(), *blob, shop).await.unwrap());
    }
    let there = || shops.iter().map(|(blob, _)| cache.path(blob.digest).exists()).collect::<Vec<_>>();
    // All are in use.
    cache.limit(Bytes(5));
    assert_eq!(there(), [true, true, true]);
    drop(held.remove(1));
    assert_eq!(there(), [true, false, true]);
    drop(held.remove(0));
    assert_eq!(there(), [false, false, true]);
    // What fits stays though nobody uses it, until the limit falls again; and a larger one counts at once.
    drop(held);
    assert_eq!(there(), [false, false, true]);
    cache.limit(Bytes(3));
    assert_eq!(there(), [false, false, false]);
    let refused = cache.hold(attempt(), shops[0].0, &shops[0].1).await.unwrap_err();
    assert!(refused.contains("no room"), "{refused}");
    cache.limit(Bytes(4));
    cache.hold(attempt(), shops[0].0, &shops[0].1).await.unwrap();
}
