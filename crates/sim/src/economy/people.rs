//! Who lives in the town, and what they are up to.
//!
//! Start at [`population`].
//!
//! Invariant: a person does nothing here.

use crate::rng::Rng;
use hivemind_model::{TaskId, UserId};
use std::collections::VecDeque;

/// What somebody is up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Has work to be done.
    Requester,
    /// Shares machines.
    Owner,
    /// Runs tasks of accomplices, and lets them run theirs.
    Colluder,
    /// Tries what a request could do that it should not.
    Chancer,
    /// Signs up again and again, and gathers what the puppets have.
    Master,
    /// An account of the master under another name.
    Puppet,
}

impl Class {
    pub(super) const ALL: [Self; 6] =
        [Self::Requester, Self::Owner, Self::Colluder, Self::Chancer, Self::Master, Self::Puppet];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Requester => "requesters",
            Self::Owner => "owners",
            Self::Colluder => "colluders",
            Self::Chancer => "chancers",
            Self::Master => "master",
            Self::Puppet => "puppets",
        }
    }

    pub(super) const fn is_hostile(self) -> bool {
        match self {
            Self::Requester | Self::Owner => false,
            Self::Colluder | Self::Chancer | Self::Master | Self::Puppet => true,
        }
    }
}

/// Somebody, with or without an account.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) email: String,
    /// Their network.
    pub(super) from: String,
    pub(super) class: Class,
    /// `None` while they have no account.
    pub(super) user: Option<UserId>,
    /// Of colluders: the other one.
    pub(super) partner: Option<usize>,
    /// Whether they have asked for a project, and its name.
    pub(super) project: Option<String>,
    /// Their newest tasks.
    pub(super) tasks: VecDeque<TaskId>,
}

impl Person {
    pub(super) fn new(class: Class, number: usize) -> Self {
        let name = format!("{}{number}", class.as_str());
        Self {
            email: format!("{name}@example.org"),
            from: format!("net-{name}"),
            name,
            class,
            user: None,
            partner: None,
            project: None,
            tasks: VecDeque::new(),
        }
    }

    /// Notes an accepted task; only the newest are remembered.
    pub(super) fn note_task(&mut self, task: TaskId) {
        self.tasks.push_back(task);
        if self.tasks.len() > 8 {
            self.tasks.pop_front();
        }
    }
}

/// `accounts` people: the master, and of the others 40 % requesters and 20 % each owners, colluders in
/// pairs, and chancers.
pub(super) fn population(accounts: usize) -> Vec<Person> {
    let mut people = vec![Person::new(Class::Master, 0)];
    for number in 1..accounts {
        let class = match number % 20 {
            0..8 => Class::Requester,
            8..12 => Class::Owner,
            12..16 => Class::Colluder,
            _ => Class::Chancer,
        };
        let mut person = Person::new(class, number);
        if class == Class::Colluder {
            // 12 with 13, 14 with 15, and so on.
            person.partner = Some(number ^ 1).filter(|partner| *partner < accounts);
        }
        people.push(person);
    }
    people
}

/// The SHA-256 that the pool would be given for some secret or body; which one does not matter.
pub(super) fn digest(kind: u8, number: u64) -> [u8; 32] {
    let mut digest = [kind; 32];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    digest
}

/// One of `people` who has an account.
pub(super) fn somebody(people: &[Person], rng: &mut Rng) -> usize {
    let start = rng.index(people.len());
    let all = (start..people.len()).chain(0..start);
    all.into_iter().find(|index| people[*index].user.is_some()).unwrap_or(start)
}
