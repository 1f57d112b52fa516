//! What strangers try.

use super::*;
use axum::extract::ConnectInfo;
use serde_json::json;
use std::net::SocketAddr;

async fn asked(router: &Router, host: &str, from: &str) -> (StatusCode, HeaderMap) {
    asked_for("/api/v1/public", router, host, from).await
}

async fn asked_for(path: &str, router: &Router, host: &str, from: &str) -> (StatusCode, HeaderMap) {
    let request = Request::builder().uri(path).header("host", host);
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo::<SocketAddr>(from.parse().unwrap()));
    let answer = tokio::time::timeout(PATIENCE, router.clone().oneshot(request)).await.unwrap().unwrap();
    (answer.status(), answer.headers().clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_strangers_are_not_answered() {
    let mut scene = Scene::start().await;
    for (host, status) in [
        ("localhost:1", 200),
        ("127.0.0.1", 200),
        ("here", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
    ] {
        assert_eq!(asked(&scene.router, host, "127.0.0.1:9").await.0.as_u16(), status, "{host}");
    }
    scene.gateway.names.clear();
    scene.gateway.listen = "0.0.0.0:0".parse().unwrap();
    scene.restart();
    assert_eq!(asked(&scene.router, "pool.example", "192.0.2.1:9").await.0, StatusCode::OK, "no name was named");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_proxy_that_was_named_says_where_browsers_are() {
    let mut scene = Scene::start().await;
    let seen = |gateway: &Gateway, told: &str| {
        let (app, _) = gateway.parts().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", told.parse().unwrap());
        let mut extensions = http::Extensions::new();
        extensions.insert(ConnectInfo::<SocketAddr>("127.0.0.1:9".parse().unwrap()));
        app.address_of(&headers, &extensions).to_string()
    };
    assert_eq!(seen(&scene.gateway, "203.0.113.7"), "127.0.0.1", "whatever is claimed");
    let plain = asked(&scene.router, "here", "127.0.0.1:9").await.1;
    assert!(!plain.contains_key("strict-transport-security"));

    scene.gateway.way = Way::Proxy;
    scene.restart();
    assert_eq!(seen(&scene.gateway, "198.51.100.1, 203.0.113.7"), "203.0.113.7", "only what the proxy itself added");
    assert_eq!(seen(&scene.gateway, "unknown"), "255.255.255.255", "nobody's, and not the proxy's");
    let proxied = asked(&scene.router, "here", "127.0.0.1:9").await.1;
    assert!(proxied.contains_key("strict-transport-security"));
    let signed = scene.browser().post("/auth/register", Some(account("ada"))).await;
    let cookies: Vec<_> = signed.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap()).collect();
    assert!(cookies.len() == 2 && cookies.iter().all(|line| line.contains("; Secure")), "{cookies:?}");
}

fn account(name: &str) -> Value {
    json!({"username": name, "password": PASSWORD, "email": "a@example.org"})
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_of_nobody_are_not_read() {
    let scene = Scene::start().await;
    let many = format!("{{\"tasks\":[{}]}}", vec!["{}"; 120_000].join(","));
    let mut nobody = scene.browser();
    nobody.bearer = Some("x".into());
    let json = [("content-type", "application/json".to_owned())];
    let refused = nobody.send("POST", "/graphs", many.clone(), &json).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "before anything of it is read");
    let mut ada = scene.script("ada", PASSWORD).await;
    let refused = ada.send("POST", "/graphs", many, &json).await;
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_revoked_follows_nothing_more() {
    let scene = Scene::start().await;
    let mut ada = scene.user("ada").await;
    let key = json!({"name": "k", "scopes": ["tasks:read"], "valid_seconds": 600});
    let key = ada.post("/auth/keys", Some(key)).await.json();
    let mut script = scene.browser();
    script.bearer = key["key"].as_str().map(str::to_owned);
    let open = script.send("GET", "/events", String::new(), &[]).await;
    assert_eq!(open.status(), StatusCode::OK);
    let path = format!("/auth/keys/{}", key["key_id"].as_str().unwrap());
    assert_eq!(ada.ask("DELETE", &path, None, &[]).await.status, StatusCode::NO_CONTENT);
    assert_eq!(script.get("/events").await.refused().0, 401, "though a feed of it runs");
    let ended = tokio::time::timeout(PATIENCE, open.into_body().collect()).await;
    assert!(ended.is_ok(), "its stream ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_that_are_not_there_are_refused_at_once() {
    let scene = Scene::start().await;
    let mut ada = scene.user("ada").await;
    let body = json!({"docker_image": "alpine", "argv": ["true"]});
    let id = ada.post("/tasks", Some(body)).await.json()["task_id"].as_str().unwrap().to_owned();
    let answer = ada.get(&format!("/tasks/{id}/logs/events?element=99")).await;
    assert_eq!(answer.refused(), (404, "E_NOT_FOUND".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_refused_where_nothing_can_be_repeated_under_it() {
    let scene = Scene::start().await;
    let mut ada = scene.user("ada").await;
    let key = json!({"name": "k", "scopes": ["tasks:read"], "valid_seconds": 600});
    let answer = ada.ask("POST", "/auth/keys", Some(key), &[("idempotency-key", "again")]).await;
    assert_eq!(answer.refused(), (422, "E_INVALID".into()));
    assert_eq!(answer.json()["field"], "Idempotency-Key");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_out_is_logged_out_though_the_pool_is_away() {
    let mut scene = Scene::start().await;
    let mut ada = scene.user("ada").await;
    scene.stop_pool().await;
    assert_eq!(ada.post("/auth/logout", None).await.refused().0, 503, "the pool could not be told");
    assert!(ada.cookies.is_empty(), "{:?}", ada.cookies);
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_for_private_networks() {
    let mut scene = Scene::start().await;
    scene.gateway.listen = "0.0.0.0:0".parse().unwrap();
    for (from, status) in [
        ("127.0.0.1:9", 200),
        ("10.1.2.3:9", 200),
        ("100.64.0.1:9", 200),
        ("[::1]:9", 200),
        ("[fd00::1]:9", 200),
        ("192.0.2.1:9", 403),
        ("100.128.0.1:9", 403),
        ("[2001:db8::1]:9", 403),
        ("[::ffff:192.0.2.1]:9", 403),
    ] {
        assert_eq!(asked_for("/metrics", &scene.router, "here", from).await.0.as_u16(), status, "{from}");
        assert_eq!(asked_for("/livez", &scene.router, "here", from).await.0, StatusCode::OK, "{from}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_out_after_the_login_has_ended_leaves_no_session() {
    let mut scene = Scene::start().await;
    let mut ada = scene.user("ada").await;
    // A gateway that starts anew knows no login; the browser still has both cookies.
    scene.restart();
    let mut again =
        Browser { router: scene.router.clone(), cookies: ada.cookies.clone(), csrf: String::new(), bearer: None };
    assert_eq!(again.post("/auth/logout", None).await.status, StatusCode::NO_CONTENT);
    ada.router = scene.router.clone();
    assert_eq!(ada.post("/auth/refresh", None).await.status, StatusCode::UNAUTHORIZED, "it is renewed no more");
    let stranger = scene.browser().post("/auth/logout", None).await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_one_user_that_drip_in_leave_room_for_others() {
    let scene = Scene::start().await;
    let (ada, mut bob) = (scene.user("ada").await, scene.user("bob").await);
    let mut dripping = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let headers = [("x-csrf-token", ada.csrf.clone()), ("content-type", "application/json".to_owned())];
        let body = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
        let request = ada.request("POST", "/quote", body, &headers);
        dripping.spawn(scene.router.clone().oneshot(request));
    }
    // All but a few of them are refused; those wait for the rest of their bodies.
    let mut refused = 0;
    while refused < 36 {
        let answer = tokio::time::timeout(PATIENCE, dripping.join_next()).await.unwrap().unwrap().unwrap().unwrap();
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        refused += 1;
    }
    let task = json!({"task_name": "t", "docker_image": "alpine", "argv": ["true"]});
    assert_eq!(bob.post("/tasks", Some(task)).await.status, StatusCode::CREATED);
}
