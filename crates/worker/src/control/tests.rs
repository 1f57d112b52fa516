use super::*;

/// A worker's folder whose requests a test answers.
struct Rig {
    data: tempfile::TempDir,
    asked: mpsc::Receiver<Asked>,
    _file: socket::SocketFile,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn rig() -> Rig {
    let data = tempfile::tempdir().unwrap();
    let root = data.path().join("worker");
    std::fs::create_dir(&root).unwrap();
    let (listener, file) = socket::bind(&root).unwrap();
    let (to, asked) = mpsc::channel(4);
    let serving = tokio::spawn(serve(listener, to));
    Rig { data, asked, _file: file, serving }
}

fn refused(answer: &Answer) -> &str {
    match answer {
        Answer::Refused { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

async fn raw(rig: &Rig, bytes: &[u8]) -> Vec<Answer> {
    let stream = socket::connect(&rig.data.path().join("worker")).unwrap();
    let (mut from, mut to) = stream.into_split();
    // A worker that has heard enough closes while this still speaks.
    let _left = to.write_all(bytes).await.is_err();
    let _closed = to.shutdown().await.is_err();
    let mut text = String::new();
    let _reset = from.read_to_string(&mut text).await.is_err();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn what_is_asked_is_answered() {
    let mut rig = rig();
    let data = rig.data.path().to_owned();
    let request = Request::Pause { part: Part::Gpu, for_ms: Some(5) };
    let wanted = request.clone();
    let client = tokio::spawn(async move { ask(&data, &wanted).await });
    let asked = rig.asked.recv().await.unwrap();
    assert_eq!(asked.request, request);
    let overview = Overview { sentence: "Open: takes work".into(), ..Overview::default() };
    asked.answer.send(Answer::Status(Box::new(overview.clone()))).unwrap();
    assert_eq!(client.await.unwrap().unwrap(), Answer::Status(Box::new(overview)));
}

#[tokio::test]
async fn where_no_worker_runs_it_is_said() {
    let data = tempfile::tempdir().unwrap();
    assert!(matches!(ask(data.path(), &Request::Status).await, Err(AskError::NotRunning(_))));
    std::fs::create_dir(data.path().join("worker")).unwrap();
    std::mem::forget(socket::bind(&data.path().join("worker")).unwrap().1);
    assert!(matches!(ask(data.path(), &Request::Status).await, Err(AskError::NotRunning(_))));
}

#[tokio::test]
async fn nonsense_is_refused_and_the_next_line_is_heard() {
    let rig = rig();
    let long = vec![b'x'; MAX_REQUEST_BYTES as usize + 10];
    for (bytes, codes) in [
        (&b"\n"[..], &["E_INVALID"][..]),
        (b"{}\n[]\n", &["E_INVALID", "E_INVALID"]),
        (b"{\"do\":\"fly\"}\n", &["E_INVALID"]),
        (b"{\"do\":\"pause\",\"part\":\"machine\",\"for_ms\":-1}\n", &["E_INVALID"]),
        (b"{\"do\":\"start\",\"part\":\"machine\",\"more\":1}\n", &["E_INVALID"]),
        (b"\xff\xfe\n", &["E_INVALID"]),
        (b"half a line", &["E_INVALID"]),
        (&long, &["E_TOO_LARGE"]),
    ] {
        let answers = raw(&rig, bytes).await;
        let got: Vec<&str> = answers.iter().map(refused).collect();
        assert_eq!(got, codes, "{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(60)]));
    }
}

#[tokio::test]
async fn silent_peers_keep_their_places_only_and_an_ending_worker_says_so() {
    let mut rig = rig();
    let root = rig.data.path().join("worker");
    let silent: Vec<_> = (1..MAX_PEERS).map(|_| socket::connect(&root).unwrap()).collect();
    rig.asked.close();
    let answer = ask(rig.data.path(), &Request::Status).await.unwrap();
    assert_eq!(refused(&answer), "E_BUSY");
    drop(silent);
}
