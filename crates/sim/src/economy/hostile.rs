//! What the others do.
//!
//! Start at `Town::hostile_acts`.
//!
//! Invariant: everything here goes through commands that anybody can send.

use super::machines::HONEST_DISK;
use super::people::{Class, Person, digest, somebody};
use super::town::{Ask, By, Town};
use hivemind_ledger::Account;
use hivemind_model::command::JoinUse;
use hivemind_model::rows::{Report, Role};
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::{Command, Cpt, Millis, TaskId, UserId};

/// Disk that only machines of colluding pairs have.
pub(super) const PAIR_DISK: u64 = HONEST_DISK * 10;
/// Disk that only the master's machines have.
pub(super) const MASTER_DISK: u64 = HONEST_DISK * 50;
/// The kinds of invitation codes.
pub(super) const GOOD_CODE: u8 = 1;
pub(super) const MASTERS_CODE: u8 = 2;
/// Accounts that the master's own invitation makes.
pub(super) const MASTERS_USES: u32 = 8;
pub(super) const USED_CODE: u8 = 3;
pub(super) const EXPIRED_CODE: u8 = 4;
const GUESSED_CODE: u8 = 5;

impl Town {
    /// One thing that a hostile person tries.
    pub(super) fn hostile_acts(&mut self, who: usize, user: UserId) -> Vec<Ask> {
        match self.people[who].class {
            Class::Colluder => self.colludes(who, user),
            Class::Chancer => self.tries_its_luck(who, user),
            Class::Master | Class::Puppet => self.gathers(who, user),
            Class::Requester | Class::Owner => Vec::new(),
        }
    }

    fn colludes(&mut self, who: usize, user: UserId) -> Vec<Ask> {
        let partner = self.people[who].partner.unwrap_or(0);
        let command = match self.rng.between(0, 11) {
            // No-op tasks that count as complex, and long ones, for a machine of the pairs.
            0..=3 => self.submit(user, (4, PAIR_DISK), 3),
            4 | 5 => {
                let minutes = self.rng.between(10, 60);
                self.submit(user, (1, PAIR_DISK), minutes)
            }
            6 => match self.people[who].tasks.back() {
                Some(task) => Command::Cancel { user, task: *task, elements: None },
                None => return Vec::new(),
            },
            7 | 8 => {
                let amount = self.part_of_purse(user);
                self.transfer(user, partner, amount)
            }
            9 => {
                // For the project of the partner, a straw man.
                let project = self.people[partner].project.clone().unwrap_or_default();
                let (amount, once) = (self.part_of_purse(user), self.once(user));
                Command::Tip { from: user, project, amount, message: String::new(), once }
            }
            10 => return self.runs_project(who, user).into_iter().collect(),
            _ => return self.claims_foreign_work(who),
        };
        vec![Ask { by: By::Person(who), command }]
    }

    /// Reports on an attempt that another machine has.
    fn claims_foreign_work(&mut self, who: usize) -> Vec<Ask> {
        let victim = self.rng.index(self.machines.len());
        let own = self.machines.iter().position(|machine| machine.owner == who);
        let node = own.and_then(|own| self.machines[own].node);
        let (Some(own), Some(node), Some(attempt)) = (own, node, self.machines[victim].some_job()) else {
            return Vec::new();
        };
        let metering = Metering { wall: Millis(u64::MAX), ..Metering::default() };
        let outcome = Outcome::Exited { code: 0 };
        let report =
            Report { outcome, metering, logs: Default::default(), image_id: String::new(), output: None, digest: None };
        if own == victim {
            return Vec::new();
        }
        let mut late = attempt;
        late.number += 1;
        let commands = [
            Command::Started { node, attempt },
            Command::Finished { node, attempt, report: report.clone() },
            Command::Finished { node, attempt: late, report },
        ];
        commands.into_iter().map(|command| Ask { by: By::Person(who), command }).collect()
    }

    fn tries_its_luck(&mut self, who: usize, user: UserId) -> Vec<Ask> {
        let purse = self.pool.engine.ledger().spendable(user).micro();
        let to = somebody(&self.people, &mut self.rng);
        let ask = |command| Ask { by: By::Person(who), command };
        let command = match self.rng.between(0, 13) {
            0 | 1 => {
                let odd = [0, -1, i64::MAX, i64::MIN, purse + 1, -purse];
                let amount = Cpt::from_micro(odd[self.rng.index(odd.len())]);
                match self.rng.chance(500) {
                    true => self.transfer(user, to, amount),
                    false => self.tip(user, amount),
                }
            }
            2 => {
                let odd = ["nobody here", "", "\u{0}", self.people[who].name.as_str()];
                let to_username = odd[self.rng.index(odd.len())].to_owned();
                Command::Transfer { from: user, to_username, amount: Cpt::from_micro(1), once: self.once(user) }
            }
            // More than there is, by requests that are on their way together.
            3 => {
                let amount = Cpt::from_micro(purse / 2 + 1);
                return (0..3).map(|_| ask(self.transfer(user, to, amount))).collect();
            }
            4 => return (0..6).map(|_| ask(self.submit(user, (2, 1), 30))).collect(),
            // The same id, with the same and with another body.
            5 | 6 => {
                let amount = self.amount(100_000);
                let first = self.transfer(user, to, amount);
                let mut other = first.clone();
                if let Command::Transfer { amount, .. } = &mut other {
                    *amount = Cpt::from_micro(amount.micro() + 1);
                }
                if let Some(once) = other.once_mut() {
                    once.body[31] ^= 0xff;
                }
                return [first.clone(), other, first.clone(), first].map(ask).into();
            }
            // In a circle.
            7 => return self.goes_in_circles(who),
            8 => Command::Cancel { user, task: TaskId(self.rng.between(0, self.newest_task + 1)), elements: None },
            9 => {
                let (cores, mut command) = (self.cores(2), self.submit(user, (1, 1), 10));
                if let Command::Submit { max_price, .. } = &mut command {
                    *max_price = Some(Cpt::from_micro(i64::from(cores)));
                }
                command
            }
            10 => return self.spoils_projects(who, user),
            11 => self.takes_a_name(user),
            12 => return self.repeat().into_iter().collect(),
            _ => return self.runs_project(who, user).into_iter().collect(),
        };
        vec![ask(command)]
    }

