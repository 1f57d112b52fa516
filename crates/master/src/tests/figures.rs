//! What a gateway tells of itself.

use super::*;
use serde_json::json;

impl Scene {
    /// Its figures. They are not below `/api/v1`.
    async fn figures(&self) -> String {
        let request = Request::builder().uri("/metrics").header("host", "here:1").body(Body::empty()).unwrap();
        let answer = tokio::time::timeout(PATIENCE, self.router.clone().oneshot(request)).await.unwrap().unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    /// Waits until its figures have that line: streams end a moment after their pages, and the pool is not asked each time.
    async fn says(&self, line: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let figures = self.figures().await;
            if figures.lines().any(|told| told == line) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "no `{line}` in {figures}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_pattern_and_not_by_what_strangers_choose() {
    let scene = Scene::start().await;
    let mut ada = scene.user("ada").await;
    for path in ["/tasks/task_1", "/tasks/task_2?x=needle", "/needle", "/tasks/task_1/needle", "/"] {
        let refused = ada.get(path).await.status;
        assert!(refused.is_client_error(), "{path}: {refused}");
    }
    assert_eq!(ada.ask("NEEDLE", "/tasks", None, &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ada.get("/wallet").await.status, StatusCode::OK);
    let counted = "hivemind_master_requests_total";
    for line in [
        "{route=\"/api/v1/tasks/{id}\",method=\"GET\",status=\"4xx\"} 2",
        "{route=\"/api/v1/wallet\",method=\"GET\",status=\"2xx\"} 1",
        "{route=\"/api/v1/tasks\",method=\"other\",status=\"4xx\"} 1",
        "{route=\"unmatched\",method=\"GET\",status=\"4xx\"} 3",
    ] {
        scene.says(&format!("{counted}{line}")).await;
    }
    let figures = scene.figures().await;
    assert!(!figures.contains("needle") && !figures.contains("task_1") && !figures.contains("__private"), "{figures}");
    assert!(
        figures.contains("hivemind_master_request_seconds_bucket{route=\"/api/v1/wallet\",method=\"GET\",le=\"1\"}")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_logins_are_those_that_are_open_and_the_pool_is_asked() {
    let mut scene = Scene::start().await;
    scene.says("hivemind_master_logins 0").await;
    scene.says("hivemind_master_pool_up 1").await;
    let mut ada = scene.user("ada").await;
    scene.says("hivemind_master_logins 1").await;
    let events = ada.send("GET", "/events", String::new(), &[]).await;
    let body = json!({"docker_image": "alpine", "argv": ["true"]});
    let id = ada.post("/tasks", Some(body)).await.json()["task_id"].as_str().unwrap().to_owned();
    let logs = ada.send("GET", &format!("/tasks/{id}/logs/events"), String::new(), &[]).await;
    scene.says("hivemind_master_event_streams 2").await;
    drop((events, logs));
    scene.says("hivemind_master_event_streams 0").await;
    assert_eq!(ada.post("/auth/logout", None).await.status, StatusCode::NO_CONTENT);
    scene.says("hivemind_master_logins 0").await;
    scene.stop_pool().await;
    assert_eq!(ada.get("/public").await.status, StatusCode::SERVICE_UNAVAILABLE);
    scene.says("hivemind_master_pool_up 0").await;
}
