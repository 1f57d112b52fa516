//! The pool's shell as far as it matters to right and wrong: one writer, group commit, replies and
//! effects only after their batch is durable, and a list of who was heard when.
//!
//! Start at `World::pool_writes`.
//!
//! Invariant: everything but `tables` is gone when the pool is killed.

use crate::Sabotage;
use crate::policy::policy;
use crate::stored::{prove_books, prove_cost};
use crate::world::{Down, Event, LinkId, Time, Up, World};
use hivemind_engine::tables::Tables;
use hivemind_engine::{Batch, Engine, Violation};
use hivemind_model::command::Once;
use hivemind_model::rows::Report;
use hivemind_model::{AttemptRef, Code, Command, Effect, Millis, NodeId, Policy, Rejection, Reply, Timestamp};
use std::collections::{BTreeMap, VecDeque};

/// Batches that may be in flight at once.
const MOST_IN_FLIGHT: usize = 2;
/// The pool's clock at the start of the world.
const EPOCH_MS: i64 = 1_700_000_000_000;
/// Silence after which a node is lost.
const LOST_AFTER: Time = 10_000;

/// Who is to be answered.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    Client { op: usize },
    Hello { link: LinkId, hello_at: Time },
    Finished { link: LinkId, attempt: AttemptRef },
    Nobody,
}

type Answer = (Origin, Result<Reply, Rejection>);

/// A batch on its way to the disk, with what may be said once it is there.
pub(crate) struct InFlight {
    batch: Batch,
    answers: Vec<Answer>,
}

/// What a pool process has in memory.
pub(crate) struct Process {
    pub(crate) engine: Engine,
    inbox: Vec<(Origin, Command)>,
    writing: bool,
    pub(crate) in_flight: VecDeque<InFlight>,
    heard: BTreeMap<NodeId, Time>,
    /// The current link of each node, with its session number.
    sessions: BTreeMap<NodeId, (u64, LinkId)>,
    next_session: u64,
}

/// The pool, running or not.
pub(crate) struct PoolShell {
    pub(crate) process: Option<Process>,
    /// Counts starts: events for an earlier process are void.
    pub(crate) epoch: u64,
    /// What is on the disk.
    pub(crate) tables: Tables,
    /// The wall clock may be set while the pool is away.
    pub(crate) clock_offset: i64,
    policy: Policy,
}

impl Process {
    pub(crate) fn new(engine: Engine, now: Time) -> Self {
        // Whoever has attempts and does not come back is lost, counted from the start.
        let heard = engine.nodes_with_attempts().map(|node| (node, now)).collect();
        Self {
            engine,
            inbox: Vec::new(),
            writing: false,
            in_flight: VecDeque::new(),
            heard,
            sessions: BTreeMap::new(),
            next_session: 1,
        }
    }
}

impl PoolShell {
    pub(crate) fn founded(seed: u64) -> Self {
        let policy = policy(seed);
        let engine = Engine::found(policy.clone(), Timestamp(EPOCH_MS));
        let process = Some(Process::new(engine, 0));
        Self { process, epoch: 1, tables: Tables::default(), clock_offset: EPOCH_MS, policy }
    }
}

impl World {
    pub(crate) fn wall_clock(&self) -> Timestamp {
        Timestamp(self.pool.clock_offset.saturating_add_unsigned(self.now))
    }

    /// What the writer reads from the machine's clock, which now and then is set back for a moment.
    fn clock_as_read(&mut self) -> Timestamp {
        let true_time = self.wall_clock();
        if !self.rng.chance(20) {
            return true_time;
        }
        let back = self.rng.between(1, 3_600_000);
        self.note(format_args!("  the clock is read {back} ms too early"));
        true_time.before(Millis(back))
    }

    /// Puts a command before the writer.
    pub(crate) fn ask_pool(&mut self, origin: Origin, command: Command) {
        let epoch = self.pool.epoch;
        let delay = self.rng.between(0, 3);
        let Some(process) = &mut self.pool.process else { return };
        process.inbox.push((origin, command));
        if !std::mem::replace(&mut process.writing, true) {
            self.soon(delay, Event::Write { epoch });
        }
    }

