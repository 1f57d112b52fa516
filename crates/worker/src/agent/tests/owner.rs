//! The owner comes first.

use super::*;
use crate::event::{Ordered, OwnerOrders};
use hivemind_model::Availability;

pub(super) fn paused(give_back_at: Option<Instant>) -> Ordered {
    Ordered { availability: Availability::Paused { reason: "somebody uses the machine".into() }, give_back_at }
}

pub(super) fn finishing() -> Ordered {
    let availability = Availability::Finishing { reason: "the owner said so".into() };
    Ordered { availability, give_back_at: None }
}

/// The same for all of the machine.
pub(super) fn all(ordered: Ordered) -> OwnerOrders {
    OwnerOrders { machine: ordered.clone(), graphics: ordered, ..OwnerOrders::default() }
}

pub(super) fn decide(bench: &mut Bench, orders: OwnerOrders) -> Vec<Action> {
    bench.on(Event::OwnerDecides { orders })
}

pub(super) fn open(bench: &mut Bench) -> Vec<Action> {
    decide(bench, OwnerOrders::default())
}

pub(super) fn pause(bench: &mut Bench) -> Vec<Action> {
    let at = bench.now + Duration::from_secs(600);
    decide(bench, all(paused(Some(at))))
}

fn end_reason(actions: &[Action]) -> Option<String> {
    actions.iter().find_map(|action| match action {
        Action::Spool { report, .. } => match &report.outcome {
            Outcome::Infrastructure { reason } => Some(reason.clone()),
            other => panic!("{other:?}"),
        },
        _other => None,
    })
}

#[test]
fn a_pause_in_every_phase() {
    let give_back_at = None;
    mostly_nothing_but_told(
        &Event::OwnerDecides { orders: all(paused(give_back_at)) },
        &[("fetching", "hold"), ("preparing", "hold"), ("running", "hold")],
    );
    mostly_nothing_but_told(&Event::OwnerDecides { orders: all(finishing()) }, &[]);
    table(
        &Event::OwnerClears,
        [
            "none:",
            "spooling: spool",
            "reporting: stop",
            "reporting: stop",
            "reporting: stop",
            "discarding:",
            "reporting:",
            "spooling:",
            "delivering:",
            "deliver-output:",
            "deliver-retry:",
        ],
    );
}

/// No phase changes; the pool is told, and `before` that something is done.
fn mostly_nothing_but_told(event: &Event, before: &[(&str, &str)]) {
    let rows = PHASES.map(|phase| match before.iter().find(|(name, _)| *name == phase) {
        Some((_, word)) => format!("{phase}: {word} tell-owner"),
        None => format!("{phase}: tell-owner"),
    });
    table(event, rows.each_ref().map(String::as_str));
}

