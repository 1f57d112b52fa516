//! The self-test against the built-in runtime.

use crate::rig::Rig;
use hivemind_runtime::selftest::{Line, Promise, Verdict, selftest};

#[tokio::test]
async fn every_promise_is_kept() {
    let Some(rig) = Rig::up("sound").await else { return };
    let lines = selftest(&rig.runtime, rig.folder.path(), |line| println!("{line}")).await;
    let failed: Vec<Promise> =
        lines.iter().filter(|line| line.verdict == Verdict::Fail).map(|line| line.promise).collect();
    assert_eq!(failed, [], "{}", lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    assert!(!lines.iter().any(Line::forbids_to_join));
    assert_eq!(lines.len(), Promise::ALL.len());
    rig.down().await;
}
