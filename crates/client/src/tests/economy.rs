use super::pool::Pool;
use super::{client, soon, target};
use crate::{Balance, Client, ClientError, Transfer, Whose};
use futures::{StreamExt, TryStreamExt};
use hivemind_model::service::NodeChange;
use hivemind_model::{Cpt, Millis, TaskId};
use hivemind_proto::v1::*;
use std::time::Duration;
use tonic::Status;

fn cpt(micro: i64) -> Cpt {
    Cpt::from_micro(micro)
}

fn left(micro: i64) -> TransferResponse {
    TransferResponse { success: true, new_balance_micro: micro, ..TransferResponse::default() }
}

fn line(entry: i64) -> StatementLine {
    StatementLine { entry, ..StatementLine::default() }
}

fn page(entries: &[i64], next: &str) -> Result<StatementResponse, Status> {
    let lines = entries.iter().copied().map(line).collect();
    Ok(StatementResponse { lines, next_page_token: next.to_owned() })
}

/// The entries of a stream, up to its first error.
async fn entries(client: &Client, most: usize) -> (Vec<i64>, Option<ClientError>) {
    let filter = StatementRequest { kinds: vec!["tip".into()], ..StatementRequest::default() };
    let mut lines = client.statement_lines(filter, most);
    let mut seen = Vec::new();
    while let Some(line) = soon(lines.next()).await {
        match line {
            Ok(line) => seen.push(line.entry),
            Err(error) => return (seen, Some(error)),
        }
    }
    (seen, None)
}

#[tokio::test]
async fn a_balance_has_all_its_parts() {
    let pool = Pool::start().await;
    let balance = soon(client(&pool).await.balance()).await.expect("told");
    let wanted = Balance {
        available: cpt(150_250_000),
        promo: cpt(150_000_000),
        transferable: cpt(250_000),
        held: cpt(7),
        pending: cpt(3),
        vesting: cpt(4),
    };
    assert_eq!(balance, wanted);
}

#[tokio::test]
async fn many_transfers_have_an_answer_each_and_keep_their_ids() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let to =
        |name: &str, micro: i64, id: &str| Transfer { to_username: name.into(), amount: cpt(micro), id: id.into() };
    let refused = TransferResponse {
        message: "E_INSUFFICIENT_CPT: amount: 2 CPT are more than there are".into(),
        ..TransferResponse::default()
    };
    pool.scripts
        .transfers
        .then(vec![Err(Status::unavailable("starting"))])
        .then(vec![Ok(TransferManyResponse { transfers: vec![left(42), refused] })]);
    let answers = soon(client.transfer_many(&[to("bob", 1_500_000, ""), to("cat", 2_000_000, "mine")])).await;
    assert_eq!(answers[0].as_ref().ok(), Some(&cpt(42)));
    assert_eq!(answers[1].as_ref().err().and_then(ClientError::code), Some("E_INSUFFICIENT_CPT"));
    let asked = pool.scripts.transfers.asked();
    assert!(asked.len() == 2 && asked[0] == asked[1], "a retry says the same");
    let [bob, cat] = asked[0].transfers.as_slice() else { panic!("two transfers") };
    assert_eq!((bob.amount, bob.amount_micro, bob.transfer_id.is_empty()), (1, 500_000, false));
    assert_eq!((cat.amount, cat.amount_micro, cat.transfer_id.as_str()), (2, 0, "mine"));

    pool.scripts.transfers.then(vec![Ok(TransferManyResponse { transfers: vec![left(1)] })]);
    let answers = soon(client.transfer_many(&[to("bob", 1, ""), to("bob", 2, "")])).await;
    assert!(answers.len() == 2 && answers.iter().all(Result::is_err), "a missing answer is no answer");
    assert!(soon(client.transfer_many(&[])).await.is_empty());
}

#[tokio::test]
async fn a_statement_is_read_page_by_page() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    pool.scripts
        .statement
        .then(vec![page(&[9, 8], "a")])
        .then(vec![Err(Status::unavailable("starting"))])
        .then(vec![page(&[], "b")])
        .then(vec![page(&[7], "")]);
    assert_eq!(entries(&client, usize::MAX).await.0, [9, 8, 7]);
    let asked = pool.scripts.statement.asked();
    let tokens: Vec<&str> = asked.iter().map(|request| request.page_token.as_str()).collect();
    assert_eq!(tokens, ["", "a", "a", "b"]);
    assert!(asked.iter().all(|request| request.kinds == ["tip"] && request.page_size == 1000));
}

#[tokio::test]
async fn no_more_pages_are_asked_for_than_are_wanted() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    pool.scripts.statement.then(vec![page(&[9, 8, 8], "a")]);
    assert_eq!(entries(&client, 2).await.0, [9, 8]);
    let asked = pool.scripts.statement.asked();
    assert_eq!((asked.len(), asked[0].page_size), (1, 2));
    assert_eq!(entries(&client, 0).await.0, [0; 0]);
}

