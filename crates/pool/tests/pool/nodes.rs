//! Machines: joining, registering, reporting.

use crate::support::{TestPool, User, hello, offer, within};
use hivemind_proto::v1::*;
use hivemind_proto::worker::EnrollRequest;
use hivemind_proto::worker::worker_service_client::WorkerServiceClient;
use tonic::Code;

/// The first page of the caller's nodes, or of all.
async fn listed(user: &User, all: bool) -> Result<Vec<NodeSummary>, tonic::Status> {
    let request = ListNodesRequest { token: user.token.clone(), all, ..ListNodesRequest::default() };
    within(user.nodes().list_nodes(request)).await.map(|answer| answer.into_inner().nodes)
}

#[tokio::test]
async fn a_join_token_works_once() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let token = ada.join_token().await;
    let bad = EnrollRequest { join_token: token.clone(), csr_pem: "not a request".into(), offer: Some(offer("one")) };
    let status = within(WorkerServiceClient::new(pool.channel().await).enroll(bad)).await.unwrap_err();
    assert!(status.message().starts_with("E_INVALID: csr_pem"), "{status}");
    pool.enroll(&token, "one").await.1.expect("a request that could not be signed used up the token");
    let status = pool.enroll(&token, "two").await.1.unwrap_err();
    assert!(status.code() == Code::Unauthenticated && status.message().starts_with("E_TOKEN_USED: "), "{status}");
    let pool = pool.restart().await;
    let status = pool.enroll(&token, "two").await.1.unwrap_err();
    assert!(status.message().starts_with("E_TOKEN_USED: "), "a used token works after a restart: {status}");
}

#[tokio::test]
async fn an_expired_join_token_is_refused() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let request = CreateJoinTokenRequest { token: ada.token.clone(), valid_seconds: 1 };
    let token = within(ada.nodes().create_join_token(request)).await.unwrap().into_inner().join_token;
    // A bad request for a certificate does not use the token up, so it can be asked until it has expired.
    let status = within(async {
        loop {
            let bad =
                EnrollRequest { join_token: token.clone(), csr_pem: "not a request".into(), offer: Some(offer("one")) };
            let status = WorkerServiceClient::new(pool.channel().await).enroll(bad).await.unwrap_err();
            if !status.message().starts_with("E_INVALID: csr_pem") {
                return status;
            }
        }
    })
    .await;
    assert!(status.code() == Code::Unauthenticated && status.message().starts_with("E_TOKEN_EXPIRED: "), "{status}");
    for seconds in [-1, 901] {
        let status = within(
            ada.nodes().create_join_token(CreateJoinTokenRequest { token: ada.token.clone(), valid_seconds: seconds }),
        )
        .await
        .unwrap_err();
        assert!(status.message().starts_with("E_INVALID: valid_seconds"), "{status}");
    }
}

#[tokio::test]
async fn join_tokens_name_the_pool_and_its_authority() {
    let pool = TestPool::start().await;
    let token = pool.handle.operator_join_token().await.unwrap();
    let claims = hivemind_client::join_token_peek(&token).unwrap();
    assert_eq!(claims.server, format!("https://{}", pool.handle.grpc_addr()));
    pool.enroll(&token, "own").await.1.unwrap();
}

#[tokio::test]
async fn bad_registrations_of_nodes_name_the_field() {
    let pool = TestPool::start().await;
    let (ada, eve) = (pool.user("ada").await, pool.user("eve").await);
    let good = RegisterNodeRequest {
        node_id: "one".into(),
        ip_address: "10.0.0.1".into(),
        port: 22,
        cpu_cores: 4,
        memory_mb: 4096,
        disk_gb: 10,
        has_gpu: false,
        gpu_info: String::new(),
    };
    assert!(within(ada.nodes().register_node(ada.bearing(good.clone()))).await.unwrap().into_inner().success);
    for (field, request) in [
        ("ip_address", RegisterNodeRequest { ip_address: "300.1.1.1".into(), ..good.clone() }),
        ("port", RegisterNodeRequest { port: -1, ..good.clone() }),
        ("port", RegisterNodeRequest { port: 65_536, ..good.clone() }),
        ("cpu_cores", RegisterNodeRequest { cpu_cores: -1, ..good.clone() }),
        ("memory_mb", RegisterNodeRequest { memory_mb: i64::MAX, ..good.clone() }),
        ("disk_gb", RegisterNodeRequest { disk_gb: -1, ..good.clone() }),
        ("gpu_info", RegisterNodeRequest { gpu_info: "x".repeat(201), ..good.clone() }),
    ] {
        let answer = within(ada.nodes().register_node(ada.bearing(request))).await.unwrap().into_inner();
        assert!(
            !answer.success && answer.message.starts_with(&format!("E_INVALID: {field}")),
            "{field}: {}",
            answer.message
        );
    }
    let answer = within(eve.nodes().register_node(eve.bearing(good))).await.unwrap().into_inner();
    assert!(!answer.success && answer.message.starts_with("E_TAKEN: "), "{}", answer.message);
}

