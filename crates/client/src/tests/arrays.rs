use super::pool::Pool;
use super::{client, soon};
use crate::{Again, ClientError, GraphSubmitted, LogPart, LogStream, Submitted, Until, Wanted};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use hivemind_model::ids::ElementRef;
use hivemind_model::{Cpt, TaskId, TaskState};
use hivemind_proto::v1::log_chunk::Stream;
use hivemind_proto::v1::{
    AttemptSummary, CancelTaskResponse, ElementSummary, GraphTask, GraphTaskId, ListElementsResponse, LogChunk,
    SubmitGraphRequest, SubmitGraphResponse, SubmitTaskResponse, TaskStatusResponse,
};
use tonic::Status;

const ELEMENT: ElementRef = ElementRef { task: TaskId(9), index: 7 };

fn named(name: &str, task: u64) -> GraphTaskId {
    GraphTaskId { name: name.into(), task_id: TaskId(task).to_string(), price_cap_micro: 5 }
}

#[tokio::test]
async fn a_graph_is_submitted_once_under_one_id() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let task = |name: &str| GraphTask { name: name.into(), task: None };
    let request = SubmitGraphRequest { tasks: vec![task("a"), task("b")], ..SubmitGraphRequest::default() };
    let answer = SubmitGraphResponse { tasks: vec![named("a", 3), named("b", 4)], price_cap_micro: 10 };
    pool.scripts.graph.then(vec![Err(Status::unavailable("starting"))]).then(vec![Ok(answer.clone())]);
    let submitted = soon(client.submit_graph(request.clone())).await.expect("accepted");
    let one = |name: &str, task: u64| (name.to_owned(), Submitted { task: TaskId(task), cap: Cpt::from_micro(5) });
    assert_eq!(submitted, GraphSubmitted { tasks: vec![one("a", 3), one("b", 4)], cap: Cpt::from_micro(10) });
    let asked = pool.scripts.graph.asked();
    assert!(asked.len() == 2 && asked[0] == asked[1] && !asked[0].request_id.is_empty());

    let short = SubmitGraphResponse { tasks: vec![named("a", 3)], price_cap_micro: 5 };
    let strange = GraphTaskId { task_id: "node_1".into(), ..named("b", 4) };
    let strange = SubmitGraphResponse { tasks: vec![named("a", 3), strange], price_cap_micro: 5 };
    for wrong in [short, strange] {
        pool.scripts.graph.then(vec![Ok(wrong)]);
        let error = soon(client.submit_graph(request.clone())).await.expect_err("no answer");
        assert!(matches!(&error, ClientError::Protocol { .. }), "{error}");
    }
    pool.scripts.graph.then(vec![Err(Status::invalid_argument("E_INVALID: tasks[1].after: a circle"))]);
    let error = soon(client.submit_graph(request)).await.expect_err("refused");
    assert!(matches!(&error, ClientError::Rejected { field, .. } if field == "tasks[1].after"), "{error}");
}

#[tokio::test]
async fn a_retry_submits_once() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let accepted =
        SubmitTaskResponse { success: true, task_id: "task_12".into(), price_cap_micro: 5, ..Default::default() };
    pool.scripts.retry.then(vec![Err(Status::unavailable("starting"))]).then(vec![Ok(accepted)]);
    let again = Again { elements: "1-3".into(), max_price: Some(Cpt::from_micro(8)), request_id: String::new() };
    let submitted = soon(client.retry(TaskId(9), again)).await.expect("accepted");
    assert_eq!(submitted, Submitted { task: TaskId(12), cap: Cpt::from_micro(5) });
    let asked = pool.scripts.retry.asked();
    assert!(asked.len() == 2 && asked[0] == asked[1] && !asked[0].request_id.is_empty());
    assert_eq!((asked[0].task_id.as_str(), asked[0].elements.as_str(), asked[0].max_price_micro), ("task_9", "1-3", 8));
}

