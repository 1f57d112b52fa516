//! Which image runs, and what is said where none does.

use crate::registry::Registry;
use crate::rig::{Heard, IMAGE, Rig};
use bollard::query_parameters::RemoveImageOptionsBuilder;
use hivemind_model::state::Outcome;
use hivemind_runtime::Job;
use hivemind_runtime::docker::DockerConfig;
use std::time::Duration;

async fn outcome(rig: &Rig, image: String) -> Outcome {
    rig.run(Job { image: image.into(), ..rig.job(&["true"]) }).await.0.outcome
}

async fn forget(rig: &Rig, image: &str) {
    rig.docker
        .remove_image(image, Some(RemoveImageOptionsBuilder::default().force(true).build()), None)
        .await
        .expect("removed");
}

#[tokio::test]
async fn a_local_image_is_pinned_by_its_id() {
    let Some(rig) = Rig::up("local").await else { return };
    let id = rig.docker.inspect_image(IMAGE).await.expect("inspected").id.expect("an id");
    for image in [format!("{IMAGE}@{id}"), format!("docker.io/library/{IMAGE}")] {
        let (finished, _) = rig.run(Job { image: image.into(), ..rig.job(&["true"]) }).await;
        assert_eq!((finished.outcome, &finished.image_id), (Outcome::Exited { code: 0 }, &id));
    }
    rig.down().await;
}

#[tokio::test]
async fn what_names_no_image_is_a_bad_image() {
    let Some(rig) = Rig::up("absent").await else { return };
    let registry = Registry::start("there").await;
    registry.open();
    let other = format!("sha256:{}", "0".repeat(64));
    for image in [
        registry.reference("absent:1"),
        registry.reference(&format!("there:1@{other}")),
        "not a reference".into(),
        "UPPER:1".into(),
        "a/../../containers/x".into(),
    ] {
        let outcome = outcome(&rig, image.clone()).await;
        assert!(matches!(outcome, Outcome::BadImage { .. }), "{image}: {outcome:?}");
    }
    rig.down().await;
}

#[tokio::test]
async fn a_registry_that_is_away_is_not_the_task_s_fault() {
    let Some(rig) = Rig::up("away").await else { return };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = listener.local_addr().expect("an address");
    drop(listener);
    let outcome = outcome(&rig, format!("{closed}/x:1")).await;
    assert!(matches!(outcome, Outcome::ImageUnavailable { .. }), "{outcome:?}");
    rig.down().await;
}

#[tokio::test]
async fn jobs_of_one_image_share_one_pull_and_are_told_of_it() {
    let Some(rig) = Rig::up("pull").await else { return };
    let registry = Registry::start("shared").await;
    let image = registry.reference(&format!("shared@{}", registry.digest()));
    let job = || Job { image: image.clone().into(), ..rig.job(&["echo", "pulled"]) };
    let (first, ear, _) = rig.start(job());
    ear.until(|ear| ear.heard().iter().any(|heard| matches!(heard, Heard::Note(_)))).await;
    let (second, other, _) = rig.start(job());
    other.until(|ear| ear.heard().iter().any(|heard| matches!(heard, Heard::Note(_)))).await;
    registry.open();
    for (running, ear) in [(first, &ear), (second, &other)] {
        assert_eq!(running.await.expect("ended").outcome, Outcome::Exited { code: 0 });
        assert_eq!(ear.out(), "pulled\n");
    }
    assert_eq!(registry.layers_sent(), 1);
    let Some(Heard::Note(note)) = ear.heard().first().cloned() else { panic!("no note first") };
    assert!(note.starts_with(&format!("pulling {image}")), "{note}");
    forget(&rig, &image).await;
    rig.down().await;
}

#[tokio::test]
async fn a_pull_can_be_stopped() {
    let Some(rig) = Rig::up("pullstop").await else { return };
    let registry = Registry::start("stopped").await;
    let (running, ear, stop) = rig.start(Job { image: registry.reference("stopped:1").into(), ..rig.job(&["true"]) });
    ear.until(|ear| !ear.heard().is_empty()).await;
    stop.cancel();
    assert_eq!(running.await.expect("ended").outcome, Outcome::Cancelled);
    rig.down().await;
}

#[tokio::test]
async fn a_pull_without_progress_is_given_up() {
    let Some(rig) =
        Rig::with("stall", |config| DockerConfig { pull_stall: Duration::from_millis(1500), ..config }).await
    else {
        return;
    };
    let registry = Registry::start("stalled").await;
    let outcome = outcome(&rig, registry.reference("stalled:1")).await;
    let Outcome::ImageUnavailable { reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("no progress"), "{reason}");
    rig.down().await;
}
