use super::*;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

const START: &str = "2026-11-20T12:00:00Z";

/// A decider, and a day that begins on a Friday at noon in UTC.
struct Rig {
    decider: Decider,
    at: u64,
}

impl Rig {
    fn new(toml: &str) -> Self {
        Self { decider: Decider::new(Preferences::parse(toml).unwrap()), at: 0 }
    }

    fn moment(&self) -> Moment {
        let start: Timestamp = START.parse().unwrap();
        let local = start.checked_add(Duration::from_secs(self.at)).unwrap().to_zoned(TimeZone::UTC);
        Moment { steady: Duration::from_secs(1000 + self.at), local }
    }

    fn look(&mut self, at: u64, seen: &Observation) -> Decision {
        assert!(at >= self.at, "time never goes back");
        self.at = at;
        self.decider.observe(seen, &self.moment())
    }

    /// Seconds after the beginning.
    fn given_back_at(&self, decision: &Decision) -> Option<u64> {
        decision.give_back_at.map(|at| at.as_secs() - 1000)
    }
}

fn idle(seconds: u64, working: bool) -> Observation {
    Observation { idle: Some(Duration::from_secs(seconds)), working, ..Observation::default() }
}

fn quiet() -> Observation {
    Observation { working: true, ..Observation::default() }
}

fn state(decision: &Decision) -> &'static str {
    assert_eq!(decision.suspend, decision.availability.as_str() == "paused");
    assert_eq!(decision.suspend, decision.give_back_at.is_some());
    assert_eq!(decision.availability.takes_work(), decision.why.iter().all(Reason::is_of_gpu));
    decision.availability.as_str()
}

#[test]
fn without_rules_it_works_and_use_does_not_matter() {
    let mut rig = Rig::new("");
    for seen in [Observation::default(), idle(0, true), Observation { others_load: Some(1.0), ..quiet() }] {
        let decision = rig.look(rig.at + 1, &seen);
        assert_eq!(state(&decision), "open");
        assert_eq!(decision.sentence(), "Open: takes work");
        assert_eq!((decision.gpu, decision.look_again), (Availability::Open, Duration::from_secs(1)));
    }
}

#[test]
fn it_starts_after_fifteen_minutes_and_goes_on_after_five() {
    let mut rig = Rig::new("idle.only = true");
    assert_eq!(state(&rig.look(0, &idle(899, false))), "paused");
    assert_eq!(state(&rig.look(1, &idle(900, false))), "open");
    // Two hours of work, then input.
    let paused = rig.look(7200, &idle(0, true));
    assert_eq!(paused.sentence(), "Paused: somebody uses the machine; goes on after 5 min without input");
    assert_eq!((rig.given_back_at(&paused), paused.gives_back(&rig.moment())), (Some(7800), false));
    assert_eq!(state(&rig.look(7499, &idle(299, true))), "paused");
    assert_eq!(state(&rig.look(7500, &idle(300, true))), "open");
}

#[test]
fn what_stands_still_for_ten_minutes_is_given_back_and_the_long_wait_counts_again() {
    let mut rig = Rig::new("idle.only = true");
    rig.look(0, &idle(900, false));
    for at in (1000..1600).step_by(50) {
        assert!(!rig.look(at, &idle(0, true)).gives_back(&rig.moment()), "{at}");
    }
    let late = rig.look(1600, &idle(0, true));
    assert_eq!((rig.given_back_at(&late), late.gives_back(&rig.moment())), (Some(1600), true));
    let later = rig.look(1900, &idle(300, false));
    assert_eq!(later.sentence(), "Paused: the machine was used lately; takes work after 15 min without input");
    assert!(later.gives_back(&rig.moment()));
    assert_eq!(state(&rig.look(2499, &idle(899, false))), "paused");
    assert_eq!(state(&rig.look(2500, &idle(900, false))), "open");
}

#[test]
fn where_nothing_ran_the_long_wait_counts() {
    let mut rig = Rig::new("idle.only = true");
    rig.look(0, &idle(900, false));
    rig.look(100, &idle(0, false));
    assert_eq!(state(&rig.look(500, &idle(400, false))), "paused");
    assert_eq!(state(&rig.look(1000, &idle(900, false))), "open");
}

