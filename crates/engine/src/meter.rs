//! Pay while the work runs, and what else time does to money.
//!
//! While an attempt's command runs, its price so far moves from the hold to the owner's pending
//! earnings, once per interval. Start at [`Engine::meter_due`].
//!
//! Invariant: metering never asks a hold for more than the price of `max_runtime`, which is its cap.

use crate::Engine;
use crate::state::{Live, Stage};
use hivemind_model::state::Outcome;
use hivemind_model::{AttemptRef, Millis, Timestamp};

/// Most of each kind of thing that is due (attempts to meter, overdue ones, holds that expire, earnings
/// that vest) in one tick; the next tick follows at once.
pub(crate) const MAX_PER_TICK: usize = 4096;

impl Engine {
    /// Meters running attempts whose interval is over.
    pub(crate) fn meter_due(&mut self, now: Timestamp) {
        for _ in 0..MAX_PER_TICK {
            let Some(&(at, attempt)) = self.meters.first().filter(|(at, _)| *at <= now) else { return };
            self.meters.remove(&(at, attempt));
            self.meter(attempt, now);
        }
    }

    /// Begins to meter an attempt whose command runs since `started_at`.
    pub(crate) fn meter_from(&mut self, attempt: AttemptRef, started_at: Timestamp) {
        let next = started_at.after(self.policy.economy.meter_every);
        if let Some(live) = self.live.get_mut(&attempt) {
            live.meter = Some(next);
            self.meters.insert((next, attempt));
        }
    }

    /// Ends the metering of an attempt that is over.
    pub(crate) fn stop_meter(&mut self, attempt: AttemptRef, live: &Live) {
        if let Some(next) = live.meter {
            self.meters.remove(&(next, attempt));
        }
    }

    fn meter(&mut self, attempt: AttemptRef, now: Timestamp) {
        let Some(live) = self.live.get(&attempt) else { panic!("T3: {attempt} is metered, but does not live") };
        let Stage::Running { started_at } = live.stage else {
            panic!("T3: {attempt} is metered before its command runs")
        };
        let (task, node) = (attempt.element.task, live.node);
        let limit = self.max_runtime(task);
        let wall = self.ran(attempt, started_at, now);
        let (payee, price) = self.price_of(task, node, wall);
        // The price only grows with time, and the cap is the price of all of it.
        let more = price.micro() - self.ledger.accrued(attempt).micro();
        self.ledger
            .accrue(attempt, payee, hivemind_model::Cpt::from_micro(more.max(0)), now)
            .unwrap_or_else(|refusal| panic!("L4: the books refuse what {attempt} earned: {refusal}"));
        let every = self.policy.economy.meter_every.0;
        let passed = wall.0 / every + 1;
        let stood = Millis(now.since(started_at).0.saturating_sub(wall.0));
        let next = started_at.after(stood).after(Millis(passed.saturating_mul(every)));
        let next = (wall < limit).then(|| next.max(now.after(Millis(1))));
        if let Some(live) = self.live.get_mut(&attempt) {
            live.meter = next;
        }
        self.meters.extend(next.map(|next| (next, attempt)));
    }

    /// Ends tasks whose hold has expired.
    pub(crate) fn expire_due(&mut self, now: Timestamp) {
        for _ in 0..MAX_PER_TICK {
            let Some(&(_, task)) = self.expiries.first().filter(|(at, _)| *at <= now) else { return };
            self.stop_task(task, &Outcome::Expired, now);
        }
    }

    /// Lets earnings be spent whose time has come.
    pub(crate) fn vest_due(&mut self, now: Timestamp) {
        for _ in 0..MAX_PER_TICK {
            if !self.ledger.vest_one(now) {
                return;
            }
        }
    }
}