    /// Applies what is waiting, and sends the batch to the disk.
    pub(crate) fn pool_writes(&mut self, epoch: u64) -> Result<(), Violation> {
        let now = self.clock_as_read();
        let commit = self.rng.between(1, self.weather.slowest_commit);
        if epoch != self.pool.epoch {
            return Ok(());
        }
        let Some(process) = &mut self.pool.process else { return Ok(()) };
        if process.in_flight.len() >= MOST_IN_FLIGHT {
            self.soon(1, Event::Write { epoch });
            return Ok(());
        }
        process.writing = false;
        let commands = std::mem::take(&mut process.inbox);
        let mut lines = Vec::new();
        let mut answers = Vec::new();
        for (origin, command) in commands {
            let answer = process.engine.apply(command, now);
            process.engine.check()?;
            self.summary.stale_messages +=
                u64::from(matches!(&answer, Err(rejection) if rejection.code == Code::Stale));
            lines.push(format!("  {origin:?}: {answer:?}"));
            answers.push((origin, answer));
        }
        process.engine.schedule(now);
        process.engine.check()?;
        let batch = process.engine.take_batch();
        lines.push(format!(
            "  batch: {} tasks, {} attempts, {} entries, {:?}",
            batch.rows.new_tasks.len() + batch.rows.tasks.len(),
            batch.rows.attempts.len(),
            batch.ledger.entries.len(),
            batch.effects
        ));
        if self.config.sabotage == Sabotage::AnswerEarly {
            let early = std::mem::take(&mut answers);
            process.in_flight.push_back(InFlight { batch, answers });
            self.answer(early);
        } else {
            process.in_flight.push_back(InFlight { batch, answers });
        }
        self.soon(commit, Event::Durable { epoch });
        for line in lines {
            self.note(format_args!("{line}"));
        }
        Ok(())
    }

    /// The oldest batch is on the disk: now its replies and effects may leave.
    pub(crate) fn pool_is_durable(&mut self, epoch: u64) -> Result<(), Violation> {
        if epoch != self.pool.epoch {
            return Ok(());
        }
        let Some(InFlight { batch, answers }) =
            self.pool.process.as_mut().and_then(|process| process.in_flight.pop_front())
        else {
            return Ok(());
        };
        self.store(&batch)?;
        self.answer(answers);
        for effect in batch.effects {
            let (node, session, message) = match effect {
                Effect::Unlink { node, session } => {
                    self.close_link(node, session);
                    continue;
                }
                Effect::Assign { node, session, attempt, spec } => (node, session, Down::Assign { attempt, spec }),
                Effect::Stop { node, session, attempt } => (node, session, Down::Stop(attempt)),
                // Nobody asks for verification in this world.
                Effect::Compare { .. } | Effect::TaskMoved { .. } => continue,
            };
            let sessions = self.pool.process.as_ref().map(|process| &process.sessions);
            if let Some((current, link)) = sessions.and_then(|sessions| sessions.get(&node)).copied()
                && current == session
            {
                self.send_down(link, message);
            }
        }
        Ok(())
    }

    fn close_link(&mut self, node: NodeId, session: u64) {
        let sessions = self.pool.process.as_ref().map(|process| &process.sessions);
        if let Some((current, link)) = sessions.and_then(|sessions| sessions.get(&node)).copied()
            && current == session
        {
            self.break_link(link);
        }
    }

    /// Writes a batch to the disk, and proves what is there.
    pub(crate) fn store(&mut self, batch: &Batch) -> Result<(), Violation> {
        self.pool.tables.apply(batch)?;
        let PoolShell { tables, policy, .. } = &self.pool;
        batch.rows.attempts.iter().try_for_each(|row| prove_cost(row, tables, &policy.prices))?;
        self.truth.follow(batch)?;
        prove_books(&self.pool.tables)
    }

