//! Events, as a browser gets them.

use super::*;
use futures::StreamExt;
use serde_json::json;

/// A stream of events that is being read.
struct Stream {
    body: axum::body::BodyDataStream,
    read: String,
}

impl Stream {
    async fn open(browser: &mut Browser, path: &str, last: &str) -> Self {
        let answer = browser.send("GET", path, String::new(), &[("last-event-id", last.to_owned())]).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { body: answer.into_body().into_data_stream(), read: String::new() }
    }

    /// The next event that `wanted` takes: id, name and data; `None` where the stream ends before.
    async fn next(&mut self, wanted: impl Fn(&str, &Value) -> bool) -> Option<(String, String, Value)> {
        loop {
            while let Some(end) = self.read.find("\n\n") {
                let frame: String = self.read.drain(..end + 2).collect();
                let field = |name: &str| {
                    let line = frame.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    line.unwrap_or_default().to_owned()
                };
                let data = serde_json::from_str(&field("data")).unwrap_or(Value::Null);
                // A frame without a name is about the connection.
                if !field("event").is_empty() && wanted(&field("event"), &data) {
                    return Some((field("id"), field("event"), data));
                }
            }
            let piece = tokio::time::timeout(PATIENCE, self.body.next()).await.expect("nothing comes")?;
            self.read.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hear_of_tasks_and_go_on_where_they_broke_off() {
    let mut scene = Scene::start().await;
    let mut ada = scene.user("ada").await;
    let mut first = Stream::open(&mut ada, "/events", "").await;
    let (_, name, _) = first.next(|_, _| true).await.unwrap();
    assert_eq!(name, "reset", "load what you show");
    let submit = || Some(json!({"docker_image": "alpine", "argv": ["true"]}));
    let id = ada.post("/tasks", submit()).await.json()["task_id"].clone();
    let (event, _, data) = first.next(|name, data| name == "task" && data["task_id"] == id).await.unwrap();
    assert_eq!(data["status"], "pending");
    drop(first);
    // What happens meanwhile is told to the page that comes back.
    let later = ada.post("/tasks", submit()).await.json()["task_id"].clone();
    let mut back = Stream::open(&mut ada, "/events", &event).await;
    let (_, name, data) = back.next(|name, _| name == "task" || name == "reset").await.unwrap();
    assert_eq!((name.as_str(), &data["task_id"]), ("task", &later));
    // Another user hears nothing of it, and the pool's end ends the stream.
    scene.stop_pool().await;
    assert!(back.next(|name, _| name == "lost").await.is_some());
    assert!(back.next(|_, _| true).await.is_none());
    let answer = ada.get("/events").await;
    assert_eq!(answer.refused(), (503, "E_UNAVAILABLE".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_of_a_task_end_with_it() {
    let scene = Scene::start().await;
    let (mut ada, mut bob) = (scene.user("ada").await, scene.user("bob").await);
    let body = json!({"docker_image": "alpine", "argv": ["true"]});
    let id = ada.post("/tasks", Some(body)).await.json()["task_id"].as_str().unwrap().to_owned();
    assert_eq!(bob.get(&format!("/tasks/{id}/logs/events")).await.refused().0, 404);
    let nothing = ada.get(&format!("/tasks/{id}/logs")).await;
    assert_eq!((nothing.status, nothing.text.as_str()), (StatusCode::OK, ""), "nothing was written yet");
    let mut stream = Stream::open(&mut ada, &format!("/tasks/{id}/logs/events"), "").await;
    assert_eq!(ada.post(&format!("/tasks/{id}/cancel"), None).await.status, StatusCode::OK);
    let (id, name, _) = stream.next(|_, _| true).await.unwrap();
    assert_eq!((id.as_str(), name.as_str()), ("0-0-0", "end"));
    assert!(stream.next(|_, _| true).await.is_none());
}
