//! Cookies, and who may use them.

use super::*;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lives_in_cookies_that_scripts_do_not_see() {
    let mut scene = Scene::start().await;
    let mut ada = scene.browser();
    assert_eq!(ada.get("/auth/me").await.refused(), (401, "E_UNAUTHENTICATED".into()));
    let body = json!({"username": "ada", "password": PASSWORD, "email": "a@example.org"});
    let signed = ada.post("/auth/register", Some(body)).await;
    assert_eq!(signed.status, StatusCode::CREATED, "{}", signed.text);
    for line in signed.headers.get_all("set-cookie") {
        let line = line.to_str().unwrap();
        assert!(line.contains("; HttpOnly; SameSite=Strict"), "{line}");
        assert!(
            line.contains("hm_session=") && line.contains("Path=/;")
                || line.contains("hm_refresh=") && line.contains("Path=/api/v1/auth;")
        );
    }
    let values: Vec<&String> = ada.cookies.values().collect();
    assert!(values.iter().all(|secret| !signed.text.contains(secret.as_str())), "no secret is in the body");
    let me = ada.get("/auth/me").await.json();
    assert_eq!((me["username"].as_str(), me["role"].as_str()), (Some("ada"), Some("member")));
    assert_eq!(me["csrf_token"], ada.csrf.as_str());

    // A gateway that starts anew knows nobody, and the browser gets its login back.
    scene.restart();
    ada.router = scene.router.clone();
    assert_eq!(ada.get("/auth/me").await.refused(), (401, "E_UNAUTHENTICATED".into()));
    let csrf = ada.csrf.clone();
    assert_eq!(ada.post("/auth/refresh", None).await.status, StatusCode::OK);
    assert_eq!(ada.csrf, csrf, "open pages keep their word");
    assert_eq!(ada.get("/auth/me").await.status, StatusCode::OK);
    let sessions = ada.get("/auth/sessions").await.json();
    assert_eq!(sessions["items"].as_array().unwrap().len(), 1);
    assert_eq!(sessions["items"][0]["current"], true);

    assert_eq!(ada.post("/auth/logout", None).await.status, StatusCode::NO_CONTENT);
    assert!(ada.cookies.is_empty());
    assert_eq!(ada.post("/auth/refresh", None).await.refused(), (401, "E_UNAUTHENTICATED".into()));
    let wrong = ada.post("/auth/login", Some(json!({"username": "ada", "password": "wrong password"}))).await;
    assert_eq!(wrong.refused(), (401, "E_BAD_CREDENTIALS".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_foreign_page_sends_is_refused() {
    let scene = Scene::start().await;
    let mut ada = scene.user("ada").await;
    let find = || Some(json!({"digests": []}));
    let word = ada.csrf.clone();
    assert_eq!(ada.post("/contents/find", find()).await.status, StatusCode::OK);
    for (csrf, headers) in [
        ("", vec![]),
        ("0000", vec![]),
        (word.as_str(), vec![("origin", "http://evil.example")]),
        (word.as_str(), vec![("origin", "null")]),
        (word.as_str(), vec![("sec-fetch-site", "cross-site")]),
        (word.as_str(), vec![("sec-fetch-site", "same-site")]),
    ] {
        ada.csrf = csrf.to_owned();
        let answer = ada.ask("POST", "/contents/find", find(), &headers).await;
        assert_eq!(answer.refused(), (403, "E_CSRF".into()), "{csrf} {headers:?}");
    }
    ada.csrf = word;
    let own = [("origin", "http://here:1"), ("sec-fetch-site", "same-origin")];
    assert_eq!(ada.ask("POST", "/contents/find", find(), &own).await.status, StatusCode::OK);
    let login = json!({"username": "ada", "password": PASSWORD});
    let foreign = scene.browser().ask("POST", "/auth/login", Some(login), &[("origin", "http://evil.example")]).await;
    assert_eq!(foreign.refused(), (403, "E_CSRF".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_goes_where_its_scopes_allow() {
    let scene = Scene::start().await;
    let mut ada = scene.user("ada").await;
    let asked = json!({"name": "ci", "scopes": ["tasks:read"], "valid_seconds": 3600});
    let made = ada.post("/auth/keys", Some(asked)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let made = made.json();
    let mut script = Browser { bearer: made["key"].as_str().map(str::to_owned), ..scene.browser() };
    assert_eq!(script.get("/tasks").await.status, StatusCode::OK);
    assert_eq!(script.get("/wallet").await.refused(), (403, "E_FORBIDDEN".into()));
    let id = made["key_id"].as_str().unwrap();
    assert_eq!(ada.get("/auth/keys").await.json()["items"][0]["key_id"], id);
    assert_eq!(ada.ask("DELETE", &format!("/auth/keys/{id}"), None, &[]).await.status, StatusCode::NO_CONTENT);
    assert_eq!(script.get("/tasks").await.refused().0, 401);
}
