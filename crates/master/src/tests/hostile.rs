//! What nobody sends by mistake: depth, size, streams by the hundred, cursors and keys of other requests.

use super::*;
use serde_json::json;

fn task(name: &str) -> Value {
    json!({"task_name": name, "docker_image": "alpine", "argv": ["true"], "array": "1-3"})
}

async fn submitted(browser: &mut Browser, name: &str) -> String {
    let answer = browser.post("/tasks", Some(task(name))).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    answer.json()["task_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn depth_and_size_have_bounds() {
    let scene = Scene::start().await;
    let mut ada = scene.user("ada").await;
    let nest = |times: usize| format!("{}{}", "[".repeat(times), "]".repeat(times));
    let name = |bytes: usize| format!(r#"{{"task_name": "{}"}}"#, "x".repeat(bytes));
    for (path, body, status) in [
        ("/tasks", nest(100_000), 422),
        ("/tasks", format!(r#"{{"argv": {}}}"#, nest(100_000)), 422),
        ("/tasks", format!(r#"{{"colour": {}}}"#, nest(100_000)), 422),
        ("/graphs", r#"{"tasks":[{"task":"#.repeat(50_000), 422),
        ("/tasks", name(1 << 20), 413),
        ("/tasks", name(12 << 20), 413),
        ("/graphs", name(12 << 20), 413),
        ("/quote", name(12 << 20), 413),
        ("/auth/keys", name(48 << 10), 413),
        ("/auth/login", name((1 << 20) + 1), 413),
        ("/wallet/transfers", nest(1 << 19), 413),
    ] {
        let headers = [("x-csrf-token", ada.csrf.clone()), ("content-type", "application/json".to_owned())];
        let bytes = body.len();
        let answer = ada.send("POST", path, body, &headers).await;
        assert_eq!(answer.status().as_u16(), status, "{path}, {bytes} bytes");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}, {bytes} bytes");
    }
    assert_eq!(ada.get("/wallet").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_of_one_user_leave_room_for_others() {
    let scene = Scene::start().await;
    let (mut ada, mut bob) = (scene.user("ada").await, scene.user("bob").await);
    let (of_ada, of_bob) = (submitted(&mut ada, "a").await, submitted(&mut bob, "b").await);
    for (path, other) in [
        ("/events".to_owned(), "/events".to_owned()),
        (format!("/tasks/{of_ada}/logs/events?element=1"), format!("/tasks/{of_bob}/logs/events?element=1")),
    ] {
        let mut open = Vec::new();
        for _ in 0..1000 {
            let answer = ada.send("GET", &path, String::new(), &[]).await;
            match answer.status() {
                StatusCode::OK => open.push(answer),
                refused => assert_eq!(refused, StatusCode::TOO_MANY_REQUESTS, "{path}"),
            }
        }
        assert!((16..=64).contains(&open.len()), "{path}: {} are open", open.len());
        let refused = ada.get(&path).await;
        assert_eq!(refused.refused(), (429, "E_BUSY".into()));
        assert!(refused.headers.contains_key("retry-after"));
        assert_eq!(bob.send("GET", &other, String::new(), &[]).await.status(), StatusCode::OK, "{other}");
        assert_eq!(ada.get("/tasks").await.status, StatusCode::OK);
        // A user who opens too many does not make the gateway look as if it had no pool.
        let ready = Request::builder().uri("/readyz").header("host", "here:1").body(Body::empty()).unwrap();
        assert_eq!(scene.router.clone().oneshot(ready).await.unwrap().status(), StatusCode::OK);
        drop(open);
        assert_eq!(ada.send("GET", &path, String::new(), &[]).await.status(), StatusCode::OK, "what ends gives room");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_leads_nowhere_that_its_list_does_not() {
    let scene = Scene::start().await;
    let (mut ada, mut bob) = (scene.user("ada").await, scene.user("bob").await);
    let id = submitted(&mut ada, "one").await;
    submitted(&mut ada, "two").await;
    for name in ["adas", "adas-2"] {
        let project = json!({"name": name, "repository": "https://example.org/x"});
        assert_eq!(ada.post("/projects", Some(project)).await.status, StatusCode::CREATED);
    }
    let bobs = bob.get("/wallet/statement").await.json();
    let mut cursors = Vec::new();
    for path in ["/tasks".to_owned(), format!("/tasks/{id}/elements"), "/wallet/statement".into(), "/projects".into()] {
        let first = ada.get(&format!("{path}?limit=1")).await.json();
        let cursor = first["next_cursor"].as_str().unwrap_or_else(|| panic!("{path}: {first}")).to_owned();
        for at in 0..cursor.len() {
            for letter in ['A', '9', '_'] {
                let mut other = cursor.clone();
                other.replace_range(at..=at, &letter.to_string());
                let answer = ada.get(&format!("{path}?limit=1&cursor={other}")).await;
                assert!([200, 422].contains(&answer.status.as_u16()), "{path} {other}: {}", answer.text);
            }
        }
        cursors.push((path, cursor));
    }
    for (of, cursor) in &cursors {
        for (path, _) in cursors.iter().filter(|(path, _)| path != of) {
            let answer = ada.get(&format!("{path}?cursor={cursor}")).await;
            assert_eq!(answer.refused(), (422, "E_INVALID".into()), "{path} with the cursor of {of}");
        }
    }
    // With somebody else's cursor everybody still sees their own.
    let lists = [("/tasks", json!([])), ("/wallet/statement", bobs["items"].clone())];
    for (path, own) in lists {
        let (_, cursor) = cursors.iter().find(|(of, _)| of == path).unwrap();
        let seen = bob.get(&format!("{path}?cursor={cursor}")).await.json();
        let own = own.as_array().unwrap();
        assert!(seen["items"].as_array().unwrap().iter().all(|item| own.contains(item)), "{path}: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_stands_for_one_request() {
    let scene = Scene::start().await;
    let (mut ada, mut bob) = (scene.user("ada").await, scene.user("bob").await);
    let id = submitted(&mut ada, "ended").await;
    assert_eq!(ada.post(&format!("/tasks/{id}/cancel"), None).await.status, StatusCode::OK);
    let project = json!({"name": "bobs", "repository": "https://example.org/x"});
    assert_eq!(bob.post("/projects", Some(project)).await.status, StatusCode::CREATED);
    let graph = |name: &str| json!({"tasks": [{"name": "a", "task": task(name)}]});
    let give = |to: &str| json!({"to_username": to, "amount_micro": "1"});
    let tip = |text: &str| json!({"amount_micro": "1", "message": text});
    for (at, (path, first, second)) in [
        ("/tasks", task("one"), task("two")),
        ("/graphs", graph("one"), graph("two")),
        (&format!("/tasks/{id}/retry"), json!({"elements": "1"}), json!({"elements": "2"})),
        ("/wallet/transfers", give("bob"), give("operator")),
        ("/projects/bobs/tips", tip("one"), tip("two")),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("key-{at}");
        let once = [("idempotency-key", key.as_str())];
        let answer = ada.ask("POST", path, Some(first.clone()), &once).await;
        let again = ada.ask("POST", path, Some(first), &once).await;
        assert_eq!((answer.status, &answer.text), (again.status, &again.text), "{path}");
        let other = ada.ask("POST", path, Some(second), &once).await;
        assert_eq!(other.refused(), (409, "E_ID_REUSED".into()), "{path}: {} and {}", answer.text, other.text);
        assert!(!other.text.contains(&id), "{path}: {}", other.text);
    }
    // Keys are everybody's own.
    let once = [("idempotency-key", "key-0")];
    assert_eq!(bob.ask("POST", "/tasks", Some(task("two")), &once).await.status, StatusCode::CREATED);
    for bad in ["a b", "caf\u{e9}", &"x".repeat(129)] {
        let answer = ada.ask("POST", "/tasks", Some(task("one")), &[("idempotency-key", bad)]).await;
        assert_eq!((answer.refused().0, &answer.json()["field"]), (422, &json!("Idempotency-Key")), "{bad}");
    }
}
