//! Accounts, logins and tokens.

use crate::support::{PASSWORD, TestPool, log_in, within};
use hivemind_pool::{Rates, Tuning};
use hivemind_proto::v1::auth_service_client::AuthServiceClient;
use hivemind_proto::v1::node_service_client::NodeServiceClient;
use hivemind_proto::v1::pool_service_client::PoolServiceClient;
use hivemind_proto::v1::project_service_client::ProjectServiceClient;
use hivemind_proto::v1::task_service_client::TaskServiceClient;
use hivemind_proto::v1::token_service_client::TokenServiceClient;
use hivemind_proto::v1::*;
use hivemind_proto::worker::worker_service_client::WorkerServiceClient;
use hivemind_proto::worker::{FetchInputRequest, OutputChunk, WorkerMessage};
use std::num::NonZeroU32;
use tonic::{Code, Status};

#[tokio::test]
async fn a_new_user_logs_in_and_has_the_grant() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    assert_eq!(ada.funds().await, (150_000_000, 0));
    let me = within(AuthServiceClient::new(ada.channel.clone()).who_am_i(ada.bearing(WhoAmIRequest::default())))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((me.username.as_str(), me.role.as_str()), ("ada", "member"));
}

#[tokio::test]
async fn unknown_user_and_wrong_password_answer_alike() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let wrong = log_in(&ada.channel, "ada", "not the password").await;
    let unknown = log_in(&ada.channel, "nobody", PASSWORD).await;
    assert_eq!(wrong, unknown);
    assert_eq!((wrong.success, wrong.token.as_str()), (false, ""));
    assert!(wrong.message.starts_with("E_BAD_CREDENTIALS: "), "{}", wrong.message);
    assert!(log_in(&ada.channel, "ADA", PASSWORD).await.success, "letter case counts");
}

#[tokio::test]
async fn bad_registrations_name_the_field() {
    let pool = TestPool::start().await;
    pool.user("ada").await;
    let mut calls = AuthServiceClient::new(pool.channel().await);
    for (username, password, email, expected) in [
        ("Ada", PASSWORD, "a@example.org", "E_TAKEN: username"),
        ("operator", PASSWORD, "a@example.org", "E_TAKEN: username"),
        ("x", PASSWORD, "a@example.org", "E_INVALID: username"),
        ("../root", PASSWORD, "a@example.org", "E_INVALID: username"),
        ("bob", "short", "a@example.org", "E_INVALID: password"),
        ("bob", &"x".repeat(1025), "a@example.org", "E_INVALID: password"),
        ("bob", PASSWORD, "nowhere", "E_INVALID: email"),
    ] {
        let request = RegisterRequest {
            username: username.into(),
            password: password.into(),
            email: email.into(),
            ..RegisterRequest::default()
        };
        let answer = within(calls.register(request)).await.unwrap().into_inner();
        assert!(!answer.success && answer.message.starts_with(expected), "{username}: {}", answer.message);
    }
}

#[tokio::test]
async fn too_many_logins_are_refused() {
    let rates = Rates { logins_per_account: NonZeroU32::new(2).unwrap(), ..Rates::default() };
    let pool = TestPool::start_with(hivemind_model::Policy::default(), Tuning { rates, ..Tuning::default() }).await;
    let channel = pool.channel().await;
    for _ in 0..2 {
        assert!(log_in(&channel, "nobody", "guess guess").await.message.starts_with("E_BAD_CREDENTIALS"));
    }
    assert!(log_in(&channel, "nobody", "guess guess").await.message.starts_with("E_BUSY"));
}

#[tokio::test]
async fn forged_foreign_and_misused_tokens_are_refused() {
    let (pool, other) = (TestPool::start().await, TestPool::start().await);
    let (ada, stranger) = (pool.user("ada").await, other.user("ada").await);
    let join = ada.join_token().await;
    let mut forged = ada.token.clone();
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'Q' } else { 'A' });
    let cut: String = ada.token.chars().take(ada.token.len() - 5).collect();
    for token in [forged, cut, stranger.token, join, "x".into(), "a.b.c".into(), "x".repeat(5000)] {
        let status = within(ada.money().balance(BalanceRequest { token: token.clone() })).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{token}");
        assert!(status.message().starts_with("E_UNAUTHENTICATED: "), "{}", status.message());
    }
    let (_, answer) = pool.enroll(&ada.token, "node").await;
    assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated, "a user token enrolled a node");
}

