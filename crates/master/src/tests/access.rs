//! Every operation of the document, asked by a stranger, by a user about what is another's, and by the operator.

use super::*;
use serde_json::json;

/// What a user who owns nothing gets, and what the operator gets.
struct Line {
    body: Option<Value>,
    member: u16,
    operator: u16,
}

fn line(member: u16, operator: u16) -> Option<Line> {
    Some(Line { body: None, member, operator })
}

fn with(body: Value, member: u16, operator: u16) -> Option<Line> {
    Some(Line { body: Some(body), member, operator })
}

/// What is expected of an operation; `None`: nobody has thought about it.
fn expected(operation: &str) -> Option<Line> {
    let task = json!({"docker_image": "alpine", "argv": ["true"]});
    match operation {
        // Without a login or before one: see the tests of accounts.
        "register" | "login" | "refresh" | "public" => line(0, 0),
        "me" | "list_sessions" | "list_keys" | "list_tasks" | "wallet" | "statement" | "rewards" | "list_projects"
        | "list_nodes" | "info" => line(200, 200),
        // A user token is of no session.
        "logout" => line(422, 422),
        "end_session" | "revoke_key" => line(404, 404),
        "create_key" => with(json!({"name": "n", "scopes": ["tasks:read"]}), 201, 201),
        "invite" => with(json!({}), 403, 201),
        "task" | "explain" | "elements" | "element" | "entries" | "grid" | "failures" | "timeline" | "logs"
        | "log_events" | "output" | "files" | "cancel_task" | "retry_task" => line(404, 404),
        "file" => line(404, 404),
        "submit_task" => with(task, 201, 201),
        "submit_graph" => with(json!({"tasks": [{"name": "a", "task": task}]}), 201, 201),
        "quote" => with(json!({"task": task}), 200, 200),
        "put_content" => line(411, 411),
        "find_contents" => with(json!({"digests": []}), 200, 200),
        "transfer" => with(json!({"to_username": "nobody-here", "amount_micro": "1"}), 404, 404),
        "register_project" => with(json!({"name": "adas", "repository": "https://example.org/x"}), 409, 409),
        "list_tips" => line(200, 200),
        "tip" => with(json!({"amount_micro": "900000000000000000"}), 402, 402),
        "collect_tips" | "close_project" => line(403, 403),
        "node_history" => line(404, 404),
        "set_node" => with(json!({"change": "cordon"}), 404, 404),
        "create_join_token" => line(201, 201),
        "health" | "queue" | "journal" | "audit" | "trial_balance" => line(403, 200),
        "events" => line(0, 0),
        _unknown => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_knows_who_asks() {
    let scene = Scene::start().await;
    let mut ada = scene.user("ada").await;
    let body = json!({"docker_image": "alpine", "argv": ["true"]});
    let task = ada.post("/tasks", Some(body)).await.json()["task_id"].as_str().unwrap().to_owned();
    let project = json!({"name": "adas", "repository": "https://example.org/x"});
    assert_eq!(ada.post("/projects", Some(project)).await.status, StatusCode::CREATED);
    let mut member = scene.script("bob", PASSWORD).await;
    let mut operator = scene.operator().await;
    let document: Value = serde_json::from_str(&crate::document::json().unwrap()).unwrap();
    let mut wrong = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            let Some(line) = expected(name) else {
                wrong.push(format!("{name}: give it a line in `expected`"));
                continue;
            };
            let is_open = operation["security"].as_array().is_some_and(|all| all == &[json!({})]);
            assert_eq!(is_open, line.member == 0 && name != "events", "{name}: who may ask without a login?");
            let path = path
                .replace("/tasks/{id}", &format!("/tasks/{task}"))
                .replace("/sessions/{id}", "/sessions/sess_999")
                .replace("/keys/{id}", "/keys/hm_999")
                .replace("/projects/{name}", "/projects/adas")
                .replace("/nodes/{name}", "/nodes/nobody")
                .replace("{index}", "1");
            let path = if name == "file" { format!("{path}?path=x") } else { path };
            if !is_open {
                let asked = scene.browser().ask(&method.to_uppercase(), &path, line.body.clone(), &[]).await;
                if asked.refused().0 != 401 {
                    wrong.push(format!("{name}: a stranger got {}", asked.status));
                }
            }
            if line.member == 0 {
                continue;
            }
            for (who, browser, status) in
                [("member", &mut member, line.member), ("operator", &mut operator, line.operator)]
            {
                let answer = browser.ask(&method.to_uppercase(), &path, line.body.clone(), &[]).await;
                if answer.status != status {
                    wrong.push(format!("{name}: {who} got {} {}", answer.status, answer.text));
                }
                let told = &operation["responses"][answer.status.as_str()];
                if told.is_null() {
                    wrong.push(format!("{name}: {} is not in the document", answer.status));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
