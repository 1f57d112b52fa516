//! Where images come from, and what is not taken for one.

use crate::registry::{Registry, Shelf};
use crate::rig::{Rig, configuration, content, digest, image, root_file_system, saved, tar_of};
use hivemind_model::state::Outcome;
use hivemind_model::units::Bytes;
use hivemind_runtime::{Image, Job};
use serde_json::json;

/// A layer with one file, or the removal of one.
fn layer(path: &str, text: &str) -> Vec<u8> {
    tar_of(&[(path.to_owned(), text.as_bytes().to_vec())])
}

fn bad(outcome: Outcome) -> String {
    match outcome {
        Outcome::BadImage { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn layers_lie_upon_each_other_and_can_remove_what_is_below() {
    let Some(rig) = Rig::up("stack").await else { return };
    let layers = [
        root_file_system("stack"),
        layer("etc/other", "below\n"),
        layer("etc/.wh.secret", ""),
        tar_of(&[("bin/tool".into(), b"tool\n".to_vec()), ("etc/other".into(), b"above\n".to_vec())]),
        tar_of(&[("dir/a".into(), b"a".to_vec())]),
        tar_of(&[("dir/.wh..wh..opq".into(), Vec::new()), ("dir/b".into(), b"b".to_vec())]),
    ];
    let own = json!({"Entrypoint": ["sh", "-c"], "Cmd": ["cat /etc/other /bin/tool; ls /dir; ls /etc/secret; stat -c %a /bin/busybox"]});
    let image = image(rig.folder.path(), "stack", own, &layers);
    let (finished, ear) = rig.run(Job { image: image.clone(), ..rig.job(&[]) }).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 0 }, "{}", ear.err());
    assert_eq!(ear.out(), "above\ntool\nb\n755\n", "{}", ear.err());
    assert!(ear.err().contains("/etc/secret: No such file"), "{}", ear.err());
    let (finished, ear) = rig.run(Job { image, ..rig.job(&["echo own"]) }).await;
    assert_eq!((finished.outcome, ear.out().as_str()), (Outcome::Exited { code: 0 }, "own\n"));
    rig.down().await;
}

#[tokio::test]
async fn our_own_archives_and_layouts_are_loaded() {
    let Some(rig) = Rig::up("own").await else { return };
    let busybox = std::fs::read("/bin/busybox").expect("/bin/busybox");
    let files = [hivemind_image::File { path: "bin/busybox", mode: 0o755, content: &busybox }];
    let what = hivemind_image::Description { name: "own:1", entrypoint: &["/bin/busybox", "echo"], env: &["A=b"] };
    let mut archive = Vec::new();
    let id = hivemind_image::pack(&files, &what, &mut archive).expect("packed");
    let (finished, ear) =
        rig.run(Job { image: content(rig.folder.path(), "own", &archive), ..rig.job(&["hello"]) }).await;
    assert_eq!((finished.outcome, ear.out().as_str(), finished.image_id), (Outcome::Exited { code: 0 }, "hello\n", id));
    rig.down().await;
}

#[tokio::test]
async fn what_is_not_sound_is_refused_by_name() {
    let Some(rig) = Rig::up("unsound").await else { return };
    let layers = [root_file_system("unsound")];
    let config = configuration(json!({}), &layers);
    let foreign = String::from_utf8(config.clone()).expect("text").replace("amd64", "s390x").replace("arm64", "s390x");
    let other = [root_file_system("another")];
    let lying_name = {
        let name = format!("{}.json", digest(b"other").trim_start_matches("sha256:"));
        let manifest = json!([{"Config": name, "Layers": ["l"]}]).to_string().into_bytes();
        tar_of(&[("manifest.json".into(), manifest), (name, config.clone()), ("l".into(), layers[0].clone())])
    };
    for (what, archive, word) in [
        ("foreign", saved(foreign.as_bytes(), &layers), "linux/s390x"),
        ("layer", saved(&config, &other), "lies about its digest"),
        ("config", lying_name, "lies about its digest"),
        ("count", saved(&config, &[layers[0].clone(), layers[0].clone()]), "different numbers"),
        ("empty", tar_of(&[("x".into(), b"x".to_vec())]), "holds no image"),
        ("noise", b"not an archive".repeat(1000), "cannot be unpacked"),
    ] {
        let (finished, ear) =
            rig.run(Job { image: content(rig.folder.path(), what, &archive), ..rig.job(&["true"]) }).await;
        let reason = bad(finished.outcome);
        assert!(reason.contains(word), "{what}: {reason}");
        assert_eq!(ear.starts(), 0);
    }
    rig.down().await;
}

#[tokio::test]
async fn a_pulled_image_is_checked_unpacked_once_and_found_again() {
    let Some(rig) = Rig::up("pull").await else { return };
    let mut shelf = Shelf::default();
    let layers = [root_file_system("pull"), layer("etc/more", "more\n")];
    let (index, _) = shelf.image("some/name", json!({}), &layers);
    let registry = Registry::start(shelf).await;
    let named = |rest: &str| Image::Named(registry.reference(rest));
    let job = || Job { image: named("some/name:1"), ..rig.job(&["cat", "/etc/more"]) };
    let (first, one, _stop) = rig.start(job());
    let (second, two, stop) = rig.start(job());
    two.until(|ear| !ear.heard().is_empty()).await;
    stop.cancel();
    assert_eq!(second.await.expect("ended").outcome, Outcome::Cancelled, "though the pull goes on for the other");
    registry.open();
    assert_eq!(first.await.expect("ended").outcome, Outcome::Exited { code: 0 }, "{:?}", one.heard());
    assert_eq!(one.out(), "more\n");
    assert_eq!(registry.layers_sent(), 2);
    for again in ["some/name:1".to_owned(), format!("some/name@{index}"), format!("other@{index}")] {
        let (finished, ear) = rig.run(Job { image: named(&again), ..rig.job(&["cat", "/etc/more"]) }).await;
        assert_eq!((finished.outcome, ear.out().as_str()), (Outcome::Exited { code: 0 }, "more\n"), "{again}");
    }
    assert_eq!(registry.layers_sent(), 2, "nothing is fetched twice");
    rig.down().await;
}

#[tokio::test]
async fn a_registry_that_lies_or_is_away_is_told_apart() {
    let Some(rig) = Rig::up("lies").await else { return };
    let mut shelf = Shelf::default();
    let (_, lying) = shelf.image("layer", json!({}), &[root_file_system("lies")]);
    shelf.put(&format!("/v2/layer/blobs/{}", lying[0]), {
        let mut other = vec![0x1f, 0x8b];
        other.resize(2000, 7);
        other
    });
    let (index, _) = shelf.image("manifest", json!({}), &[root_file_system("manifest")]);
    shelf.put(&format!("/v2/manifest/manifests/{index}"), b"{}".to_vec());
    shelf.put("/v2/endless/manifests/1", vec![b' '; 5 << 20]);
    shelf.put("/v2/old/manifests/1", br#"{"schemaVersion":1,"fsLayers":[]}"#.to_vec());
    let registry = Registry::start(shelf).await;
    registry.open();
    for (rest, word) in [
        ("layer:1".to_owned(), "lies about its digest"),
        (format!("manifest@{index}"), "lies about its digest"),
        ("endless:1".into(), "more than"),
        ("old:1".into(), "oldest format"),
        ("nothing:1".into(), "does not have it"),
        ("Not A Name".into(), "is not an image reference"),
    ] {
        let (finished, _) = rig.run(Job { image: Image::Named(registry.reference(&rest)), ..rig.job(&["true"]) }).await;
        let reason = bad(finished.outcome);
        assert!(reason.contains(word), "{rest}: {reason}");
    }
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let (finished, _) = rig.run(Job { image: Image::Named(format!("{nobody}/x:1")), ..rig.job(&["true"]) }).await;
    assert!(matches!(finished.outcome, Outcome::ImageUnavailable { .. }), "{:?}", finished.outcome);
    rig.down().await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_what_is_unused_makes_room() {
    let change = |mut config: hivemind_oci::OciConfig| {
        config.images.unpacked = Bytes::from_mib(4);
        config.images.store = Bytes::from_mib(5);
        config
    };
    let Some(rig) = Rig::with("room", change).await else { return };
    let large = [root_file_system("large"), layer("x", &"x".repeat(4 << 20))];
    let large = image(rig.folder.path(), "large", json!({}), &large);
    let (finished, _) = rig.run(Job { image: large, ..rig.job(&["true"]) }).await;
    assert!(bad(finished.outcome).contains("larger than"));
    let folders = || std::fs::read_dir(rig.folder.path().join("state/images/layers")).expect("layers").count();
    let images: Vec<_> =
        ["a", "b", "c"].map(|name| image(rig.folder.path(), name, json!({}), &[root_file_system(name)])).into();
    let (running, ear, stop) = rig.start(Job { image: images[0].clone(), ..rig.job(&["sleep", "600"]) });
    ear.until(|ear| ear.starts() == 1).await;
    for image in &images[1..] {
        let (finished, _) = rig.run(Job { image: image.clone(), ..rig.job(&["true"]) }).await;
        assert_eq!(finished.outcome, Outcome::Exited { code: 0 });
        assert_eq!(folders(), 2, "the one in use and the latest");
    }
    stop.cancel();
    assert_eq!(running.await.expect("ended").outcome, Outcome::Cancelled);
    rig.down().await;
}

#[tokio::test]
async fn the_owner_s_rules_say_which_images_run_and_from_where() {
    let change = |mut config: hivemind_oci::OciConfig| {
        config.rules.allow = vec!["docker.io/library/*".into(), "127.0.0.1:*/good".into()];
        config.rules.max_unpacked = Bytes::from_mib(4);
        config
    };
    let Some(rig) = Rig::with("rules", change).await else { return };
    let mut shelf = Shelf::default();
    shelf.image("good", json!({}), &[root_file_system("good")]);
    let registry = Registry::start(shelf).await;
    registry.open();
    let (finished, ear) =
        rig.run(Job { image: Image::Named(registry.reference("good:1")), ..rig.job(&["true"]) }).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 0 }, "{:?}", ear.heard());
    for image in [Image::Named(registry.reference("bad:1")), rig.image.clone()] {
        let (finished, ear) = rig.run(Job { image, ..rig.job(&["true"]) }).await;
        let Outcome::ImageUnavailable { reason } = finished.outcome else { panic!("{:?}", finished.outcome) };
        assert!(reason.contains("owner runs only images named docker.io/library/*"), "{reason}");
        assert_eq!(ear.starts(), 0);
    }
    rig.down().await;

    let Some(rig) = Rig::up("private").await else { return };
    for name in ["10.0.0.1:5000/x:1", "169.254.169.254/x:1", "[::1]:5000/x:1"] {
        let (finished, _) = rig.run(Job { image: Image::Named(name.into()), ..rig.job(&["true"]) }).await;
        match finished.outcome {
            Outcome::ImageUnavailable { reason } => assert!(reason.contains("no public address"), "{reason}"),
            Outcome::BadImage { .. } => assert!(name.starts_with('[')),
            other => panic!("{name}: {other:?}"),
        }
    }
    rig.down().await;
}

fn link(path: &str, target: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_mode(0o777);
    header.set_size(0);
    builder.append_link(&mut header, path, target).expect("packed");
    builder.into_inner().expect("packed")
}

/// An image that cannot be set up is its own fault and not the machine's, which would be rested for it.
#[tokio::test]
async fn no_volume_covers_what_is_the_kernel_s() {
    let Some(rig) = Rig::up("covers").await else { return };
    for (case, target) in ["/proc", "/proc/sys", "/dev", "/sys/fs", "/", "/nowhere", "v"].into_iter().enumerate() {
        let layers = [root_file_system(&format!("covers {case}")), link("v", target)];
        let image = self::image(rig.folder.path(), &format!("covers{case}"), json!({"Volumes": {"/v": {}}}), &layers);
        let reason = bad(rig.run(Job { image, ..rig.job(&["true"]) }).await.0.outcome);
        assert!(reason.contains("/v"), "{target}: {reason}");
    }
    let layers = [root_file_system("covers file"), layer("file", "")];
    let image = self::image(rig.folder.path(), "coversf", json!({"Volumes": {"/file/below": {}}}), &layers);
    let reason = bad(rig.run(Job { image, ..rig.job(&["true"]) }).await.0.outcome);
    assert!(reason.contains("/file/below"), "{reason}");
    // Links of the image's own are common and lead where they say.
    let layers = [root_file_system("covers run"), layer("run/kept", ""), link("var", "run")];
    let image = self::image(rig.folder.path(), "coversr", json!({"Volumes": {"/var": {}}}), &layers);
    let (finished, ear) = rig.run(Job { image, ..rig.job(&["sh", "-c", "touch /run/x && ls /var"]) }).await;
    assert_eq!((finished.outcome, ear.out().as_str()), (Outcome::Exited { code: 0 }, "x\n"), "{}", ear.err());
    rig.down().await;
}