    fn answer(&mut self, answers: Vec<Answer>) {
        for (origin, answer) in answers {
            match origin {
                Origin::Client { op } => self.answer_client(op, answer),
                Origin::Hello { link, hello_at } => match answer {
                    Ok(Reply::Connected { stale }) => self.send_down(link, Down::Welcome { hello_at, stale }),
                    Ok(_) | Err(_) => self.break_link(link),
                },
                // Accepted, or refused for good: the worker can forget it in both cases.
                Origin::Finished { link, attempt } => self.send_down(link, Down::FinishedAck(attempt)),
                Origin::Nobody => {}
            }
        }
    }

    /// A message from a worker. What comes late from a broken link is taken as well: only the
    /// engine may judge it. Only a living link is heard as a sign of life.
    pub(crate) fn pool_hears(&mut self, link: LinkId, message: Up, late: bool) {
        let Some(way) = self.links.get(&link) else { return };
        let (worker, open) = (way.worker, way.open);
        if way.pool_epoch != self.pool.epoch || self.pool.process.is_none() || (late == open) {
            return;
        }
        let node = self.workers[worker].node;
        let now = self.now;
        let Some(process) = &mut self.pool.process else { return };
        let session = process.sessions.get(&node).filter(|(_, current)| *current == link).map(|(session, _)| *session);
        if !late {
            match message {
                Up::Hello { .. } => drop(process.heard.insert(node, now)),
                _ if session.is_some() => drop(process.heard.insert(node, now)),
                _ => {}
            }
        }
        match message {
            Up::Hello { .. } if late => {}
            Up::Hello { offer, holds } => {
                let session = process.next_session;
                process.next_session += 1;
                process.sessions.insert(node, (session, link));
                let hello_at = self.workers[worker].hello_at;
                self.ask_pool(Origin::Hello { link, hello_at }, Command::Connected { node, session, offer, holds });
            }
            Up::Heartbeat { sent_at } if session.is_some() => self.send_down(link, Down::HeartbeatAck { sent_at }),
            Up::Heartbeat { .. } => {}
            Up::Started(attempt) => self.ask_pool(Origin::Nobody, Command::Started { node, attempt }),
            Up::Finished(attempt, report) => self.pool_gets_result(link, node, attempt, report),
            Up::Drain => {
                if let Some(session) = session {
                    self.ask_pool(Origin::Nobody, Command::Drain { node, session });
                }
            }
        }
    }

    fn pool_gets_result(&mut self, link: LinkId, node: NodeId, attempt: AttemptRef, report: Report) {
        let (mut to, mut forged) = (node, attempt);
        if self.config.sabotage == Sabotage::ForgeStaleResults
            && let Some(row) = self.pool.tables.attempts.values().rfind(|row| row.attempt.element == attempt.element)
        {
            (to, forged) = (row.node, row.attempt);
        }
        self.ask_pool(Origin::Finished { link, attempt }, Command::Finished { node: to, attempt: forged, report });
    }

    /// A client's request with what the store knows of its id.
    pub(crate) fn pool_is_asked(&mut self, op: usize) {
        let Some(mut command) = self.clients.command(op) else { return };
        if self.pool.process.is_none() {
            return;
        }
        // The engine forgets what has ended; the store does not.
        if let Command::Cancel { user, task, elements: None } = &command {
            let row = self.pool.tables.tasks.get(task).filter(|row| row.user == *user);
            if row.is_some_and(|row| row.progress.state.is_terminal()) {
                return self.answer_client(op, Ok(Reply::Done));
            }
        }
        match &mut command {
            Command::Submit { once, .. } | Command::Transfer { once, .. } => {
                if let Some(Once { key, stored, .. }) = once {
                    if self.config.sabotage == Sabotage::ForgetRequestIds {
                        key.id = format!("{}-{}", key.id, self.rng.next());
                    }
                    *stored = self.pool.tables.requests.get(key).cloned();
                }
            }
            _ => {}
        }
        self.ask_pool(Origin::Client { op }, command);
    }

