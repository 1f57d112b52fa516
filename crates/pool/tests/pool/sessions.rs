//! Sessions of browsers and API keys, over the wire.

use crate::support::{DEADLINE, PASSWORD, TestPool, User, change_row, within};
use hivemind_client::{Client, ClientError, NewKey, Opened};
use hivemind_model::{Policy, Scope};
use hivemind_pool::{Rates, Tuning};
use hivemind_proto::v1::*;
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tokio::task::JoinHandle;
use tonic::{Code, Status, Streaming};

const DAY: Duration = Duration::from_secs(86_400);

async fn stranger(pool: &TestPool) -> Client {
    within(Client::connect(&pool.target(None), None)).await.unwrap()
}

async fn open(pool: &TestPool, name: &str) -> (Client, Opened) {
    let client = stranger(pool).await;
    let session = within(client.open_session(name, PASSWORD, "Firefox on Linux")).await.unwrap();
    (client.with_token(&session.access_token).unwrap(), session)
}

async fn key(pool: &TestPool, user: &User, scopes: &[&str]) -> NewKey {
    let client = stranger(pool).await.with_token(&user.token).unwrap();
    let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    within(client.create_key("test", &scopes, DAY)).await.unwrap()
}

/// The same user by another token.
fn by(user: &User, token: &str) -> User {
    User { channel: user.channel.clone(), token: token.to_owned() }
}

fn is_login(error: &ClientError) -> bool {
    matches!(error, ClientError::Login { .. })
}

#[tokio::test]
async fn a_session_is_opened_refreshed_and_ended() {
    let pool = TestPool::start().await;
    pool.user("ada").await;
    let (client, first) = open(&pool, "ADA").await;
    assert_eq!((first.username.as_str(), first.role.as_str()), ("ada", "member"));
    assert!(first.access_expires_at < first.refresh_expires_at);
    assert_eq!(within(client.whoami()).await.unwrap().username, "ada");

    let second = within(client.refresh_session(&first.refresh_token)).await.unwrap();
    assert_eq!(second.session_id, first.session_id);
    assert_ne!(second.refresh_token, first.refresh_token);
    let again = within(client.refresh_session(&first.refresh_token)).await.unwrap();
    assert_eq!(again.refresh_token, second.refresh_token, "an answer that was lost is had again");

    let (_, other) = open(&pool, "ada").await;
    let listed = within(client.sessions()).await.unwrap();
    let shown: Vec<_> = listed.iter().map(|one| (one.session_id.as_str(), one.current)).collect();
    assert_eq!(shown, [(other.session_id.as_str(), false), (first.session_id.as_str(), true)]);
    assert_eq!(listed[0].about, "Firefox on Linux");

    // Both access tokens of the session are refused from then on, the other session's is not.
    within(client.end_session("")).await.unwrap();
    for token in [&first.access_token, &second.access_token] {
        let error = within(client.with_token(token).unwrap().whoami()).await.unwrap_err();
        assert!(is_login(&error) && error.to_string().contains("has ended"), "{error}");
    }
    assert!(is_login(&within(client.refresh_session(&second.refresh_token)).await.unwrap_err()));
    let client = client.with_token(&other.access_token).unwrap();
    assert_eq!(within(client.sessions()).await.unwrap().len(), 1);
    let error = within(client.end_session(&first.session_id)).await.unwrap_err();
    assert_eq!(error.code(), Some("E_NOT_FOUND"));
}

#[tokio::test]
async fn an_old_refresh_token_ends_the_whole_session() {
    let pool = TestPool::start().await;
    pool.user("ada").await;
    let (client, first) = open(&pool, "ada").await;
    let mut newest = first.clone();
    for _ in 0..3 {
        newest = within(client.refresh_session(&newest.refresh_token)).await.unwrap();
    }
    assert!(within(client.whoami()).await.is_ok());
    let error = within(client.refresh_session(&first.refresh_token)).await.unwrap_err();
    assert!(is_login(&error) && error.to_string().contains("used before"), "{error}");
    for token in [&first.access_token, &newest.access_token] {
        assert!(is_login(&within(client.with_token(token).unwrap().whoami()).await.unwrap_err()));
    }
    assert!(is_login(&within(client.refresh_session(&newest.refresh_token)).await.unwrap_err()));
}

