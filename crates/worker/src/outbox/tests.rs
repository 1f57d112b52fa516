use super::*;
use crate::capture::Capture;
use hivemind_model::{Bytes, ElementRef, TaskId};
use wire::worker_event::Event;

fn att(task: u64) -> AttemptRef {
    ElementRef::only(TaskId(task)).attempt(1)
}

fn capture(dir: &std::path::Path, task: u64, bytes: usize) -> Arc<Capture> {
    let capture = Capture::new(dir, att(task), u64::MAX);
    assert!(capture.append(Stream::Stdout, &vec![b'x'; bytes]));
    Arc::new(capture)
}

fn beat(sequence: u64) -> wire::Heartbeat {
    wire::Heartbeat { sequence, ..wire::Heartbeat::default() }
}

fn started(task: u64) -> Event {
    Event::Started(wire::AttemptStarted { attempt: Some(att(task).into()) })
}

fn finished(task: u64) -> wire::AttemptFinished {
    wire::AttemptFinished { attempt: Some(att(task).into()), ..wire::AttemptFinished::default() }
}

/// One message, in words: `log 1 0+5` is five bytes of task 1 from offset 0.
fn next(outbox: &mut Outbox) -> Vec<String> {
    let mut bad = Vec::new();
    let message = outbox.next_message(&mut bad);
    assert!(bad.is_empty());
    let word = |event: wire::WorkerEvent| match event.event.unwrap() {
        Event::Heartbeat(beat) => format!("beat {}", beat.sequence),
        Event::Started(started) => format!("started {}", started.attempt.unwrap().task),
        Event::Log(log) => format!("log {} {}+{}", log.attempt.unwrap().task, log.offset, log.data.len()),
        Event::Finished(finished) => format!("finished {}", finished.attempt.unwrap().task),
        other => format!("{other:?}"),
    };
    message.map(|message| message.events.into_iter().map(word).collect()).unwrap_or_default()
}

#[test]
fn heartbeats_go_first_and_the_end_behind_the_last_byte() {
    let dir = tempfile::tempdir().unwrap();
    let mut outbox = Outbox::default();
    outbox.push(started(1));
    outbox.follow(att(1), &capture(dir.path(), 1, 5));
    outbox.push_finished(att(1), finished(1));
    outbox.push_finished(att(2), finished(2));
    outbox.push_heartbeat(beat(1));
    outbox.push_heartbeat(beat(2));
    assert!(outbox.has_message());
    assert_eq!(next(&mut outbox), ["beat 2", "started 1", "finished 2", "log 1 0+5", "finished 1"]);
    assert!(!outbox.has_message());
}

#[test]
fn every_attempt_has_its_turn() {
    let dir = tempfile::tempdir().unwrap();
    let mut outbox = Outbox::default();
    outbox.follow(att(1), &capture(dir.path(), 1, 100_000));
    outbox.follow(att(2), &capture(dir.path(), 2, 10));
    assert_eq!(next(&mut outbox), ["log 1 0+32768", "log 2 0+10", "log 1 32768+32758"]);
    assert_eq!(next(&mut outbox), ["log 1 65526+32768", "log 1 98294+1706"]);
}

#[test]
fn a_missing_part_is_sent_again_from_where_it_begins() {
    let dir = tempfile::tempdir().unwrap();
    let mut outbox = Outbox::default();
    outbox.follow(att(1), &capture(dir.path(), 1, 10));
    assert_eq!(next(&mut outbox), ["log 1 0+10"]);
    for (pool_has, expect) in [(4, vec!["log 1 4+6"]), (10, vec![]), (99, vec![])] {
        outbox.rewind(LogPosition { attempt: att(1), stdout: Bytes(pool_has), stderr: Bytes(0) });
        assert_eq!(next(&mut outbox), expect, "{pool_has}");
    }
    outbox.forget(att(1));
    outbox.rewind(LogPosition { attempt: att(1), stdout: Bytes(0), stderr: Bytes(0) });
    assert_eq!(next(&mut outbox), Vec::<String>::new());
}

#[test]
fn no_more_than_the_window_is_under_way_and_answers_open_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut outbox = Outbox::default();
    outbox.follow(att(1), &capture(dir.path(), 1, 2 << 20));
    let mut sent = 0;
    let mut sequence = 0;
    while outbox.has_message() {
        let mut bad = Vec::new();
        let message = outbox.next_message(&mut bad).unwrap();
        for event in message.events {
            if let Some(Event::Log(log)) = event.event {
                sent += log.data.len() as u64;
            }
        }
        if outbox.wants_heartbeat() {
            sequence += 1;
            outbox.push_heartbeat(beat(sequence));
        }
        assert!(sent <= LOG_WINDOW);
    }
    assert_eq!(sent, LOG_WINDOW);
    assert!(sequence >= 4, "{sequence} heartbeats");
    outbox.answered(1);
    assert!(outbox.has_message());
    // A new link begins with the whole window.
    outbox.clear();
    outbox.rewind(LogPosition { attempt: att(1), stdout: Bytes(0), stderr: Bytes(0) });
    assert_eq!(outbox.window(), LOG_WINDOW);
}

#[test]
fn a_lost_link_takes_with_it_what_waited() {
    let dir = tempfile::tempdir().unwrap();
    let mut outbox = Outbox::default();
    outbox.push(started(1));
    outbox.push_heartbeat(beat(1));
    outbox.follow(att(1), &capture(dir.path(), 1, 5));
    outbox.push_finished(att(1), finished(1));
    outbox.clear();
    assert!(!outbox.has_message());
}

#[test]
fn a_heartbeat_that_is_replaced_leaves_its_news_to_the_next() {
    let usage =
        |task, cpu_ms| wire::AttemptUsage { attempt: Some(att(task).into()), cpu_ms, ..wire::AttemptUsage::default() };
    let mut outbox = Outbox::default();
    let machine = Some(wire::MachineUsage { load: 2.0, ..wire::MachineUsage::default() });
    outbox.push_heartbeat(wire::Heartbeat { machine, attempts: vec![usage(1, 10), usage(2, 20)], ..beat(1) });
    outbox.push_heartbeat(wire::Heartbeat { attempts: vec![usage(1, 30)], ..beat(2) });
    let message = outbox.next_message(&mut Vec::new()).unwrap();
    let Some(Event::Heartbeat(beat)) = message.events[0].event.clone() else { panic!("{message:?}") };
    assert_eq!((beat.sequence, beat.machine.map(|machine| machine.load)), (2, Some(2.0)));
    assert_eq!(beat.attempts, [usage(1, 30), usage(2, 20)]);
}
