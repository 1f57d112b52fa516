//! Arrays of a million elements, of which few are ever tried.

use super::fixture::*;
use hivemind_model::after::{After, Dependency, When};
use hivemind_model::state::Outcome;
use hivemind_model::*;

const OK: Outcome = Outcome::Exited { code: 0 };
const RUN: usize = 1000;

fn pool() -> Pool {
    let mut pool = Pool::new(Policy { signup_grant: Cpt::from_micro(1_000_000_000_000), ..Policy::default() });
    pool.register("anna");
    pool.enroll("anna", "box", 1000);
    pool.connect("box", &[]).expect("enrolled");
    pool
}

/// Applies a command without the checks that look at every element.
fn apply(pool: &mut Pool, command: Command) {
    pool.engine.apply(command, pool.now).expect("it is taken");
}

fn submit(pool: &mut Pool, after: After) {
    let mut spec = TaskSpec { after, ..array("1-1000000", None) };
    spec.resources = Resources { memory: Bytes::from_mib(6), disk: Bytes::from_mib(4), ..spec.resources };
    let user = pool.user("anna");
    apply(pool, Command::Submit { user, spec: spec.into(), max_price: None, ended: Vec::new(), once: None });
}

/// Hands out as much as there is room for, and lets all of that complete.
fn run_some(pool: &mut Pool) {
    while pool.engine.live.len() < RUN {
        pool.engine.schedule(pool.now);
    }
    let live: Vec<(NodeId, AttemptRef)> =
        pool.engine.live.iter().map(|(attempt, live)| (live.node, *attempt)).collect();
    for (node, attempt) in live {
        apply(pool, Command::Finished { node, attempt, report: report(OK, 0) });
    }
}

/// Writes the batch; gives the number of runs of each chunk in it.
fn store(pool: &mut Pool) -> Vec<usize> {
    let batch = pool.engine.take_batch();
    pool.tables.apply(&batch).expect("the batch keeps every promise");
    batch.rows.chunks.iter().map(|chunk| chunk.runs.len()).collect()
}

#[test]
fn a_million_elements_are_cancelled_without_looking_at_each() {
    let mut pool = pool();
    submit(&mut pool, After::default());
    assert_eq!((store(&mut pool), pool.engine.counts().waiting), (Vec::new(), 1_000_000));
    run_some(&mut pool);
    assert_eq!(store(&mut pool), [2], "only the chunk that was tried is written");
    let user = pool.user("anna");
    apply(&mut pool, Command::Cancel { user, task: TaskId(1), elements: None });
    let chunks = store(&mut pool);
    assert_eq!((chunks.len(), chunks.iter().sum::<usize>()), (977, 978), "chunks are ended whole");
    let progress = pool.progress(TaskId(1));
    let ended = (progress.ended.completed, progress.ended.cancelled);
    assert_eq!((progress.state, ended), (TaskState::Cancelled, (1000, 999_000)));
    assert_eq!(pool.engine.check(), Ok(()));
}

#[test]
fn a_million_elements_wait_for_a_million_others() {
    let mut pool = pool();
    submit(&mut pool, After::default());
    let each = Dependency { task: TaskId(1), when: When::Success, each: true };
    submit(&mut pool, After { tasks: vec![each], ..After::default() });
    assert_eq!(pool.engine.counts().waiting, 1_000_000, "those that wait for others are not queued");
    run_some(&mut pool);
    assert_eq!(pool.engine.explain(TaskId(2)).map(|told| told.blocked), Some(999_000));
    assert_eq!(store(&mut pool), [2]);
    let user = pool.user("anna");
    apply(&mut pool, Command::Cancel { user, task: TaskId(1), elements: None });
    let chunks = store(&mut pool);
    assert_eq!((chunks.len(), chunks.iter().sum::<usize>()), (2 * 977, 2 * 978));
    assert_eq!((pool.engine.counts().waiting, pool.progress(TaskId(2)).ended.failed), (1000, 999_000));
    run_some(&mut pool);
    store(&mut pool);
    assert_eq!(pool.progress(TaskId(2)).state, TaskState::Failed);
    assert!(pool.engine.tasks.is_empty() && pool.engine.dependants.is_empty());
}
