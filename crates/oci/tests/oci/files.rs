//! Files on their way in and out.

use crate::rig::Rig;
use hivemind_model::state::Outcome;
use hivemind_runtime::{Finished, Job};
use std::io::Read;
use std::path::PathBuf;

/// Path, mode and content of each entry of the outputs.
fn entries(finished: &Finished) -> Vec<(String, u32, String)> {
    let Some(file) = &finished.output else { return Vec::new() };
    let mut archive = tar::Archive::new(std::fs::File::open(file.path()).expect("opened"));
    let entries = archive.entries().expect("entries").map(|entry| {
        let mut entry = entry.expect("sound");
        let (path, mode) =
            (entry.path().expect("a path").display().to_string(), entry.header().mode().expect("a mode"));
        let mut content = String::new();
        entry.read_to_string(&mut content).expect("text");
        (path, mode, content)
    });
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    entries
}

fn file(rig: &Rig, path: &str, content: &[u8]) -> (String, PathBuf) {
    let source = rig.folder.path().join(path.replace('/', "_"));
    std::fs::write(&source, content).expect("written");
    (path.to_owned(), source)
}

async fn round_trip(rig: &Rig) {
    let files = vec![
        file(rig, "a.txt", b"one"),
        file(rig, "deep/er/b.txt", b"two"),
        file(rig, "run.sh", b"#!/bin/sh\necho script runs\n"),
        file(rig, "big", &vec![b'x'; 3 << 20]),
    ];
    let script = "cat a.txt deep/er/b.txt; ./run.sh; wc -c < big; stat -c '%u:%g %a %n' a.txt run.sh deep; echo more >> a.txt; mkdir output; cp a.txt output/";
    let (finished, ear) = rig.run(Job { files, ..rig.script(script) }).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 0 }, "{}", ear.err());
    assert_eq!(
        ear.out(),
        "onetwoscript runs\n3145728\n65534:65534 644 a.txt\n65534:65534 755 run.sh\n65534:65534 755 deep\n"
    );
    assert_eq!(entries(&finished), [("a.txt".into(), 0o644, "onemore\n".into())]);
}

#[tokio::test]
async fn input_files_are_there_and_outputs_come_back() {
    let Some(rig) = Rig::up("files").await else { return };
    round_trip(&rig).await;
    rig.down().await;
}

#[tokio::test]
async fn outputs_are_a_plain_tree_and_links_lead_nowhere() {
    let Some(rig) = Rig::up("outputs").await else { return };
    let script = "mkdir -p output/d; cd output; echo one > d/a; echo two > run; chmod 4755 run; ln -s /etc/secret link; ln -s /etc folder; mkfifo pipe; exit 3";
    let (finished, ear) = rig.run(rig.script(script)).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 3 }, "{}", ear.err());
    assert_eq!(
        entries(&finished),
        [
            ("d".into(), 0o755, String::new()),
            ("d/a".into(), 0o644, "one\n".into()),
            ("run".into(), 0o755, "two\n".into())
        ]
    );
    assert!(ear.err().contains("hivemind: 3 under /task/output left out"), "{}", ear.err());
    rig.down().await;
}

#[tokio::test]
async fn the_same_outputs_are_the_same_bytes() {
    let Some(rig) = Rig::up("normal").await else { return };
    let one = "mkdir -p output/d; cd output; echo one > b; echo two > d/a; echo three > d.txt; chmod 700 d/a";
    let late = "mkdir output; cd output; echo three > d.txt; mkdir d; echo gone > x; echo two > d/a; chmod 4755 d/a; chmod 1777 d; echo one > b; chmod 400 b; touch -d 2001-02-03 b d/a d; ln -s b x2; rm x x2";
    let mut archives = Vec::new();
    for (rig, script) in [(&rig, one), (&rig, late)] {
        let (finished, ear) = rig.run(rig.script(script)).await;
        assert_eq!(finished.outcome, Outcome::Exited { code: 0 }, "{}", ear.err());
        assert_eq!(entries(&finished).len(), 4);
        archives.push(std::fs::read(finished.output.expect("outputs").path()).expect("read"));
    }
    assert!(archives[0] == archives[1], "the bytes differ");
    rig.down().await;
}

#[tokio::test]
async fn an_output_folder_that_is_a_link_gives_nothing() {
    let Some(rig) = Rig::up("linked").await else { return };
    let (finished, ear) = rig.run(rig.script("ln -s /etc output")).await;
    assert_eq!((finished.outcome, finished.output.is_none()), (Outcome::Exited { code: 0 }, true));
    assert!(ear.err().contains("left out"), "{}", ear.err());
    rig.down().await;
}

#[tokio::test]
async fn outputs_beyond_the_disk_are_not_kept_and_that_is_said() {
    let Some(rig) = Rig::up("sparse").await else { return };
    let (finished, ear) = rig.run(rig.script("mkdir output; truncate -s 1G output/hole")).await;
    assert_eq!((finished.outcome, finished.output.is_none()), (Outcome::Exited { code: 0 }, true));
    assert!(ear.err().contains("was not kept"), "{}", ear.err());
    rig.down().await;
}

#[tokio::test]
async fn input_files_that_do_not_fit_are_the_task_s_own_fault() {
    let Some(rig) = Rig::up("full").await else { return };
    let files = vec![file(&rig, "big", &vec![b'x'; 16 << 20])];
    let (finished, ear) = rig.run(Job { files, ..rig.job(&["true"]) }).await;
    assert!(matches!(finished.outcome, Outcome::CannotStart { .. }), "{:?}", finished.outcome);
    assert_eq!(ear.starts(), 0);
    rig.down().await;
}

#[tokio::test]
async fn an_input_file_that_is_gone_is_the_machine_s_fault() {
    let Some(rig) = Rig::up("gone").await else { return };
    let files = vec![("a".to_owned(), rig.folder.path().join("none"))];
    let (finished, _) = rig.run(Job { files, ..rig.job(&["true"]) }).await;
    let Outcome::Infrastructure { reason } = finished.outcome else { panic!("{:?}", finished.outcome) };
    assert!(reason.contains("none"), "{reason}");
    rig.down().await;
}
