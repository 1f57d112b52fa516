//! Graphs of tasks: accepted whole, refused whole.

use crate::support::{TestPool, User, within};
use hivemind_proto::v1::*;
use tonic::Status;

fn on(task_id: &str) -> Dependency {
    Dependency { task_id: task_id.into(), ..Dependency::default() }
}

fn task(user: &User, name: &str, after: &[&str]) -> GraphTask {
    let after = after.iter().map(|name| on(name)).collect();
    GraphTask { name: name.into(), task: Some(SubmitTaskRequest { token: String::new(), after, ..user.task(name) }) }
}

async fn submit(user: &User, request: SubmitGraphRequest) -> Result<SubmitGraphResponse, Status> {
    let request = SubmitGraphRequest { token: user.token.clone(), ..request };
    within(user.tasks().submit_graph(user.bearing(request))).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_graph_is_accepted_whole_and_answered_in_its_order() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let before = ada.submit("before").await;
    let held = ada.funds().await.1;
    let tasks = vec![
        task(&ada, "join", &["left", "right"]),
        task(&ada, "left", &["split"]),
        task(&ada, "right", &["split"]),
        task(&ada, "split", &[&before]),
    ];
    let request = SubmitGraphRequest { tasks, request_id: "once".into(), ..Default::default() };
    let accepted = submit(&ada, request.clone()).await.unwrap();
    let names: Vec<&str> = accepted.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(names, ["join", "left", "right", "split"]);
    for task in &accepted.tasks {
        assert_eq!(ada.status(&task.task_id).await.task.unwrap().task_name, task.name);
    }
    assert_eq!(accepted.price_cap_micro, accepted.tasks.iter().map(|task| task.price_cap_micro).sum::<i64>());
    assert_eq!(ada.funds().await.1, held + accepted.price_cap_micro);
    assert_eq!(submit(&ada, request).await.unwrap(), accepted, "the same id submits nothing twice");
    let split = ada.status(&accepted.tasks[3].task_id).await.task.unwrap();
    assert_eq!(split.after[0].task_id, before);
}

#[tokio::test]
async fn one_bad_task_refuses_the_whole_graph() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let change = |change: fn(&mut SubmitTaskRequest)| {
        let mut bad = task(&ada, "bad", &[]);
        change(bad.task.as_mut().unwrap());
        vec![task(&ada, "good", &[]), bad]
    };
    let cases = [
        ("E_INVALID: tasks: ", Vec::new()),
        ("E_INVALID: tasks[1].name: ", vec![task(&ada, "a", &[]), task(&ada, "a", &[])]),
        ("E_INVALID: tasks[1].task: ", vec![task(&ada, "a", &[]), GraphTask { name: "b".into(), task: None }]),
        ("E_NOT_FOUND: tasks[1].after: ", vec![task(&ada, "a", &[]), task(&ada, "b", &["c"])]),
        ("E_NOT_FOUND: tasks[1].after: ", vec![task(&ada, "a", &[]), task(&ada, "b", &["task_4711"])]),
        (
            "E_INVALID: tasks[0].after: waits for itself: `a` > `b` > `a`",
            vec![task(&ada, "a", &["b"]), task(&ada, "b", &["a"])],
        ),
        ("E_INVALID: tasks[1].array: ", change(|task| task.array = "5-1".into())),
        ("E_INVALID: tasks[1].quorum: ", change(|task| (task.replicas, task.quorum) = (2, 3))),
        ("E_INVALID: tasks[1].docker_image: ", change(|task| task.docker_image.clear())),
        ("E_INVALID: tasks[1].files: ", change(|task| task.files = vec!["../a=aGk=".into()])),
    ];
    for (told, tasks) in cases {
        let refused = submit(&ada, SubmitGraphRequest { tasks, ..Default::default() }).await.unwrap_err();
        assert!(refused.message().starts_with(told), "{told}: {}", refused.message());
    }
    let bound = SubmitGraphRequest { tasks: vec![task(&ada, "a", &[])], max_price_micro: 1, ..Default::default() };
    assert!(submit(&ada, bound).await.unwrap_err().message().starts_with("E_MAX_PRICE: "));
    let many = SubmitGraphRequest { tasks: vec![GraphTask::default(); 10_001], ..Default::default() };
    assert!(submit(&ada, many).await.unwrap_err().message().starts_with("E_TOO_LARGE: tasks: "));
    assert_eq!(ada.funds().await, (150_000_000, 0));
    let list = ListTasksRequest { token: ada.token.clone(), ..Default::default() };
    assert!(within(ada.tasks().list_tasks(list)).await.unwrap().into_inner().tasks.is_empty());
}
