//! What waits for its turn: single cases, and a long random life beside a model of a line.

use super::owner::{all, finishing, paused};
use super::*;
use crate::event::OwnerOrders;
use std::collections::{BTreeSet, VecDeque};

fn started(actions: &[Action]) -> Vec<u64> {
    let started = actions.iter().filter_map(|action| match action {
        Action::StartJob { attempt, .. } => Some(attempt.element.task.0),
        _ => None,
    });
    started.collect()
}

fn ended(bench: &mut Bench, task: u64) -> Vec<Action> {
    bench.on(Event::Ended { attempt: att(task), report: Box::new(report(None)) })
}

fn reason(actions: &[Action]) -> String {
    let spooled = actions.iter().find_map(|action| match action {
        Action::Spool { report, .. } => Some(&report.outcome),
        _ => None,
    });
    let Some(Outcome::Infrastructure { reason }) = spooled else { panic!("{actions:?}") };
    reason.clone()
}

#[test]
fn what_does_not_fit_waits_and_nothing_overtakes_it() {
    let mut bench = Bench::linked();
    assert_eq!(words(&bench.assign(1, 3)), "start");
    assert_eq!(words(&bench.assign(2, 2)), "");
    assert_eq!(words(&bench.assign(3, 1)), "", "one core is free, and it is not its turn");
    assert_eq!((bench.agent.jobs(), bench.agent.backlog()), (1, 2));
    assert_eq!(words(&bench.on(Event::Started { attempt: att(1) })), "tell-started");
    assert_eq!(started(&ended(&mut bench, 1)), [2, 3]);
    assert_eq!(bench.agent.backlog(), 0);
}

#[test]
fn a_place_is_free_only_when_its_job_has_ended() {
    let mut bench = Bench::linked();
    bench.assign(1, 3);
    bench.on(Event::Stop { attempt: att(1) });
    assert_eq!(words(&bench.assign(2, 4)), "");
    assert_eq!(words(&ended(&mut bench, 1)), "forget start");
}

#[test]
fn what_is_taken_back_is_dropped_and_lets_the_next_one_start() {
    let mut bench = Bench::linked();
    bench.assign(1, 3);
    bench.assign(2, 4);
    bench.assign(3, 2);
    bench.assign(4, 1);
    assert_eq!(words(&bench.on(Event::Stop { attempt: att(3) })), "forget");
    assert_eq!(words(&bench.on(Event::Stop { attempt: att(2) })), "forget start");
    assert_eq!(bench.agent.jobs(), 2);
    // A stale one of a Welcome is the same.
    bench.assign(5, 4);
    bench.assign(6, 1);
    bench.on(Event::LinkLost);
    let Some(Action::SendHello { holds }) = bench.on(Event::LinkOpened).pop() else { panic!("no hello") };
    assert_eq!(holds, [att(1), att(4), att(5), att(6)]);
    bench.welcome(&[att(5)]);
    assert_eq!((bench.agent.jobs(), bench.agent.backlog()), (2, 1));
    assert_eq!(started(&ended(&mut bench, 4)), [6]);
}

#[test]
fn it_is_bounded_and_what_never_fits_does_not_enter_it() {
    let mut bench = Bench::linked();
    assert!(reason(&bench.assign(1, 5)).contains("5 cores"));
    bench.assign(2, 4);
    let first = 10;
    let last = first + MAX_BACKLOG as u64;
    for task in first..last {
        assert_eq!(words(&bench.agent.on(Event::Assign { attempt: att(task), work: work(1) }, bench.now)), "");
    }
    bench.check();
    assert!(reason(&bench.assign(last, 1)).starts_with("backlog full"));
    bench.on(Event::Stop { attempt: att(first) });
    assert_eq!(words(&bench.assign(last + 1, 1)), "");
}

