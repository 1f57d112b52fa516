use super::*;
use hivemind_model::after::{After, Dependency, When};
use hivemind_model::array::{Array, Indices};
use hivemind_model::rows::{AttemptPhase, Ballot, Ended, LogLengths, Report, RowChanges, TaskProgress, TaskRow};
use hivemind_model::state::Metering;
use hivemind_model::{AttemptRef, Cpt, Millis, NodeId, Outcome, TaskState, UserId};

fn progress(id: u64, state: TaskState, completed: u32) -> TaskProgress {
    let ended = Ended { completed, ..Ended::default() };
    TaskProgress { id: TaskId(id), state, ended_at: None, cost: Cpt::ZERO, ended, failure: None, reused: None }
}

/// An array of that many elements that waits for the tasks of `after`, handed in at `at`.
fn task(id: u64, at: i64, elements: u32, after: &[u64]) -> TaskRow {
    let indices = Indices::of(0..elements).unwrap();
    let on = |task: &u64| Dependency { task: TaskId(*task), when: When::Success, each: false };
    let spec = TaskSpec {
        array: Some(Array { indices, entries: None, max_fails: None }),
        after: After { tasks: after.iter().map(on).collect(), ..After::default() },
        ..TaskSpec::default()
    };
    let progress = progress(id, TaskState::Pending, 0);
    TaskRow { user: UserId(1), spec: spec.into(), submitted_at: Timestamp(at), cap: Cpt::ZERO, progress }
}

fn attempt(task: u64, index: u32, number: u32) -> AttemptRef {
    ElementRef { task: TaskId(task), index }.attempt(number)
}

fn row(attempt: AttemptRef, phase: AttemptPhase) -> AttemptRow {
    AttemptRow { attempt, node: NodeId(1), assigned_at: Timestamp(70), phase }
}

fn report() -> Report {
    Report {
        outcome: Outcome::Exited { code: 0 },
        metering: Metering::default(),
        logs: LogLengths::default(),
        image_id: String::new(),
        output: None,
        digest: None,
    }
}

fn ended(attempt: AttemptRef) -> AttemptRow {
    row(attempt, AttemptPhase::Ended { ended_at: Timestamp(80), report: report(), cost: Cpt::ZERO })
}

fn reported(attempt: AttemptRef) -> AttemptRow {
    let ballot = Ballot { at: Timestamp(75), due: Cpt::ZERO, place: 0, trust: 0, suspect: false, struck: false };
    row(attempt, AttemptPhase::Reported { report: report(), ballot })
}

fn attempts(rows: Vec<AttemptRow>) -> RowChanges {
    RowChanges { attempts: rows, ..RowChanges::default() }
}

/// Task, elements that wait and whether it is blocked, the oldest first.
fn shown(board: &Board) -> Vec<(u64, u64, bool)> {
    let lines = board.waiting(None, usize::MAX);
    let sum: u64 = lines.iter().map(|line| line.elements).sum();
    assert_eq!(board.waiting_now(), (sum, lines.first().map(|line| (line.since, line.task))));
    lines.into_iter().map(|line| (line.task.0, line.elements, line.is_blocked)).collect()
}

#[test]
fn what_is_neither_handed_out_nor_ended_waits() {
    let board = Board::default();
    let new_tasks = vec![task(1, 60, 3, &[]), task(2, 50, 2, &[1])];
    board.follow(&RowChanges { new_tasks, ..RowChanges::default() });
    assert_eq!(shown(&board), [(2, 2, true), (1, 3, false)]);
    let first = attempt(1, 0, 1);
    let followed = board.follow(&attempts(vec![row(first, AttemptPhase::Assigned)]));
    assert_eq!((followed.waits, shown(&board)), (vec![Millis(10)], vec![(2, 2, true), (1, 2, false)]));
    // It is lost, and the next try is no first one.
    board.follow(&attempts(vec![ended(first)]));
    assert_eq!(shown(&board), [(2, 2, true), (1, 3, false)]);
    let again = attempt(1, 0, 2);
    let running = AttemptPhase::Running { started_at: Timestamp(72) };
    assert_eq!(board.follow(&attempts(vec![row(again, running)])).waits, []);
    assert_eq!((shown(&board), board.counts().attempts_running), (vec![(2, 2, true), (1, 2, false)], 1));
    // It ends well, in the same batch in which the task moves.
    let tasks = vec![progress(1, TaskState::Running, 1)];
    let followed = board.follow(&RowChanges { attempts: vec![ended(again)], tasks, ..RowChanges::default() });
    assert_eq!((followed.elements_completed, followed.tasks_ended), (1, vec![]));
    assert_eq!((shown(&board), board.counts().attempts_running), (vec![(2, 2, true), (1, 2, false)], 0));
    // The whole task ends, and nothing blocks the other.
    let tasks = vec![progress(1, TaskState::Completed, 3)];
    let followed = board.follow(&RowChanges { tasks, ..RowChanges::default() });
    assert_eq!((followed.elements_completed, followed.tasks_ended), (2, vec![TaskState::Completed]));
    assert_eq!(shown(&board), [(2, 2, false)]);
}

#[test]
fn an_element_of_which_copies_are_out_or_compared_waits_no_longer() {
    let board = Board::default();
    let (one, two) = (attempt(1, 0, 1), attempt(1, 0, 2));
    board.follow(&RowChanges { new_tasks: vec![task(1, 60, 1, &[])], ..RowChanges::default() });
    board.follow(&attempts(vec![row(one, AttemptPhase::Assigned), row(two, AttemptPhase::Assigned)]));
    assert_eq!(shown(&board), []);
    board.follow(&attempts(vec![ended(two)]));
    board.follow(&attempts(vec![reported(one)]));
    assert_eq!(shown(&board), [], "its result is being compared");
    board.follow(&attempts(vec![ended(one)]));
    assert_eq!(shown(&board), [(1, 1, false)], "it was not accepted");
}

#[test]
fn the_line_is_walked_in_pieces() {
    let board = Board::default();
    let new_tasks = (1..=10).map(|id| task(id, i64::try_from(id / 2).unwrap(), 1, &[])).collect();
    board.follow(&RowChanges { new_tasks, ..RowChanges::default() });
    let (mut after, mut walked) = (None, Vec::new());
    loop {
        let piece = board.waiting(after, 3);
        assert!(piece.len() <= 3);
        let Some(last) = piece.last() else { break };
        after = Some((last.since, last.task));
        walked.extend(piece.iter().map(|line| line.task.0));
    }
    assert_eq!(walked, (1..=10).collect::<Vec<_>>());
}
