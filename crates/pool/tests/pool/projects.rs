//! Projects and tips.

use crate::support::{TestPool, User, within};
use hivemind_proto::v1::*;
use tonic::{Code, Status};

async fn register(user: &User, name: &str, repository: &str) -> Result<ProjectSummary, Status> {
    let (token, name, repository) = (user.token.clone(), name.into(), repository.into());
    let request = RegisterProjectRequest { token, name, repository };
    within(user.projects().register_project(request)).await.map(tonic::Response::into_inner)
}

async fn tip(user: &User, project: &str, amount: i64, message: &str, id: &str) -> TransferResponse {
    let (token, project) = (user.token.clone(), project.into());
    let request = TipRequest { token, project, amount, amount_micro: 0, message: message.into(), tip_id: id.into() };
    within(user.projects().tip(request)).await.unwrap().into_inner()
}

async fn collect(user: &User, project: &str) -> Result<i64, Status> {
    let request = CollectTipsRequest { token: user.token.clone(), project: project.into() };
    within(user.projects().collect_tips(request)).await.map(|answer| answer.into_inner().amount_micro)
}

async fn close(user: &User, project: &str) -> Result<i64, Status> {
    let request = CloseProjectRequest { token: user.token.clone(), project: project.into() };
    within(user.projects().close_project(request)).await.map(|answer| answer.into_inner().amount_micro)
}

async fn tips(user: &User, project: &str, page_size: i32, page_token: String) -> Result<ListTipsResponse, Status> {
    let request = ListTipsRequest { token: user.token.clone(), project: project.into(), page_size, page_token };
    within(user.projects().list_tips(request)).await.map(tonic::Response::into_inner)
}

