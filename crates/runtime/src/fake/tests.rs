use super::*;
use crate::Usage;
use hivemind_model::{ElementRef, Resources, TaskId};
use parking_lot::Mutex;
use std::io::Read;

#[derive(Default)]
struct Kept(Mutex<(Vec<u8>, Vec<u8>, usize)>);

impl Sink for Kept {
    fn note(&self, _: &str) {}
    fn started(&self) {
        self.0.lock().2 += 1;
    }
    fn output(&self, stream: Stream, data: &[u8]) {
        let mut kept = self.0.lock();
        match stream {
            Stream::Stdout => kept.0.extend_from_slice(data),
            Stream::Stderr => kept.1.extend_from_slice(data),
        }
    }
    fn progress(&self, _: u8) {}
    fn usage(&self, _: Usage) {}
}

fn job(words: &[&str]) -> Job {
    Job {
        attempt: ElementRef::only(TaskId(1)).attempt(1),
        kind: hivemind_model::Kind::Container,
        image: Image::Named("any:1".into()),
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        env: vec![("HIVEMIND_ENTRY".into(), "a  'b'".into())],
        files: Vec::new(),
        outputs: vec!["output".into()],
        egress: hivemind_model::Egress::default(),
        warm: false,
        max_runtime: Millis(60_000),
        resources: Resources::default(),
    }
}

async fn run(job: Job) -> (Finished, String, String, usize) {
    let (runtime, sink) = (FakeRuntime::default(), Arc::new(Kept::default()));
    let scratch = tempfile::tempdir().expect("a folder");
    let finished = runtime.run(job, sink.clone(), Control::stopping(Stop::new()), scratch.path()).await;
    assert_eq!(runtime.running(), 0);
    let kept = sink.0.lock();
    (finished, String::from_utf8_lossy(&kept.0).into_owned(), String::from_utf8_lossy(&kept.1).into_owned(), kept.2)
}

#[tokio::test]
async fn words_do_what_the_table_says() {
    let exited = |code| Outcome::Exited { code };
    for (words, outcome, out, err, started) in [
        (&[][..], exited(0), "", "", 1),
        (&["true"], exited(0), "", "", 1),
        (&["false"], exited(1), "", "", 1),
        (&["exit", "42"], exited(42), "", "", 1),
        (&["exit", "x"], exited(2), "", "usage: exit N\n", 1),
        (&["echo", "a", "b"], exited(0), "a b\n", "", 1),
        (&["warn", "a"], exited(0), "", "a\n", 1),
        (&["cat", "none"], exited(1), "", "cat: none: No such file or directory\n", 1),
        (&["env", "HIVEMIND_ENTRY"], exited(0), "a  'b'\n", "", 1),
        (&["env", "HIVEMIND_INDEX"], exited(0), "0\n", "", 1),
        (&["env", "HOME"], exited(1), "", "", 1),
        (&["oom"], Outcome::OutOfMemory, "", "", 1),
    ] {
        let (finished, stdout, stderr, starts) = run(job(words)).await;
        assert_eq!((finished.outcome, &*stdout, &*stderr, starts), (outcome, out, err, started), "{words:?}");
    }
    for words in [&["missing"], &["anything-else"]] {
        let (finished, _, _, started) = run(job(words)).await;
        assert!(matches!(finished.outcome, Outcome::CannotStart { .. }), "{words:?}");
        assert_eq!(started, 0);
    }
    let (finished, ..) = run(job(&["fail-node"])).await;
    assert!(matches!(finished.outcome, Outcome::Infrastructure { .. }));
    let (finished, ..) = run(Job { image: Image::Named("no-such-image:1".into()), ..job(&[]) }).await;
    assert!(matches!(finished.outcome, Outcome::BadImage { .. }));
    assert_eq!(finished.image_id, "");
}

#[test]
fn isolation_is_what_the_config_says() {
    assert_eq!(FakeRuntime::default().isolation(), Isolation::Basic);
    let config = FakeConfig { isolation: Isolation::Sandboxed, ..FakeConfig::default() };
    assert_eq!(FakeRuntime::new(config).isolation(), Isolation::Sandboxed);
}

#[tokio::test]
async fn spew_gives_exactly_that_many_bytes() {
    let (finished, out, ..) = run(job(&["spew", "200001"])).await;
    assert_eq!((finished.outcome, out.len()), (Outcome::Exited { code: 0 }, 200_001));
}

#[tokio::test]
async fn an_input_file_is_printed_and_an_output_file_is_archived() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("blob");
    std::fs::write(&source, "content").expect("written");
    let with_file = Job { files: vec![("in/a.txt".into(), source)], ..job(&["cat", "/task/in/a.txt"]) };
    assert_eq!(run(with_file).await.1, "content");

    let scratch = tempfile::tempdir().expect("a folder");
    let finished = FakeRuntime::default()
        .run(
            job(&["produce", "d/x", "text"]),
            Arc::new(Kept::default()),
            Control::stopping(Stop::new()),
            scratch.path(),
        )
        .await;
    let mut archive =
        tar::Archive::new(std::fs::File::open(finished.output.expect("an archive").path()).expect("opened"));
    let mut entry = archive.entries().expect("entries").next().expect("one").expect("sound");
    let mut text = String::new();
    entry.read_to_string(&mut text).expect("text");
    assert_eq!((entry.path_bytes().as_ref(), &*text), (&b"d/x"[..], "text"));

    let (finished, ..) = run(job(&["produce", "../x", "text"])).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 1 });
    assert!(finished.output.is_none());
}

#[tokio::test]
async fn sleep_ends_by_itself_by_the_limit_or_by_the_stop() {
    assert_eq!(run(job(&["sleep", "1"])).await.0.outcome, Outcome::Exited { code: 0 });
    let short = Job { max_runtime: Millis(5), ..job(&["sleep", "3600000"]) };
    assert_eq!(run(short).await.0.outcome, Outcome::TimedOut);

    let (runtime, stop, sink) = (FakeRuntime::default(), Stop::new(), Arc::new(Kept::default()));
    let scratch = std::env::temp_dir();
    let running = runtime.run(
        Job { max_runtime: Millis(7_200_000), ..job(&["sleep", "3600000"]) },
        sink,
        Control::stopping(stop.clone()),
        &scratch,
    );
    let (finished, ()) = tokio::join!(running, async {
        assert_eq!(runtime.running(), 1);
        stop.cancel();
    });
    assert_eq!((finished.outcome, runtime.running()), (Outcome::Cancelled, 0));
}
