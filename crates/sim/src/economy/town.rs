//! A town, minute by minute.
//!
//! Start at [`Town::live`]. In a minute everybody who wants something asks for it; the requests are
//! mixed, applied in batches, and answered once their batch is durable, unless the pool is killed.
//!
//! Invariant: an answer is heard only after its batch is durable.

use super::machines::{HONEST_DISK, Habit, Machine};
use super::people::{Class, Person, digest, population};
use super::pool::Pool;
use super::{Config, Report, hostile};
use crate::rng::Rng;
use crate::stored::broken;
use hivemind_engine::Violation;
use hivemind_model::rows::{RequestKey, Role};
use hivemind_model::{Code, Command, Effect, Millis, NodeId, Rejection, Reply, Timestamp};
use std::collections::{BTreeMap, VecDeque};

/// Requests that may be asked again much later.
const MOST_HISTORY: usize = 256;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Person(usize),
    Machine(usize),
    /// The pool's own shell.
    Shell,
}

/// A request on its way.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) by: By,
    pub(super) command: Command,
}

/// What becomes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Durable, and answered.
    Answered,
    /// The pool is killed before the batch is taken out of the engine, or before it is durable.
    Lost,
    /// The pool is killed after the batch is durable: nobody hears of it.
    Unheard,
}

type Answer = Result<Reply, Rejection>;

pub(super) struct Town {
    pub(super) config: Config,
    pub(super) rng: Rng,
    pub(super) pool: Pool,
    pub(super) minute: u64,
    pub(super) people: Vec<Person>,
    pub(super) machines: Vec<Machine>,
    pub(super) machine_by_node: BTreeMap<NodeId, usize>,
    pub(super) next_session: u64,
    pub(super) next_id: u64,
    pub(super) newest_task: u64,
    /// Names of projects that there are.
    pub(super) projects: Vec<String>,
    /// Requests with ids, to be repeated.
    pub(super) history: VecDeque<Ask>,
    /// Asked, but never answered.
    unanswered: Vec<Ask>,
    /// What was answered to every id, by body.
    answers: BTreeMap<RequestKey, ([u8; 32], Answer)>,
    pub(super) refusals: BTreeMap<Code, u64>,
    pub(super) repeats: u64,
    sign_ups_left: usize,
    batches: u64,
}