#[test]
fn the_pool_is_told_over_every_link_and_of_every_change_once() {
    let mut bench = Bench::new();
    assert_eq!(words(&pause(&mut bench)), "", "there is no link");
    let told = |actions: &[Action]| {
        let told = actions.iter().filter_map(|action| match action {
            Action::SendOwner { availability } => Some(availability.as_str()),
            _other => None,
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(told(&bench.link()), ["paused"]);
    assert_eq!(told(&pause(&mut bench)), [""; 0]);
    assert_eq!(told(&decide(&mut bench, all(finishing()))), ["finishing"]);
    assert_eq!(told(&open(&mut bench)), ["open"]);
    bench.on(Event::LinkLost);
    assert_eq!(told(&bench.link()), ["open"]);
}

#[test]
fn nothing_starts_while_the_machine_is_not_open() {
    for orders in [all(paused(None)), all(finishing())] {
        let mut bench = Bench::linked();
        bench.assign(1, 4);
        bench.assign(2, 4);
        decide(&mut bench, orders);
        // One that was on its way waits, too.
        assert_eq!(words(&bench.assign(3, 1)), "");
        assert_eq!(words(&bench.on(Event::Ended { attempt: att(1), report: Box::new(report(None)) })), "spool");
        assert_eq!(words(&bench.on(Event::Stop { attempt: att(3) })), "forget", "the pool takes back what waits");
        assert_eq!(words(&open(&mut bench)), "tell-owner start");
    }
}

#[test]
fn preparation_goes_on_and_what_stands_still_goes_on_later() {
    let mut bench = Bench::linked();
    bench.assign(1, 1);
    assert_eq!(words(&pause(&mut bench)), "hold tell-owner");
    bench.on(Event::Prepared { attempt: att(1) });
    assert!(bench.agent.attempts[&att(1)].held);
    assert_eq!(bench.agent.occupants().collect::<Vec<_>>(), [(att(1), 0, true)]);
    assert_eq!(words(&open(&mut bench)), "let-go tell-owner");
    assert_eq!(bench.agent.next_deadline(), Some(bench.now + BEAT));
    assert_eq!(words(&bench.on(Event::Started { attempt: att(1) })), "tell-started");
}

#[test]
fn what_stood_still_for_too_long_is_given_back() {
    let mut bench = Bench::linked();
    bench.assign(1, 1);
    bench.assign(2, 4);
    let at = bench.now + Duration::from_millis(700);
    decide(&mut bench, all(paused(Some(at))));
    assert_eq!(bench.agent.next_deadline(), Some(at));
    assert_eq!(words(&bench.pass(699)), "");
    assert_eq!(words(&bench.pass(1)), "stop");
    assert_eq!(words(&bench.pass(1)), "", "once");
    let ended = bench.on(Event::Ended { attempt: att(1), report: Box::new(report(Some(blob()))) });
    assert_eq!(end_reason(&ended).unwrap(), "the owner needs the machine");
    assert_eq!(bench.agent.backlog(), 1, "what waits is the pool's to take back");
    // A bound that is over already.
    let mut bench = Bench::linked();
    bench.assign(1, 1);
    let now = bench.now;
    assert_eq!(words(&decide(&mut bench, all(paused(Some(now))))), "hold tell-owner stop");
}

#[test]
fn a_pause_keeps_the_rules_of_the_lease() {
    let mut bench = Bench::linked();
    bench.assign(1, 1);
    pause(&mut bench);
    bench.on(Event::LinkLost);
    assert_eq!(words(&bench.pass(9_000)), "warn stop");
}

#[test]
fn graphics_processors_can_be_kept_alone() {
    let mut bench = Bench::linked();
    bench.agent.machine.capacity.gpus = 2;
    let mut with_gpu = work(1);
    let mut spec = TaskSpec::clone(&with_gpu.spec);
    spec.resources.gpus = 1;
    with_gpu.spec = Arc::new(spec);
    let assign = |bench: &mut Bench, task| bench.on(Event::Assign { attempt: att(task), work: with_gpu.clone() });
    assign(&mut bench, 1);
    bench.assign(2, 1);
    bench.assign(3, 2);
    assign(&mut bench, 4);
    bench.assign(5, 1);
    let at = bench.now + Duration::from_millis(500);
    let keep = OwnerOrders { graphics: paused(Some(at)), ..OwnerOrders::default() };
    let actions = decide(&mut bench, keep);
    // The pool knows no such word: it is told of what is given back, and the machine is open.
    assert_eq!(words(&actions), "hold spool");
    assert_eq!(end_reason(&actions).unwrap(), "the owner needs the graphics processor");
    assert_eq!(words(&assign(&mut bench, 6)), "spool");
    let occupants: Vec<_> = bench.agent.occupants().map(|(attempt, _, held)| (attempt, held)).collect();
    assert_eq!(occupants, [(att(1), true), (att(2), false), (att(3), false)]);
    assert_eq!(words(&bench.pass(500)), "stop");
    assert_eq!(words(&bench.on(Event::Ended { attempt: att(1), report: Box::new(report(None)) })), "spool start");
}

#[test]
fn only_images_that_the_owner_allows_are_run() {
    for (images, word) in [
        (&["img"][..], "start"),
        (&["im*"], "start"),
        (&[], "start"),
        (&["image"], "spool"),
        (&["python:*", "a"], "spool"),
    ] {
        let mut bench = Bench::linked();
        let images = images.iter().map(|name| (*name).to_owned()).collect();
        decide(&mut bench, OwnerOrders { images, ..OwnerOrders::default() });
        let actions = bench.assign(1, 1);
        assert_eq!(words(&actions), word);
        if word == "spool" {
            assert_eq!(end_reason(&actions).unwrap(), "the owner does not let `img` run here");
        }
    }
}