#[test]
fn elements_of_an_array_share_their_spec_and_great_ones_are_bounded() {
    let mut bench = Bench::linked();
    bench.assign(1, 4);
    let element = |index| ElementRef { task: TaskId(2), index }.attempt(1);
    let spec_of = |bench: &Bench, index| match &bench.agent.attempts[&element(index)].phase {
        Phase::Waiting { work, .. } => Arc::clone(&work.spec),
        other => panic!("{other:?}"),
    };
    for index in [5, 6, 4] {
        bench.on(Event::Assign { attempt: element(index), work: work(1) });
    }
    assert!(
        Arc::ptr_eq(&spec_of(&bench, 5), &spec_of(&bench, 6)) && Arc::ptr_eq(&spec_of(&bench, 5), &spec_of(&bench, 4))
    );
    bench.on(Event::Assign { attempt: element(7), work: work(2) });
    assert_eq!(spec_of(&bench, 7).resources, need(2), "another spec is not taken for the same");
    let entry = "x".repeat(hivemind_proto::convert::MAX_ENV_BYTES);
    let great = || Work { env: vec![("HIVEMIND_ENTRY".to_owned(), entry.clone()); 16], ..work(1) };
    let mut given_back = None;
    for task in 10..10 + MAX_BACKLOG as u64 {
        let actions = bench.agent.on(Event::Assign { attempt: att(task), work: great() }, bench.now);
        if !actions.is_empty() {
            given_back = Some((task, reason(&actions)));
            break;
        }
    }
    bench.check();
    let (task, reason) = given_back.expect("a bound");
    assert!((10 + 250..10 + 256).contains(&task) && reason.starts_with("backlog full"), "{task}: {reason}");
    bench.on(Event::Stop { attempt: att(10) });
    assert!(bench.on(Event::Assign { attempt: att(task + 1), work: great() }).is_empty());
}

#[test]
fn the_end_of_the_lease_and_of_the_worker_end_it_too() {
    for (is_linked, word, left) in [(true, "spool", 3), (false, "forget", 1)] {
        let mut bench = Bench::linked();
        bench.assign(1, 4);
        bench.assign(2, 4);
        bench.assign(3, 1);
        if !is_linked {
            bench.on(Event::LinkLost);
        }
        bench.now += Duration::from_millis(9000);
        // The place of a job that ends now is nobody's any more.
        let actions = bench.on(Event::Tick);
        let done = words(&actions);
        assert_eq!((done.matches(word).count(), started(&actions)), (2, vec![]), "{done}");
        assert_eq!((bench.agent.backlog(), bench.agent.len()), (0, left));
        assert!(started(&ended(&mut bench, 1)).is_empty());
    }
    let mut bench = Bench::linked();
    bench.assign(1, 4);
    bench.assign(2, 4);
    bench.on(Event::OwnerDrains);
    assert_eq!(started(&ended(&mut bench, 1)), [2], "what was handed out before a drain is done");
    bench.assign(3, 1);
    assert_eq!(words(&bench.on(Event::OwnerStops)), "tell-drain stop spool");
    assert!(started(&ended(&mut bench, 2)).is_empty());
}

#[test]
fn nothing_starts_after_the_lease_even_before_the_clock_was_looked_at() {
    let mut bench = Bench::linked();
    bench.assign(1, 4);
    bench.assign(2, 4);
    let Some(Action::SendHeartbeat { sequence, .. }) = bench.pass(1000).pop() else { panic!("no beat") };
    bench.now += Duration::from_millis(8000);
    assert!(started(&ended(&mut bench, 1)).is_empty());
    // The answer was here already.
    assert_eq!(started(&bench.on(Event::HeartbeatAck { sequence })), [2]);
}

/// The same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // Knuth's MMIX; the upper bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.roll(from.len() as u64) as usize])
    }
}

/// What should be on the machine, told by nothing but what was said and what was done.
#[derive(Default)]
struct Model {
    line: VecDeque<(u64, u32)>,
    running: BTreeMap<u64, u32>,
    spooling: BTreeSet<u64>,
    sent: BTreeSet<u64>,
    gone: BTreeSet<u64>,
    assigned: u64,
    beats: Vec<u64>,
    owner: OwnerOrders,
    /// What was told of each job that runs: whether it stands still.
    held: BTreeMap<u64, bool>,
    stopping: BTreeSet<u64>,
}