#[tokio::test]
async fn sessions_survive_a_restart_and_end_in_time() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let made = key(&pool, &ada, &["wallet:read"]).await;
    let (_, session) = open(&pool, "ada").await;
    let (_, ended) = open(&pool, "ada").await;
    let client = stranger(&pool).await.with_token(&ended.access_token).unwrap();
    within(client.end_session("")).await.unwrap();

    let pool = pool.restart().await;
    let ada = pool.login("ada", PASSWORD).await;
    let client = stranger(&pool).await;
    within(client.with_token(&session.access_token).unwrap().whoami()).await.unwrap();
    assert!(is_login(&within(client.with_token(&ended.access_token).unwrap().whoami()).await.unwrap_err()));
    let session = within(client.refresh_session(&session.refresh_token)).await.unwrap();
    within(by(&ada, &made.key).money().balance(BalanceRequest { token: made.key.clone() })).await.unwrap();

    let pool = pool
        .restart_after(Tuning::default(), async |data| {
            change_row(&data, "UPDATE sessions SET expires_at = 1 WHERE kind = 'browser'").await;
            change_row(&data, "UPDATE sessions SET expires_at = 1 WHERE kind = 'key'").await;
        })
        .await;
    let client = stranger(&pool).await;
    assert!(is_login(&within(client.refresh_session(&session.refresh_token)).await.unwrap_err()));
    assert!(is_login(&within(client.with_token(&made.key).unwrap().whoami()).await.unwrap_err()));
}

#[tokio::test]
async fn nobody_opens_a_session_without_the_password() {
    let rates = Rates { logins_per_account: NonZeroU32::new(2).unwrap(), ..Rates::default() };
    let pool = TestPool::start_with(Policy::default(), Tuning { rates, ..Tuning::default() }).await;
    let client = stranger(&pool).await;
    let mut said = Vec::new();
    for _ in 0..2 {
        said.push(within(client.open_session("nobody", "guess guess", "")).await.unwrap_err().to_string());
    }
    assert!(said[0] == said[1] && said[0].contains("wrong user name or password"), "{said:?}");
    let error = within(client.open_session("nobody", "guess guess", "")).await.unwrap_err();
    assert_eq!(error.code(), Some("E_BUSY"));
    for token in ["", "hmr_1", "hmr_1_00", &format!("hmr_1_{}", "00".repeat(32)), "hm_1_x", "x"] {
        assert!(is_login(&within(client.refresh_session(token)).await.unwrap_err()), "{token}");
    }
}

type Outcome = (&'static str, &'static str, Result<(), Status>);

/// Calls of every service by somebody, and the scope that each needs.
async fn every_service(user: &User) -> Vec<Outcome> {
    fn told<T>(result: Result<T, Status>) -> Result<(), Status> {
        result.map(drop)
    }
    let (mut auth, mut money, mut tasks) = (user.auth(), user.money(), user.tasks());
    let (mut nodes, mut projects, mut of_pool) = (user.nodes(), user.projects(), user.pool());
    let watch = WatchTasksRequest::default();
    let upload = user.bearing(tokio_stream::iter::<[UploadChunk; 0]>([]));
    vec![
        ("WhoAmI", "", told(within(auth.who_am_i(user.bearing(WhoAmIRequest::default()))).await)),
        (
            "ListSessions",
            "account",
            told(within(auth.list_sessions(user.bearing(ListSessionsRequest::default()))).await),
        ),
        ("EndSession", "account", told(within(auth.end_session(user.bearing(EndSessionRequest::default()))).await)),
        ("CreateKey", "account", told(within(auth.create_key(user.bearing(CreateKeyRequest::default()))).await)),
        ("ListKeys", "account", told(within(auth.list_keys(user.bearing(ListKeysRequest::default()))).await)),
        ("RevokeKey", "account", told(within(auth.revoke_key(user.bearing(RevokeKeyRequest::default()))).await)),
        (
            "CreateInvitation",
            "pool",
            told(within(auth.create_invitation(user.bearing(CreateInvitationRequest::default()))).await),
        ),
        ("Balance", "wallet:read", told(within(money.balance(user.bearing(BalanceRequest::default()))).await)),
        ("Statement", "wallet:read", told(within(money.statement(user.bearing(StatementRequest::default()))).await)),
        ("Transfer", "wallet:write", told(within(money.transfer(user.bearing(TransferRequest::default()))).await)),
        ("ListTasks", "tasks:read", told(within(tasks.list_tasks(user.bearing(ListTasksRequest::default()))).await)),
        ("WatchTasks", "tasks:read", told(within(tasks.watch_tasks(user.bearing(watch))).await)),
        (
            "SubmitTask",
            "tasks:write",
            told(within(tasks.submit_task(user.bearing(SubmitTaskRequest::default()))).await),
        ),
        ("Upload", "tasks:write", told(within(tasks.upload(upload)).await)),
        ("ListNodes", "nodes:read", told(within(nodes.list_nodes(user.bearing(ListNodesRequest::default()))).await)),
        (
            "ReportResource",
            "nodes:write",
            told(within(nodes.report_resource(user.bearing(ResourceReportRequest::default()))).await),
        ),
        ("SetNode", "nodes:write", told(within(nodes.set_node(user.bearing(SetNodeRequest::default()))).await)),
        (
            "ListProjects",
            "wallet:read",
            told(within(projects.list_projects(user.bearing(ListProjectsRequest::default()))).await),
        ),
        ("Tip", "wallet:write", told(within(projects.tip(user.bearing(TipRequest::default()))).await)),
        ("Info", "", told(within(of_pool.info(user.bearing(InfoRequest::default()))).await)),
        ("Audit", "pool", told(within(of_pool.audit(user.bearing(AuditRequest::default()))).await)),
    ]
}

