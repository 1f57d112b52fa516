//! Which image runs, and what is said where none does.

use crate::registry::Registry;
use crate::rig::{DEADLINE, Ear, Heard, IMAGE, Rig, root_file_system};
use bollard::query_parameters::RemoveImageOptionsBuilder;
use hivemind_model::Resources;
use hivemind_model::spec::Digest as ContentDigest;
use hivemind_model::state::Outcome;
use hivemind_model::units::Bytes;
use hivemind_runtime::docker::{DockerConfig, DockerRuntime, ImageRules};
use hivemind_runtime::{Control, Image, Job, Runtime, Stop};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
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

/// An archive of busybox's files, for `architecture`.
fn archive(rig: &Rig, mark: &str, architecture: &str, lie: bool) -> Image {
    let layer = root_file_system(mark);
    let hex = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let named = if lie { "0".repeat(64) } else { hex(&layer) };
    let diff_ids = [format!("sha256:{named}")];
    let config = json!({
        "architecture": architecture, "os": "linux", "config": { "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids }, "history": [{ "created_by": mark }],
    });
    let config = config.to_string();
    let listed = json!([{ "Config": "config.json", "RepoTags": ["evil/other:latest"], "Layers": ["layer.tar"] }]);
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in [
        ("manifest.json", listed.to_string().as_bytes()),
        ("config.json", config.as_bytes()),
        ("layer.tar", &layer[..]),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, content).expect("packed");
    }
    let archive = archive.into_inner().expect("packed");
    let file = rig.folder.path().join(format!("{}.tar", hex(&archive)));
    std::fs::write(&file, &archive).expect("written");
    Image::Content { digest: ContentDigest(Sha256::digest(&archive).into()), file }
}

#[tokio::test]
async fn an_archive_is_loaded_once_and_removed_when_nobody_wants_it() {
    let Some(rig) = Rig::up("archive").await else { return };
    let mark = format!("archive {}", std::process::id());
    let image = archive(&rig, &mark, "amd64", false);
    let job = || Job { image: image.clone(), ..rig.job(&["cat", "/etc/mark"]) };
    let (first, ear) = rig.run(job()).await;
    assert_eq!((first.outcome, ear.out()), (Outcome::Exited { code: 0 }, mark));
    assert!(ear.heard().iter().any(|heard| matches!(heard, Heard::Note(note) if note.contains("loading"))));
    let inspected = rig.docker.inspect_image(&first.image_id).await.expect("it is there");
    assert_eq!(inspected.repo_tags.unwrap_or_default(), [""; 0], "an archive names nothing on this machine");
    let (second, ear) = rig.run(job()).await;
    assert_eq!((second.outcome, second.image_id), (Outcome::Exited { code: 0 }, first.image_id.clone()));
    assert!(!ear.heard().iter().any(|heard| matches!(heard, Heard::Note(_))), "loaded again");
    rig.runtime.settled().await;
    // The next agent of the same folder knows what the last one fetched, long ago.
    let list = rig.folder.path().join("images.json");
    let mut known: Value = serde_json::from_slice(&std::fs::read(&list).expect("a list")).expect("JSON");
    known["images"][0]["used"] = json!(0);
    std::fs::write(&list, known.to_string()).expect("written");
    let next =
        DockerRuntime::connect(DockerConfig::new(rig.instance.clone(), rig.folder.path())).await.expect("a daemon");
    let (ear, control) = (std::sync::Arc::new(Ear::default()), Control::stopping(Stop::new()));
    next.run(rig.job(&["true"]), ear, control, rig.folder.path()).await;
    next.settled().await;
    let gone = async {
        while rig.docker.inspect_image(&first.image_id).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, gone).await.expect("the image stays");
    rig.down().await;
}

#[tokio::test]
async fn archives_that_lie_or_are_for_others_are_bad_images() {
    let Some(rig) = Rig::up("badarchive").await else { return };
    for (image, why) in [
        (archive(&rig, "lie", "amd64", true), "layer 0 lies about its digest"),
        (archive(&rig, "other", "s390x", false), "is for linux/s390x, and this machine is linux/"),
    ] {
        let (finished, _) = rig.run(Job { image, ..rig.job(&["true"]) }).await;
        let Outcome::BadImage { reason } = finished.outcome else { panic!("{:?}", finished.outcome) };
        assert!(reason.contains(why), "{reason}");
    }
    rig.down().await;
}

#[tokio::test]
async fn a_pulled_image_for_another_machine_names_both() {
    let Some(rig) = Rig::up("platform").await else { return };
    let registry = Registry::for_machine("platform", "s390x").await;
    registry.open();
    let image = registry.reference("platform:1");
    let outcome = outcome(&rig, image.clone()).await;
    let Outcome::BadImage { reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("is for linux/s390x, and this machine is linux/"), "{reason}");
    assert!(rig.docker.inspect_image(&image).await.is_err(), "what nobody can run is not kept");
    rig.down().await;
}

/// Each of the owner's rules, and what is said where it refuses.
#[tokio::test]
async fn the_owner_s_rules_send_an_image_elsewhere() {
    let registry = Registry::start("ruled").await;
    registry.open();
    let image = registry.reference("ruled:1");
    let listed = ImageRules { private_registries: vec!["127.0.0.1".into()], ..ImageRules::default() };
    for (name, rules, why) in [
        ("names", ImageRules { allow: vec!["docker.io/library/*".into()], ..listed.clone() }, "runs only images named"),
        ("private", ImageRules::default(), "no public address"),
        ("large", ImageRules { max_bytes: Bytes(1000), ..listed.clone() }, "is larger than"),
        ("unpacked", ImageRules { max_unpacked: Bytes(1000), ..listed.clone() }, "unpacked, and this machine's owner"),
    ] {
        let ruled = |config| DockerConfig { images: rules, ..config };
        let Some(rig) = Rig::with(&format!("ruled-{name}"), ruled).await else { return };
        let outcome = outcome(&rig, image.clone()).await;
        let Outcome::ImageUnavailable { reason } = outcome else { panic!("{name}: {outcome:?}") };
        assert!(reason.contains(why), "{name}: {reason}");
        assert!(rig.docker.inspect_image(&image).await.is_err(), "{name}: it is kept");
        rig.down().await;
    }
}

#[tokio::test]
async fn a_gpu_is_never_silently_missing() {
    let Some(rig) = Rig::up("gpu").await else { return };
    let job = rig.job(&["true"]);
    let resources = Resources { gpus: 1, ..job.resources };
    let (finished, ear) = rig.run(Job { resources, ..job }).await;
    let Outcome::Infrastructure { reason } = finished.outcome else { panic!("{:?}", finished.outcome) };
    assert!(reason.contains("asks for 1 GPUs"), "{reason}");
    assert_eq!(ear.starts(), 0);
    rig.down().await;
}