    fn goes_in_circles(&mut self, who: usize) -> Vec<Ask> {
        let circle: Vec<usize> = (0..4)
            .map(|step| (who + 20 * step) % self.people.len())
            .filter(|at| self.people[*at].user.is_some())
            .collect();
        let mut asks = Vec::new();
        for (from, to) in circle.iter().zip(circle.iter().cycle().skip(1)) {
            let Some(user) = self.people[*from].user else { continue };
            let amount = self.part_of_purse(user);
            asks.push(Ask { by: By::Person(*from), command: self.transfer(user, *to, amount) });
        }
        asks
    }

    /// Closes a project while tips come in, collects twice, and asks for what others were tipped.
    fn spoils_projects(&mut self, who: usize, user: UserId) -> Vec<Ask> {
        let foreign = match self.projects.len() {
            0 => "nothing".to_owned(),
            some => self.projects[self.rng.index(some)].clone(),
        };
        let own = self.people[who].project.clone().unwrap_or_else(|| foreign.clone());
        let mut commands = vec![
            Command::CollectTips { owner: user, project: foreign.clone() },
            Command::CloseProject { owner: user, project: foreign },
            self.tip(user, Cpt::from_micro(1)),
            Command::CollectTips { owner: user, project: own.clone() },
            Command::CollectTips { owner: user, project: own.clone() },
        ];
        if self.rng.chance(200) {
            let (amount, once) = (self.amount(1000), self.once(user));
            commands.push(Command::CloseProject { owner: user, project: own.clone() });
            commands.push(Command::Tip { from: user, project: own.clone(), amount, message: String::new(), once });
            commands.push(Command::CloseProject { owner: user, project: own });
        }
        commands.into_iter().map(|command| Ask { by: By::Person(who), command }).collect()
    }

    /// Enrols a machine under the name of another one, with a token that was used before.
    fn takes_a_name(&mut self, user: UserId) -> Command {
        let offer = self.machines[self.rng.index(self.machines.len())].offer();
        let expires_at = self.pool.now.after(Millis::from_secs(600));
        Command::Enroll { owner: user, offer, token: Some(JoinUse { id: "one for all".into(), expires_at }) }
    }

    /// The master and the puppets: everything to the master, by transfers, tips to a straw man, and work.
    fn gathers(&mut self, who: usize, user: UserId) -> Vec<Ask> {
        const MASTER: usize = 0;
        if who == MASTER {
            return match self.rng.between(0, 2) {
                0 => vec![Ask { by: By::Person(who), command: self.submit(user, (1, MASTER_DISK), 10) }],
                1 => self.runs_project(who, user).into_iter().collect(),
                _ => Vec::new(),
            };
        }
        let command = match self.rng.between(0, 5) {
            0 | 1 => {
                let amount = self.part_of_purse(user);
                self.transfer(user, MASTER, amount)
            }
            2 => {
                let project = self.people[MASTER].project.clone().unwrap_or_default();
                let (amount, once) = (self.part_of_purse(user), self.once(user));
                Command::Tip { from: user, project, amount, message: String::new(), once }
            }
            _ => {
                let minutes = self.rng.between(5, 40);
                self.submit(user, (4, MASTER_DISK), minutes)
            }
        };
        vec![Ask { by: By::Person(who), command }]
    }

    /// Some of what a user could spend, or a little more than that.
    fn part_of_purse(&mut self, user: UserId) -> Cpt {
        let ledger = self.pool.engine.ledger();
        let (all, money) = (ledger.spendable(user).micro(), ledger.balance(Account::Available(user)).micro());
        let amount = [all, all / 2, money, money / 2 + 1, all + 1][self.rng.index(5)];
        Cpt::from_micro(amount.max(1))
    }

    /// One more attempt of the master to have another account.
    pub(super) fn sign_up_again(&mut self) -> Ask {
        let number = self.people.len();
        let mut puppet = Person::new(Class::Puppet, number);
        let kind = self.rng.between(0, 5);
        if kind < 2 {
            // One person, with tags.
            puppet.email = format!("Master+{number}@Example.org");
        }
        if kind < 4 {
            puppet.from = "net-of-the-master".into();
        }
        let kinds = [None, Some(GUESSED_CODE), Some(USED_CODE), Some(EXPIRED_CODE), Some(MASTERS_CODE)];
        let guess = self.rng.next();
        let invitation =
            kinds[self.rng.index(kinds.len())].map(|kind| digest(kind, if kind == GUESSED_CODE { guess } else { 0 }));
        let command = Command::Register {
            username: puppet.name.clone(),
            email: puppet.email.clone(),
            password_hash: "$argon2id$".into(),
            role: Role::Member,
            from: puppet.from.clone(),
            invitation,
        };
        self.people.push(puppet);
        Ask { by: By::Person(number), command }
    }
}
