//! What a run came to, as a table and as JSON.
//!
//! Invariant: integers only, so that equal runs have equal reports.

use super::tally::{Ends, Fate, Tally};
use super::world::World;
use hivemind_model::Code;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// Times from being ready to the first start, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Waits {
    /// Elements that started.
    pub started: usize,
    /// Half of them waited at most this long.
    pub p50: u64,
    /// Nine tenths.
    pub p90: u64,
    /// 99 of a hundred.
    pub p99: u64,
    /// The longest.
    pub most: u64,
}

/// Elements of tasks with one kind of verification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Results {
    /// Of which a result was accepted.
    pub accepted: u64,
    /// Of these, lies when the task had ended.
    pub wrong: u64,
    /// Lies when they were accepted first.
    pub wrong_at_first: u64,
    /// Accepted, and ended by themselves without success.
    pub failed: u64,
    /// Copies did not agree.
    pub disputed: u64,
    /// Given up through no fault of the task.
    pub given_up: u64,
    /// Attempts of all of them.
    pub attempts: u64,
    /// Decided again after a cheat was caught.
    pub rechecked: u64,
}

/// Core time, in core-seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CoreTime {
    /// Of machines that were up.
    pub offered: u64,
    /// In which something ran.
    pub busy: u64,
    /// Of true results that were accepted, one of each element.
    pub useful: u64,
    /// Of copies that agreed with them.
    pub copies: u64,
    /// Of lies that were accepted.
    pub wrong: u64,
    /// Of lies that were not.
    pub cheated: u64,
    /// Of true results that were not accepted.
    pub disagreed: u64,
    /// Lost with machines.
    pub lost: u64,
    /// Of copies that were stopped.
    pub stopped: u64,
}

/// Cheats, and who was taken for one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Caught {
    /// Owners whose nodes lie.
    pub cheats: usize,
    /// Of these, those of whom a node was found wrong.
    pub caught: usize,
    /// Owners who told at least one lie about a verified element.
    pub liars: usize,
    /// Lies about verified elements that half of the caught had told by then.
    pub lies_p50: u64,
    /// Nine tenths of them.
    pub lies_p90: u64,
    /// The most.
    pub lies_most: u64,
    /// Nodes of honest owners that were found wrong.
    pub honest_blamed: usize,
}

/// What a run came to; equal for equal runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Machines.
    pub nodes: usize,
    /// People whose machines they are.
    pub owners: usize,
    /// Hours that were measured.
    pub hours: u64,
    /// Hours before.
    pub warm_up: u64,
    /// Events of the simulation.
    pub events: u64,
    /// Commands that the engine was given.
    pub commands: u64,
    /// Batches.
    pub batches: u64,
    /// Journal entries, each replayed.
    pub entries: u64,
    /// How often every invariant was checked from scratch.
    pub checks: u64,
    /// Hours between two of these.
    pub check_every: u64,
    /// Refusals by code.
    pub refusals: BTreeMap<Code, u64>,
    /// How often a node was lost.
    pub lost_nodes: u64,
    /// Attempts that were on machines when they went away.
    pub lost_attempts: u64,
    /// Tasks that ended while it was measured.
    pub tasks: u64,
    /// Elements that still waited or ran at the end.
    pub left: usize,
    /// Core time while it was measured.
    pub core_time: CoreTime,
    /// First starts by cores of the element.
    pub waits: BTreeMap<&'static str, Waits>,
    /// Of the requester who asked for most, and how much, in core-seconds.
    pub most: (u64, Waits),
    /// Of the requester who asked for least.
    pub least: (u64, Waits),
    /// Not verified, submitted while it was measured.
    pub plain: Results,
    /// Verified, submitted while it was measured.
    pub verified: Results,
    /// Verified, submitted in the warm-up, when everybody was a stranger.
    pub warm_up_verified: Results,
    /// Cheats, over the whole run.
    pub caught: Caught,
}

impl From<Ends> for Results {
    fn from(ends: Ends) -> Self {
        let Ends { accepted, wrong, wrong_at_first, failed, disputed, given_up, attempts, rechecked } = ends;
        Self { accepted, wrong, wrong_at_first, failed, disputed, given_up, attempts, rechecked }
    }
}

