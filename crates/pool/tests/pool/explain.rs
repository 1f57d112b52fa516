//! `Explain`: what a task waits for, where it runs, how it ended.

use crate::support::{TestPool, User, hello, within};
use hivemind_proto::v1::*;
use hivemind_proto::worker::outcome::Kind;
use hivemind_proto::worker::worker_event::Event as FromWorker;
use hivemind_proto::worker::{AttemptFinished, Outcome};
use tonic::{Code, Status};

async fn explain(user: &User, task: &str) -> Result<ExplainResponse, Status> {
    let request = ExplainRequest { token: user.token.clone(), task_id: task.into() };
    within(user.tasks().explain(request)).await.map(tonic::Response::into_inner)
}

async fn submit(user: &User, task: SubmitTaskRequest) -> String {
    let answer = within(user.tasks().submit_task(task)).await.unwrap().into_inner();
    assert!(answer.success, "{}", answer.message);
    answer.task_id
}

#[tokio::test]
async fn sixty_four_cores_name_the_constraint_the_nodes_and_the_largest_ask() {
    let pool = TestPool::start().await;
    let (ada, bob) = (pool.user("ada").await, pool.user("bob").await);
    let task = submit(&ada, SubmitTaskRequest { required_cpu_cores: 64, ..ada.task("large") }).await;
    let nowhere = explain(&ada, &task).await.unwrap();
    assert!(nowhere.reason.contains("no node is linked"), "{}", nowhere.reason);
    assert_eq!((nowhere.nodes_linked, nowhere.changes.len()), (0, 0));
    let mut links = Vec::new();
    for name in ["one", "two"] {
        let identity = pool.join(&bob, name).await;
        links.push(pool.link(&identity, hello(name)).await);
    }
    let told = explain(&ada, &task).await.unwrap();
    assert_eq!((told.status.as_str(), told.nodes_linked, told.nodes_capable, told.nodes_free), ("pending", 2, 0, 0));
    assert!(told.reason.contains("it needs 64 cores, the largest has 4 cores"), "{}", told.reason);
    let cores = &told.constraints[0];
    assert_eq!((cores.name.as_str(), cores.asked.as_str(), cores.asked_amount), ("cores", "64 cores", 64_000));
    assert_eq!((cores.nodes_too_small, cores.nodes_busy), (2, 0));
    assert_eq!((cores.largest.as_str(), cores.largest_amount), ("4 cores", 4000));
    let names: Vec<&str> = told.constraints.iter().map(|constraint| constraint.name.as_str()).collect();
    assert_eq!(names, ["cores", "memory", "disk", "together"]);
    assert_eq!(told.advice, "cancel it and submit it again: ask for 4 cores instead of 64 cores");
    assert_eq!((told.changes.len(), told.changes[0].to_amount), (1, 4000));
    assert_eq!(told.place, Some(QueuePlace { requesters_before: 0, own_before: 0 }));
    assert_eq!((told.balance_micro, told.held_micro), ada.funds().await);
    assert_eq!(told.held_micro, told.price_cap_micro);
    assert!(told.hold_expires_at_unix_ms > told.submitted_at_unix_ms);
    // What it advises runs.
    let smaller = submit(&ada, SubmitTaskRequest { required_cpu_cores: 4, ..ada.task("smaller") }).await;
    let told = explain(&ada, &smaller).await.unwrap();
    assert!(told.run.is_some() && told.constraints.is_empty(), "{}", told.reason);
}

#[tokio::test]
async fn what_runs_and_what_ended_is_told_to_its_requester_alone() {
    let pool = TestPool::start().await;
    let (ada, bob) = (pool.user("ada").await, pool.user("bob").await);
    let identity = pool.join(&bob, "one").await;
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    let task = ada.submit("one").await;
    let attempt = link.assigned().await;
    let told = explain(&ada, &task).await.unwrap();
    let run = told.run.clone().unwrap();
    assert_eq!((run.node.as_str(), run.link.as_str(), run.attempt, run.started_at_unix_ms), ("one", "online", 1, 0));
    assert_eq!((told.reason.as_str(), told.advice.as_str()), ("attempt 1 is being prepared on node one", ""));
    link.started(attempt).await;
    let outcome = Outcome { kind: Kind::OutOfMemory.into(), ..Outcome::default() };
    let killed = AttemptFinished { outcome: Some(outcome), ..crate::support::finished(attempt, 0) };
    link.send(FromWorker::Finished(killed)).await;
    assert_eq!(link.acknowledged().await, "");
    let told = explain(&ada, &task).await.unwrap();
    assert_eq!((told.status.as_str(), told.run, told.hold_expires_at_unix_ms), ("failed", None, 0));
    assert!(told.reason.starts_with("E_OUT_OF_MEMORY: "), "{}", told.reason);
    assert!(told.advice.contains("more memory than 512 MiB") && told.advice.contains("1 GiB"), "{}", told.advice);
    assert_eq!(told.cost_micro, ada.status(&task).await.task.unwrap().cost_micro);
    for (user, id) in [(&bob, task.as_str()), (&ada, "task_99")] {
        assert_eq!(explain(user, id).await.unwrap_err().code(), Code::NotFound);
    }
    let status = explain(&ada, "x").await.unwrap_err();
    assert!(status.message().contains("task_id"), "{status}");
}

#[tokio::test]
async fn what_waits_for_a_task_is_not_said_to_be_next() {
    let pool = TestPool::start().await;
    let (ada, bob) = (pool.user("ada").await, pool.user("bob").await);
    let identity = pool.join(&bob, "one").await;
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    let task = ada.submit("first").await;
    let attempt = link.assigned().await;
    link.started(attempt).await;
    let after = |cores| SubmitTaskRequest {
        after: vec![Dependency { task_id: task.clone(), when: "success".into(), each: false }],
        required_cpu_cores: cores,
        ..ada.task("second")
    };
    let second = submit(&ada, after(1)).await;
    let told = explain(&ada, &second).await.unwrap();
    assert_eq!(told.reason, format!("it waits for {task} to complete"));
    assert_eq!(told.advice, format!("wait: `hivemind explain {task}` tells how that one stands"));
    assert_eq!(told.place, None);
    let large = submit(&ada, after(64)).await;
    let told = explain(&ada, &large).await.unwrap();
    assert_eq!(told.reason, format!("it waits for {task} to complete"));
    assert!(
        told.advice.contains("ask for 4 cores instead of 64 cores"),
        "what will not run then is told now: {}",
        told.advice
    );
}