#[tokio::test]
async fn every_call_but_the_open_ones_refuses_strangers() {
    fn code<T>(result: Result<T, Status>) -> Code {
        result.err().map_or(Code::Ok, |status| status.code())
    }
    let pool = TestPool::start().await;
    let channel = pool.channel().await;
    let (mut auth, mut tokens) = (AuthServiceClient::new(channel.clone()), TokenServiceClient::new(channel.clone()));
    let (mut tasks, mut nodes) = (TaskServiceClient::new(channel.clone()), NodeServiceClient::new(channel.clone()));
    let mut projects = ProjectServiceClient::new(channel.clone());
    let (mut of_pool, mut worker) = (PoolServiceClient::new(channel.clone()), WorkerServiceClient::new(channel));
    let codes = [
        ("WhoAmI", code(within(auth.who_am_i(WhoAmIRequest::default())).await)),
        ("Transfer", code(within(tokens.transfer(TransferRequest::default())).await)),
        ("Balance", code(within(tokens.balance(BalanceRequest::default())).await)),
        ("TransferMany", code(within(tokens.transfer_many(TransferManyRequest::default())).await)),
        ("Statement", code(within(tokens.statement(StatementRequest::default())).await)),
        ("TaskEntries", code(within(tokens.task_entries(TaskEntriesRequest::default())).await)),
        ("CreateInvitation", code(within(auth.create_invitation(CreateInvitationRequest::default())).await)),
        ("RegisterProject", code(within(projects.register_project(RegisterProjectRequest::default())).await)),
        ("CloseProject", code(within(projects.close_project(CloseProjectRequest::default())).await)),
        ("CollectTips", code(within(projects.collect_tips(CollectTipsRequest::default())).await)),
        ("ListProjects", code(within(projects.list_projects(ListProjectsRequest::default())).await)),
        ("ListTips", code(within(projects.list_tips(ListTipsRequest::default())).await)),
        ("Tip", code(within(projects.tip(TipRequest::default())).await)),
        ("Quote", code(within(tasks.quote(QuoteRequest::default())).await)),
        ("ListRewards", code(within(nodes.list_rewards(ListRewardsRequest::default())).await)),
        ("TrialBalance", code(within(of_pool.trial_balance(TrialBalanceRequest::default())).await)),
        ("SubmitTask", code(within(tasks.submit_task(SubmitTaskRequest::default())).await)),
        ("SubmitTasks", code(within(tasks.submit_tasks(SubmitTasksRequest::default())).await)),
        ("Explain", code(within(tasks.explain(ExplainRequest::default())).await)),
        ("TaskStatus", code(within(tasks.task_status(TaskStatusRequest::default())).await)),
        ("ListTasks", code(within(tasks.list_tasks(ListTasksRequest::default())).await)),
        ("CancelTask", code(within(tasks.cancel_task(CancelTaskRequest::default())).await)),
        ("WatchTasks", code(within(tasks.watch_tasks(WatchTasksRequest::default())).await)),
        ("FollowLogs", code(within(tasks.follow_logs(FollowLogsRequest::default())).await)),
        ("Upload", code(within(tasks.upload(tokio_stream::iter([UploadChunk::default()]))).await)),
        ("Upload of nothing", code(within(tasks.upload(tokio_stream::iter([]))).await)),
        ("DownloadOutput", code(within(tasks.download_output(DownloadOutputRequest::default())).await)),
        ("RegisterNode", code(within(nodes.register_node(RegisterNodeRequest::default())).await)),
        ("ReportResource", code(within(nodes.report_resource(ResourceReportRequest::default())).await)),
        ("ListNodes", code(within(nodes.list_nodes(ListNodesRequest::default())).await)),
        ("SetNode", code(within(nodes.set_node(SetNodeRequest::default())).await)),
        ("CreateJoinToken", code(within(nodes.create_join_token(CreateJoinTokenRequest::default())).await)),
        ("Info", code(within(of_pool.info(InfoRequest::default())).await)),
        ("Audit", code(within(of_pool.audit(AuditRequest::default())).await)),
        ("Link", code(within(worker.link(tokio_stream::iter([WorkerMessage::default()]))).await)),
        ("FetchInput", code(within(worker.fetch_input(FetchInputRequest::default())).await)),
        ("StoreOutput", code(within(worker.store_output(tokio_stream::iter([OutputChunk::default()]))).await)),
    ];
    for (call, code) in codes {
        assert_eq!(code, Code::Unauthenticated, "{call}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_tells_its_health_to_anybody() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    let pool = TestPool::start().await;
    let mut health = HealthClient::new(pool.channel().await);
    for service in [
        "",
        "hivemind.v1.TaskService",
        "hivemind.v1.AuthService",
        "hivemind.v1.ProjectService",
        "hivemind.worker.v1.WorkerService",
    ] {
        let answer = within(health.check(HealthCheckRequest { service: service.into() })).await;
        assert_eq!(answer.expect(service).into_inner().status, 1, "{service} serves");
    }
    let unknown = within(health.check(HealthCheckRequest { service: "no.Such".into() })).await;
    assert_eq!(unknown.expect_err("unknown").code(), Code::NotFound);
}

#[tokio::test]
async fn strangers_who_say_nothing_do_not_keep_others_out() {
    let pool = TestPool::start().await;
    let address = pool.handle.grpc_addr();
    let mut silent = Vec::new();
    for _ in 0..600 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        silent.push(within(socket.connect(address)).await.unwrap());
    }
    pool.user("ada").await;
}