#[tokio::test]
async fn a_list_ends_at_its_first_error() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    pool.scripts.statement.then(vec![page(&[9], "a")]).then(vec![page(&[8], "a")]);
    let (seen, error) = entries(&client, usize::MAX).await;
    assert_eq!(seen, [9]);
    assert!(matches!(&error, Some(ClientError::Protocol { .. })), "pages in a circle: {error:?}");
    let backwards = "E_INVALID: to_unix_ms: 1 is before from_unix_ms, 2";
    pool.scripts.statement.then(vec![Err(Status::invalid_argument(backwards))]);
    let (_, error) = entries(&client, 5).await;
    assert_eq!(error.as_ref().and_then(ClientError::code), Some("E_INVALID"));
}

#[tokio::test]
async fn the_entries_of_a_task_come_as_they_are() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let told = TaskEntriesResponse { lines: vec![line(3)], cut: true };
    pool.scripts.entries.then(vec![Ok(told.clone())]);
    assert_eq!(soon(client.task_entries(TaskId(4))).await.expect("told"), told);
    assert_eq!(pool.scripts.entries.asked()[0].task_id, "task_4");
}

#[tokio::test]
async fn a_quote_carries_the_task() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let told = QuoteResponse { price_cap_micro: 625, nodes_capable: 2, ..QuoteResponse::default() };
    pool.scripts.quote.then(vec![Err(Status::unavailable("starting"))]).then(vec![Ok(told.clone())]);
    let task = SubmitTaskRequest { docker_image: "bb:1".into(), min_level: "gold".into(), ..Default::default() };
    assert_eq!(soon(client.quote(task.clone())).await.expect("told"), told);
    assert_eq!(pool.scripts.quote.asked()[1].task, Some(task));
    assert!(pool.scripts.submit.asked().is_empty());
}

#[tokio::test]
async fn machines_tell_their_standing_and_their_rewards() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let node = NodeSummary { level: "gold".into(), runtime_ms: 5, pending_micro: 6, ..NodeSummary::default() };
    let page = |next: &str| ListNodesResponse { nodes: vec![node.clone()], next_page_token: next.into() };
    pool.scripts.nodes.then(vec![Ok(page("2"))]).then(vec![Ok(page(""))]);
    let all: Vec<NodeSummary> = soon(client.nodes(Whose::Mine).try_collect()).await.expect("told");
    assert_eq!(all, [node.clone(), node.clone()]);
    let asked: Vec<(i32, String)> =
        pool.scripts.nodes.asked().into_iter().map(|asked| (asked.page_size, asked.page_token)).collect();
    assert_eq!(asked, [(1000, String::new()), (1000, "2".to_owned())]);

    let script = &pool.scripts.set_node;
    script.then(vec![Err(Status::unavailable("starting"))]).then(vec![Ok(node.clone())]).then(vec![Ok(node.clone())]);
    for change in [NodeChange::Drain { within: Millis(1001) }, NodeChange::Ban { reason: "it lied".into() }] {
        assert_eq!(soon(client.set_node("lab-1", &change)).await.expect("told"), node);
    }
    let asked: Vec<(String, i64, String)> =
        script.asked().into_iter().map(|asked| (asked.change, asked.deadline_seconds, asked.reason)).collect();
    let drain = ("drain".to_owned(), 2, String::new());
    assert_eq!(asked, [drain.clone(), drain, ("ban".into(), 0, "it lied".into())]);

    let reward = |total_micro: i64| RewardLine { total_micro, ..RewardLine::default() };
    let rewards =
        |total: i64, next: &str| ListRewardsResponse { rewards: vec![reward(total)], next_page_token: next.into() };
    pool.scripts.rewards.then(vec![Ok(rewards(2, "x"))]).then(vec![Ok(rewards(1, ""))]);
    let lines: Vec<i64> =
        soon(client.reward_lines("lab-1", 10).map(|line| line.expect("a line").total_micro).collect()).await;
    assert_eq!(lines, [2, 1]);
    let asked = pool.scripts.rewards.asked();
    assert_eq!((asked[1].node.as_str(), asked[1].page_size, asked[1].page_token.as_str()), ("lab-1", 10, "x"));
}

#[tokio::test]
async fn the_pool_tells_of_its_economy_and_its_books() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let info = InfoResponse { economy: "guarded".into(), listens_outside: true, ..InfoResponse::default() };
    pool.scripts.info.then(vec![Ok(info.clone())]);
    assert_eq!(soon(client.info()).await.expect("told"), info);
    let audit = AuditResponse { bad_entry: 7, finding: "its hash does not fit".into(), ..AuditResponse::default() };
    pool.scripts.audit.then(vec![Ok(audit.clone())]);
    assert_eq!(soon(client.audit()).await.expect("told"), audit);
    let trial = TrialBalanceResponse { supply_micro: 9, last_hash: "ab".into(), ..TrialBalanceResponse::default() };
    pool.scripts.trial.then(vec![Ok(trial.clone())]);
    assert_eq!(soon(client.trial_balance()).await.expect("told"), trial);
    pool.scripts.trial.then(vec![Err(Status::permission_denied("E_FORBIDDEN: only operators see the books"))]);
    assert_eq!(soon(client.trial_balance()).await.expect_err("refused").code(), Some("E_FORBIDDEN"));
    let who = soon(client.whoami()).await.expect("known");
    assert_eq!((who.level.as_str(), who.beta, who.vote), ("platinum", true, false));
}