impl Model {
    fn used(&self) -> u32 {
        self.running.values().sum()
    }

    fn leave_line(&mut self, task: u64) {
        self.line.retain(|(waiting, _)| *waiting != task);
    }

    fn take(&mut self, actions: &[Action], seed: u64) {
        for action in actions {
            match action {
                Action::StartJob { attempt, .. } => {
                    let (task, cores) = self.line.pop_front().expect("a start from an empty line");
                    assert_eq!(task, attempt.element.task.0, "overtaken, seed {seed}");
                    assert!(self.owner.machine.availability.takes_work(), "started against the owner, seed {seed}");
                    self.running.insert(task, cores);
                    self.held.insert(task, false);
                    assert!(self.used() <= 4, "more in use than there is, seed {seed}");
                }
                Action::StopJob { attempt } => {
                    assert!(self.running.contains_key(&attempt.element.task.0));
                    self.stopping.insert(attempt.element.task.0);
                }
                Action::HoldJob { attempt, held } => {
                    let before = self.held.insert(attempt.element.task.0, *held);
                    assert_eq!(before, Some(!held), "told twice, or of what does not run, seed {seed}");
                }
                Action::Spool { attempt, .. } => {
                    self.leave_line(attempt.element.task.0);
                    self.spooling.insert(attempt.element.task.0);
                }
                Action::Forget { attempt } => {
                    let task = attempt.element.task.0;
                    self.leave_line(task);
                    self.spooling.remove(&task);
                    self.sent.remove(&task);
                    assert!(!self.running.contains_key(&task), "forgotten while it runs, seed {seed}");
                    assert!(self.gone.insert(task), "forgotten twice, seed {seed}");
                }
                Action::SendFinished { attempt, .. } => {
                    self.sent.insert(attempt.element.task.0);
                }
                Action::SendHeartbeat { sequence, .. } => self.beats.push(*sequence),
                Action::SendHello { .. }
                | Action::SendStarted { .. }
                | Action::SendProgress { .. }
                | Action::SendOwner { .. }
                | Action::SendMeasured { .. }
                | Action::Measure { .. }
                | Action::AbortMeasure
                | Action::SendDrain
                | Action::RewindLogs { .. }
                | Action::StoreOutput { .. }
                | Action::KeepCertificate { .. }
                | Action::Reconnect { .. }
                | Action::Warn { .. } => {}
            }
        }
    }

    fn end(&mut self, task: u64) {
        self.running.remove(&task);
        self.held.remove(&task);
        self.stopping.remove(&task);
    }

    /// The owner, or a rule of theirs, changes their mind; mostly the machine is open.
    fn decide(&mut self, dice: &mut Dice, now: Instant) -> Event {
        let give_back_at = Some(now + Duration::from_millis(dice.roll(2000)));
        self.owner = match dice.roll(6) {
            0 => all(paused(give_back_at)),
            1 => all(paused(None)),
            2 => all(finishing()),
            3 => OwnerOrders { graphics: paused(give_back_at), ..OwnerOrders::default() },
            _open => OwnerOrders::default(),
        };
        Event::OwnerDecides { orders: self.owner.clone() }
    }

    /// Whatever works stands still exactly where the owner wants it.
    fn check_holds(&self, seed: u64) {
        for (task, held) in self.held.iter().filter(|(task, _)| !self.stopping.contains(task)) {
            assert_eq!(*held, self.owner.machine.holds(), "{task} does not do what the owner wants, seed {seed}");
        }
    }