async fn projects(user: &User, page_size: i32, page_token: String) -> Result<ListProjectsResponse, Status> {
    let request = ListProjectsRequest { token: user.token.clone(), page_size, page_token };
    within(user.projects().list_projects(request)).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_project_is_tipped_collected_and_closed() {
    let pool = TestPool::start().await;
    let (ada, bob) = (pool.user("ada").await, pool.user("bob").await);
    let made = register(&ada, "Tool", "https://example.org/tool").await.unwrap();
    assert_eq!((made.name.as_str(), made.owner.as_str(), made.state.as_str()), ("Tool", "ada", "open"));
    for number in 1..=3 {
        let answer = tip(&bob, "tool", number, &format!("thanks {number}"), "").await;
        assert!(answer.success, "{}", answer.message);
        assert_eq!(answer.new_balance, 150 - (1..=number).sum::<i64>());
    }
    let first = tips(&ada, "TOOL", 2, String::new()).await.unwrap();
    let second = tips(&ada, "tool", 2, first.next_page_token.clone()).await.unwrap();
    let told: Vec<_> = first.tips.iter().chain(&second.tips).map(|tip| (tip.number, tip.message.as_str())).collect();
    assert_eq!(told, [(3, "thanks 3"), (2, "thanks 2"), (1, "thanks 1")]);
    assert!(second.next_page_token.is_empty() && first.tips.iter().all(|tip| tip.from == "bob"));
    assert_eq!(collect(&bob, "tool").await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(collect(&ada, "tool").await.unwrap(), 6_000_000);
    assert_eq!(collect(&ada, "tool").await.unwrap(), 0);
    assert!(tip(&bob, "tool", 4, "", "").await.success);
    assert_eq!(close(&bob, "tool").await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(close(&ada, "tool").await.unwrap(), 4_000_000);
    let late = tip(&bob, "tool", 1, "", "").await;
    assert!(!late.success && late.message.starts_with("E_CONFLICT: project"), "{}", late.message);
    assert_eq!((ada.funds().await.0, bob.funds().await.0), (160_000_000, 140_000_000));
    let list = projects(&bob, 0, String::new()).await.unwrap().projects;
    assert_eq!((list.len(), list[0].state.as_str(), list[0].tips, list[0].tipped_micro), (1, "closed", 4, 10_000_000));
    assert!(pool.operator().await.audit().await.balanced);
}

#[tokio::test]
async fn bad_projects_and_tips_name_the_field_and_move_nothing() {
    let pool = TestPool::start().await;
    let (ada, bob) = (pool.user("ada").await, pool.user("bob").await);
    register(&ada, "tool", "https://example.org/tool").await.unwrap();
    for (name, repository, expected) in [
        ("TOOL", "https://example.org/x", "E_TAKEN: name"),
        ("x", "https://example.org/x", "E_INVALID: name"),
        ("../x", "https://example.org/x", "E_INVALID: name"),
        ("other", "http://example.org/x", "E_INVALID: repository"),
        ("other", "", "E_INVALID: repository"),
    ] {
        let status = register(&bob, name, repository).await.unwrap_err();
        assert!(status.message().starts_with(expected), "{name} {repository}: {status}");
    }
    let long = "x".repeat(281);
    for (user, project, amount, message, id, expected) in [
        (&bob, "tool", 0, "", "", "E_INVALID: amount"),
        (&bob, "tool", -1, "", "", "E_INVALID: amount"),
        (&bob, "tool", i64::MAX, "", "", "E_INVALID: amount"),
        (&bob, "tool", 151, "", "", "E_INSUFFICIENT_CPT: "),
        (&bob, "tool", 1, long.as_str(), "", "E_INVALID: message"),
        (&bob, "nothing", 1, "", "", "E_NOT_FOUND: project"),
        (&bob, "tool", 1, "", &"x".repeat(129), "E_INVALID: tip_id"),
        (&ada, "tool", 1, "", "", "E_INVALID: project"),
    ] {
        let answer = tip(user, project, amount, message, id).await;
        assert!(!answer.success && answer.message.starts_with(expected), "{project} {amount}: {}", answer.message);
    }
    assert_eq!((ada.funds().await.0, bob.funds().await.0), (150_000_000, 150_000_000));
    for project in ["nothing", &"x".repeat(10_000), ""] {
        let status = tips(&bob, project, 0, String::new()).await.unwrap_err();
        assert!(status.code() == Code::NotFound && status.message().starts_with("E_NOT_FOUND: project"), "{status}");
    }
    for (size, token, field) in [(-1, "", "page_size"), (1001, "", "page_size"), (1, "nonsense", "page_token")] {
        let status = tips(&bob, "tool", size, token.into()).await.unwrap_err();
        assert!(status.message().starts_with(&format!("E_INVALID: {field}")), "{status}");
        let status = projects(&bob, size, token.into()).await.unwrap_err();
        assert!(status.message().starts_with(&format!("E_INVALID: {field}")), "{status}");
    }
}

#[tokio::test]
async fn one_tip_id_has_one_effect_and_is_no_transfer() {
    let pool = TestPool::start().await;
    let (ada, bob) = (pool.user("ada").await, pool.user("bob").await);
    pool.user("tool").await;
    register(&ada, "tool", "https://example.org/tool").await.unwrap();
    let first = tip(&bob, "tool", 10, "", "one").await;
    assert!(first.success, "{}", first.message);
    assert_eq!(tip(&bob, "tool", 10, "", "one").await, first);
    for answer in [tip(&bob, "tool", 11, "", "one").await, bob.pay("tool", 10, 0, "one").await] {
        assert!(!answer.success && answer.message.starts_with("E_ID_REUSED:"), "{}", answer.message);
    }
    assert_eq!(bob.funds().await.0, 140_000_000);
}

#[tokio::test]
async fn projects_come_in_pages() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    for number in 0..5 {
        register(&ada, &format!("tool{number}"), "https://example.org/tool").await.unwrap();
    }
    let (mut names, mut token) = (Vec::new(), String::new());
    for expected in [2, 2, 1] {
        let page = projects(&ada, 2, token).await.unwrap();
        assert_eq!(page.projects.len(), expected);
        names.extend(page.projects.into_iter().map(|project| project.name));
        token = page.next_page_token;
    }
    assert_eq!((names.join(" ").as_str(), token.as_str()), ("tool0 tool1 tool2 tool3 tool4", ""));
}
