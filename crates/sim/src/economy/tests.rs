use super::*;

fn held(config: Config) -> Report {
    run(config).unwrap_or_else(|failure| panic!("{failure}; replay: sim economy with {config:?}"))
}

/// A number of people and minutes that goes quickly.
fn small(seed: u64, mode: Mode) -> Config {
    Config { minutes: 200, ..Config::new(seed, 60, mode) }
}

/// The report is about a town in which everything happened that it is there for.
fn is_rough(report: &Report) {
    for code in [
        Code::Invalid,
        Code::NotFound,
        Code::Taken,
        Code::Forbidden,
        Code::InsufficientCpt,
        Code::MaxPrice,
        Code::IdReused,
        Code::Stale,
    ] {
        assert!(report.refusals.contains_key(&code), "nothing was refused as {code}:\n{report}");
    }
    for kind in hivemind_ledger::Reason::WORDS.into_iter().filter(|kind| *kind != "vest") {
        assert!(report.entries.contains_key(kind), "there is no entry of {kind}:\n{report}");
    }
    assert!(report.restarts > 5 && report.repeats > 10, "{report}");
}

#[test]
fn in_the_guarded_mode_nobody_gains_from_free_credit() {
    let mut pay = Cpt::ZERO;
    for seed in 0..4 {
        let report = held(small(seed, Mode::Guarded));
        is_rough(&report);
        assert!(report.entries["vest"] > 0 && report.refusals[&Code::Invitation] > 0, "{report}");
        assert_eq!((report.coalition.turned, report.quality_above_base), (Cpt::ZERO, 0), "{report}");
        assert!(report.coalition.rewards.is_positive() && report.coalition.received.is_positive(), "{report}");
        pay = Cpt::from_micro(pay.micro() + report.honest_pay.micro());
    }
    assert!(pay.is_positive(), "honest people never paid hostile ones out of their own money");
}

/// Without this the test above would say nothing: the same people gain in the open mode.
#[test]
fn in_the_open_mode_free_credit_becomes_money() {
    for seed in 0..4 {
        let report = held(small(seed, Mode::Open));
        is_rough(&report);
        assert!(report.coalition.turned > Cpt::from_micro(10_000_000), "{report}");
        assert!(report.classes["puppets"].turned.is_positive() && report.classes["colluders"].turned.is_positive());
        assert!(report.quality_above_base > 0, "{report}");
    }
}

#[test]
fn the_same_seed_is_the_same_town() {
    for mode in [Mode::Open, Mode::Guarded] {
        let config = Config { minutes: 60, ..small(7, mode) };
        assert_eq!(held(config), held(config));
        assert_ne!(held(config).last_hash, held(Config { seed: 8, ..config }).last_hash);
    }
}

#[test]
fn a_thousand_accounts_for_an_hour() {
    let report = held(Config { minutes: 80, ..Config::new(1, 1000, Mode::Guarded) });
    assert!(report.classes.values().map(|wealth| wealth.accounts).sum::<usize>() >= 1000, "{report}");
    assert_eq!(report.coalition.turned, Cpt::ZERO);
}
