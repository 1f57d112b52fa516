use super::*;
use crate::cgroup::Usage;

#[tokio::test(start_paused = true)]
async fn time_does_not_pass_for_what_stands_still() {
    let mut clock = Clock::started(Millis(1000));
    let deadline = clock.deadline();
    tokio::time::advance(Duration::from_millis(400)).await;
    clock.set_still(true);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(clock.ran(), Duration::from_millis(400));
    clock.set_still(true);
    clock.set_still(false);
    assert_eq!(clock.deadline(), deadline + Duration::from_secs(60));
    tokio::time::advance(Duration::from_millis(300)).await;
    clock.stop();
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(clock.ran(), Duration::from_millis(700));
    assert!(Clock::started(Millis(u64::MAX)).deadline() > Instant::now());
}

#[test]
fn an_end_by_a_signal_from_outside_is_not_the_task_s() {
    let end = |code, signal, ooms| End { code, signal, wall_micros: 0, usage: Usage { ooms, ..Usage::default() } };
    assert_eq!(outcome(end(0, None, 0)), Outcome::Exited { code: 0 });
    assert_eq!(outcome(end(137, None, 0)), Outcome::Exited { code: 137 }, "its own choice of a number");
    assert_eq!(outcome(end(137, Some(9), 1)), Outcome::OutOfMemory);
    assert_eq!(outcome(end(137, None, 1)), Outcome::OutOfMemory, "a shell whose child was killed");
    assert_eq!(outcome(end(1, None, 1)), Outcome::Exited { code: 1 });
    assert_eq!(outcome(end(139, Some(11), 0)), Outcome::Exited { code: 139 });
    assert!(matches!(outcome(end(137, Some(9), 0)), Outcome::Infrastructure { .. }));
}
