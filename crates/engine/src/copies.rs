//! Elements whose copies are compared before a result is accepted.
//!
//! An element of a task that wants its results verified lives as a panel: copies that are out, results
//! that are here and not paid yet, and copies that are still to be handed out. What to do with it is
//! decided by the crate `trust`; here that is done. Start at [`Engine::vote`], then [`Engine::judge`].
//!
//! Invariant: an element of a verified task has a panel exactly while it is live; of a result that is
//! here and not decided nothing is paid.

mod restored;

use crate::Engine;
use crate::life::{Event, Step, step};
use crate::state::Stage;
use crate::tasks::{Payment, bare_report};
use hivemind_ledger::Paid;
use hivemind_model::rows::{AttemptPhase, AttemptRow, Ballot, ElementPhase, Report};
use hivemind_model::spec::Digest;
use hivemind_model::verify::{Compare, Rule};
use hivemind_model::{AttemptRef, Cpt, Effect, ElementRef, Metering, NodeId, Outcome, TaskId, Timestamp, UserId};
use hivemind_placement::Turn;
use hivemind_trust::panel::{Say, Seat};
use hivemind_trust::standing::staked;
use hivemind_trust::{Accepted, Basis, Class, Decision, Finding, Panel, decide};
use std::collections::{BTreeMap, BTreeSet};

/// The copies of one element.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Copies {
    pub(crate) panel: Panel,
    /// Results that are here, by attempt.
    pub(crate) reported: BTreeMap<AttemptRef, Reported>,
    /// Results that are being compared, each with those with which it was or is.
    comparing: BTreeMap<AttemptRef, Vec<AttemptRef>>,
    /// Copies that are to be handed out; while there are any, the element is in the queue.
    pub(crate) wanted: u8,
    /// Where copies failed through no fault of the task.
    failed_on: Vec<NodeId>,
    /// Owners who were caught with this element.
    barred: Vec<UserId>,
}

/// A result that is here.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reported {
    pub(crate) node: NodeId,
    pub(crate) assigned_at: Timestamp,
    pub(crate) report: Report,
    pub(crate) ballot: Ballot,
}

impl Reported {
    fn row(&self, attempt: AttemptRef) -> AttemptRow {
        let Self { node, assigned_at, report, ballot } = self.clone();
        AttemptRow { attempt, node, assigned_at, phase: AttemptPhase::Reported { report, ballot } }
    }
}

/// How a result is grouped: equal ends with equal content are of one class.
fn class_of(report: &Report) -> Class {
    let content = report.digest.unwrap_or(Digest([0; 32]));
    let exit_code = match &report.outcome {
        Outcome::Exited { code } => *code,
        // No exit code of a command is as small.
        Outcome::OutOfMemory => i32::MIN,
        Outcome::TimedOut => i32::MIN + 1,
        Outcome::CannotStart { .. } => i32::MIN + 2,
        _ => i32::MIN + 3,
    };
    match exit_code {
        0.. => Class { exit_code, content },
        // What a command leaves that did not end by itself is arbitrary.
        _ => Class { exit_code, content: Digest([0; 32]) },
    }
}

impl Engine {
    /// True where the right result is known.
    fn is_known(&self, task: TaskId) -> bool {
        self.tasks.get(&task).is_some_and(|task| matches!(task.row.spec.verify.rule, Rule::Known { .. }))
    }

    /// True where results of the task are compared before one is accepted.
    pub(crate) fn is_verified(&self, task: TaskId) -> bool {
        self.tasks.get(&task).is_some_and(|task| task.row.spec.verify.rule != Rule::First)
    }

    /// Takes note of a copy that was handed out, and asks for those that are missing still.
    pub(crate) fn seat(&mut self, attempt: AttemptRef, node: NodeId, now: Timestamp) {
        let Some(owner) = self.nodes.get(&node).map(|node| node.row.owner) else { return };
        let copies = self.panels.entry(attempt.element).or_default();
        copies.wanted = copies.wanted.saturating_sub(1);
        if let Some(node) = self.nodes.get_mut(&node) {
            node.at_stake += 1;
        }
        copies
            .panel
            .seat(Seat { attempt, node, owner })
            .unwrap_or_else(|refused| panic!("T3: {attempt} was handed out against the rules: {refused}"));
        self.judge(vec![attempt.element], now);
    }