#[tokio::test]
async fn a_key_is_taken_for_its_scopes_and_for_nothing_else() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    for scope in Scope::ALL {
        let made = key(&pool, &ada, &[scope.as_str()]).await;
        for (call, needs, outcome) in every_service(&by(&ada, &made.key)).await {
            let refused = outcome.err().filter(|status| status.message().contains("needs the scope"));
            match needs.is_empty() || needs == scope.as_str() {
                true => assert!(refused.is_none(), "{call} with {}: {refused:?}", scope.as_str()),
                false => {
                    let status = refused.unwrap_or_else(|| panic!("{call} was done with {}", scope.as_str()));
                    assert_eq!(status.code(), Code::PermissionDenied, "{call}");
                    let said = format!("E_FORBIDDEN: this call needs the scope `{needs}`");
                    assert!(status.message().starts_with(&said), "{call}: {}", status.message());
                }
            }
        }
    }
    // A session and a login have every scope.
    let (_, session) = open(&pool, "ada").await;
    for token in [&session.access_token, &ada.token] {
        let outcomes = every_service(&by(&ada, token)).await;
        for (call, _, outcome) in outcomes {
            let refused = outcome.err().filter(|status| status.message().contains("needs the scope"));
            assert!(refused.is_none(), "{call}: {refused:?}");
        }
        // Their own session ended among the calls.
        if token == &session.access_token {
            assert!(is_login(&within(stranger(&pool).await.with_token(token).unwrap().whoami()).await.unwrap_err()));
        }
    }
}

#[tokio::test]
async fn an_operator_is_one_by_a_key_with_that_scope_only() {
    let pool = TestPool::start().await;
    let (ada, operator) = (pool.user("ada").await, pool.operator().await);
    pool.join(&ada, "box").await;
    let plain = key(&pool, &operator, &["nodes:read", "nodes:write", "wallet:read"]).await;
    let plain = by(&operator, &plain.key);
    let all = ListNodesRequest { token: plain.token.clone(), all: true, ..ListNodesRequest::default() };
    let status = within(plain.nodes().list_nodes(all.clone())).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    for (change, reason, code) in [("cordon", "", Code::NotFound), ("ban", "because", Code::PermissionDenied)] {
        let request = SetNodeRequest {
            token: plain.token.clone(),
            node_id: "box".into(),
            change: change.into(),
            reason: reason.into(),
            ..SetNodeRequest::default()
        };
        assert_eq!(within(plain.nodes().set_node(request)).await.unwrap_err().code(), code, "{change}");
    }
    let whole = key(&pool, &operator, &["nodes:read", "pool"]).await;
    let whole = by(&operator, &whole.key);
    let nodes = within(whole.nodes().list_nodes(ListNodesRequest { token: whole.token.clone(), ..all })).await.unwrap();
    assert_eq!(nodes.into_inner().nodes.len(), 1);
    assert!(whole.audit().await.balanced);
    for (user, role) in [(&plain, "member"), (&whole, "operator")] {
        let me = within(user.auth().who_am_i(user.bearing(WhoAmIRequest::default()))).await.unwrap().into_inner();
        assert_eq!((me.username.as_str(), me.role.as_str()), ("operator", role));
    }
    // It helps nobody who is not one.
    let members = key(&pool, &ada, &["pool"]).await;
    let members = by(&ada, &members.key);
    let audit = AuditRequest { token: members.token.clone() };
    let status = within(members.pool().audit(audit)).await.unwrap_err();
    assert!(status.code() == Code::PermissionDenied && status.message().contains("operators"), "{status}");
}

