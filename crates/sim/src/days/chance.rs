//! Times and sizes as they are spread in real pools, in integers.
//!
//! Spreads are tables of quantiles with straight lines between them, so that a seed gives the same
//! numbers on every machine; logarithms of the machine's own library would not.
//!
//! Invariant: no floating point.

use crate::rng::Rng;

/// One hour in milliseconds.
pub(super) const HOUR: u64 = 3_600_000;
/// One minute in milliseconds.
pub(super) const MINUTE: u64 = 60_000;

const WHOLE: u64 = 1_000_000;

/// Quantiles: the share of all below, in millionths, and the value.
type Quantiles = [(u64, u64)];

/// Exponential with the mean 1,000.
const EXPONENTIAL: &Quantiles = &[
    (0, 0),
    (50_000, 51),
    (100_000, 105),
    (200_000, 223),
    (300_000, 357),
    (400_000, 511),
    (500_000, 693),
    (600_000, 916),
    (700_000, 1204),
    (800_000, 1609),
    (900_000, 2303),
    (950_000, 2996),
    (980_000, 3912),
    (990_000, 4605),
    (999_000, 6908),
    (WHOLE, 9000),
];

/// Run times in milliseconds: log-normal with the median of four minutes and a sigma of 1.7, from one
/// second to eight hours.
const RUN_TIMES: &Quantiles = &[
    (0, 1000),
    (5000, 3000),
    (10_000, 4600),
    (25_000, 8600),
    (50_000, 14_600),
    (100_000, 27_200),
    (200_000, 57_400),
    (300_000, 98_500),
    (400_000, 156_000),
    (500_000, 240_000),
    (600_000, 369_000),
    (700_000, 585_000),
    (800_000, 1_004_000),
    (900_000, 2_122_000),
    (950_000, 3_933_000),
    (975_000, 6_719_000),
    (990_000, 12_517_000),
    (995_000, 19_148_000),
    (WHOLE, 28_800_000),
];

fn quantile(table: &Quantiles, share: u64) -> u64 {
    let above = table.iter().position(|(below, _)| *below >= share).unwrap_or(table.len() - 1).max(1);
    let ((from, low), (to, high)) = (table[above - 1], table[above]);
    low + (high - low) * (share.clamp(from, to) - from) / (to - from)
}

/// A time until something happens that happens every `mean` on average.
pub(super) fn until(rng: &mut Rng, mean: u64) -> u64 {
    let thousandths = u128::from(quantile(EXPONENTIAL, rng.between(0, WHOLE)));
    u64::try_from(thousandths * u128::from(mean) / 1000).unwrap_or(u64::MAX)
}

/// How long an element of a submission runs on an average machine.
pub(super) fn run_time(rng: &mut Rng) -> u64 {
    quantile(RUN_TIMES, rng.between(0, WHOLE))
}

/// One of `choices`, each with its weight.
pub(super) fn weighted<T: Copy>(rng: &mut Rng, choices: &[(u64, T)]) -> T {
    let all: u64 = choices.iter().map(|(weight, _)| weight).sum();
    let mut drawn = rng.between(0, all - 1);
    for (weight, choice) in choices {
        if drawn < *weight {
            return *choice;
        }
        drawn -= weight;
    }
    choices[choices.len() - 1].1
}

/// Mixes numbers into one that looks drawn at random, always the same for the same numbers.
pub(super) fn mixed(numbers: [u64; 3]) -> u64 {
    numbers.into_iter().fold(0, |state, number| Rng::new(state ^ number).next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_have_the_means_that_they_are_called_by() {
        let mut rng = Rng::new(1);
        let mean: u64 = (0..100_000).map(|_| until(&mut rng, 1000)).sum::<u64>() / 100_000;
        assert!((950..1080).contains(&mean), "{mean}");
        let (mut times, half): (Vec<u64>, usize) = ((0..9999).map(|_| run_time(&mut rng)).collect(), 5000);
        times.sort_unstable();
        assert!(times[0] >= 1000 && *times.last().expect("some") <= 28_800_000);
        assert!((200_000..280_000).contains(&times[half]), "{}", times[half]);
        assert_eq!((quantile(EXPONENTIAL, 0), quantile(EXPONENTIAL, WHOLE)), (0, 9000));
    }
}
