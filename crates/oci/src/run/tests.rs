use super::*;
use crate::cgroup::Usage;

#[test]
fn an_end_by_a_signal_from_outside_is_not_the_task_s() {
    let end = |code, signal, ooms| End {
        code,
        signal,
        had_own_limit: false,
        wall_micros: 0,
        usage: Usage { ooms, ..Usage::default() },
    };
    assert_eq!(outcome(end(0, None, 0)), Outcome::Exited { code: 0 });
    assert_eq!(outcome(end(137, None, 0)), Outcome::Exited { code: 137 }, "its own choice of a number");
    assert_eq!(outcome(end(137, Some(9), 1)), Outcome::OutOfMemory);
    assert_eq!(outcome(end(137, None, 1)), Outcome::OutOfMemory, "a shell whose child was killed");
    assert_eq!(outcome(end(1, None, 1)), Outcome::Exited { code: 1 });
    assert_eq!(outcome(end(139, Some(11), 0)), Outcome::Exited { code: 139 });
    assert!(matches!(outcome(end(137, Some(9), 0)), Outcome::Infrastructure { .. }));
    let limited = End { had_own_limit: true, ..end(137, Some(9), 0) };
    assert_eq!(outcome(limited), Outcome::Exited { code: 137 }, "it had asked for it");
}