#[tokio::test]
async fn keys_are_made_used_listed_and_revoked() {
    let pool = TestPool::start().await;
    let (ada, bob) = (pool.user("ada").await, pool.user("bob").await);
    let client = stranger(&pool).await.with_token(&ada.token).unwrap();
    let made = key(&pool, &ada, &["account", "wallet:read"]).await;
    assert!(made.key.starts_with(&format!("{}_", made.key_id)), "{}", made.key_id);
    let with_key = client.with_token(&made.key).unwrap();
    // The key goes into the field as well as into the metadata.
    within(ada.money().balance(BalanceRequest { token: made.key.clone() })).await.unwrap();
    let used = async {
        loop {
            if let [one] = within(client.keys()).await.unwrap().as_slice()
                && one.used_at_unix_ms > 0
            {
                return one.clone();
            }
        }
    };
    let listed = tokio::time::timeout(DEADLINE, used).await.expect("its use is written down");
    assert_eq!((listed.key_id.as_str(), listed.name.as_str()), (made.key_id.as_str(), "test"));
    assert_eq!(listed.scopes, ["wallet:read", "account"]);

    let words = |all: &[&str]| -> Vec<String> { all.iter().map(|one| (*one).to_owned()).collect() };
    for (scopes, life, code) in [
        (words(&["wallet:read", "everything"]), DAY / 2, "E_INVALID"),
        (words(&[]), DAY / 2, "E_INVALID"),
        (words(&["wallet:read"]), DAY * 366, "E_INVALID"),
    ] {
        let error = within(client.create_key("more", &scopes, life)).await.unwrap_err();
        assert_eq!(error.code(), Some(code), "{scopes:?}: {error}");
    }
    // What it made would go on when it is revoked.
    let error = within(with_key.create_key("less", &words(&["wallet:read"]), DAY / 2)).await.unwrap_err();
    assert!(error.code() == Some("E_FORBIDDEN") && error.to_string().contains("log in"), "{error}");
    let theirs = client.with_token(&bob.token).unwrap();
    assert_eq!(within(theirs.revoke_key(&made.key_id)).await.unwrap_err().code(), Some("E_NOT_FOUND"));
    assert!(within(theirs.keys()).await.unwrap().is_empty());
    within(client.revoke_key(&made.key_id)).await.unwrap();
    assert!(is_login(&within(with_key.whoami()).await.unwrap_err()));
    assert_eq!(within(client.revoke_key(&made.key_id)).await.unwrap_err().code(), Some("E_NOT_FOUND"));
    assert!(within(client.keys()).await.unwrap().is_empty());
}

/// Streams of every kind that were opened by somebody, once each of them has begun; each gives how it ends.
async fn streams(user: &User, task: &str) -> Vec<(&'static str, JoinHandle<Option<Status>>)> {
    fn end<T: Send + 'static>(mut stream: Streaming<T>) -> JoinHandle<Option<Status>> {
        tokio::spawn(async move {
            loop {
                match stream.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return None,
                    Err(status) => return Some(status),
                }
            }
        })
    }
    let watch = user.bearing(WatchTasksRequest::default());
    let follow = FollowLogsRequest { task_id: task.into(), follow: true, ..FollowLogsRequest::default() };
    let pool = user.bearing(WatchPoolRequest::default());
    vec![
        ("WatchTasks", end(within(user.tasks().watch_tasks(watch)).await.unwrap().into_inner())),
        ("FollowLogs", end(within(user.tasks().follow_logs(user.bearing(follow))).await.unwrap().into_inner())),
        ("WatchPool", end(within(user.pool().watch_pool(pool)).await.unwrap().into_inner())),
    ]
}

