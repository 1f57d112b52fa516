//! A town of honest and hostile accounts around the real engine.
//!
//! Honest people submit, earn, give and tip. The others repeat requests, overdraw, collude, lie about
//! what they ran, vanish before the end, and sign up a thousand times. Start at [`run`]; what
//! happens in a minute is in [`town`]; who gave money to whom is in [`audit`].
//!
//! Invariant: no clock, no threads, no randomness but the seed: the same seed gives the same run.

mod audit;
mod honest;
mod hostile;
mod machines;
mod people;
mod pool;
mod proof;
mod town;

use crate::{Failure, guarded_run};
use hivemind_model::economy::Mode;
use hivemind_model::{Code, Cpt};
use std::collections::BTreeMap;
use std::fmt;
use town::Town;

/// What a run is given.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// People who live in the town, honest and hostile; one of them also tries as many sign-ups.
    pub accounts: usize,
    /// What free credit is good for.
    pub mode: Mode,
    /// How many minutes the town lives, beside those in which its machine sleeps.
    pub minutes: u64,
}

impl Config {
    /// Six hours of a town.
    #[must_use]
    pub fn new(seed: u64, accounts: usize, mode: Mode) -> Self {
        Self { seed, accounts, mode, minutes: 360 }
    }
}

/// The money of some accounts at the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wealth {
    /// Accounts that exist.
    pub accounts: usize,
    /// Everything that is not free credit: available, vesting, in own projects, own part of holds.
    pub money: Cpt,
    /// Free credit that can be spent.
    pub credit: Cpt,
    /// Rewards for being there.
    pub rewards: Cpt,
    /// Money that others gave or paid out of their own money.
    pub received: Cpt,
    /// Free credit of these accounts that became somebody's money.
    pub turned: Cpt,
    /// `money` less `rewards` less `received`; above zero only where free credit became money.
    pub gained: Cpt,
}

/// What a run came to; equal for equal runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Commands that the engine was given.
    pub commands: u64,
    /// Refusals by code.
    pub refusals: BTreeMap<Code, u64>,
    /// Journal entries by reason.
    pub entries: BTreeMap<&'static str, u64>,
    /// Restarts of the pool, most with a lost batch or lost answers.
    pub restarts: u64,
    /// Requests that were asked again and were given the same answer.
    pub repeats: u64,
    /// Reward lines whose quality part is above their base.
    pub quality_above_base: u64,
    /// By class; what `received` and `gained` say is against all other classes.
    pub classes: BTreeMap<&'static str, Wealth>,
    /// All hostile accounts together.
    pub coalition: Wealth,
    /// Money that honest people paid hostile ones for accepted work, beside gifts and tips.
    pub honest_pay: Cpt,
    /// The end of the journal.
    pub last_hash: [u8; 32],
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accounts: usize = self.classes.values().map(|wealth| wealth.accounts).sum();
        let entries: u64 = self.entries.values().sum();
        writeln!(
            f,
            "{accounts} accounts, {} commands, {} restarts, {} repeats",
            self.commands, self.restarts, self.repeats
        )?;
        let refusals: Vec<String> = self.refusals.iter().map(|(code, count)| format!("{code} {count}")).collect();
        writeln!(f, "refused: {}", refusals.join(", "))?;
        let kinds: Vec<String> = self.entries.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        writeln!(f, "{entries} entries: {}", kinds.join(", "))?;
        let total = ("coalition", &self.coalition);
        for (class, wealth) in self.classes.iter().map(|(class, wealth)| (*class, wealth)).chain([total]) {
            let Wealth { accounts, money, credit, rewards, received, turned, gained } = wealth;
            writeln!(
                f,
                "{class}: {accounts} accounts, {money} money, {credit} free credit; {rewards} rewards, {received} from \
                 others, {turned} of free credit turned into money; gained {gained}"
            )?;
        }
        write!(
            f,
            "honest people paid the coalition {} for work; {} reward lines have a quality part above their base",
            self.honest_pay, self.quality_above_base
        )
    }
}

/// Runs one town to its end.
///
/// # Errors
/// The first promise that did not hold.
pub fn run(config: Config) -> Result<Report, Failure> {
    guarded_run(config.seed, || {
        let mut town = Town::new(config);
        town.live().map_err(|violation| Failure {
            seed: config.seed,
            at: town.elapsed().0,
            invariant: violation.invariant.into(),
            detail: violation.detail,
        })
    })
}

#[cfg(test)]
mod tests;