/// The value of which so many percent are at most as large; the values are in order.
pub(super) fn at_percent(ordered: &[u64], percent: usize) -> u64 {
    let place = (ordered.len() * percent).div_ceil(100).saturating_sub(1);
    ordered.get(place).copied().unwrap_or(0)
}

impl Waits {
    pub(super) fn of(mut millis: Vec<u64>) -> Self {
        millis.sort_unstable();
        let [p50, p90, p99, most] = [50, 90, 99, 100].map(|percent| at_percent(&millis, percent));
        Self { started: millis.len(), p50, p90, p99, most }
    }
}

fn size(cores: u32) -> &'static str {
    match cores {
        0..=1 => "1 core",
        2..=3 => "2 cores",
        4..=7 => "4 cores",
        _ => "8 cores and more",
    }
}

fn seconds(millis: u128) -> u64 {
    u64::try_from(millis / 1000).unwrap_or(u64::MAX)
}

fn core_time(tally: &Tally) -> CoreTime {
    let of = |fate| seconds(tally.core_time.get(&fate).copied().unwrap_or(0));
    CoreTime {
        offered: seconds(tally.offered),
        busy: seconds(tally.busy),
        useful: of(Fate::Useful),
        copies: of(Fate::Copy),
        wrong: of(Fate::Wrong),
        cheated: of(Fate::Cheated),
        disagreed: of(Fate::Disagreed),
        lost: of(Fate::Lost),
        stopped: of(Fate::Stopped),
    }
}

fn caught(world: &World) -> Caught {
    let cheats = || world.owners.iter().filter(|owner| owner.cheats);
    let mut lies: Vec<u64> = cheats().filter_map(|owner| owner.caught_after).collect();
    lies.sort_unstable();
    Caught {
        cheats: cheats().count(),
        caught: lies.len(),
        liars: cheats().filter(|owner| owner.lies > 0).count(),
        lies_p50: at_percent(&lies, 50),
        lies_p90: at_percent(&lies, 90),
        lies_most: at_percent(&lies, 100),
        honest_blamed: world.tally.blamed.len(),
    }
}

impl Report {
    pub(super) fn of(world: &World) -> Self {
        let tally = &world.tally;
        let mut by_size: BTreeMap<&'static str, Vec<u64>> = BTreeMap::new();
        let mut by_requester: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for wait in &tally.waits {
            by_size.entry(size(wait.cores)).or_default().push(wait.millis);
            by_requester.entry(wait.requester).or_default().push(wait.millis);
        }
        let asked = |requester: usize| world.requesters.get(requester).map_or(0, |one| one.asked);
        let busiest = by_requester.keys().copied().max_by_key(|one| asked(*one)).unwrap_or(0);
        let quietest = by_requester.keys().copied().min_by_key(|one| asked(*one)).unwrap_or(0);
        let of = |one: usize| (seconds(asked(one)), Waits::of(by_requester.get(&one).cloned().unwrap_or_default()));
        let counts = world.engine.counts();
        Self {
            seed: world.config.seed,
            nodes: world.machines.len(),
            owners: world.owners.len(),
            hours: world.config.hours,
            warm_up: world.config.warm_up,
            events: tally.events,
            commands: tally.commands,
            batches: world.batches,
            entries: tally.entries,
            checks: tally.checks,
            check_every: world.config.check_every,
            refusals: tally.refusals.clone(),
            lost_nodes: tally.lost_nodes,
            lost_attempts: tally.lost_jobs,
            tasks: tally.tasks,
            left: counts.waiting + counts.live,
            core_time: core_time(tally),
            most: of(busiest),
            least: of(quietest),
            waits: by_size.into_iter().map(|(size, millis)| (size, Waits::of(millis))).collect(),
            plain: tally.measured[0].into(),
            verified: tally.measured[1].into(),
            warm_up_verified: tally.warm[1].into(),
            caught: caught(world),
        }
    }
}

/// `part` of `whole` in percent, with four digits behind the point.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let millionths = u128::from(part) * 1_000_000 / u128::from(whole.max(1));
    format!("{}.{:04} %", millionths / 10_000, millionths % 10_000)
}