#[tokio::test]
async fn an_invitation_is_made_once_and_used_to_register() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    pool.scripts.invitation.then(vec![Err(Status::unavailable("starting"))]);
    let day = Duration::from_secs(86_400);
    let error = soon(client.create_invitation(2, day)).await.expect_err("each call makes another code");
    assert!(error.is_unreachable(), "{error}");
    let made = CreateInvitationResponse { invitation: "code-word".into(), expires_at_unix_ms: 5 };
    pool.scripts.invitation.then(vec![Ok(made)]);
    let invitation = soon(client.create_invitation(2, day)).await.expect("made");
    assert_eq!((invitation.code.as_str(), invitation.expires_at.0), ("code-word", 5));
    assert!(!format!("{invitation:?}").contains("code-word"));
    let asked = pool.scripts.invitation.asked();
    assert_eq!((asked.len(), asked[1].uses, asked[1].valid_seconds), (2, 2, 86_400));

    let anonymous = soon(Client::connect(&target(&pool), None)).await.expect("connected");
    let none = RegisterResponse { success: false, message: "E_INVITATION: invitation: is missing".into() };
    let done = RegisterResponse { success: true, message: String::new() };
    pool.scripts.register.then(vec![Ok(none)]).then(vec![Ok(done)]);
    let error = soon(anonymous.register("ada", "secret-word", "a@b")).await.expect_err("no code");
    assert_eq!(error.code(), Some("E_INVITATION"));
    soon(anonymous.register_invited("ada", "secret-word", "a@b", "code-word")).await.expect("registered");
    let asked = pool.scripts.register.asked();
    assert_eq!((asked[0].invitation.as_str(), asked[1].invitation.as_str()), ("", "code-word"));
}

#[tokio::test]
async fn projects_are_registered_tipped_and_collected() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let project = ProjectSummary { name: "curl".into(), owner: "ada".into(), ..ProjectSummary::default() };
    pool.scripts.project.then(vec![Ok(project.clone())]);
    let registered = soon(client.register_project("curl", "https://example.org/curl")).await.expect("registered");
    assert_eq!(registered, project);

    pool.scripts.tip.then(vec![Err(Status::unavailable("starting"))]).then(vec![Ok(left(5))]);
    assert_eq!(soon(client.tip("curl", cpt(2_250_000), "thanks", "")).await.expect("tipped"), cpt(5));
    let asked = pool.scripts.tip.asked();
    assert!(asked.len() == 2 && asked[0] == asked[1] && !asked[0].tip_id.is_empty());
    assert_eq!((asked[0].amount, asked[0].amount_micro, asked[0].message.as_str()), (2, 250_000, "thanks"));
    let closed = TransferResponse { message: "E_CONFLICT: project: curl is closed".into(), ..Default::default() };
    pool.scripts.tip.then(vec![Ok(closed)]);
    assert_eq!(soon(client.tip("curl", cpt(1), "", "own")).await.expect_err("closed").code(), Some("E_CONFLICT"));
    assert_eq!(pool.scripts.tip.asked()[2].tip_id, "own");

    // A second answer would tell of another amount, so neither is repeated.
    pool.scripts.collect.then(vec![Err(Status::unavailable("starting"))]);
    assert!(soon(client.collect_tips("curl")).await.expect_err("lost").is_unreachable());
    pool.scripts.collect.then(vec![Ok(CollectTipsResponse { amount_micro: 3 })]);
    assert_eq!(soon(client.collect_tips("curl")).await.expect("collected"), cpt(3));
    pool.scripts.close.then(vec![Ok(CollectTipsResponse { amount_micro: 4 })]);
    assert_eq!(soon(client.close_project("curl")).await.expect("closed"), cpt(4));
    assert_eq!((pool.scripts.collect.asked().len(), pool.scripts.close.asked().len()), (2, 1));

    let projects = ListProjectsResponse { projects: vec![project], next_page_token: String::new() };
    pool.scripts.projects.then(vec![Ok(projects)]);
    let names: Vec<String> =
        soon(client.project_lines(10).map(|project| project.expect("a project").name).collect()).await;
    assert_eq!(names, ["curl"]);
    let tip = |number: i64| TipSummary { number, ..TipSummary::default() };
    let tips = |number: i64, next: &str| ListTipsResponse { tips: vec![tip(number)], next_page_token: next.into() };
    pool.scripts.tips.then(vec![Ok(tips(2, "x"))]).then(vec![Ok(tips(1, ""))]);
    let numbers: Vec<i64> = soon(client.tip_lines("curl", 9).map(|tip| tip.expect("a tip").number).collect()).await;
    assert_eq!(numbers, [2, 1]);
    assert!(pool.scripts.tips.asked().iter().all(|request| request.project == "curl" && request.page_size == 9));
}