    /// One thing that may happen now.
    fn next(&mut self, dice: &mut Dice, link: Link, now: Instant) -> Event {
        let known: Vec<u64> = (0..self.assigned).filter(|task| !self.gone.contains(task)).collect();
        let running: Vec<u64> = self.running.keys().copied().collect();
        let spooling: Vec<u64> = self.spooling.iter().copied().collect();
        let sent: Vec<u64> = self.sent.iter().copied().collect();
        let event = match dice.roll(26) {
            0..=8 if link == Link::Up => {
                let (task, cores) = (self.assigned, [1, 1, 1, 2, 2, 3, 4, 5][dice.roll(8) as usize]);
                self.assigned += 1;
                // What is given back leaves the line again with its report.
                self.line.push_back((task, cores));
                Some(Event::Assign { attempt: att(task), work: work(cores) })
            }
            9 => dice.pick(&running).map(|task| Event::Started { attempt: att(task) }),
            10..=12 => dice.pick(&running).map(|task| {
                self.end(task);
                Event::Ended { attempt: att(task), report: Box::new(report(None)) }
            }),
            13..=15 => dice.pick(&spooling).map(|task| {
                self.spooling.remove(&task);
                Event::Spooled { attempt: att(task) }
            }),
            16 | 17 => dice.pick(&sent).map(|task| Event::FinishedAck { attempt: att(task), refusal: String::new() }),
            18 => dice.pick(&known).map(|task| Event::Stop { attempt: att(task) }),
            19 if link == Link::Up && dice.roll(4) == 0 => Some(Event::LinkLost),
            21 => Some(self.decide(dice, now)),
            22 => dice.pick(&running).map(|task| Event::Progress { attempt: att(task), percent: dice.roll(101) as u8 }),
            23 if dice.roll(20) == 0 => Some(Event::OwnerClears),
            20 => match link {
                Link::Down | Link::Closing => Some(Event::LinkOpened),
                Link::Greeting(_) => {
                    let stale: Vec<AttemptRef> = dice.pick(&known).into_iter().map(att).collect();
                    Some(Event::Welcome { lease: LEASE, heartbeat_every: BEAT, stale, logs: vec![] })
                }
                Link::Up => None,
            },
            _ => None,
        };
        let answer = || self.beats.last().map(|sequence| Event::HeartbeatAck { sequence: *sequence });
        event.or_else(answer).unwrap_or(Event::Tick)
    }
}

#[test]
fn a_random_life_keeps_the_order_the_capacity_and_every_attempt() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let (mut bench, mut model) = (Bench::linked(), Model::default());
        for _ in 0..400 {
            bench.now += Duration::from_millis(if dice.roll(300) == 0 { 10_000 } else { dice.roll(200) });
            let event = model.next(&mut dice, bench.agent.link(), bench.now);
            let actions = bench.on(event);
            model.take(&actions, seed);
            let actions = bench.on(Event::Tick);
            model.take(&actions, seed);
            let line: Vec<AttemptRef> = model.line.iter().map(|(task, _)| att(*task)).collect();
            assert_eq!(bench.agent.backlog.values().copied().collect::<Vec<_>>(), line, "seed {seed}");
            let head_fits = model.line.front().is_some_and(|(_, cores)| model.used() + cores <= 4);
            model.check_holds(seed);
            let is_open = model.owner.machine.availability.takes_work();
            assert!(
                !head_fits || !is_open || !bench.agent.lease.is_live(bench.now),
                "room for the head is not used, seed {seed}"
            );
        }
        wind_down(&mut bench, &mut model, seed);
        let all: BTreeSet<u64> = (0..model.assigned).collect();
        assert_eq!((bench.agent.len(), &model.gone), (0, &all), "something is left or was lost, seed {seed}");
    }
}

/// Everything that waits runs, everything that runs ends, and everything that ended is acknowledged.
fn wind_down(bench: &mut Bench, model: &mut Model, seed: u64) {
    bench.on(Event::LinkLost);
    let actions = bench.link();
    model.take(&actions, seed);
    model.owner = OwnerOrders::default();
    let actions = super::owner::open(bench);
    model.take(&actions, seed);
    while bench.agent.len() > 0 {
        let event = if let Some(task) = model.running.keys().next().copied() {
            model.end(task);
            Event::Ended { attempt: att(task), report: Box::new(report(None)) }
        } else if let Some(task) = model.spooling.pop_first() {
            Event::Spooled { attempt: att(task) }
        } else {
            let task = model.sent.first().copied().unwrap_or_else(|| panic!("nothing can go on, seed {seed}"));
            Event::FinishedAck { attempt: att(task), refusal: String::new() }
        };
        let actions = bench.on(event);
        model.take(&actions, seed);
    }
}