#[test]
fn input_while_the_machine_slept_is_seen_after() {
    let mut rig = Rig::new("idle.only = true");
    rig.look(0, &idle(900, false));
    assert_eq!(state(&rig.look(10_000, &idle(200, true))), "paused");
}

#[test]
fn where_use_cannot_be_seen_it_does_not_work_and_says_what_to_do() {
    let mut rig = Rig::new("idle.only = true");
    let decision = rig.look(0, &quiet());
    assert!(decision.sentence().contains("set `idle.only = false`"), "{}", decision.sentence());
}

#[test]
fn by_hand_it_pauses_finishes_and_starts_again() {
    let mut rig = Rig::new("machine = { mode = \"finish\", until = \"2026-11-20T13:00:00Z\" }");
    let decision = rig.look(0, &quiet());
    assert_eq!(decision.sentence(), "Finishing: the owner wants no new work until Friday 13:00");
    assert_eq!((decision.gpu, decision.give_back_at), (decision.availability, None));
    assert_eq!(state(&rig.look(3599, &quiet())), "finishing");
    assert_eq!(state(&rig.look(3600, &quiet())), "open");
    rig.decider.prefer(Preferences::parse("machine.mode = \"pause\"").unwrap());
    let paused = rig.look(3601, &quiet());
    assert_eq!(paused.sentence(), "Paused: the owner paused it");
    assert_eq!(rig.given_back_at(&paused), Some(4201));
    rig.decider.prefer(Preferences::default());
    assert_eq!(state(&rig.look(3602, &quiet())), "open");
}

#[test]
fn what_cannot_go_on_in_time_is_given_back_at_once() {
    let mut rig = Rig::new("machine = { mode = \"pause\", until = \"2026-11-20T12:10:01Z\" }");
    assert!(rig.look(0, &quiet()).gives_back(&rig.moment()));
    let mut short = Rig::new("machine = { mode = \"pause\", until = \"2026-11-20T12:10:00Z\" }");
    assert!(!short.look(0, &quiet()).gives_back(&short.moment()));
    // What is given back stays so, also once the end has come near.
    assert!(rig.look(300, &quiet()).gives_back(&rig.moment()));
    assert_eq!(state(&rig.look(601, &quiet())), "open");
}

#[test]
fn hours_stop_and_begin() {
    let mut rig = Rig::new("hours = { friday = [\"12:00-13:00\", \"13:05-14:00\"], monday = [\"08:00-09:00\"] }");
    assert_eq!(state(&rig.look(0, &quiet())), "open");
    let pause = rig.look(3600, &quiet());
    assert_eq!(pause.sentence(), "Paused: outside the hours of work, which begin Friday 13:05");
    assert!(!pause.gives_back(&rig.moment()));
    assert_eq!(state(&rig.look(3900, &quiet())), "open");
    let end = rig.look(7200, &quiet());
    assert_eq!(end.sentence(), "Paused: outside the hours of work, which begin Monday 08:00");
    assert!(end.gives_back(&rig.moment()));
}

#[test]
fn load_of_others_stops_only_when_it_lasts() {
    let mut rig = Rig::new("idle = { only = true, load_seconds = 120 }");
    let busy = |load: f32| Observation { others_load: Some(load), ..idle(10_000, true) };
    assert_eq!(state(&rig.look(0, &busy(0.9))), "open");
    assert_eq!(state(&rig.look(60, &busy(0.4))), "open");
    assert_eq!(state(&rig.look(100, &busy(0.5))), "open");
    assert_eq!(state(&rig.look(219, &busy(0.5))), "open");
    let paused = rig.look(220, &busy(0.5));
    assert!(paused.sentence().contains("other programs need the processor (50 % of it or more)"));
    // Between the two thresholds it stays; below, it takes five minutes.
    assert_eq!(state(&rig.look(500, &busy(0.31))), "paused");
    assert_eq!(state(&rig.look(600, &busy(0.3))), "paused");
    assert_eq!(state(&rig.look(899, &busy(0.0))), "paused");
    assert_eq!(state(&rig.look(900, &busy(0.3))), "open");
}

