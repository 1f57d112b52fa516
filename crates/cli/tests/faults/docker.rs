//! Real containers under faults.
//!
//! Task ids are numbered per pool, so containers of other tests on the same daemon may carry the
//! same task label; a container is ours where its instance is one of our workers'.

use crate::work::Stage;
use bollard::Docker;
use bollard::query_parameters::KillContainerOptionsBuilder;
use hivemind_model::TaskId;
use hivemind_testkit::engine::Engine;
use hivemind_testkit::image::{BUSYBOX, containers_of, daemon, make_busybox};
use hivemind_testkit::process::Still;
use hivemind_testkit::scene::Runtime;
use hivemind_testkit::wait;
use std::collections::BTreeSet;
use std::time::Duration;

/// The container of a task on the workers of `stage`, once it runs.
async fn container(docker: &Docker, stage: &Stage, task: TaskId) -> String {
    let instances = stage.scene.instances();
    wait::until("the container runs", || async {
        for id in containers_of(docker, task).await.ok()? {
            let details = docker.inspect_container(&id, None).await.ok()?;
            let labels = details.config?.labels?;
            if labels.get("hivemind.instance").is_some_and(|instance| instances.contains(instance)) {
                return Some(id);
            }
        }
        None
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_containers_go_on_while_the_pool_is_away() -> anyhow::Result<()> {
    let Some(docker) = daemon().await? else { return Ok(()) };
    make_busybox(&docker).await?;
    let mut stage = Stage::set(Runtime::Docker, &["lab-1"]).await?;
    let script = "echo before; while [ ! -e /task/go ]; do sleep 0.1; done; echo after";
    let task = stage.submit(BUSYBOX, &["sh", "-c", script]).await?;
    let id = container(&docker, &stage, task).await;
    let started = docker.inspect_container(&id, None).await?.state.and_then(|state| state.started_at);
    stage.scene.kill_pool()?;
    stage.scene.start_pool()?;
    assert_eq!(container(&docker, &stage, task).await, id, "the same container goes on");
    let now = docker.inspect_container(&id, None).await?.state.and_then(|state| state.started_at);
    assert_eq!(now, started, "it was not started again");
    touch(&docker, &id, "/task/go").await?;
    let ended = stage.settled(&[task], "completed").await?;
    assert_eq!(ended[0].result, "before\nafter\n");
    assert_eq!(ended[0].attempts.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_containers_of_a_killed_worker_end_and_run_elsewhere() -> anyhow::Result<()> {
    let Some(docker) = daemon().await? else { return Ok(()) };
    make_busybox(&docker).await?;
    let mut stage = Stage::set(Runtime::Docker, &["lab-1"]).await?;
    let task = stage.submit(BUSYBOX, &["sh", "-c", "while [ ! -e /task/go ]; do sleep 0.1; done"]).await?;
    let first = container(&docker, &stage, task).await;
    let owner = stage.owner.clone();
    stage.scene.start_worker(&owner, "lab-2").await?;
    stage.scene.kill_worker("lab-1")?;
    wait::until("the killed worker's container is gone", || async {
        docker.inspect_container(&first, None).await.is_err().then_some(())
    })
    .await;
    let second = container(&docker, &stage, task).await;
    assert_ne!(second, first);
    touch(&docker, &second, "/task/go").await?;
    let ended = stage.settled(&[task], "completed").await?;
    assert_eq!(ended[0].attempts.len(), 2, "{:?}", ended[0].attempts);
    assert_eq!(ended[0].attempts[0].cost_micro, 0, "an attempt lost with its worker is not paid");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_containers_of_a_worker_that_stands_still_end_with_their_lease() -> anyhow::Result<()> {
    let Some(docker) = daemon().await? else { return Ok(()) };
    make_busybox(&docker).await?;
    let mut stage = Stage::set(Runtime::Docker, &["lab-1"]).await?;
    let task = stage.submit(BUSYBOX, &["sh", "-c", "while [ ! -e /task/go ]; do sleep 0.1; done"]).await?;
    let first = container(&docker, &stage, task).await;
    let owner = stage.owner.clone();
    stage.scene.start_worker(&owner, "lab-2").await?;
    stage.scene.freeze_worker("lab-1", Still::From)?;
    // Its lease runs for 10 s from the last heartbeat that was answered, which lies in the past.
    let lease_ends = tokio::time::Instant::now() + Duration::from_secs(10);
    let gone = async {
        while docker
            .inspect_container(&first, None)
            .await
            .is_ok_and(|it| it.state.and_then(|state| state.running) == Some(true))
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout_at(lease_ends, gone).await.expect("it outlived its lease");
    let second = wait::until("the task runs again", || async {
        let id = container(&docker, &stage, task).await;
        (id != first).then_some(id)
    })
    .await;
    stage.scene.freeze_worker("lab-1", Still::Until)?;
    touch(&docker, &second, "/task/go").await?;
    let ended = stage.settled(&[task], "completed").await?;
    assert_eq!(ended[0].attempts.len(), 2, "{:?}", ended[0].attempts);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_container_killed_from_outside_runs_again() -> anyhow::Result<()> {
    let Some(docker) = daemon().await? else { return Ok(()) };
    make_busybox(&docker).await?;
    let stage = Stage::set(Runtime::Docker, &["lab-1"]).await?;
    let task = stage.submit(BUSYBOX, &["sh", "-c", "while [ ! -e /task/go ]; do sleep 0.1; done"]).await?;
    let first = container(&docker, &stage, task).await;
    docker.kill_container(&first, Some(KillContainerOptionsBuilder::default().signal("SIGKILL").build())).await?;
    let second = wait::until("the task runs again", || async {
        let id = container(&docker, &stage, task).await;
        (id != first).then_some(id)
    })
    .await;
    touch(&docker, &second, "/task/go").await?;
    let ended = stage.settled(&[task], "completed").await?;
    assert_eq!(ended[0].attempts.len(), 2, "{:?}", ended[0].attempts);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_engine_that_is_killed_under_a_task_runs_it_again_when_it_is_back() -> anyhow::Result<()> {
    let Some(mut engine) = Engine::start().await? else { return Ok(()) };
    let docker = engine.docker().await?;
    make_busybox(&docker).await?;
    let mut stage = Stage::set(Runtime::Docker, &[]).await?;
    stage.scene.use_engine(engine.host());
    let owner = stage.owner.clone();
    stage.scene.start_worker(&owner, "lab-1").await?;
    let task = stage.submit(BUSYBOX, &["sh", "-c", "while [ ! -e /task/go ]; do sleep 0.1; done"]).await?;
    let first = container(&docker, &stage, task).await;
    engine.kill()?;
    engine.start_again().await?;
    let second = wait::until("the task runs again", || async {
        let id = container(&docker, &stage, task).await;
        (id != first).then_some(id)
    })
    .await;
    touch(&docker, &second, "/task/go").await?;
    let ended = stage.settled(&[task], "completed").await?;
    assert_eq!(ended[0].attempts[0].cost_micro, 0, "an attempt lost with the engine is not paid");
    wait::until("nothing of the first attempt is left", || async {
        docker.inspect_container(&first, None).await.is_err().then_some(())
    })
    .await;
    // What cleans up after a killed worker needs the engine until it is done.
    let instances = stage.scene.instances();
    stage.scene.kill_worker("lab-1")?;
    wait::until("the worker's cleaner has ended", || async { (!is_being_cleaned(&instances)).then_some(()) }).await;
    Ok(())
}

/// Whether a process of this machine cleans up after one of these workers.
fn is_being_cleaned(instances: &BTreeSet<String>) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let words = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    words.map(|words| String::from_utf8_lossy(&words).into_owned()).any(|words| {
        words.contains("worker-reaper") && instances.iter().any(|instance| words.contains(instance.as_str()))
    })
}

/// Makes a file in a running container, from outside, once it can.
async fn touch(docker: &Docker, container: &str, path: &str) -> anyhow::Result<()> {
    use bollard::exec::{CreateExecOptions, StartExecResults};
    use futures::StreamExt;
    let options =
        CreateExecOptions { cmd: Some(vec!["touch", path]), attach_stdout: Some(true), ..CreateExecOptions::default() };
    let exec = docker.create_exec(container, options).await?;
    if let StartExecResults::Attached { mut output, .. } = docker.start_exec(&exec.id, None).await? {
        while let Some(part) = output.next().await {
            part?;
        }
    }
    Ok(())
}
