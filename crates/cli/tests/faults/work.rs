//! What every fault is tried on, and what must be true afterwards.

use hivemind_client::Client;
use hivemind_model::{Cpt, TaskId};
use hivemind_proto::v1::{SubmitTaskRequest, TaskStatusResponse};
use hivemind_testkit::scene::{Runtime, Scene};
use hivemind_testkit::wait;
use std::path::Path;

/// Micro-CPT that every user starts with.
const GRANT_MICRO: i64 = 150_000_000;

/// A scene with a requester, an owner, and the money they had.
pub(crate) struct Stage {
    pub(crate) scene: Scene,
    pub(crate) requester: Client,
    pub(crate) owner: Client,
}

impl Stage {
    /// A pool with the named workers.
    pub(crate) async fn set(runtime: Runtime, workers: &[&str]) -> anyhow::Result<Self> {
        Self::set_with(runtime, workers, "").await
    }

    /// As [`Stage::set`], with a policy file of this content.
    pub(crate) async fn set_with(runtime: Runtime, workers: &[&str], policy: &str) -> anyhow::Result<Self> {
        let exe = Path::new(env!("CARGO_BIN_EXE_hivemind"));
        let mut scene = Scene::start_with(exe, runtime, policy)?;
        let requester = scene.new_user("alice").await?;
        let owner = scene.new_user("olga").await?;
        for worker in workers {
            scene.start_worker(&owner, worker).await?;
        }
        Ok(Self { scene, requester, owner })
    }

    /// Submits one task of one core and returns its id.
    pub(crate) async fn submit(&self, image: &str, argv: &[&str]) -> anyhow::Result<TaskId> {
        Ok(self.requester.submit(request(image, argv)).await?.task)
    }

    /// Submits `count` equal tasks and returns their ids.
    pub(crate) async fn submit_many(&self, count: usize, argv: &[&str]) -> anyhow::Result<Vec<TaskId>> {
        let requests = (0..count).map(|_| request("none:1", argv)).collect();
        let answers = self.requester.submit_many(requests).await;
        answers.into_iter().map(|answer| Ok(answer?.task)).collect()
    }

    /// Waits until so many of the tasks are `state`.
    pub(crate) async fn until(&self, tasks: &[TaskId], state: &str, count: usize) {
        wait::until(&format!("{count} tasks are {state}"), || async {
            let mut found = 0;
            for task in tasks {
                // The pool may be away for a moment; then it is asked again.
                let status = self.requester.status(*task).await.ok()?;
                found += usize::from(status.status == state);
            }
            (found >= count).then_some(())
        })
        .await;
    }

    /// Every task has ended as `state`; what was paid is what was earned, once; the books balance.
    pub(crate) async fn settled(&self, tasks: &[TaskId], state: &str) -> anyhow::Result<Vec<TaskStatusResponse>> {
        self.until(tasks, state, tasks.len()).await;
        let mut cost = 0;
        let mut all = Vec::new();
        for task in tasks {
            let status = self.requester.status(*task).await?;
            let summary = status.task.clone().unwrap_or_default();
            let paid: Vec<i64> =
                status.attempts.iter().map(|attempt| attempt.cost_micro).filter(|paid| *paid > 0).collect();
            assert!(paid.len() <= 1, "{task} was paid {} times: {:?}", paid.len(), status.attempts);
            assert_eq!(paid.iter().sum::<i64>(), summary.cost_micro, "{task}");
            assert!(summary.cost_micro <= summary.price_cap_micro, "{task} cost more than its cap");
            cost += summary.cost_micro;
            all.push(status);
        }
        let (spent, earned) = (self.requester.balance().await?, self.owner.balance().await?);
        assert_eq!(spent.held, Cpt::ZERO, "everything has ended, so nothing is held");
        assert_eq!(GRANT_MICRO - spent.available.micro(), cost);
        assert_eq!(earned.available.micro() - GRANT_MICRO, cost);
        let audit = self.scene.operator().await?.audit().await?;
        assert!(audit.balanced, "{}", audit.finding);
        Ok(all)
    }
}

fn request(image: &str, argv: &[&str]) -> SubmitTaskRequest {
    SubmitTaskRequest {
        task_name: "fault".into(),
        docker_image: image.into(),
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        max_runtime: 600,
        required_memory: 64,
        required_disk_mb: 16,
        ..SubmitTaskRequest::default()
    }
}
