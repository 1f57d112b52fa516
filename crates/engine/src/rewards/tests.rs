use super::*;

fn tally(alive_minutes: u64, ended: u32, completed: u32, complex: u32) -> Tally {
    Tally { alive: Millis::from_secs(alive_minutes * 60), ended, completed, complex }
}

const HOUR: Millis = Millis::from_secs(3600);

/// Computed by hand from the published formula:
/// base = hours x 10, performance = completed / total x base x 0.5, stability = uptime / 100 x base x 0.3,
/// quality = complex x 5, and the whole times the level's multiplier.
#[test]
fn examples_by_hand() {
    let rows = [
        // what,                       tally,                level,           base,       performance, stability, quality,    total
        ("an idle hour", tally(60, 0, 0, 0), Level::None, 10_000_000, 0, 3_000_000, 0, 13_000_000),
        ("all accepted", tally(60, 8, 8, 0), Level::Bronze, 10_000_000, 5_000_000, 3_000_000, 0, 18_000_000),
        ("half accepted", tally(60, 8, 4, 0), Level::Bronze, 10_000_000, 2_500_000, 3_000_000, 0, 15_500_000),
        ("half the hour", tally(30, 0, 0, 0), Level::None, 5_000_000, 0, 750_000, 0, 5_750_000),
        ("two complex", tally(60, 4, 4, 2), Level::None, 10_000_000, 5_000_000, 3_000_000, 10_000_000, 28_000_000),
        ("silver", tally(60, 4, 4, 2), Level::Silver, 10_000_000, 5_000_000, 3_000_000, 10_000_000, 33_600_000),
        ("gold", tally(60, 4, 4, 2), Level::Gold, 10_000_000, 5_000_000, 3_000_000, 10_000_000, 42_000_000),
        ("platinum", tally(60, 4, 4, 2), Level::Platinum, 10_000_000, 5_000_000, 3_000_000, 10_000_000, 56_000_000),
        ("diamond", tally(60, 4, 4, 2), Level::Diamond, 10_000_000, 5_000_000, 3_000_000, 10_000_000, 84_000_000),
        // 45 min: 7.5; 2 of 3: 7.5 x 2/3 x 0.5 = 2.5; 75 %: 7.5 x 0.75 x 0.3 = 1.6875; x 1.2.
        ("a mixed hour", tally(45, 3, 2, 1), Level::Silver, 7_500_000, 2_500_000, 1_687_500, 5_000_000, 20_025_000),
        // 1/3 of 10 CPT x 0.5 is 1.666666..: rounded down.
        ("thirds", tally(60, 3, 1, 0), Level::None, 10_000_000, 1_666_666, 3_000_000, 0, 14_666_666),
        ("never alive", tally(0, 2, 0, 0), Level::Diamond, 0, 0, 0, 0, 0),
    ];
    for (what, tally, level, base, performance, stability, quality, total) in rows {
        let parts = reward(&Rewards::default(), &tally, HOUR, level, Quality::Unbounded);
        let micro = [parts.base, parts.performance, parts.stability, parts.quality, parts.total].map(Cpt::micro);
        assert_eq!(micro, [base, performance, stability, quality, total], "{what}");
    }
}

#[test]
fn a_node_that_joined_late_is_measured_from_then_on() {
    let parts =
        reward(&Rewards::default(), &tally(15, 0, 0, 0), Millis::from_secs(900), Level::None, Quality::Unbounded);
    assert_eq!((parts.base.micro(), parts.stability.micro()), (2_500_000, 750_000));
}

#[test]
fn no_node_was_alive_for_longer_than_it_was_registered() {
    let parts = reward(&Rewards::default(), &tally(90, 0, 0, 0), HOUR, Level::None, Quality::Unbounded);
    assert_eq!(parts.total.micro(), 13_000_000);
    let nothing = reward(&Rewards::default(), &tally(90, 0, 0, 0), Millis(0), Level::None, Quality::Unbounded);
    assert_eq!(nothing.total, Cpt::ZERO);
}

#[test]
fn a_bounded_quality_never_exceeds_the_base() {
    let parts = reward(&Rewards::default(), &tally(60, 100, 100, 100), HOUR, Level::None, Quality::WithinBase);
    assert_eq!((parts.quality.micro(), parts.total.micro()), (10_000_000, 28_000_000));
}

#[test]
fn the_largest_numbers_do_not_overflow() {
    let rates = Rewards {
        base: Cpt::from_micro(1_000_000_000_000_000),
        quality: Cpt::from_micro(1_000_000_000_000_000),
        ..Rewards::default()
    };
    // The longest period and the highest rates that a policy may have.
    let year = Millis(366 * 24 * HOUR.0);
    let rates = Rewards { performance_percent: 1000, stability_percent: 1000, ..rates };
    let tally = Tally { alive: Millis(u64::MAX), ended: u32::MAX, completed: u32::MAX, complex: u32::MAX };
    let parts = reward(&rates, &tally, year, Level::Diamond, Quality::Unbounded);
    assert_eq!(parts.total, Cpt::from_micro(i64::MAX));
}
