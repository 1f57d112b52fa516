use super::*;

#[test]
fn many_seeds_hold_every_promise() {
    let mut all = Summary::default();
    for seed in 0..200 {
        let summary = run(Config { steps: 400, ..Config::new(seed) })
            .unwrap_or_else(|failure| panic!("{failure}; replay: sim --seed {seed} --steps 400 --trace"));
        all.add(&summary);
    }
    let rough = [
        all.pool_kills,
        all.worker_kills,
        all.link_breaks,
        all.lost_batches,
        all.lost_nodes,
        all.stale_messages,
        all.accruals,
        all.returns,
        all.expiries,
        all.rewards,
        all.accruals_recovered,
    ];
    assert!(rough.into_iter().all(|count| count >= 10), "the weather is too fine to prove anything: {all:?}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [1, 2, 3] {
        let (first, second) = (run(Config::new(seed)), run(Config::new(seed)));
        assert_eq!(first, second);
        assert_ne!(first, run(Config::new(seed + 100)));
    }
}

/// The simulator is worth nothing unless it fails where it should.
#[test]
fn broken_rules_are_noticed() {
    for (sabotage, invariants) in [
        // A stale failure that counts as the current one has the task run twice at a time.
        (Sabotage::ForgeStaleResults, &["T3", "T6"][..]),
        (Sabotage::AnswerEarly, &["T1", "L6"]),
        (Sabotage::IgnoreLeases, &["T6"]),
        (Sabotage::ForgetRequestIds, &["L6"]),
    ] {
        let mut seeds = (0..200).map(|seed| run(Config { sabotage, ..Config::new(seed) }));
        let failure =
            seeds.find_map(Result::err).unwrap_or_else(|| panic!("{sabotage:?} was not noticed in 200 seeds"));
        assert!(invariants.contains(&failure.invariant.as_str()), "{sabotage:?} gave {failure}");
    }
}