#[tokio::test]
async fn samples_are_checked_and_shown() {
    let pool = TestPool::start().await;
    let (ada, eve) = (pool.user("ada").await, pool.user("eve").await);
    let identity = pool.join(&ada, "one").await;
    let good = ResourceReportRequest {
        node_id: "one".into(),
        cpu_usage: 50.0,
        memory_usage: 25.0,
        disk_usage: 1.0,
        gpu_usage: 0.0,
        active_tasks: 0,
    };
    for (field, request) in [
        ("cpu_usage", ResourceReportRequest { cpu_usage: f32::NAN, ..good.clone() }),
        ("memory_usage", ResourceReportRequest { memory_usage: -0.5, ..good.clone() }),
        ("disk_usage", ResourceReportRequest { disk_usage: 101.0, ..good.clone() }),
        ("gpu_usage", ResourceReportRequest { gpu_usage: f32::INFINITY, ..good.clone() }),
        ("active_tasks", ResourceReportRequest { active_tasks: -1, ..good.clone() }),
    ] {
        let answer = within(ada.nodes().report_resource(ada.bearing(request))).await.unwrap().into_inner();
        assert!(
            !answer.success && answer.message.starts_with(&format!("E_INVALID: {field}")),
            "{field}: {}",
            answer.message
        );
    }
    let answer = within(eve.nodes().report_resource(eve.bearing(good.clone()))).await.unwrap().into_inner();
    assert!(!answer.success && answer.message.starts_with("E_NOT_FOUND: node_id"), "{}", answer.message);
    let channel = within(hivemind_client::connect(&pool.target(Some(identity)))).await.unwrap();
    let answer =
        within(node_service_client::NodeServiceClient::new(channel).report_resource(good)).await.unwrap().into_inner();
    assert!(answer.success, "{}", answer.message);
    let list = listed(&ada, false).await.unwrap();
    assert_eq!(
        (list.len(), list[0].cpu_usage, list[0].state.as_str(), list[0].owner.as_str()),
        (1, 50.0, "offline", "ada")
    );
    assert!(listed(&eve, false).await.unwrap().is_empty());
    let status = listed(&eve, true).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_certificate_of_another_authority_does_not_connect() {
    let (pool, other) = (TestPool::start().await, TestPool::start().await);
    let ada = other.user("ada").await;
    let foreign = other.join(&ada, "one").await;
    let outcome = match hivemind_client::connect(&pool.target(Some(foreign))).await {
        Err(_) => true,
        Ok(channel) => within(
            WorkerServiceClient::new(channel).link(tokio_stream::pending::<hivemind_proto::worker::WorkerMessage>()),
        )
        .await
        .is_err(),
    };
    assert!(outcome);
}

#[tokio::test]
async fn a_linked_node_is_online_and_then_silent() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let identity = pool.join(&ada, "one").await;
    let state = || async { listed(&ada, false).await.unwrap()[0].state.clone() };
    let (link, welcome) = pool.link(&identity, hello("one")).await;
    assert_eq!((welcome.lease_ms, welcome.heartbeat_every_ms), (10_000, 1000));
    assert_eq!(state().await, "online");
    drop(link);
    within(async {
        while state().await != "silent" {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn nodes_come_by_name_a_page_at_a_time() {
    let pool = TestPool::start().await;
    let (ada, eve) = (pool.user("ada").await, pool.user("eve").await);
    for name in ["zebra", "ant", "Yak"] {
        pool.join(&ada, name).await;
    }
    pool.join(&eve, "bee").await;
    let page = async |page_size: i32, page_token: &str| {
        let token = ada.token.clone();
        let request = ListNodesRequest { token, page_size, page_token: page_token.to_owned(), all: false };
        let answer = within(ada.nodes().list_nodes(request)).await.map(tonic::Response::into_inner)?;
        let names: Vec<String> = answer.nodes.into_iter().map(|node| node.node_id).collect();
        Ok::<_, tonic::Status>((names.join(" "), answer.next_page_token))
    };
    assert_eq!(page(0, "").await.unwrap(), ("Yak ant zebra".to_owned(), String::new()));
    let (first, next) = page(2, "").await.unwrap();
    assert_eq!(first, "Yak ant");
    assert_eq!(page(2, &next).await.unwrap(), ("zebra".to_owned(), String::new()));
    for (size, token) in [(-1, ""), (1001, ""), (2, "x"), (2, "Yak")] {
        assert_eq!(page(size, token).await.unwrap_err().code(), Code::InvalidArgument, "{size} {token}");
    }
}
