//! A worker is killed.

use crate::work::Stage;
use hivemind_testkit::scene::Runtime;

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