impl Town {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            rng: Rng::new(config.seed),
            pool: Pool::found(config.mode),
            minute: 0,
            people: population(config.accounts),
            machines: Vec::new(),
            machine_by_node: BTreeMap::new(),
            next_session: 0,
            next_id: 0,
            newest_task: 0,
            projects: Vec::new(),
            history: VecDeque::new(),
            unanswered: Vec::new(),
            answers: BTreeMap::new(),
            refusals: BTreeMap::new(),
            repeats: 0,
            sign_ups_left: config.accounts,
            batches: 0,
        }
    }

    pub(super) fn elapsed(&self) -> Millis {
        self.pool.elapsed()
    }

    /// The whole life of the town.
    pub(super) fn live(&mut self) -> Result<Report, Violation> {
        self.settle_in()?;
        while self.minute < self.config.minutes {
            self.live_a_minute()?;
        }
        self.prove_end()
    }

    /// Before anything goes wrong: the operator invites, people sign up, and owners enrol machines.
    fn settle_in(&mut self) -> Result<(), Violation> {
        let boss = self.must(sign_up("boss", "boss@localhost", "", Role::Operator, None))?;
        let Reply::Registered { user: by } = boss else { return Err(broken("T7", format!("no operator: {boss:?}"))) };
        let far = self.pool.now.after(Millis::from_secs(24 * 3600));
        let soon = self.pool.now.after(Millis::from_secs(60));
        let good = u32::try_from(self.people.len()).unwrap_or(u32::MAX);
        for (kind, uses, expires_at) in [
            (hostile::GOOD_CODE, good, far),
            (hostile::MASTERS_CODE, hostile::MASTERS_USES, far),
            (hostile::USED_CODE, 1, far),
            (hostile::EXPIRED_CODE, 1, soon),
        ] {
            self.must(Command::Invite { by, digest: digest(kind, 0), uses, expires_at })?;
        }
        let guest = digest(hostile::USED_CODE, 0);
        self.must(sign_up("guest", "guest@example.org", "net-of-a-guest", Role::Member, Some(guest)))?;
        for index in 0..self.people.len() {
            let Person { name, email, from, .. } = &self.people[index];
            let command = sign_up(name, email, from, Role::Member, Some(digest(hostile::GOOD_CODE, 0)));
            let reply = self.must(command)?;
            if let Reply::Registered { user } = reply {
                self.people[index].user = Some(user);
            }
        }
        for index in 0..self.people.len() {
            self.enrol_machines(index)?;
        }
        self.pool.commit().map(drop)
    }

    fn enrol_machines(&mut self, owner: usize) -> Result<(), Violation> {
        let (class, number) = (self.people[owner].class, u64::try_from(owner).unwrap_or(0));
        let bad = Habit::HOSTILE[self.rng.index(Habit::HOSTILE.len())];
        let cores = u32::try_from(self.rng.between(2, 8)).unwrap_or(2);
        let (machines, size, habit) = match class {
            Class::Owner => (1, (cores, HONEST_DISK), Habit::Honest),
            Class::Colluder => (1, (8, hostile::PAIR_DISK + number), bad),
            Class::Master => (2, (16, hostile::MASTER_DISK), Habit::Liar),
            // Takes honest people's work, and lies about it.
            Class::Chancer if owner.is_multiple_of(3) => (1, (cores, HONEST_DISK), bad),
            Class::Chancer | Class::Requester | Class::Puppet => return Ok(()),
        };
        for machine in 0..machines {
            let name = format!("{}-{machine}", self.people[owner].name);
            let mut machine = Machine::new(owner, name, size, habit);
            let Some(user) = self.people[owner].user else { return Ok(()) };
            let reply = self.must(Command::Enroll { owner: user, offer: machine.offer(), token: None })?;
            if let Reply::Enrolled { node } = reply {
                machine.node = Some(node);
                self.machine_by_node.insert(node, self.machines.len());
            }
            self.machines.push(machine);
        }
        Ok(())
    }

    /// A command that is never refused.
    fn must(&mut self, command: Command) -> Result<Reply, Violation> {
        let now = self.pool.now;
        self.pool.apply(command, now).map_err(|rejection| broken("T7", format!("the town cannot begin: {rejection}")))
    }

    fn live_a_minute(&mut self) -> Result<(), Violation> {
        self.minute += 1;
        let minute = Millis::from_secs(60);
        self.pool.now = self.pool.now.after(minute);
        if self.rng.chance(10) {
            // The machine of the pool sleeps; the minute in which it falls asleep counts for nobody.
            self.pool.now = self.pool.now.after(Millis::from_secs(60 * self.rng.between(5, 90)));
        } else {
            self.pool.awake = Millis(self.pool.awake.0 + minute.0);
        }
        let mut asks = self.wishes();
        for index in (1..asks.len()).rev() {
            asks.swap(index, self.rng.index(index + 1));
        }
        let now = self.pool.now;
        let tick = Ask { by: By::Shell, command: Command::Tick };
        asks.insert(0, tick);
        // In every tenth minute the pool is killed with one of its batches.
        let mut doomed = self.rng.chance(100).then(|| self.rng.index(asks.len()));
        while !asks.is_empty() {
            let size = usize::try_from(self.rng.between(1, 30)).unwrap_or(1).min(asks.len());
            let rest = asks.split_off(size);
            let batch = std::mem::replace(&mut asks, rest);
            let fate = match doomed {
                Some(at) if at < size => {
                    doomed = None;
                    if self.rng.chance(600) { Fate::Lost } else { Fate::Unheard }
                }
                Some(at) => {
                    doomed = Some(at - size);
                    Fate::Answered
                }
                None => Fate::Answered,
            };
            self.write(batch, fate, now)?;
        }
        Ok(())
    }

    /// Everything that is asked in one minute.
    fn wishes(&mut self) -> Vec<Ask> {
        let mut asks = std::mem::take(&mut self.unanswered);
        for machine in 0..self.machines.len() {
            asks.extend(self.machine_acts(machine));
        }
        let residents = self.config.accounts;
        for _ in 0..(residents / 20).max(8) {
            let who = self.rng.index(residents);
            asks.extend(self.acts(who));
        }
        let puppets = self.people.len() - residents;
        for _ in 0..puppets.min(residents / 40 + 1) {
            let who = residents + self.rng.index(puppets);
            asks.extend(self.acts(who));
        }
        let sign_ups = (self.config.accounts / 100 + 1).min(self.sign_ups_left);
        self.sign_ups_left -= sign_ups;
        for _ in 0..sign_ups {
            let ask = self.sign_up_again();
            asks.push(ask);
        }
        asks
    }

    fn acts(&mut self, who: usize) -> Vec<Ask> {
        let Some(user) = self.people[who].user else { return Vec::new() };
        match self.people[who].class.is_hostile() {
            true => self.hostile_acts(who, user),
            false => self.honest_acts(who, user),
        }
    }

    /// Applies a batch, and lets happen to it what is its fate.
    fn write(&mut self, batch: Vec<Ask>, fate: Fate, now: Timestamp) -> Result<(), Violation> {
        let mut answers = Vec::with_capacity(batch.len());
        for ask in batch {
            // The machine's clock is set back now and then.
            let at = if self.rng.chance(10) { now.before(Millis(self.rng.between(1, 7_200_000))) } else { now };
            let answer = self.pool.apply(ask.command.clone(), at);
            answers.push((ask, answer));
        }
        self.batches += 1;
        // Every batch of a small town; of a large one, whose check takes longer, every so many.
        let seldom = u64::try_from(self.config.accounts / 50 + 1).unwrap_or(1);
        if self.batches.is_multiple_of(seldom) || fate != Fate::Answered {
            self.pool.engine.check()?;
        }
        match fate {
            Fate::Answered => {
                let effects = self.pool.commit()?;
                for (ask, answer) in answers {
                    self.hear(ask, answer)?;
                }
                effects.into_iter().for_each(|effect| self.follow(effect));
            }
            Fate::Lost => {
                if self.rng.chance(500) {
                    drop(self.pool.engine.take_batch());
                }
                self.after_restart(answers)?;
            }
            Fate::Unheard => {
                self.pool.commit()?;
                self.after_restart(answers)?;
            }
        }
        if self.batches.is_multiple_of(seldom) { self.prove() } else { Ok(()) }
    }

    fn after_restart(&mut self, answers: Vec<(Ask, Answer)>) -> Result<(), Violation> {
        self.pool.restart(&mut self.rng)?;
        // Whoever waits for an answer asks again; some give up. Machines tell it again anyway.
        for (ask, _) in answers {
            let again = match ask.by {
                By::Person(_) => ask.command.once().is_some() && self.rng.chance(800),
                By::Machine(_) | By::Shell => false,
            };
            if again {
                self.unanswered.push(ask);
            }
        }
        let asks = self.links_break();
        self.unanswered.extend(asks);
        Ok(())
    }

    /// Somebody hears the answer.
    fn hear(&mut self, mut ask: Ask, answer: Answer) -> Result<(), Violation> {
        if let Err(rejection) = &answer {
            *self.refusals.entry(rejection.code).or_default() += 1;
        }
        if let Some(once) = ask.command.once_mut() {
            let (key, body) = (once.key.clone(), once.body);
            self.compare(key, body, &answer)?;
            self.history.push_back(ask.clone());
            if self.history.len() > MOST_HISTORY {
                self.history.pop_front();
            }
        }
        match (ask.by, answer) {
            (By::Person(who), Ok(Reply::Registered { user })) => self.people[who].user = Some(user),
            (By::Person(who), Ok(Reply::Submitted { task, .. })) => {
                self.newest_task = self.newest_task.max(task.0);
                self.people[who].note_task(task);
            }
            (By::Person(who), Ok(Reply::ProjectRegistered { .. })) => {
                if let Command::RegisterProject { name, .. } = ask.command {
                    self.people[who].project = Some(name.clone());
                    self.projects.push(name);
                }
            }
            (By::Machine(index), Ok(Reply::Connected { stale })) => self.machines[index].is_linked(&stale),
            (By::Machine(index), answer) => {
                if let Command::Finished { attempt, .. } = ask.command {
                    self.machines[index].drop_job(attempt);
                } else if let (Command::Started { attempt, .. }, Err(_)) = (ask.command, answer) {
                    // Given up meanwhile: it is not its own any more.
                    self.machines[index].drop_job(attempt);
                }
            }
            (By::Person(_) | By::Shell, Ok(_) | Err(_)) => {}
        }
        Ok(())
    }

    /// L6: the same id has the same answer, and never one to another body.
    fn compare(&mut self, key: RequestKey, body: [u8; 32], answer: &Answer) -> Result<(), Violation> {
        let code = answer.as_ref().err().map(|rejection| rejection.code);
        if code == Some(Code::Busy) {
            return Ok(());
        }
        match self.answers.get(&key) {
            Some((known, before)) if *known == body => {
                self.repeats += 1;
                match before == answer {
                    true => Ok(()),
                    false => Err(broken("L6", format!("{key:?} was answered {before:?}, then {answer:?}"))),
                }
            }
            Some(_) if code == Some(Code::IdReused) => Ok(()),
            Some(_) => Err(broken("L6", format!("{key:?} with another body was answered {answer:?}"))),
            None if code == Some(Code::IdReused) => Ok(()),
            None => {
                self.answers.insert(key, (body, answer.clone()));
                Ok(())
            }
        }
    }

    fn follow(&mut self, effect: Effect) {
        match effect {
            Effect::Assign { node, session, attempt, spec } => self.machine_is_given(node, session, attempt, &spec),
            Effect::Stop { node, attempt, .. } => self.machine_stops(node, attempt),
            // Nobody bans in this town, and nobody asks for verification.
            Effect::Compare { .. } | Effect::Unlink { .. } | Effect::TaskMoved { .. } => {}
        }
    }
}

fn sign_up(name: &str, email: &str, from: &str, role: Role, invitation: Option<[u8; 32]>) -> Command {
    Command::Register {
        username: name.into(),
        email: email.into(),
        password_hash: "$argon2id$".into(),
        role,
        from: from.into(),
        invitation,
    }
}
