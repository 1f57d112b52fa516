//! The pool is killed.

use crate::work::Stage;
use hivemind_proto::v1::{ListTasksRequest, SubmitTaskRequest};
use hivemind_testkit::scene::Runtime;

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_200_tasks() -> anyhow::Result<()> {
    let mut stage = Stage::set(Runtime::Fake, &["lab-1", "lab-2"]).await?;
    let tasks = stage.submit_many(200, &["sleep", "40"]).await?;
    for done in [20, 70, 120] {
        stage.until(&tasks, "completed", done).await;
        stage.scene.kill_pool()?;
        stage.scene.start_pool()?;
    }
    stage.settled(&tasks, "completed").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_under_submissions() -> anyhow::Result<()> {
    let mut stage = Stage::set(Runtime::Fake, &["lab-1"]).await?;
    let client = stage.requester.clone();
    let submitting = tokio::spawn(async move {
        let mut tasks = Vec::new();
        for number in 0..300 {
            let request = SubmitTaskRequest {
                task_name: format!("fault {number}"),
                docker_image: "none:1".into(),
                argv: vec!["true".into()],
                // So little that the grant holds the caps of all of them at once.
                max_runtime: 10,
                required_memory: 64,
                ..Default::default()
            };
            tasks.push(client.submit(request).await?.task);
        }
        anyhow::Ok(tasks)
    });
    for _ in 0..2 {
        stage.scene.kill_pool()?;
        stage.scene.start_pool()?;
    }
    let tasks = submitting.await??;
    stage.settled(&tasks, "completed").await?;
    // A retry must not have made a second task: exactly those that were acknowledged exist.
    let listed = stage.requester.list(ListTasksRequest { page_size: 1000, ..ListTasksRequest::default() }).await?;
    assert_eq!(listed.tasks.len(), tasks.len());
    Ok(())
}
