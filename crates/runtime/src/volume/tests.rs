use super::*;
use hivemind_model::{ElementRef, TaskId};
use std::os::unix::fs::FileExt;

#[test]
fn an_image_has_room_for_the_tables_too() {
    assert_eq!(size_of_image(Bytes::from_mib(4)), (5 << 20) + (128 << 10));
    assert_eq!(size_of_image(Bytes(1)) % 4096, 0);
    assert!(size_of_image(Bytes::from_gib(1)) > 1 << 30);
    assert!(size_of_image(Bytes(u64::MAX)) > 1 << 60);
}

#[test]
fn a_template_gives_back_the_very_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (folder.path().join("a"), folder.path().join("b"));
    let file = std::fs::File::create_new(&first).expect("made");
    file.set_len(8 << 20).expect("sized");
    file.write_all_at(b"head", 0).expect("written");
    file.write_all_at(b"middle", 3 << 20).expect("written");
    let template = Template::read(&first).expect("read").expect("small");
    template.write(&second).expect("written");
    assert!(std::fs::read(&first).expect("read") == std::fs::read(&second).expect("read"));
    assert!(template.write(&second).is_err(), "an existing file was overwritten");
}

#[tokio::test]
async fn images_are_for_the_agent_s_eyes_only() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let folder = tempfile::tempdir().expect("a folder");
    let volumes = Volumes::open(folder.path(), DiskLimit::None).await.expect("opened");
    assert_eq!(mode(volumes.folder()), 0o700);
    let (first, second) = (volumes.folder().join("a"), volumes.folder().join("b"));
    private_file(&first).expect("made").set_len(4096).expect("sized");
    Template::read(&first).expect("read").expect("small").write(&second).expect("written");
    assert_eq!((mode(&first), mode(&second)), (0o600, 0o600));
}

#[tokio::test]
async fn a_sweep_removes_files_of_the_dead_and_keeps_the_living() {
    let folder = tempfile::tempdir().expect("a folder");
    let volumes = Volumes::open(folder.path(), DiskLimit::None).await.expect("opened");
    let attempt = |n| ElementRef::only(TaskId(n)).attempt(1);
    for name in ["att_1.0.1.img", "att_2.0.1.img", "trial-1.img", "other.txt"] {
        std::fs::write(volumes.folder().join(name), "").expect("written");
    }
    volumes.sweep(&HashSet::from([attempt(2)])).await.expect("swept");
    let mut left: Vec<_> =
        std::fs::read_dir(volumes.folder()).expect("listed").map(|entry| entry.expect("entry").file_name()).collect();
    left.sort();
    assert_eq!(left, ["att_2.0.1.img", "other.txt"]);
}