#[tokio::test]
async fn streams_end_with_the_key_or_session_that_opened_them() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let task = ada.submit("waits").await;
    let client = stranger(&pool).await.with_token(&ada.token).unwrap();
    let scopes = ["tasks:read", "nodes:read", "wallet:read"];
    let (made, kept) = (key(&pool, &ada, &scopes).await, key(&pool, &ada, &scopes).await);
    let (browser, session) = open(&pool, "ada").await;
    let by_key = streams(&by(&ada, &made.key), &task).await;
    let by_session = streams(&by(&ada, &session.access_token), &task).await;
    let by_other = streams(&by(&ada, &kept.key), &task).await;
    let ended = async |streams: Vec<(&'static str, JoinHandle<Option<Status>>)>| {
        for (call, stream) in streams {
            let status = within(stream).await.unwrap().unwrap_or_else(|| panic!("{call} ended as if it were over"));
            assert_eq!(status.code(), Code::Unauthenticated, "{call}: {status}");
            assert!(status.message().contains("has ended; log in again"), "{call}: {status}");
        }
    };
    within(client.revoke_key(&made.key_id)).await.unwrap();
    ended(by_key).await;
    // The access token is of the session; another of them does not end what the first one opened.
    let session = within(browser.refresh_session(&session.refresh_token)).await.unwrap();
    assert!(by_session.iter().all(|(_, stream)| !stream.is_finished()));
    within(browser.with_token(&session.access_token).unwrap().end_session("")).await.unwrap();
    ended(by_session).await;
    assert!(by_other.iter().all(|(_, stream)| !stream.is_finished()), "who was not meant looks on");
    // One of a key that lives for a moment ends by itself.
    let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    let short = within(client.create_key("short", &scopes, Duration::from_secs(3))).await.unwrap();
    for (call, stream) in streams(&by(&ada, &short.key), &task).await {
        let status = within(stream).await.unwrap().unwrap();
        assert_eq!(status.code(), Code::Unauthenticated, "{call}: {status}");
    }
}

#[tokio::test]
async fn wrong_keys_are_refused_and_then_limited_but_right_ones_are_not() {
    let rates = Rates { wrong_secrets_per_address: NonZeroU32::new(4).unwrap(), ..Rates::default() };
    let pool = TestPool::start_with(Policy::default(), Tuning { rates, ..Tuning::default() }).await;
    let ada = pool.user("ada").await;
    let made = key(&pool, &ada, &["wallet:read"]).await;
    let (other, zeros) = (key(&pool, &ada, &["wallet:read"]).await, "00".repeat(32));
    let (_, secret) = other.key.rsplit_once('_').unwrap();
    let wrong = [
        format!("{}_{zeros}", made.key_id),
        format!("{}_{secret}", made.key_id),
        format!("hm_99_{zeros}"),
        "hm_".into(),
    ];
    for token in wrong {
        let status = within(ada.money().balance(BalanceRequest { token: token.clone() })).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{token}");
        assert!(!status.message().contains(&zeros) && !status.message().contains(secret), "{status}");
    }
    let status = within(ada.money().balance(BalanceRequest { token: format!("hm_1_{zeros}") })).await.unwrap_err();
    assert!(status.code() == Code::ResourceExhausted && status.message().starts_with("E_BUSY: "), "{status}");
    within(ada.money().balance(BalanceRequest { token: made.key })).await.unwrap();
}

#[tokio::test]
async fn a_gateway_says_whose_tries_are_counted() {
    let rates = Rates { logins_per_address: NonZeroU32::new(1).unwrap(), ..Rates::default() };
    let pool = TestPool::start_with(Policy::default(), Tuning { rates, ..Tuning::default() }).await;
    let file = pool.data().join("gateway.key");
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), pool.handle.gateway_secret());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let secret = pool.handle.gateway_secret().to_owned();
    let client = stranger(&pool).await;
    let tried = async |client: &Client| {
        let error = within(client.login("nobody", "guess guess")).await.unwrap_err();
        error.code().unwrap_or_default().to_owned()
    };
    let of = |secret: &str, last: u8| client.for_browser(secret, [203, 0, 113, last].into()).unwrap();
    assert_eq!(tried(&of(&secret, 1)).await, "E_BAD_CREDENTIALS");
    assert_eq!(tried(&of(&secret, 1)).await, "E_BUSY");
    assert_eq!(tried(&of(&secret, 2)).await, "E_BAD_CREDENTIALS");
    assert_eq!(tried(&client).await, "E_BAD_CREDENTIALS");
    for last in 3..6 {
        assert_eq!(tried(&of("not the secret", last)).await, "E_BUSY", "counted for the connection");
    }
}