#[tokio::test]
async fn elements_come_page_by_page() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let page = |indices: std::ops::Range<u32>, next: &str| {
        let elements = indices.map(|index| ElementSummary { index, ..ElementSummary::default() }).collect();
        Ok(ListElementsResponse { elements, next_page_token: next.into() })
    };
    pool.scripts.elements.then(vec![page(1..4, "more")]).then(vec![page(4..6, "")]);
    let wanted = Wanted { elements: "1-9".into(), states: vec!["failed".into()] };
    let found = client.elements(TaskId(9), wanted, usize::MAX).map_ok(|element| element.index);
    let found: Vec<u32> = soon(found.try_collect()).await.expect("a list");
    assert_eq!(found, [1, 2, 3, 4, 5]);
    let asked = pool.scripts.elements.asked();
    assert_eq!((asked[0].page_size, asked[0].elements.as_str(), asked[1].page_token.as_str()), (1000, "1-9", "more"));
    assert_eq!(asked[1].status, ["failed"]);

    pool.scripts.elements.then(vec![page(1..4, "more")]);
    let few: Vec<_> = soon(client.elements(TaskId(9), Wanted::default(), 2).collect::<Vec<_>>()).await;
    assert!(few.len() == 2 && pool.scripts.elements.asked().len() == 3, "no page is asked for in vain");
}

#[tokio::test]
async fn one_element_is_asked_for_by_its_index() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    pool.scripts.status.then(vec![Ok(TaskStatusResponse { success: true, ..TaskStatusResponse::default() })]);
    soon(client.status_of(TaskId(9), 7)).await.expect("known");
    assert_eq!(pool.scripts.status.asked()[0].element, Some(7));

    pool.scripts.cancel.then(vec![Ok(CancelTaskResponse { status: "running".into() })]);
    assert_eq!(soon(client.cancel_elements(TaskId(9), "1-3")).await.expect("done"), TaskState::Running);
    assert_eq!(pool.scripts.cancel.asked()[0].elements, "1-3");
}

#[tokio::test]
async fn the_logs_of_an_element_go_on_with_its_own_attempts() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let chunk = |attempt: u32, data: &'static str| {
        Ok(LogChunk { stream: Stream::Stdout.into(), offset: 0, data: Bytes::from_static(data.as_bytes()), attempt })
    };
    // The connection breaks; what is opened anew behind the start is at its end, as attempt 2 wrote less.
    pool.scripts
        .logs
        .then(vec![chunk(1, "first"), Err(Status::unavailable("stopping"))])
        .then(vec![])
        .then(vec![chunk(2, "new")]);
    let attempt =
        |number: u32| AttemptSummary { attempt_id: ELEMENT.attempt(number).to_string(), ..Default::default() };
    pool.scripts.status.then(vec![Ok(TaskStatusResponse {
        success: true,
        attempts: vec![attempt(1), attempt(2)],
        ..TaskStatusResponse::default()
    })]);
    let parts: Vec<LogPart> = soon(client.follow_logs_of(ELEMENT, Until::End).try_collect()).await.expect("the whole");
    let read: Vec<_> = parts.iter().map(|part| (part.attempt, part.stream, &part.data[..])).collect();
    assert_eq!(read, [(1, LogStream::Stdout, &b"first"[..]), (2, LogStream::Stdout, &b"new"[..])]);
    assert!(pool.scripts.logs.asked().iter().all(|request| request.element == 7));
    assert_eq!(pool.scripts.status.asked()[0].element, Some(7));
}

#[tokio::test]
async fn the_output_of_an_element_is_asked_for_by_its_index() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    pool.scripts.download.then(vec![Err(Status::not_found("E_NOT_FOUND: it left no files"))]);
    let error = soon(client.download_of(ELEMENT, &mut Vec::new(), |_, _| {})).await.expect_err("nothing");
    assert_eq!(error.code(), Some("E_NOT_FOUND"));
    assert_eq!(pool.scripts.download.asked()[0].element, 7);
}