#[test]
fn batteries_pause_or_have_charge_enough() {
    let on = |percent| Observation { power: Power::Battery { percent }, ..quiet() };
    let mut rig = Rig::new("");
    assert!(rig.look(0, &on(Some(100))).sentence().contains("runs on battery"));
    assert_eq!(state(&rig.look(10, &quiet())), "paused");
    assert_eq!(state(&rig.look(70, &quiet())), "open");
    let mut run = Rig::new("battery = { when = \"run\", least_percent = 50 }");
    assert_eq!(state(&run.look(0, &on(Some(50)))), "open");
    assert!(run.look(1, &on(Some(49))).sentence().contains("less than 50 %"));
    run.look(2, &on(Some(54)));
    assert_eq!(state(&run.look(200, &on(Some(54)))), "paused");
    run.look(201, &on(Some(55)));
    assert_eq!(state(&run.look(261, &on(Some(56)))), "open");
    assert_eq!(state(&run.look(262, &on(None))), "open");
}

#[test]
fn heat_has_a_band() {
    let mut rig = Rig::new("heat.stop_celsius = 85");
    let hot = |celsius| Observation { temperature_celsius: Some(celsius), ..quiet() };
    assert_eq!(state(&rig.look(0, &hot(84.9))), "open");
    assert!(rig.look(1, &hot(85.0)).sentence().contains("too hot (85 °C or more); goes on at 75 °C"));
    assert_eq!(state(&rig.look(500, &hot(75.1))), "paused");
    assert_eq!(state(&rig.look(501, &hot(75.0))), "paused");
    assert_eq!(state(&rig.look(561, &hot(60.0))), "open");
    assert_eq!(state(&rig.look(562, &hot(f32::NAN))), "open");
}

#[test]
fn programs_pause_and_the_minute_after_them() {
    let mut rig = Rig::new("programs.pause_while = [\"steam\"]");
    let runs = Observation { program: Some("steam".into()), ..quiet() };
    assert_eq!(rig.look(0, &runs).sentence(), "Paused: steam runs; goes on when it has ended");
    assert_eq!(state(&rig.look(10, &quiet())), "paused");
    assert_eq!(state(&rig.look(70, &quiet())), "open");
}

#[test]
fn a_rule_that_is_changed_begins_anew() {
    let mut rig = Rig::new("programs.pause_while = [\"steam\"]");
    let seen = Observation {
        program: Some("steam".into()),
        power: Power::Battery { percent: Some(80) },
        temperature_celsius: Some(90.0),
        ..quiet()
    };
    assert_eq!(rig.look(0, &seen).why.len(), 2);
    rig.decider.prefer(Preferences::parse("battery.when = \"run\"\nheat.stop_celsius = 85").unwrap());
    assert_eq!(rig.look(1, &seen).why, [Reason::Hot { stop: 85, resume: 75 }]);
    rig.decider.prefer(Preferences::parse("battery.when = \"run\"\nheat.stop_celsius = 95").unwrap());
    assert_eq!(state(&rig.look(2, &seen)), "open");
}

#[test]
fn graphics_processors_stop_alone() {
    let mut rig = Rig::new("gpu.mode = \"pause\"");
    let decision = rig.look(0, &quiet());
    assert_eq!(state(&decision), "open");
    assert_eq!(decision.gpu.reason(), "the owner paused the graphics processors");
    assert_eq!(decision.gpu_give_back_at, Some(Duration::from_secs(1600)));
    let mut rig = Rig::new("idle.only = true");
    let busy = |percent| Observation { gpu_others_percent: Some(percent), ..idle(10_000, true) };
    assert_eq!(rig.look(0, &busy(29.0)).gpu, Availability::Open);
    assert!(rig.look(1, &busy(30.0)).gpu.reason().contains("30 % or more"));
    assert_eq!(rig.look(2, &busy(15.0)).gpu.as_str(), "paused");
    assert_eq!(rig.look(302, &busy(10.0)).gpu, Availability::Open);
}

