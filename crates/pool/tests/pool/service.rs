//! Cordon, drain, ban: who may, what it does to work and links, and that it is kept.

use crate::support::{PASSWORD, TestPool, User, hello, within};
use hivemind_proto::v1::*;
use hivemind_proto::worker::pool_event::Event as FromPool;
use tonic::{Code, Status};

async fn set(user: &User, change: &str, deadline_seconds: i64, reason: &str) -> Result<NodeSummary, Status> {
    let (token, change, reason) = (user.token.clone(), change.into(), reason.into());
    let request = SetNodeRequest { token, node_id: "lab".into(), change, deadline_seconds, reason };
    within(user.nodes().set_node(request)).await.map(tonic::Response::into_inner)
}

async fn service(user: &User) -> (String, String) {
    let request = ListNodesRequest { token: user.token.clone(), all: false, ..ListNodesRequest::default() };
    let lab = within(user.nodes().list_nodes(request)).await.unwrap().into_inner().nodes.remove(0);
    (lab.service, lab.service_reason)
}

#[tokio::test]
async fn a_node_is_cordoned_by_its_owner_and_banned_by_the_operator_only() {
    let pool = TestPool::start().await;
    let (ada, eve, operator) = (pool.user("ada").await, pool.user("eve").await, pool.operator().await);
    let identity = pool.join(&ada, "lab").await;
    let (mut link, _) = pool.link(&identity, hello("lab")).await;
    let status = set(&eve, "cordon", 0, "").await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::NotFound, "E_NOT_FOUND: node_id: no such node, or it is not yours")
    );
    for (user, change, seconds, reason, start) in [
        (&ada, "ban", 0, "mine", "E_FORBIDDEN: "),
        (&ada, "unban", 0, "", "E_FORBIDDEN: "),
        (&ada, "stop", 0, "", "E_INVALID: change"),
        (&ada, "drain", -1, "", "E_INVALID: deadline_seconds"),
        (&ada, "drain", 2_592_001, "", "E_INVALID: deadline_seconds"),
        (&operator, "ban", 0, "", "E_INVALID: reason"),
    ] {
        let status = set(user, change, seconds, reason).await.unwrap_err();
        assert!(status.message().starts_with(start), "{change}: {status}");
    }
    let drained = set(&ada, "drain", 60, "").await.unwrap();
    assert!(drained.service == "draining" && drained.service_until_unix_ms > 0, "{drained:?}");
    assert_eq!((drained.state.as_str(), drained.owner.as_str()), ("online", "ada"));
    let cordoned = set(&ada, "cordon", 0, "").await.unwrap();
    assert_eq!((cordoned.service.as_str(), cordoned.service_until_unix_ms), ("cordoned", 0));
    let task = ada.submit("one").await;
    let waits = ada.status(&task).await.task.unwrap().waiting_reason;
    assert!(waits.contains("takes work"), "{waits}");
    set(&operator, "uncordon", 0, "").await.unwrap();
    let attempt = link.assigned().await;
    link.started(attempt).await;

    let banned = set(&operator, "ban", 0, "it sends wrong results").await.unwrap();
    assert_eq!((banned.service.as_str(), banned.service_reason.as_str()), ("banned", "it sends wrong results"));
    match link.next().await.unwrap() {
        FromPool::Stop(stop) => assert_eq!(stop.attempt, Some(attempt)),
        other => panic!("expected a Stop, got {other:?}"),
    }
    link.next().await.unwrap_err();

    let pool = pool.restart().await;
    let (ada, operator) = (pool.login("ada", PASSWORD).await, pool.operator().await);
    assert_eq!(service(&ada).await, ("banned".into(), "it sends wrong results".into()));
    let refused = match pool.raw_link(&identity, hello("lab")).await {
        Ok(mut link) => link.next().await.unwrap_err(),
        Err(status) => status,
    };
    assert!(
        refused.code() == Code::PermissionDenied && refused.message().contains("it sends wrong results"),
        "{refused}"
    );
    let status = set(&ada, "uncordon", 0, "").await.unwrap_err();
    assert!(status.message().starts_with("E_CONFLICT: "), "{status}");
    set(&operator, "unban", 0, "").await.unwrap();
    let (mut link, _) = pool.link(&identity, hello("lab")).await;
    link.assigned().await;
}
