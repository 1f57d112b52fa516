//! What nodes do for the pool: how long they are alive, what they finish, what they reach.
//!
//! Start at [`Engine::enter`], through which time comes in. A node is alive from the moment its
//! link is up until it breaks or is lost; the pool notes once a minute that it is awake itself, so
//! that no node is paid for time in which the pool was away or asleep.
//!
//! Invariant: nothing here is decided by what a node says of itself.

use crate::Engine;
use crate::rewards::{Quality, reward};
use crate::state::{Link, Node};
use hivemind_model::economy::Mode;
use hivemind_model::rows::{ClockRow, RewardRow, Tally};
use hivemind_model::{Level, Millis, NodeId, Timestamp};

/// How often the pool notes that it is awake.
const AWAKE_EVERY: Millis = Millis::from_secs(60);
/// Without a word from the clock for longer than this the pool was asleep or away.
const ASLEEP_AFTER: Millis = Millis::from_secs(180);

impl Node {
    /// Ends what is being counted of its life at `at`; it goes on from there where it is alive.
    fn count_alive(&mut self, at: Timestamp) {
        let standing = &mut self.standing;
        if let Some(since) = standing.alive_since {
            let alive = at.since(since);
            standing.runtime = Millis(standing.runtime.0.saturating_add(alive.0));
            standing.period.alive = Millis(standing.period.alive.0.saturating_add(alive.0));
            standing.alive_since = Some(since.max(at));
        }
    }
}

/// What happened with an attempt, for the node's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record {
    /// Accepted, of a complex task or not.
    Completed { complex: bool },
    /// Over without being accepted.
    Failed,
}

impl Engine {
    /// Lets time come in: gives the time that counts, which never goes back. Rewards the periods
    /// that have ended, and counts no node as alive while the pool itself was not awake.
    pub(crate) fn enter(&mut self, now: Timestamp) -> Timestamp {
        let now = now.max(self.seen_at);
        let asleep = now.since(self.seen_at) > ASLEEP_AFTER;
        if asleep {
            let since = self.seen_at;
            self.interrupt(since, now);
        }
        self.seen_at = now;
        while now >= self.clock.period_to {
            self.close_period(now);
        }
        now
    }

    /// When time next has something to do for standings.
    pub(crate) fn next_standing_due(&self) -> Timestamp {
        self.clock.awake_at.after(AWAKE_EVERY).min(self.clock.period_to)
    }

    /// Notes that the pool is awake, where that is due.
    pub(crate) fn note_awake(&mut self, now: Timestamp) {
        if now >= self.clock.awake_at.after(AWAKE_EVERY) {
            self.clock.awake_at = now;
            self.pending.clock_moved = true;
        }
    }

