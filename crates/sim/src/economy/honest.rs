//! What honest people do: they submit, cancel, give, tip and run projects.
//!
//! Start at `Town::honest_acts`.
//!
//! Invariant: nobody here asks for anything that is not theirs.

use super::machines::HONEST_DISK;
use super::people::{Class, digest, somebody};
use super::town::{Ask, By, Town};
use hivemind_model::command::Once;
use hivemind_model::rows::RequestKey;
use hivemind_model::{Bytes, Command, Cpt, Level, MilliCores, Millis, Resources, TaskSpec, UserId};
use std::sync::Arc;

impl Town {
    /// One thing that an honest person wants.
    pub(super) fn honest_acts(&mut self, who: usize, user: UserId) -> Vec<Ask> {
        let owner = self.people[who].class == Class::Owner;
        let command = match self.rng.between(0, 19) {
            0..=8 => {
                let disk = self.rng.between(1, HONEST_DISK);
                let (cores, minutes) = (self.cores(3), self.rng.between(1, 40));
                self.submit(user, (cores, disk), minutes)
            }
            9 | 10 => match self.people[who].tasks.front() {
                Some(task) => Command::Cancel { user, task: *task, elements: None },
                None => return Vec::new(),
            },
            11..=14 => {
                let to = somebody(&self.people, &mut self.rng);
                let most = if owner { 2_000_000 } else { 200_000 };
                let amount = self.amount(most);
                self.transfer(user, to, amount)
            }
            15..=17 => {
                let amount = self.amount(500_000);
                self.tip(user, amount)
            }
            18 => return self.repeat().into_iter().collect(),
            _ if owner => return self.runs_project(who, user).into_iter().collect(),
            _ => return Vec::new(),
        };
        vec![Ask { by: By::Person(who), command }]
    }

    /// Registers a project, or collects what it was tipped; now and then closes it.
    pub(super) fn runs_project(&mut self, who: usize, user: UserId) -> Option<Ask> {
        let command = match self.people[who].project.clone() {
            Some(project) if self.rng.chance(50) => Command::CloseProject { owner: user, project },
            Some(project) => Command::CollectTips { owner: user, project },
            None => {
                let name = format!("p-{}", self.people[who].name);
                Command::RegisterProject { owner: user, repository: format!("https://example.org/{name}"), name }
            }
        };
        Some(Ask { by: By::Person(who), command })
    }

    pub(super) fn cores(&mut self, most: u64) -> u32 {
        u32::try_from(self.rng.between(1, most)).unwrap_or(1)
    }

    pub(super) fn amount(&mut self, most: u64) -> Cpt {
        Cpt::from_micro(i64::try_from(self.rng.between(1, most)).unwrap_or(1))
    }

    /// A new client-made id of a user.
    pub(super) fn once(&mut self, user: UserId) -> Option<Once> {
        self.next_id += 1;
        let key = RequestKey { user, id: format!("r{}", self.next_id) };
        Some(Once { key, body: digest(9, self.next_id), stored: None })
    }

    pub(super) fn submit(&mut self, user: UserId, (cores, disk_gib): (u32, u64), minutes: u64) -> Command {
        let once = self.once(user);
        // Some ask for a level that nobody reaches in a day: their holds expire.
        let min_level = if self.rng.chance(30) { Level::Gold } else { Level::None };
        let spec = TaskSpec {
            name: "work".into(),
            image: "busybox".into(),
            command: Vec::new(),
            files: Vec::new(),
            priority: u8::try_from(self.rng.between(1, 10)).unwrap_or(5),
            max_runtime: Millis::from_secs(60 * minutes),
            resources: Resources {
                cpu: MilliCores::from_cores(cores),
                memory: Bytes::from_mib(512),
                disk: Bytes::from_gib(disk_gib),
                gpus: 0,
            },
            min_level,
            ..TaskSpec::default()
        };
        Command::Submit { user, spec: Arc::new(spec), max_price: None, ended: Vec::new(), once }
    }

    pub(super) fn transfer(&mut self, from: UserId, to: usize, amount: Cpt) -> Command {
        let once = self.once(from);
        Command::Transfer { from, to_username: self.people[to].name.clone(), amount, once }
    }

    /// A tip to some project that there is, closed or not.
    pub(super) fn tip(&mut self, from: UserId, amount: Cpt) -> Command {
        let project = match self.projects.len() {
            0 => "nothing".to_owned(),
            some => self.projects[self.rng.index(some)].clone(),
        };
        let once = self.once(from);
        Command::Tip { from, project, amount, message: "thanks".into(), once }
    }

    /// An earlier request once more, word for word.
    pub(super) fn repeat(&mut self) -> Option<Ask> {
        let index = match self.history.len() {
            0 => return None,
            some => self.rng.index(some),
        };
        self.history.get(index).cloned()
    }
}