    /// Declares lost who was silent for too long, closes its link first, and lets time pass.
    pub(crate) fn pool_looks_who_is_silent(&mut self, epoch: u64) {
        let (now, clock) = (self.now, self.wall_clock());
        if epoch != self.pool.epoch {
            return;
        }
        let Some(process) = &mut self.pool.process else { return };
        let silent: Vec<NodeId> =
            process.heard.iter().filter(|(_, heard)| now >= **heard + LOST_AFTER).map(|(node, _)| *node).collect();
        let due = process.engine.next_due().is_some_and(|due| due <= clock);
        let links: Vec<Option<LinkId>> = silent
            .iter()
            .map(|node| {
                process.heard.remove(node);
                process.sessions.remove(node).map(|(_, link)| link)
            })
            .collect();
        for (node, link) in silent.into_iter().zip(links) {
            // Closed first: no heartbeat may be acknowledged once the node counts as lost.
            link.into_iter().for_each(|link| self.break_link(link));
            self.summary.lost_nodes += 1;
            self.ask_pool(Origin::Nobody, Command::Lost { node });
        }
        if due {
            self.ask_pool(Origin::Nobody, Command::Tick);
        }
        self.soon(250, Event::Liveness { epoch });
    }

    /// The pool's end of a link is closed.
    pub(crate) fn pool_notices_break(&mut self, link: LinkId) {
        let Some(way) = self.links.get(&link).filter(|way| way.pool_epoch == self.pool.epoch) else { return };
        let node = self.workers[way.worker].node;
        let Some(process) = &mut self.pool.process else { return };
        if let Some((session, current)) = process.sessions.get(&node).copied()
            && current == link
        {
            process.sessions.remove(&node);
            self.ask_pool(Origin::Nobody, Command::Disconnected { node, session });
        }
    }

    /// The process is gone, with all that was not durable. What was being written may have
    /// reached the disk or not.
    pub(crate) fn kill_pool(&mut self) -> Result<(), Violation> {
        let Some(process) = self.pool.process.take() else { return Ok(()) };
        self.summary.pool_kills += 1;
        self.pool.epoch += 1;
        let flushed = self.rng.index(process.in_flight.len() + 1);
        let total = process.in_flight.len();
        for InFlight { batch, .. } in process.in_flight.into_iter().take(flushed) {
            self.store(&batch)?;
        }
        self.summary.lost_batches += u64::try_from(total - flushed).unwrap_or(0);
        self.note(format_args!("  the pool is killed: {flushed} of {total} batches in flight reached the disk"));
        let links: Vec<LinkId> = self.links.iter().filter(|(_, way)| way.open).map(|(id, _)| *id).collect();
        for link in links {
            self.break_link(link);
        }
        self.prove_nothing_acknowledged_is_lost()
    }

    pub(crate) fn pool_starts(&mut self) -> Result<(), Violation> {
        if self.pool.process.is_some() {
            return Ok(());
        }
        // Mostly a little; now and then the machine comes back with another idea of the time.
        let most = if self.rng.chance(100) { 300_000 } else { 500 };
        let ahead = self.rng.between(0, 2 * most);
        self.pool.clock_offset = self.pool.clock_offset.saturating_add_unsigned(ahead).saturating_sub_unsigned(most);
        let Some((rows, books)) = self.pool.tables.recover() else {
            return Err(Violation { invariant: "T1", detail: "the store is empty".into() });
        };
        self.prove_recovery(&books)?;
        self.summary.accruals_recovered += u64::from(!books.accruals.is_empty());
        let engine = Engine::restore(self.pool.policy.clone(), rows, books.clone())?;
        if engine.ledger().image() != books {
            return Err(Violation { invariant: "L7", detail: "the pool does not go on from the stored books".into() });
        }
        self.pool.process = Some(Process::new(engine, self.now));
        let epoch = self.pool.epoch;
        self.soon(100, Event::Liveness { epoch });
        // Something may be placeable at once.
        self.ask_pool(Origin::Nobody, Command::Tick);
        Ok(())
    }
}