#[test]
fn several_reasons_are_all_told_and_a_pause_is_more_than_finishing() {
    let mut rig = Rig::new("machine.mode = \"finish\"\nidle.only = true");
    let seen = Observation { power: Power::Battery { percent: None }, ..idle(0, true) };
    let decision = rig.look(0, &seen);
    assert_eq!(state(&decision), "paused");
    assert_eq!(
        decision.why,
        [Reason::Finishing { until: String::new() }, Reason::InUse { minutes: 5 }, Reason::Battery]
    );
    assert!(decision.sentence().starts_with("Paused: somebody uses the machine"));
    assert_eq!(decision.look_again, Duration::from_secs(5));
}

/// Looks every second; input at `inputs`; work whenever it is open. Gives (second, state) of every change.
fn day(inputs: &[u64], seconds: u64) -> Vec<(u64, &'static str)> {
    let mut rig = Rig::new("idle.only = true");
    let (mut last_input, mut working, mut changes) = (0, false, vec![(0, "paused")]);
    for at in 0..seconds {
        if inputs.contains(&at) {
            last_input = at;
        }
        let decision = rig.look(at, &idle(at - last_input, working));
        working = decision.availability.takes_work() || (working && !decision.gives_back(&rig.moment()));
        let now = state(&decision);
        if changes.last().is_some_and(|(_, before)| *before != now) {
            changes.push((at, now));
        }
    }
    changes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn input_at_any_moment_pauses_within_one_look_and_it_goes_up_once_a_window(
        mut inputs in prop::collection::vec(0u64..7000, 0..12),
    ) {
        inputs.sort_unstable();
        let changes = day(&inputs, 7000);
        let state_at = |at: u64| changes.iter().rev().find(|(since, _)| *since <= at).map(|(_, state)| *state);
        for at in &inputs {
            prop_assert_eq!(state_at(*at), Some("paused"));
        }
        let ups: Vec<u64> = changes.iter().filter(|(_, state)| *state == "open").map(|(at, _)| *at).collect();
        for pair in ups.windows(2) {
            prop_assert!(pair[1] - pair[0] >= 300, "{:?}", changes);
        }
        for up in ups {
            prop_assert!(inputs.iter().all(|input| *input > up || up - input >= 300), "{:?}", changes);
        }
    }

    #[test]
    fn whatever_is_seen_each_rule_keeps_its_quiet_time(
        looks in prop::collection::vec((1u64..200, 0u8..4, 0f32..1.0, 60f32..100.0, any::<bool>(), any::<bool>()), 1..120),
    ) {
        let mut rig = Rig::new("heat.stop_celsius = 85\nprograms.pause_while = [\"a\"]\nidle = { only = true, load_seconds = 0 }");
        let (mut last_bad, mut given_back) = (None, None);
        for (step, power, load, celsius, program, working) in looks {
            let seen = Observation {
                idle: Some(Duration::from_secs(100_000)),
                others_load: Some(load),
                power: if power == 0 { Power::Battery { percent: Some(50) } } else { Power::Mains },
                temperature_celsius: Some(celsius),
                program: program.then(|| "a".into()),
                gpu_others_percent: None,
                working,
            };
            let at = rig.at + step;
            let decision = rig.look(at, &seen);
            let bad = power == 0 || load >= 0.5 || celsius >= 85.0 || program;
            if bad {
                last_bad = Some(at);
                prop_assert_eq!(state(&decision), "paused");
            } else if state(&decision) == "open" {
                prop_assert!(last_bad.is_none_or(|bad| at - bad >= 60), "{:?}", decision);
            }
            prop_assert!(decision.availability.reason().len() <= hivemind_model::owner::MAX_REASON_BYTES);
            // A promise to give back is never put off.
            if let (Some(before), Some(after)) = (given_back, decision.give_back_at) {
                prop_assert!(after <= before);
            }
            given_back = decision.give_back_at;
        }
    }
}
