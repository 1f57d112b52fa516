//! What attempts tell while they run, and what the pool asks of the machine.

use super::*;
use crate::event::Benchmark;

fn progress(bench: &mut Bench, percent: u8) -> Vec<(u8, String)> {
    let actions = bench.on(Event::Progress { attempt: att(1), percent });
    told(&actions)
}

fn told(actions: &[Action]) -> Vec<(u8, String)> {
    let told = actions.iter().filter_map(|action| match action {
        Action::SendProgress { attempt, percent, note } => {
            assert_eq!(*attempt, att(1));
            Some((*percent, note.clone()))
        }
        _other => None,
    });
    told.collect()
}

fn running() -> Bench {
    let mut bench = Bench::linked();
    bench.bring("running");
    bench
}

fn plain(percents: &[u8]) -> Vec<(u8, String)> {
    percents.iter().map(|percent| (*percent, String::new())).collect()
}

#[test]
fn progress_never_falls_and_what_is_not_new_is_not_told() {
    let mut bench = running();
    assert_eq!(progress(&mut bench, 10), plain(&[10]));
    bench.pass(500);
    for old in [10, 9, 0] {
        assert_eq!(progress(&mut bench, old), []);
    }
    assert_eq!(progress(&mut bench, 255), plain(&[100]));
}

#[test]
fn a_command_that_speaks_all_the_time_is_told_twice_a_second_and_to_its_end() {
    let mut bench = running();
    let mut all = Vec::new();
    for step in 1..=90 {
        all.extend(progress(&mut bench, step));
        all.extend(told(&bench.pass(10)));
    }
    // At 0 ms and 500 ms.
    assert_eq!(all, plain(&[1, 50]));
    assert_eq!(bench.agent.late_news.len(), 1);
    let ended = bench.on(Event::Ended { attempt: att(1), report: Box::new(report(None)) });
    assert_eq!(words(&ended), "tell-progress spool");
    assert_eq!(told(&ended), plain(&[90]));
    assert_eq!(words(&bench.pass(500)), "beat", "what is over tells nothing more");
    assert!(bench.agent.late_news.is_empty());
}

#[test]
fn what_waits_is_told_when_its_time_comes() {
    let mut bench = running();
    progress(&mut bench, 1);
    assert_eq!(progress(&mut bench, 2), []);
    assert_eq!(bench.agent.next_deadline(), Some(bench.now + Duration::from_millis(500)));
    assert_eq!(told(&bench.pass(499)), []);
    assert_eq!(told(&bench.pass(1)), plain(&[2]));
}

#[test]
fn a_new_link_hears_it_again_and_no_link_hears_nothing() {
    let mut bench = running();
    progress(&mut bench, 30);
    bench.on(Event::LinkLost);
    assert_eq!(progress(&mut bench, 40), []);
    assert_eq!(told(&bench.link()), plain(&[40]));
    // One that waits for its time is told at once, and not a second time.
    progress(&mut bench, 50);
    bench.on(Event::LinkLost);
    assert_eq!(told(&bench.link()), plain(&[50]));
    assert_eq!(told(&bench.pass(999)), []);
}

#[test]
fn notes_and_progress_share_their_turns_and_notes_end_with_the_preparation() {
    let mut bench = Bench::linked();
    bench.bring("preparing");
    let note = |text: &str| Event::Note { attempt: att(1), text: text.into() };
    assert_eq!(told(&bench.on(note("pulling 1 %"))), [(0, "pulling 1 %".to_owned())]);
    assert_eq!(told(&bench.on(note("pulling 9 %"))), []);
    assert_eq!(told(&bench.pass(500)), [(0, "pulling 9 %".to_owned())]);
    bench.on(note("pulling 99 %"));
    bench.on(Event::Started { attempt: att(1) });
    progress(&mut bench, 5);
    assert_eq!(told(&bench.pass(500)), plain(&[5]));
}

#[test]
fn progress_counts_only_while_it_is_wanted() {
    let event = Event::Progress { attempt: att(1), percent: 5 };
    mostly_nothing(
        &event,
        &[
            ("fetching", "fetching: tell-progress"),
            ("preparing", "preparing: tell-progress"),
            ("running", "running: tell-progress"),
        ],
    );
}

fn ask(nonce: u64) -> Event {
    Event::Benchmark { ask: Benchmark { nonce, seed: vec![1], rounds: 2 } }
}

#[test]
fn one_measurement_at_a_time_over_the_link_that_asked() {
    let measured = |nonce| Event::Measured { nonce, digest: [0; 32] };
    let mut bench = Bench::linked();
    assert_eq!(words(&bench.on(ask(1))), "measure");
    assert_eq!(words(&bench.on(ask(2))), "warn");
    assert_eq!(words(&bench.on(measured(2))), "");
    assert_eq!(words(&bench.on(measured(1))), "tell-measured");
    assert_eq!(words(&bench.on(measured(1))), "");
    assert_eq!(words(&bench.on(ask(3))), "measure");
    assert_eq!(words(&bench.on(Event::LinkLost)), "abort-measure");
    assert_eq!(words(&bench.on(ask(4))), "");
    bench.link();
    assert_eq!(words(&bench.on(measured(3))), "");
}

#[test]
fn a_measurement_waits_while_the_owner_needs_the_machine() {
    let mut bench = Bench::linked();
    owner::pause(&mut bench);
    assert_eq!(words(&bench.on(ask(1))), "");
    assert_eq!(words(&owner::open(&mut bench)), "tell-owner measure");
    assert_eq!(words(&owner::pause(&mut bench)), "tell-owner abort-measure");
    assert_eq!(words(&bench.on(Event::Measured { nonce: 1, digest: [0; 32] })), "");
    assert_eq!(words(&owner::open(&mut bench)), "tell-owner measure");
    assert_eq!(words(&bench.on(Event::Measured { nonce: 1, digest: [0; 32] })), "tell-measured");
}
