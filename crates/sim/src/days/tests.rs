use super::*;

fn held(config: Config) -> Report {
    run(config).unwrap_or_else(|failure| panic!("{failure}; replay: hivemind-sim days with {config:?}"))
}

/// A pool that goes quickly; with so few owners a single cheat is a large share.
fn small(seed: u64) -> Config {
    Config { nodes: 50, requesters: 8, hours: 3, warm_up: 1, load: 40, check_every: 1, ..Config::new(seed) }
}

#[test]
fn equal_seeds_give_equal_reports() {
    let config = Config { cheats: 20, hours: 1, ..small(5) };
    assert_eq!(held(config), held(config));
    assert_ne!(held(config).commands, held(Config { seed: 6, ..config }).commands);
}

#[test]
fn without_cheats_nothing_is_wrong_and_nobody_is_blamed() {
    let report = held(small(7));
    assert_eq!((report.verified.wrong, report.plain.wrong, report.verified.wrong_at_first), (0, 0, 0), "{report}");
    assert_eq!((report.caught, report.verified.disputed), (Caught::default(), 0), "{report}");
    assert!(report.verified.accepted > 50 && report.plain.accepted > 100, "{report}");
    assert!(report.verified.attempts > 2 * report.verified.accepted, "{report}");
    assert!(report.lost_nodes > 5 && report.lost_attempts > 5, "{report}");
    let CoreTime { offered, busy, useful, .. } = report.core_time;
    assert!(0 < useful && useful < busy && busy < offered, "{report}");
}

#[test]
fn every_kind_of_cheat_leaves_the_invariants_whole() {
    for kind in [Kind::Independent, Kind::Colluding, Kind::Occasional, Kind::Sleeper, Kind::Ambush] {
        let report = held(Config { cheats: 20, kind, nodes: 30, warm_up: 0, hours: 2, ..small(11) });
        assert!(report.caught.cheats > 0 && report.checks >= 2, "{kind:?}: {report}");
        // Nobody becomes trusted in so small a pool within hours, and a tenth of little may be nothing.
        if matches!(kind, Kind::Independent | Kind::Colluding | Kind::Ambush) {
            assert!(report.plain.wrong > 0, "{kind:?}: {report}");
        }
    }
}

#[test]
fn a_quorum_is_run_as_it_was_asked_for() {
    let rule = Rule::Quorum { replicas: 3, quorum: 2 };
    let report = held(Config { rule, cheats: 20, hours: 2, ..small(3) });
    assert!(report.verified.attempts >= 2 * report.verified.accepted, "{report}");
}

#[test]
fn who_has_little_does_not_wait_for_who_has_much() {
    let two = two_users(1, 2000).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(two.queued > 1000 && two.first_start <= two.length && two.in_order > 5 * two.length, "{two}");
}
