//! A worker is killed.

use crate::work::Stage;
use hivemind_model::Cpt;
use hivemind_testkit::scene::Runtime;
use hivemind_testkit::wait;

#[tokio::test(flavor = "multi_thread")]
async fn killed_for_good_while_another_lives() -> anyhow::Result<()> {
    let mut stage = Stage::set(Runtime::Fake, &["lab-1", "lab-2"]).await?;
    let tasks = stage.submit_many(60, &["sleep", "200"]).await?;
    stage.until(&tasks, "completed", 10).await;
    stage.scene.kill_worker("lab-1")?;
    stage.settled(&tasks, "completed").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_started_again() -> anyhow::Result<()> {
    let mut stage = Stage::set(Runtime::Fake, &["lab-1"]).await?;
    let tasks = stage.submit_many(40, &["sleep", "100"]).await?;
    for done in [5, 20] {
        stage.until(&tasks, "completed", done).await;
        stage.scene.kill_worker("lab-1")?;
        let owner = stage.owner.clone();
        stage.scene.start_worker(&owner, "lab-1").await?;
    }
    stage.settled(&tasks, "completed").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_together_with_the_pool() -> anyhow::Result<()> {
    let mut stage = Stage::set(Runtime::Fake, &["lab-1"]).await?;
    let tasks = stage.submit_many(40, &["sleep", "100"]).await?;
    stage.until(&tasks, "completed", 5).await;
    stage.scene.kill_pool()?;
    stage.scene.kill_worker("lab-1")?;
    stage.scene.start_pool()?;
    let owner = stage.owner.clone();
    stage.scene.start_worker(&owner, "lab-1").await?;
    stage.settled(&tasks, "completed").await?;
    Ok(())
}

/// Metered every 100 ms, so that the owner has pending earnings at once.
#[tokio::test(flavor = "multi_thread")]
async fn killed_gives_back_what_was_pending() -> anyhow::Result<()> {
    let policy = "[economy]\nmeter_every = 100\n";
    let mut stage = Stage::set_with(Runtime::Fake, &["lab-1"], policy).await?;
    let task = stage.submit("none:1", &["sleep", "600000"]).await?;
    let owner = stage.owner.clone();
    let pending = async || owner.balance().await.ok().map(|balance| balance.pending);
    wait::until("something is pending", || async { pending().await.filter(|pending| pending.is_positive()) }).await;
    stage.scene.kill_worker("lab-1")?;
    wait::until("it went back", || async { pending().await.filter(|pending| *pending == Cpt::ZERO) }).await;
    let returned = stage.requester.task_entries(task).await?;
    assert!(returned.lines.iter().any(|line| line.kind == "return"), "{:?}", returned.lines);
    stage.requester.cancel(task).await?;
    let (spent, earned) = (stage.requester.balance().await?, stage.owner.balance().await?);
    assert_eq!((spent.available, spent.held, earned.available), (earned.available, Cpt::ZERO, spent.available));
    let audit = stage.scene.operator().await?.audit().await?;
    assert!(audit.balanced, "{}", audit.finding);
    Ok(())
}
