//! A process that dies, or whose disk fails, in the middle of a commit.
//!
//! The test starts this same test program again as a child, which commits batch after batch and
//! prints the number of each once it is acknowledged.

use crate::samples::{founding, open, place, submission, task};
use hivemind_ledger::LedgerImage;
use hivemind_model::rows::Recovered;
use hivemind_model::state::TaskState::Pending;
use hivemind_store::Store;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const PLACE: &str = "HIVEMIND_STORE_CRASH_TEST";
const TASKS: u64 = 200;

/// Not a test of its own: what the child does. Without the variable it does nothing.
#[tokio::test]
async fn child() {
    let Some(path) = std::env::var_os(PLACE).map(PathBuf::from) else { return };
    let store = open(&path).await;
    let (rows, ledger) = founding();
    store.commit(&rows, &ledger).await.unwrap();
    for batch in 0.. {
        let (mut rows, ledger) = submission(1 + batch * TASKS, 3 + batch);
        rows.new_tasks.extend((2..=TASKS).map(|id| task(batch * TASKS + id, 2, Pending)));
        if let Err(error) = store.commit(&rows, &ledger).await {
            println!("\nrefused {error}");
            return;
        }
        println!("\nacknowledged {}", batch + 1);
    }
}

fn start(path: &Path, shell: &str) -> Child {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{shell} exec \"$0\" --exact crash::child --nocapture")).arg(program);
    command.env(PLACE, path).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// The store after the child's end: every acknowledged batch is there, and each that is there is whole.
async fn check(path: &Path, acknowledged: u64) -> (Recovered, LedgerImage) {
    let store = open(path).await;
    let (rows, books) = store.recover().await.unwrap().unwrap();
    let batches = books.last_seq - 2;
    assert!(batches == acknowledged || batches == acknowledged + 1, "{acknowledged} acknowledged, {batches} there");
    assert_eq!(rows.tasks.len() as u64, batches * TASKS);
    assert_eq!((rows.attempts.len() as u64, books.holds.len() as u64), (batches, batches));
    (rows, books)
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_was_acknowledged() {
    for kill_after in [1, 2, 7] {
        let (_folder, path) = place();
        let mut child = start(&path, "");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged =
            lines.by_ref().filter_map(|line| number(&line.unwrap())).find(|batch| *batch == kill_after).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines {
            acknowledged = number(&line.unwrap()).unwrap_or(acknowledged);
        }
        check(&path, acknowledged).await;
    }
}

#[tokio::test]
async fn a_disk_that_stops_writing_loses_nothing_that_was_acknowledged() {
    let (_folder, path) = place();
    // No file may grow beyond 1 MiB (in blocks of 512 bytes or of 1 KiB, as the shell has it);
    // with the signal ignored, the write itself fails.
    let mut child = start(&path, "trap '' XFSZ; ulimit -f 1024;");
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    let acknowledged = said.lines().filter_map(number).next_back().unwrap();
    let refusal = said.lines().find(|line| line.starts_with("refused")).unwrap();
    assert!(refusal.contains("start the pool again"), "{refusal}");
    let (rows, _) = check(&path, acknowledged).await;
    assert_eq!(rows.tasks.len() as u64, acknowledged * TASKS, "a refused batch is there");
}

fn number(line: &str) -> Option<u64> {
    line.strip_prefix("acknowledged ")?.parse().ok()
}