fn tenths(part: u64, whole: u64) -> String {
    let thousandths = u128::from(part) * 1000 / u128::from(whole.max(1));
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

/// Milliseconds for people.
pub(super) fn time(millis: u64) -> String {
    match millis {
        0..60_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        60_000..3_600_000 => format!("{} min {} s", millis / 60_000, millis % 60_000 / 1000),
        _ => format!("{} h {} min", millis / 3_600_000, millis % 3_600_000 / 60_000),
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { started, p50, p90, p99, most } = *self;
        let [p50, p90, p99, most] = [p50, p90, p99, most].map(time);
        write!(f, "{started} started; p50 {p50}, p90 {p90}, p99 {p99}, most {most}")
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = self.accepted + self.disputed + self.given_up;
        let hundredths = self.attempts * 100 / self.accepted.max(1);
        write!(
            f,
            "{} accepted; wrong {} ({}), wrong at first {} ({}); {}.{:02} attempts per accepted; {} disputed ({}), {} given up, \
             {} failed by themselves, {} decided again",
            self.accepted,
            self.wrong,
            percent(self.wrong, self.accepted),
            self.wrong_at_first,
            percent(self.wrong_at_first, self.accepted),
            hundredths / 100,
            hundredths % 100,
            self.disputed,
            percent(self.disputed, ended),
            self.given_up,
            self.failed,
            self.rechecked
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, owners, hours, warm_up, events, commands, batches, entries, checks, check_every, .. } = self;
        writeln!(f, "{nodes} nodes of {owners} owners, {hours} h after a warm-up of {warm_up} h, seed {}", self.seed)?;
        writeln!(
            f,
            "checked:     {checks} times every invariant from scratch (every {check_every} h and at the end); {entries} \
             journal entries replayed, the books balance"
        )?;
        writeln!(f, "engine:      {events} events, {commands} commands in {batches} batches")?;
        let refusals: Vec<String> = self.refusals.iter().map(|(code, count)| format!("{code} {count}")).collect();
        writeln!(f, "refused:     {}", if refusals.is_empty() { "nothing".into() } else { refusals.join(", ") })?;
        writeln!(f, "lost:        {} times a node, with {} attempts in all", self.lost_nodes, self.lost_attempts)?;
        let accepted = self.plain.accepted + self.verified.accepted;
        writeln!(
            f,
            "completed:   {} tasks; {accepted} elements of what was submitted then, {} an hour; {} wait or run at the end",
            self.tasks,
            accepted / hours.max(&1),
            self.left
        )?;
        for (size, waits) in &self.waits {
            writeln!(f, "wait, {size}: {waits}")?;
        }
        writeln!(f, "wait, who asked for most ({} core-hours): {}", self.most.0 / 3600, self.most.1)?;
        writeln!(f, "wait, who asked for least ({} core-hours): {}", self.least.0 / 3600, self.least.1)?;
        let CoreTime { offered, busy, useful, copies, wrong, cheated, disagreed, lost, stopped } = self.core_time;
        writeln!(f, "cores:       {} of {} core-hours offered were used", tenths(busy, offered), offered / 3600)?;
        let all = useful + copies + wrong + cheated + disagreed + lost + stopped;
        let [useful, copies, wrong, cheated, disagreed, lost, stopped] =
            [useful, copies, wrong, cheated, disagreed, lost, stopped].map(|part| tenths(part, all));
        writeln!(
            f,
            "core time:   useful {useful}, agreeing copies {copies}, copies stopped {stopped}, lost {lost}, lies refused {cheated}, \
             lies accepted {wrong}, true results refused {disagreed}"
        )?;
        writeln!(f, "verified:    {}", self.verified)?;
        writeln!(f, "in warm-up:  {}", self.warm_up_verified)?;
        writeln!(f, "unverified:  {}", self.plain)?;
        let Caught { cheats, caught, liars, lies_p50, lies_p90, lies_most, honest_blamed } = self.caught;
        write!(
            f,
            "cheats:      {caught} of {cheats} owners caught ({liars} told lies about verified work), after {lies_p50} lies at \
             p50, {lies_p90} at p90, {lies_most} at most; {honest_blamed} honest nodes blamed"
        )
    }
}
