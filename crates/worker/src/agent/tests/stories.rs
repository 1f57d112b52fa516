//! Stories of the agent over several events.

use super::*;

#[test]
fn a_welcome_resumes_what_was_kept_and_stops_what_is_stale() {
    for (phase, resumed) in [
        ("waiting", ""),
        ("fetching", ""),
        ("running", "tell-started"),
        ("reporting", ""),
        ("spooling", ""),
        ("delivering", "tell-finished"),
        ("deliver-output", ""),
        ("deliver-retry", "store"),
    ] {
        let mut bench = Bench::linked();
        bench.bring(phase);
        bench.on(Event::LinkLost);
        bench.on(Event::LinkOpened);
        let actions: Vec<Action> = bench
            .welcome(&[])
            .into_iter()
            .filter(|action| !matches!(action, Action::RewindLogs { .. } | Action::SendDrain))
            .collect();
        assert_eq!(words(&actions), format!("beat tell-owner {resumed}").trim_end(), "{phase}");

        let mut bench = Bench::linked();
        bench.bring(phase);
        bench.on(Event::LinkLost);
        bench.on(Event::LinkOpened);
        bench.welcome(&[att(1)]);
        assert!(matches!(bench.phase_word(), "none" | "discarding"), "{phase} is stale");
    }
}

#[test]
fn a_hello_names_everything_but_what_nobody_wants() {
    for phase in PHASES {
        let mut bench = Bench::linked();
        bench.bring(phase);
        bench.on(Event::LinkLost);
        let Some(Action::SendHello { holds }) = bench.on(Event::LinkOpened).pop() else { panic!("no hello") };
        assert_eq!(holds.contains(&att(1)), !matches!(phase, "none" | "discarding"), "{phase}");
        assert!(!holds.contains(&att(9)));
    }
}

#[test]
fn heartbeats_keep_the_beat_and_a_silent_pool_is_left_at_half_the_lease() {
    let mut bench = Bench::linked();
    bench.assign(1, 1);
    assert_eq!(words(&bench.pass(999)), "");
    assert_eq!(words(&bench.pass(1)), "beat");
    assert_eq!(bench.agent.next_deadline(), Some(bench.now + BEAT));
    let mut reconnects = 0;
    for _ in 0..4 {
        reconnects += bench.pass(1000).iter().filter(|action| matches!(action, Action::Reconnect { .. })).count();
    }
    assert_eq!(reconnects, 1);
    assert_eq!(bench.agent.link(), Link::Closing);
}

#[test]
fn answered_heartbeats_keep_the_work_going() {
    let mut bench = Bench::linked();
    bench.assign(1, 1);
    for _ in 0..100 {
        for action in bench.pass(1000) {
            if let Action::SendHeartbeat { sequence, active } = action {
                assert_eq!(active, 1);
                bench.on(Event::HeartbeatAck { sequence });
            }
        }
    }
    assert_eq!(bench.phase_word(), "fetching");
}

#[test]
fn an_attempt_that_arrives_too_late_or_while_stopping_is_given_back() {
    let mut bench = Bench::linked();
    bench.on(Event::LinkLost);
    bench.pass(9500);
    bench.on(Event::LinkOpened);
    bench.now += Duration::from_millis(9500);
    bench.welcome(&[]);
    assert_eq!(words(&bench.assign(1, 1)), "spool");
    let mut bench = Bench::linked();
    bench.on(Event::OwnerStops);
    assert_eq!(words(&bench.assign(1, 1)), "spool");
    // Without a link nothing is handed out.
    let mut bench = Bench::new();
    assert_eq!(words(&bench.assign(1, 1)), "");
}

#[test]
fn a_sleep_of_the_machine_uses_the_lease_up() {
    let mut bench = Bench::linked();
    bench.assign(1, 1);
    bench.on(Event::Slept { span: Duration::from_secs(60) });
    assert_eq!(bench.phase_word(), "reporting");
}

#[test]
fn results_of_an_earlier_process_are_offered_and_delivered_again_until_acknowledged() {
    let ended = vec![(att(1), Arc::new(report(None))), (att(2), Arc::new(report(Some(blob()))))];
    let mut bench = Bench { agent: Agent::new(Machine { capacity: need(4) }, ended), now: Instant::now() };
    assert_eq!(bench.on(Event::LinkOpened), [Action::SendHello { holds: vec![att(1), att(2)] }]);
    assert_eq!(words(&bench.welcome(&[])), "beat tell-owner rewind tell-finished rewind store");
    assert_eq!(words(&bench.on(Event::Uploaded { attempt: att(2), result: Upload::Stored })), "tell-finished");
    bench.on(Event::LinkLost);
    bench.on(Event::LinkOpened);
    assert_eq!(words(&bench.welcome(&[])), "beat tell-owner rewind tell-finished rewind tell-finished");
    for task in [1, 2] {
        assert_eq!(words(&bench.on(Event::FinishedAck { attempt: att(task), refusal: String::new() })), "forget");
    }
    assert_eq!(bench.agent.len(), 0);
}

#[test]
fn a_failed_upload_is_tried_again_with_growing_waits() {
    let mut bench = Bench::linked();
    bench.bring("deliver-retry");
    assert_eq!(words(&bench.pass(199)), "");
    assert_eq!(words(&bench.pass(1)), "store");
    bench.on(Event::Uploaded { attempt: att(1), result: Upload::Later { reason: "x".into() } });
    assert_eq!(words(&bench.pass(399)), "");
    assert_eq!(words(&bench.pass(1)), "store");
}

#[test]
fn an_owner_who_stops_leaves_nothing_unsaid() {
    let mut bench = Bench::linked();
    bench.bring("running");
    assert!(!bench.agent.is_settled());
    bench.on(Event::OwnerStops);
    let actions = bench.on(Event::Ended { attempt: att(1), report: Box::new(report(Some(blob()))) });
    let [Action::Spool { report, .. }] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!((&report.outcome, report.output), (&Outcome::Infrastructure { reason: OWNER_STOPPED.into() }, None));
    bench.on(Event::Spooled { attempt: att(1) });
    assert!(!bench.agent.is_settled());
    bench.on(Event::FinishedAck { attempt: att(1), refusal: String::new() });
    assert!(bench.agent.is_settled());
}

#[test]
fn lost_logs_are_not_claimed() {
    let mut bench = Bench::linked();
    bench.bring("running");
    bench.on(Event::LogsLost { attempt: att(1) });
    let wrote = Report { logs: LogLengths { stdout: Bytes(5), stderr: Bytes(6), cut: false }, ..report(None) };
    let actions = bench.on(Event::Ended { attempt: att(1), report: Box::new(wrote) });
    let [Action::Spool { report, .. }] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!((report.logs, report.outcome.is_success()), (LogLengths { cut: true, ..LogLengths::default() }, true));
}
