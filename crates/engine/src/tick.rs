//! What happens because time passed.
//!
//! Start at [`Engine::tick`]; [`Engine::next_due`] says when it next has something to do.
//!
//! Invariant: a tick with nothing due changes nothing.

use crate::Engine;
use crate::meter::MAX_PER_TICK;
use crate::state::Stage;
use hivemind_model::{Rejection, Reply, Timestamp};
use hivemind_placement::Turn;

impl Engine {
    /// When a [`Tick`](hivemind_model::Command::Tick) next has something to do.
    ///
    /// A moment in the past where the last pass was cut short: then the next batch, even of a
    /// tick alone, goes on with it.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let cut_short = self.stirred.then_some(Timestamp(0));
        let retry = self.delayed.keys().next().map(|(at, _)| *at);
        let overdue = self.deadlines.first().map(|(at, _)| *at);
        let failing = self.next_failing_due();
        let drain = self.drains.first().map(|(at, _)| *at);
        let token = self.token_expiry.first().map(|(at, _)| *at);
        let meter = self.meters.first().map(|(at, _)| *at);
        let expiry = self.expiries.first().map(|(at, _)| *at);
        let patience = self.patience.first().map(|(at, _, _)| *at);
        let quota = self.next_quota();
        let money = [quota, meter, expiry, self.ledger.next_vest()];
        let accounts = [self.invitations.next_expiry(), self.sessions.next_expiry()];
        let standing = Some(self.next_standing_due());
        let waits = [patience, failing];
        let due = [cut_short, retry, overdue, drain, token, standing];
        due.into_iter().chain(waits).chain(money).chain(accounts).flatten().min()
    }

    /// Does what is due by `now`, a bounded part of each kind of thing that changes rows; the next tick follows at once
    /// where something is left.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Result<Reply, Rejection> {
        while let Some(due) = self.delayed.first_entry().filter(|due| due.key().0 <= now) {
            let ((_, at), failed_on) = due.remove_entry();
            let Some(task) = self.tasks.get(&at.task) else { panic!("T2: {at} waits after its task has ended") };
            let (user, rank) = (task.row.user, task.rank(at));
            let turn = Turn { used: self.shares.used(user), user };
            self.queue.push(turn, rank, &task.need, failed_on);
            self.stirred = true;
        }
        for _ in 0..MAX_PER_TICK {
            let Some(&(at, attempt)) = self.deadlines.first().filter(|(at, _)| *at <= now) else { break };
            let Some(live) = self.live.get(&attempt) else {
                panic!("T3: {attempt} was due at {at:?}, but does not live")
            };
            match live.stage {
                Stage::Queued => self.queued_too_long(attempt, now),
                Stage::Assigned | Stage::Running { .. } => self.overdue(attempt, now),
            }
        }
        self.release_brake(now);
        self.end_unknown(now);
        self.forget_ghosts(now);
        self.end_rests(now);
        self.end_drains(now);
        for _ in 0..MAX_PER_TICK {
            let Some((at, id)) = self.token_expiry.pop_first() else { break };
            if at > now {
                self.token_expiry.insert((at, id));
                break;
            }
            self.used_tokens.remove(&id);
            self.pending.expired_tokens.push(id);
        }
        self.renew_quotas(now);
        self.expire_invitations(now);
        self.expire_sessions(now);
        self.meter_due(now);
        self.expire_due(now);
        self.lose_patience(now);
        self.vest_due(now);
        self.note_awake(now);
        Ok(Reply::Done)
    }
}
