//! What is asked well, what is asked badly, and a pool that is away.

use super::*;
use serde_json::json;

fn task() -> Value {
    json!({"task_name": "<script>alert(1)</script>", "docker_image": "alpine", "argv": ["true"], "array": "1-3"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_handed_in_once_looked_at_and_ended() {
    let scene = Scene::start().await;
    let (mut ada, mut bob) = (scene.user("ada").await, scene.user("bob").await);
    let once = [("idempotency-key", "again")];
    let first = ada.ask("POST", "/tasks", Some(task()), &once).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    let id = first.json()["task_id"].as_str().unwrap().to_owned();
    assert!(first.json()["price_cap_micro"].as_str().unwrap().parse::<i64>().unwrap() > 0);
    assert_eq!(ada.ask("POST", "/tasks", Some(task()), &once).await.json()["task_id"], id.as_str());

    let list = ada.get("/tasks?status=pending&q=script&limit=10").await.json();
    assert_eq!((list["items"].as_array().unwrap().len(), &list["next_cursor"]), (1, &Value::Null));
    let status = ada.get(&format!("/tasks/{id}")).await.json();
    assert_eq!((status["status"].as_str(), status["task"]["array"].as_str()), (Some("pending"), Some("1-3")));
    for part in ["explain", "elements", "elements/2", "grid", "failures", "timeline", "entries"] {
        let answer = ada.get(&format!("/tasks/{id}/{part}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{part}: {}", answer.text);
        let other = bob.get(&format!("/tasks/{id}/{part}")).await;
        assert_eq!(other.refused(), (404, "E_NOT_FOUND".into()), "{part}");
    }
    assert_eq!(ada.get(&format!("/tasks/{id}/grid")).await.json()["states"], "000");
    assert_eq!(ada.get(&format!("/tasks/{id}/output")).await.refused().0, 404);
    assert_eq!(bob.post(&format!("/tasks/{id}/cancel"), None).await.refused().0, 404);
    let ended = ada.post(&format!("/tasks/{id}/cancel"), Some(json!({}))).await;
    assert_eq!(ended.json()["status"], "cancelled", "{}", ended.text);
    let again = ada.post(&format!("/tasks/{id}/retry"), None).await;
    assert_eq!(again.status, StatusCode::CREATED, "{}", again.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn money_moves_once_under_one_key() {
    let scene = Scene::start().await;
    let (mut ada, _bob) = (scene.user("ada").await, scene.user("bob").await);
    let before: i64 = ada.get("/wallet").await.json()["transferable_micro"].as_str().unwrap().parse().unwrap();
    let give = || Some(json!({"to_username": "bob", "amount_micro": "1"}));
    let once = [("idempotency-key", "k")];
    let (first, second) = (
        ada.ask("POST", "/wallet/transfers", give(), &once).await,
        ada.ask("POST", "/wallet/transfers", give(), &once).await,
    );
    match before {
        // Free credit cannot be given away.
        0 => assert_eq!(first.refused(), (402, "E_INSUFFICIENT_CPT".into())),
        _more => assert_eq!((first.status, &first.text), (StatusCode::OK, &second.text)),
    }
    let statement = ada.get("/wallet/statement?kind=sign_up&limit=5").await.json();
    assert!(statement["items"][0]["amount_micro"].is_string(), "{statement}");
    let too_much =
        ada.post("/wallet/transfers", Some(json!({"to_username": "bob", "amount_micro": "900000000000000000"}))).await;
    assert_eq!(too_much.refused(), (402, "E_INSUFFICIENT_CPT".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_by_name() {
    let scene = Scene::start().await;
    let mut ada = scene.user("ada").await;
    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let mut send = async |path: &str, kind: &str, body: &str| {
        let csrf = ada.csrf.clone();
        let headers = [("x-csrf-token", csrf), ("content-type", kind.to_owned())];
        let answer = ada.send("POST", path, body.to_owned(), &headers).await;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        Answer { status, headers, text: String::from_utf8_lossy(&bytes).into_owned() }
    };
    let json = "application/json";
    for (path, kind, body, status) in [
        ("/tasks", "text/plain", "{}", 415),
        ("/tasks", "", "{}", 415),
        ("/tasks", json, "{", 400),
        ("/tasks", json, deep.as_str(), 422),
        ("/tasks", json, r#"{"docker_image":"a","docker_image":"b"}"#, 422),
        ("/tasks", json, "{} {}", 400),
        ("/tasks", json, "[]", 422),
        ("/tasks", json, r#"{"colour": 1}"#, 422),
        ("/tasks", json, r#"{"priority": 1e99}"#, 422),
        ("/tasks", json, r#"{"priority": 11, "docker_image": "alpine"}"#, 422),
        ("/tasks", json, r#"{"max_price_micro": 5}"#, 422),
        ("/tasks", json, r#"{"max_price_micro": "-5"}"#, 422),
        ("/quote", json, "{}", 422),
        ("/graphs", json, r#"{"tasks": []}"#, 422),
        ("/contents/find", json, r#"{"digests": ["x"]}"#, 422),
        (
            "/wallet/transfers",
            json,
            &format!(r#"{{"to_username": "{}", "amount_micro": "1"}}"#, "x".repeat(60_000)),
            413,
        ),
        ("/nodes/nobody/service", json, r#"{"change": "drain", "deadline_seconds": -1}"#, 422),
        ("/nodes/join-tokens", json, r#"{"valid_seconds": -1}"#, 422),
        ("/nothing", json, "{}", 404),
    ] {
        let answer = send(path, kind, body).await;
        let what = &body[..body.len().min(60)];
        assert_eq!(answer.refused().0, status, "{path} {what}: {}", answer.text);
    }
    let unknown = send("/tasks", json, r#"{"after": [{"task_id": 7}]}"#).await;
    assert_eq!(unknown.json()["field"], "after[0].task_id");
    for path in ["/tasks?limit=0", "/tasks?limit=x", "/tasks?colour=1", "/tasks?cursor=x", "/tasks?status=lost"] {
        assert_eq!(ada.get(path).await.refused().0, 422, "{path}");
    }
    for path in ["/tasks/x", "/tasks/task_999", "/tasks/%ff", "/tasks/task_1/elements/-1", "/nothing"] {
        assert_eq!(ada.get(path).await.refused().0, 404, "{path}");
    }
    let method = ada.ask("DELETE", "/wallet", None, &[]).await;
    assert_eq!(method.refused(), (405, "E_METHOD".into()));
    assert_eq!(method.headers["allow"], "GET,HEAD");
    let twice = ada.ask("POST", "/tasks", Some(task()), &[("idempotency-key", "a"), ("idempotency-key", "b")]).await;
    assert_eq!(twice.json()["field"], "Idempotency-Key");
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_pass_through() {
    let scene = Scene::start().await;
    let mut ada = scene.user("ada").await;
    let csrf = ada.csrf.clone();
    let kind = ("content-type", "application/octet-stream".to_owned());
    let headers = [("x-csrf-token", csrf.clone()), kind.clone(), ("content-length", "5".to_owned())];
    let stored = ada.send("PUT", "/contents", "hello".into(), &headers).await;
    assert_eq!(stored.status(), StatusCode::OK);
    let stored: Value = serde_json::from_slice(&stored.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!((stored["size"].as_u64(), stored["digest"].as_str().map(str::len)), (Some(5), Some(71)));
    let found = ada.post("/contents/find", Some(json!({"digests": [stored["digest"]]}))).await.json();
    assert_eq!(found["items"][0]["complete"], true);
    let short = [("x-csrf-token", csrf.clone()), kind.clone(), ("content-length", "9".to_owned())];
    assert!(ada.send("PUT", "/contents", "hello".into(), &short).await.status().is_client_error());
    let unnamed = ada.send("PUT", "/contents", "hello".into(), &[("x-csrf-token", csrf), kind]).await;
    assert_eq!(unnamed.status(), StatusCode::LENGTH_REQUIRED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_away_is_told_and_found_again() {
    let mut scene = Scene::start().await;
    let mut ada = scene.user("ada").await;
    scene.stop_pool().await;
    let away = ada.get("/tasks").await;
    assert_eq!(away.refused(), (503, "E_UNAVAILABLE".into()));
    assert!(away.headers.contains_key("retry-after"));
    scene.restart();
    assert_eq!(
        scene.browser().get("/public").await.refused(),
        (503, "E_UNAVAILABLE".into()),
        "it starts without a pool"
    );
    scene.start_pool_again().await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while ada.get("/tasks").await.status != StatusCode::OK {
        assert!(tokio::time::Instant::now() < deadline, "it is not found again");
    }
    // A gateway that tried in vain just now tries again a moment later.
    while scene.browser().get("/public").await.status != StatusCode::OK {
        assert!(tokio::time::Instant::now() < deadline, "it is not found");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_careful() {
    let scene = Scene::start().await;
    let document = scene.browser().get("/openapi.json").await;
    assert_eq!(document.json()["openapi"].as_str().map(|version| &version[..4]), Some("3.1."));
    let request = Request::builder().uri("/api/docs").header("host", "here:1").body(Body::empty()).unwrap();
    let page = scene.router.clone().oneshot(request).await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    let html = page.into_body().collect().await.unwrap().to_bytes();
    let html = std::str::from_utf8(&html).unwrap();
    assert!(html.contains("/api/v1/tasks/{id}/explain") && !html.contains("<script") && !html.contains("style="));
    let answer = scene.browser().get("/pool").await;
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert!(answer.headers.contains_key("ratelimit-remaining"));
}