    /// The link of a node came up, or went away at `at`.
    pub(crate) fn node_alive(&mut self, id: NodeId, at: Timestamp) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        match (node.link, node.standing.alive_since) {
            (Link::Up { .. } | Link::Draining { .. }, None) => node.standing.alive_since = Some(at),
            (Link::Offline | Link::Away, Some(_)) => {
                node.count_alive(at);
                node.standing.alive_since = None;
            }
            (Link::Up { .. } | Link::Draining { .. }, Some(_)) | (Link::Offline | Link::Away, None) => return,
        }
        self.touch_standing(id);
    }

    /// Notes the end of an attempt on a node.
    pub(crate) fn record(&mut self, id: NodeId, record: Record) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let tally = &mut node.standing.period;
        tally.ended = tally.ended.saturating_add(1);
        if let Record::Completed { complex } = record {
            tally.completed = tally.completed.saturating_add(1);
            tally.complex = tally.complex.saturating_add(u32::from(complex));
        }
        self.touch_standing(id);
    }

    /// The pool was away from `since` until `until`: what lies between counts for nobody.
    pub(crate) fn interrupt(&mut self, since: Timestamp, until: Timestamp) {
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for id in ids {
            let Some(node) = self.nodes.get_mut(&id).filter(|node| node.standing.alive_since.is_some()) else {
                continue;
            };
            node.count_alive(since.min(self.clock.period_to));
            node.standing.alive_since =
                node.linked_session().map(|_| until.max(node.standing.alive_since.unwrap_or(until)));
            self.touch_standing(id);
        }
        if until >= self.clock.period_to {
            self.close_period(until);
            let around = first_period(until, self.policy.economy.rewards.period);
            // Where the operator made periods longer, this one may begin before the rewarded one ended.
            let period_from = around.period_from.max(self.clock.period_from);
            self.clock = ClockRow { awake_at: until, period_from, ..around };
            self.pending.clock_moved = true;
        }
    }

    /// Ends the period that goes on where one of the policy's length ends, if that is sooner: after a year by
    /// mistake, an operator who makes periods short again must not wait for its end.
    pub(crate) fn shorten_period(&mut self) {
        let ClockRow { period_to, .. } = first_period(self.seen_at, self.policy.economy.rewards.period);
        if period_to < self.clock.period_to && period_to > self.clock.period_from {
            self.clock.period_to = period_to;
            self.pending.clock_moved = true;
        }
    }

    /// Rewards every node for the period that ends, and begins the next.
    fn close_period(&mut self, now: Timestamp) {
        let ClockRow { period_from: from, period_to: to, .. } = self.clock;
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for id in ids {
            let Some(node) = self.nodes.get_mut(&id) else { continue };
            let changed = node.standing.alive_since.is_some() || node.standing.period != Tally::default();
            if node.standing.alive_since.is_some_and(|since| since < to) {
                node.count_alive(to);
            }
            node.level = Level::of(node.standing.runtime);
            let tally = std::mem::take(&mut node.standing.period);
            if tally != Tally::default() {
                self.reward(id, (from, to), tally, now);
            }
            if changed {
                self.touch_standing(id);
            }
            self.refresh_placeable(id);
        }
        let next = first_period(to, self.policy.economy.rewards.period);
        self.clock = ClockRow { awake_at: self.clock.awake_at, period_from: to, period_to: next.period_to };
        self.pending.clock_moved = true;
    }

    fn reward(&mut self, id: NodeId, (from, to): (Timestamp, Timestamp), tally: Tally, now: Timestamp) {
        let Some(node) = self.nodes.get(&id) else { return };
        let (owner, level) = (node.row.owner, node.level);
        let registered = to.since(from.max(node.row.enrolled_at));
        let quality = match self.policy.economy.mode {
            Mode::Open => Quality::Unbounded,
            Mode::Guarded => Quality::WithinBase,
        };
        let parts = reward(&self.policy.economy.rewards, &tally, registered, level, quality);
        // An empty treasury pays nothing, and the line says so; everything else goes on.
        let paid = self.ledger.reward(owner, (id, from), parts.total, self.vests_at(now), now);
        self.pending.rewards.push(RewardRow {
            node: id,
            owner,
            from,
            to,
            registered,
            tally: Tally { alive: tally.alive.min(registered), ..tally },
            base: parts.base,
            performance: parts.performance,
            stability: parts.stability,
            quality: parts.quality,
            level,
            total: if paid.is_ok() { parts.total } else { hivemind_model::Cpt::ZERO },
        });
    }

    /// Marks a node's standing as changed.
    pub(crate) fn touch_standing(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id)
            && !std::mem::replace(&mut node.standing_dirty, true)
        {
            self.pending.standings.push(id);
        }
    }
}

/// The clock of a pool at `now`, with the period around it: periods begin at whole multiples of
/// their length since 1970.
pub(crate) fn first_period(now: Timestamp, length: Millis) -> ClockRow {
    let length = i64::try_from(length.0).unwrap_or(i64::MAX).max(1);
    let from = now.0.div_euclid(length).saturating_mul(length);
    ClockRow { awake_at: now, period_from: Timestamp(from), period_to: Timestamp(from.saturating_add(length)) }
}