    /// Owners whose nodes get no copy of an element.
    pub(crate) fn barred(&self, at: ElementRef) -> Vec<UserId> {
        let Some(copies) = self.panels.get(&at) else { return Vec::new() };
        let mut owners: Vec<UserId> = copies.panel.owners().chain(copies.barred.iter().copied()).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    /// Takes the result of a copy as a vote; it is paid when it turns out to be right.
    pub(crate) fn vote(&mut self, attempt: AttemptRef, node: NodeId, report: Report, now: Timestamp) {
        let at = attempt.element;
        let (_, due) = self.price_of(at.task, node, report.metering.wall);
        let at_once = self.nodes.get(&node).map_or(0, |node| node.at_stake);
        let basis = staked(self.basis(node, now), at_once);
        let live = self.take_off(attempt, now);
        self.settle_share(attempt, &live, now);
        if self.is_known(at.task) {
            // The hold is for one answer; what this earned is there for others who try, until it turns out right.
            self.ledger.return_accrual(attempt, now);
        }
        let Some(copies) = self.panels.get_mut(&at) else { panic!("T3: {attempt} votes, but {at} has no panel") };
        let place = u32::try_from(copies.reported.len()).unwrap_or(u32::MAX);
        let ballot = Ballot { at: now, due, place, trust: basis.trust, suspect: basis.suspect, struck: false };
        let reported = Reported { node, assigned_at: live.assigned_at, report, ballot };
        self.pending.attempts.push(reported.row(attempt));
        copies.reported.insert(attempt, reported);
        self.classify_and_judge(attempt, now);
    }

    fn classify_and_judge(&mut self, attempt: AttemptRef, now: Timestamp) {
        if self.classify(attempt) {
            self.judge(vec![attempt.element], now);
        }
    }

    /// Counts a result in its class; false where that takes a comparison, which is asked for.
    fn classify(&mut self, attempt: AttemptRef) -> bool {
        let at = attempt.element;
        let Some(spec) = self.tasks.get(&at.task).map(|task| task.row.spec.clone()) else { return false };
        let Some(copies) = self.panels.get_mut(&at) else { return false };
        let Some(class) = copies.reported.get(&attempt).map(|reported| class_of(&reported.report)) else {
            return false;
        };
        let firsts = copies.firsts(class.exit_code);
        let known = firsts.iter().any(|(_, other)| *other == class);
        let exact = matches!(spec.verify.compare, Compare::Exact) || matches!(spec.verify.rule, Rule::Known { .. });
        if known || exact || class.exit_code < 0 {
            return self.count_vote(attempt, class);
        }
        let done = copies.comparing.entry(attempt).or_default();
        let with: Vec<AttemptRef> =
            firsts.iter().map(|(first, _)| *first).filter(|first| !done.contains(first)).collect();
        if with.is_empty() {
            return self.count_vote(attempt, class);
        }
        done.extend(&with);
        self.pending.effects.push(Effect::Compare { attempt, with, spec });
        false
    }

    /// Takes the answer to a comparison. One that nobody waits for any more changes nothing.
    pub(crate) fn compared(&mut self, attempt: AttemptRef, same_as: Option<AttemptRef>, now: Timestamp) {
        let Some(copies) = self.panels.get(&attempt.element) else { return };
        if !copies.comparing.contains_key(&attempt) {
            return;
        }
        let votes = copies.panel.votes();
        match same_as.and_then(|other| votes.iter().find(|vote| vote.attempt == other)).map(|vote| vote.class) {
            Some(class) if self.count_vote(attempt, class) => self.judge(vec![attempt.element], now),
            Some(_) => {}
            // Others may have become the first of a class since.
            None => self.classify_and_judge(attempt, now),
        }
        self.restate(attempt.element.task, now);
    }

    /// Ends an element whose copies cannot be compared.
    pub(crate) fn incomparable(&mut self, attempt: AttemptRef, reason: &str, now: Timestamp) {
        let at = attempt.element;
        if self.panels.get(&at).is_some_and(|copies| copies.comparing.contains_key(&attempt)) {
            let mut reason = reason.to_owned();
            crate::attempts::cut(&mut reason);
            self.end_copies(at, Outcome::Disputed { reason }, Unjudged::Unpaid, now);
            self.restate(at.task, now);
        }
    }

    /// Counts a vote; the caller judges.
    fn count_vote(&mut self, attempt: AttemptRef, class: Class) -> bool {
        let at = attempt.element;
        let Some(copies) = self.panels.get_mut(&at) else { return false };
        copies.comparing.remove(&attempt);
        let Some(ballot) = copies.reported.get(&attempt).map(|reported| reported.ballot) else { return false };
        let basis = Basis { trust: ballot.trust, suspect: ballot.suspect };
        copies
            .panel
            .vote(attempt, class, basis)
            .unwrap_or_else(|refused| panic!("T3: {attempt} votes against the rules: {refused}"));
        let struck = ballot.struck.then(|| copies.panel.votes().last().map(|vote| vote.owner)).flatten();
        struck.into_iter().for_each(|owner| copies.panel.strike(owner));
        true
    }

    /// Does what is decided about each of these elements, and about those that this bears on.
    pub(crate) fn judge(&mut self, mut open: Vec<ElementRef>, now: Timestamp) {
        while let Some(at) = open.pop() {
            let Some(rule) = self.tasks.get(&at.task).map(|task| task.row.spec.verify.rule) else { continue };
            let Some(copies) = self.panels.get_mut(&at) else { continue };
            let decision = decide(&copies.panel, &rule, &self.secret, &self.policy.trust);
            let wanted = match &decision {
                Decision::More { copies } => *copies,
                Decision::Wait => 0,
                Decision::Accept { .. } => {
                    self.accept_result(at, &decision, &rule, &mut open, now);
                    self.restate(at.task, now);
                    continue;
                }
                Decision::Disputed => {
                    let votes = copies.panel.votes().len();
                    let reason = format!("{votes} copies did not agree, and no group of them is credible enough");
                    self.end_copies(at, Outcome::Disputed { reason }, Unjudged::Unpaid, now);
                    self.restate(at.task, now);
                    continue;
                }
            };
            copies.wanted = wanted;
            self.queue_copy(at);
        }
    }

    /// Brings the queue in line with the copies that an element wants.
    fn queue_copy(&mut self, at: ElementRef) {
        let (Some(task), Some(copies)) = (self.tasks.get(&at.task), self.panels.get(&at)) else { return };
        let (user, rank) = (task.row.user, task.rank(at));
        self.queue.remove(user, rank, &task.need);
        if copies.wanted == 0 {
            return;
        }
        let turn = Turn { used: self.shares.used(user), user };
        self.queue.push_copy(turn, rank, &task.need, copies.failed_on.clone(), self.barred(at));
        self.stirred = true;
        self.more_copies = true;
    }

    /// Accepts what a panel agrees on: pays who was right, ends the element.
    fn accept_result(
        &mut self,
        at: ElementRef,
        decision: &Decision,
        rule: &Rule,
        open: &mut Vec<ElementRef>,
        now: Timestamp,
    ) {
        let Decision::Accept { right, wrong, outvoted, .. } = decision else { return };
        let Some(mut copies) = self.close_panel(at, now) else { return };
        // What a node left that was caught since is not handed out, even where it looks the same.
        let first = right.iter().find(|vote| vote.say == Say::Counted).map(|vote| vote.attempt);
        let outcome =
            first.and_then(|first| copies.reported.get(&first)).map(|reported| reported.report.outcome.clone());
        let Some((first, outcome)) = first.zip(outcome) else { panic!("T3: {at} is accepted on no result") };
        for vote in right.iter().filter(|vote| vote.say == Say::Counted) {
            if let Some(reported) = copies.reported.remove(&vote.attempt) {
                self.pay_vote(vote.attempt, reported, now);
            }
            let spare = decision.spare(rule);
            if let Some(node) = self.nodes.get_mut(&vote.node) {
                node.recent.push(Accepted { element: at, spare });
            }
        }
        let lost = wrong.iter().chain(outvoted).count();
        // Nobody knows what it is worth that is being compared still: as what was stopped, it is paid.
        for attempt in std::mem::take(&mut copies.comparing).into_keys() {
            if let Some(reported) = copies.reported.remove(&attempt) {
                match reported.ballot.struck {
                    false => self.pay_vote(attempt, reported, now),
                    true => drop(copies.reported.insert(attempt, reported)),
                }
            }
        }
        for (attempt, reported) in std::mem::take(&mut copies.reported) {
            let reason = format!("its result is not the one on which others agree ({lost} differed); it is not paid");
            self.drop_vote(attempt, reported, Outcome::Disputed { reason }, now);
        }
        if let Some(element) = self.tasks.get_mut(&at.task).and_then(|task| task.element_mut(at.index)) {
            element.accepted = first.number;
        }
        let requester = self.tasks.get(&at.task).map(|task| task.row.user);
        for (vote, finding) in decision.findings() {
            // Who judges their own work would make up their own trust.
            if requester.is_none_or(|requester| self.is_same_person(requester, vote.owner)) {
                continue;
            }
            self.judge_node(vote.node, finding, now);
            if finding == Finding::Wrong {
                self.caught(vote.owner, vote.node, open, now);
            }
        }
        self.end_element(at, outcome, Payment::Nothing, now);
    }

    /// What follows when a node of `owner` was found wrong: all their nodes start anew, their votes count no
    /// longer, and what was accepted on their word alone is looked at again.
    fn caught(&mut self, owner: UserId, cheat: NodeId, open: &mut Vec<ElementRef>, now: Timestamp) {
        let own: Vec<NodeId> =
            self.nodes.values().filter(|node| node.row.owner == owner).map(|node| node.row.id).collect();
        let mut rows: Vec<_> = own.iter().filter_map(|id| self.nodes.get(id)).map(|node| node.trust).collect();
        hivemind_trust::standing::after_cheat(&mut rows, cheat);
        self.offenders.entry(owner).or_default().insert(cheat);
        let mut again = Vec::new();
        for row in rows {
            if let Some(node) = self.nodes.get_mut(&row.node) {
                node.trust = row;
                again.extend(node.recent.recheck());
            }
            self.touch_trust(row.node, now);
        }
        let own: BTreeSet<NodeId> = own.into_iter().collect();
        for (at, copies) in &mut self.panels {
            let theirs = |reported: &Reported| own.contains(&reported.node) && !reported.ballot.struck;
            // What is being compared still becomes a vote that is struck at once.
            for (attempt, reported) in copies.reported.iter_mut().filter(|(_, reported)| theirs(reported)) {
                reported.ballot.struck = true;
                self.pending.attempts.push(reported.row(*attempt));
                copies.panel.strike(owner);
                open.push(*at);
            }
        }
        for at in again {
            if self.reopen(at, owner) {
                self.restate(at.task, now);
                open.push(at);
            }
        }
    }

    /// Makes an element whose result was accepted live again, to be decided anew without `barred`. False
    /// where its task has ended, or its hold has not enough for further copies.
    fn reopen(&mut self, at: ElementRef, barred: UserId) -> bool {
        // What waited for it alone may run by now.
        if self.is_waited_for_by_element(at.task) {
            return false;
        }
        let Some(task) = self.tasks.get_mut(&at.task) else { return false };
        // What every open element, this one included, may still cost.
        let open = u64::from(task.elements.len() - task.row.progress.ended.total()) + 1;
        let attempts = i128::from(open) * i128::from(task.row.spec.paid_attempts());
        let left = self.ledger.hold(at.task).map_or(Cpt::ZERO, |hold| hold.left.total());
        if attempts * i128::from(task.attempt_cap().micro()) > i128::from(left.micro()) {
            return false;
        }
        let Some(element) = task.element_mut(at.index) else { return false };
        let ElementPhase::Ended { outcome } = &element.phase else { return false };
        let success = match outcome {
            Outcome::Exited { code } => *code == 0,
            Outcome::OutOfMemory | Outcome::TimedOut | Outcome::CannotStart { .. } => false,
            _ => return false,
        };
        element.phase = ElementPhase::Live;
        let ended = &mut task.row.progress.ended;
        match success {
            true => ended.completed -= 1,
            false => ended.failed -= 1,
        }
        self.panels.insert(at, Copies { barred: vec![barred], ..Copies::default() });
        self.touch_task(at.task);
        true
    }

    /// A copy came to nothing through no fault of the task; `failed`: but of its node.
    pub(crate) fn leave(&mut self, attempt: AttemptRef, node: NodeId, failed: bool) {
        if let Some(copies) = self.panels.get_mut(&attempt.element) {
            copies.panel.leave(attempt);
            copies.failed_on.extend(failed.then_some(node));
            if let Some(node) = self.nodes.get_mut(&node) {
                node.at_stake -= 1;
            }
        }
    }

    /// Ends an element that is not tried again, whether copies of it are compared or not.
    pub(crate) fn end_for_good(&mut self, at: ElementRef, outcome: Outcome, now: Timestamp) {
        match self.panels.contains_key(&at) {
            true => self.end_copies(at, outcome, Unjudged::Unpaid, now),
            false => self.end_element(at, outcome, Payment::Nothing, now),
        }
    }

    /// Ends an element with a panel: what runs is stopped and paid up to now.
    pub(crate) fn end_copies(&mut self, at: ElementRef, outcome: Outcome, unjudged: Unjudged, now: Timestamp) {
        let Some(copies) = self.close_panel(at, now) else { return };
        // What is here of a known answer is not the answer, and the hold is for that alone.
        let judged = self.is_known(at.task);
        for (attempt, reported) in copies.reported {
            match unjudged {
                Unjudged::Paid if !reported.ballot.struck && !judged => self.pay_vote(attempt, reported, now),
                Unjudged::Paid | Unjudged::Unpaid => self.drop_vote(attempt, reported, outcome.clone(), now),
            }
        }
        self.end_element(at, outcome, Payment::Nothing, now);
    }

    /// Takes a panel out: what is in the queue leaves it, what runs is stopped and paid up to now.
    fn close_panel(&mut self, at: ElementRef, now: Timestamp) -> Option<Copies> {
        let copies = self.panels.remove(&at)?;
        let votes = copies.panel.votes().iter().map(|vote| vote.node);
        for id in copies.panel.seats().iter().map(|seat| seat.node).chain(votes) {
            if let Some(node) = self.nodes.get_mut(&id) {
                node.at_stake -= 1;
            }
        }
        if let Some(task) = self.tasks.get(&at.task).filter(|_| copies.wanted > 0) {
            let (user, rank) = (task.row.user, task.rank(at));
            self.queue.remove(user, rank, &task.need);
        }
        for seat in copies.panel.seats() {
            if self.live.contains_key(&seat.attempt) {
                self.stop_copy(seat.attempt, now);
            }
        }
        Some(copies)
    }

    /// Stops a copy that is not needed any more; a command that ran is paid up to now.
    fn stop_copy(&mut self, attempt: AttemptRef, now: Timestamp) {
        let Some(live) = self.live.get(&attempt) else { return };
        let (node, stage) = (live.node, live.stage);
        let (mut payment, mut metering) = (Payment::Nothing, Metering::default());
        match (step(live.standing(), Event::Stopped), stage) {
            (Step::StopPaid, Stage::Running { started_at }) => {
                metering.wall = self.ran(attempt, started_at, now);
                payment = self.price(attempt, node, metering.wall, now);
            }
            (Step::StopUnpaid, _) => {}
            (other, stage) => unreachable!("T2: stopping {attempt} at {stage:?} gives {other:?}"),
        }
        self.tell_stop(node, attempt);
        let report = Report { metering, ..bare_report(Outcome::Cancelled) };
        self.end_attempt(attempt, report, payment, now);
        if payment != Payment::Nothing {
            self.settle(attempt.element.task, payment, None, now);
        }
    }

    /// Pays for a result that is right, or that its requester took away unjudged.
    fn pay_vote(&mut self, attempt: AttemptRef, reported: Reported, now: Timestamp) {
        let Reported { node, assigned_at, report, ballot } = reported;
        self.record_accepted(attempt, node, &report);
        let Some(payee) = self.nodes.get(&node).map(|node| node.row.owner) else { return };
        let requester = self.tasks.get(&attempt.element.task).map_or(payee, |task| task.row.user);
        let terms = self.terms(requester, payee, now);
        let paid = Paid { attempt, payee, terms };
        self.settle(attempt.element.task, Payment::Price { paid, amount: ballot.due }, None, now);
        let phase = AttemptPhase::Ended { ended_at: now, report, cost: ballot.due };
        self.pending.attempts.push(AttemptRow { attempt, node, assigned_at, phase });
    }

    /// Ends a result that is not accepted; what it accrued goes back.
    fn drop_vote(&mut self, attempt: AttemptRef, reported: Reported, outcome: Outcome, now: Timestamp) {
        let Reported { node, assigned_at, report, .. } = reported;
        self.ledger.return_accrual(attempt, now);
        let phase = AttemptPhase::Ended { ended_at: now, report: Report { outcome, ..report }, cost: Cpt::ZERO };
        self.pending.attempts.push(AttemptRow { attempt, node, assigned_at, phase });
    }
}

/// What becomes of results that were not decided when their element ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unjudged {
    /// Their owners did the work, and the requester takes it away.
    Paid,
    Unpaid,
}

impl Copies {
    /// True where nodes of `owner` get no copy.
    pub(crate) fn bars(&self, owner: UserId) -> bool {
        self.barred.contains(&owner) || self.panel.owners().any(|other| other == owner)
    }

    /// The first result of each class with this exit code.
    fn firsts(&self, exit_code: i32) -> Vec<(AttemptRef, Class)> {
        let mut firsts: Vec<(AttemptRef, Class)> = Vec::new();
        for vote in self.panel.votes().iter().filter(|vote| vote.class.exit_code == exit_code) {
            if firsts.iter().all(|(_, class)| *class != vote.class) {
                firsts.push((vote.attempt, vote.class));
            }
        }
        firsts
    }
}
