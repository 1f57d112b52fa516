//! What must hold in a town, and what its people came to.
//!
//! Start at `Town::prove_end`.
//!
//! Invariant: nothing here changes anything in the pool.

use super::audit::{Audit, Way};
use super::hostile::MASTERS_USES;
use super::people::Class;
use super::town::Town;
use super::{Report, Wealth};
use crate::stored::{Told, broken, prove_books, prove_rewards};
use hivemind_engine::Violation;
use hivemind_ledger::Account;
use hivemind_model::economy::{Guard, Mode};
use hivemind_model::rows::{Answer, ProjectState, Role};
use hivemind_model::{Cpt, Millis, Timestamp, UserId};
use std::collections::BTreeMap;

/// The span in which sign-ups from one network are counted.
const DAY: Millis = Millis::from_secs(24 * 3600);

impl Town {
    /// What must hold at any moment between two batches.
    pub(super) fn prove(&self) -> Result<(), Violation> {
        self.pool.engine.check()?;
        prove_books(&self.pool.tables)
    }

    /// Everything that must hold at the end.
    pub(super) fn prove_end(&mut self) -> Result<Report, Violation> {
        self.prove()?;
        // Compares the stored books with the journal.
        self.pool.restart(&mut self.rng)?;
        self.pool.audit.prove(&self.pool.tables)?;
        let told = Told::by(&self.pool.tables.journal)?;
        prove_rewards(&self.pool.tables, &told, self.pool.awake)?;
        self.prove_one_effect(&told)?;
        self.prove_projects()?;
        let report = self.report();
        if self.pool.mode() == Mode::Guarded {
            self.prove_sign_ups()?;
            if report.coalition.gained > Cpt::ZERO {
                return Err(broken("guard", format!("hostile accounts gained {}", report.coalition.gained)));
            }
            if report.quality_above_base > 0 {
                let lines = report.quality_above_base;
                return Err(broken("guard", format!("{lines} reward lines have a quality part above their base")));
            }
        }
        Ok(report)
    }

    /// L6: one stored answer, one effect. Every transfer, tip and submission of the town has an id.
    fn prove_one_effect(&self, told: &Told) -> Result<(), Violation> {
        let tables = &self.pool.tables;
        let (mut moved, mut submitted) = (0, 0);
        for row in tables.requests.values() {
            match &row.answer {
                Answer::Transferred { .. } => moved += 1,
                Answer::Submitted { .. } => submitted += 1,
                Answer::SubmittedGraph { tasks } => submitted += tasks.len(),
                Answer::Refused { .. } => {}
            }
        }
        let transfers: u32 = told.transferred.values().sum();
        let made =
            (usize::try_from(transfers).unwrap_or(usize::MAX).saturating_add(tables.tips.len()), tables.tasks.len());
        if made != (moved, submitted) {
            return Err(broken(
                "L6",
                format!("{moved} moves and {submitted} submissions were answered, {made:?} made"),
            ));
        }
        Ok(())
    }

    /// A closed project has nothing, and what a project was tipped is the sum of its tips.
    fn prove_projects(&self) -> Result<(), Violation> {
        let tables = &self.pool.tables;
        let mut tipped: BTreeMap<_, (u64, i64)> = BTreeMap::new();
        for ((project, number), tip) in &tables.tips {
            let sum = tipped.entry(*project).or_default();
            if *number != sum.0 + 1 {
                return Err(broken("L6", format!("tip {number} of {project} comes after tip {}", sum.0)));
            }
            *sum = (*number, sum.1 + tip.amount.micro());
        }
        for (id, row) in &tables.projects {
            let sum = tipped.remove(id).unwrap_or_default();
            if (row.tips, row.tipped.micro()) != sum {
                return Err(broken("L7", format!("{id} says {} tips, {}; there are {sum:?}", row.tips, row.tipped)));
            }
            let left = tables.balances.get(&Account::Project(*id)).copied().unwrap_or_default();
            if row.state == ProjectState::Closed && left != Cpt::ZERO {
                return Err(broken("L3", format!("{id} is closed and has {left}")));
            }
        }
        if tipped.is_empty() {
            Ok(())
        } else {
            Err(broken("L7", "there are tips to projects that are not there".into()))
        }
    }

    /// No more members than invitations, and no network with more of them in a day than are allowed.
    fn prove_sign_ups(&self) -> Result<(), Violation> {
        let members = || self.pool.tables.users.values().filter(|row| row.role == Role::Member);
        // The guest, the residents, and whom the master could invite.
        let invited = 1 + self.config.accounts + usize::try_from(MASTERS_USES).unwrap_or(usize::MAX);
        if members().count() > invited {
            return Err(broken("guard", format!("{} members came by {invited} invitations", members().count())));
        }
        let most = usize::try_from(Guard::default().signups_per_address).unwrap_or(usize::MAX);
        let mut networks: BTreeMap<&str, Vec<Timestamp>> = BTreeMap::new();
        for row in members() {
            networks.entry(row.registered_from.as_str()).or_default().push(row.registered_at);
        }
        for (network, times) in networks {
            let crowded = times.iter().zip(times.iter().skip(most)).find(|(first, last)| last.since(**first) < DAY);
            if let Some((first, last)) = crowded {
                return Err(broken(
                    "guard",
                    format!("more than {most} came from {network} from {first:?} to {last:?}"),
                ));
            }
        }
        Ok(())
    }

    fn report(&self) -> Report {
        let tables = &self.pool.tables;
        let class_of: BTreeMap<UserId, Class> =
            self.people.iter().filter_map(|person| Some((person.user?, person.class))).collect();
        let classes = Class::ALL
            .into_iter()
            .map(|class| (class.as_str(), self.wealth(|user| class_of.get(&user) == Some(&class))))
            .collect();
        let hostile = |user: UserId| class_of.get(&user).is_some_and(|class| class.is_hostile());
        let honest_pay = self
            .pool
            .audit
            .flows
            .iter()
            .filter(|((from, to, way), _)| *way == Way::Work && !hostile(*from) && hostile(*to));
        Report {
            commands: self.pool.commands,
            refusals: self.refusals.clone(),
            entries: self.pool.audit.entries.clone(),
            restarts: self.pool.restarts,
            repeats: self.repeats,
            quality_above_base: tables
                .rewards
                .values()
                .filter(|row| row.quality > row.base)
                .count()
                .try_into()
                .unwrap_or(u64::MAX),
            classes,
            coalition: self.wealth(hostile),
            honest_pay: Cpt::from_micro(honest_pay.map(|(_, flow)| flow.own).sum()),
            last_hash: tables.journal.last().map(|entry| entry.hash).unwrap_or_default(),
        }
    }

    /// What the accounts have for which `ours` is true, against all others.
    fn wealth(&self, ours: impl Fn(UserId) -> bool) -> Wealth {
        let tables = &self.pool.tables;
        let money: i64 = Audit::money(tables).iter().filter(|(user, _)| ours(**user)).map(|(_, micro)| micro).sum();
        let rewards: i64 =
            self.pool.audit.rewards.iter().filter(|(user, _)| ours(**user)).map(|(_, micro)| micro).sum();
        let credit =
            tables.balances.iter().filter(|(account, _)| matches!(account, Account::Promo(user) if ours(*user)));
        let (mut received, mut turned) = (0, 0);
        for ((from, to, _), flow) in &self.pool.audit.flows {
            match (ours(*from), ours(*to)) {
                (true, true | false) => turned += flow.turned,
                (false, true) => received += flow.own + flow.turned,
                (false, false) => {}
            }
        }
        Wealth {
            accounts: tables.users.keys().filter(|user| ours(**user)).count(),
            money: Cpt::from_micro(money),
            credit: Cpt::from_micro(credit.map(|(_, balance)| balance.micro()).sum()),
            rewards: Cpt::from_micro(rewards),
            received: Cpt::from_micro(received),
            turned: Cpt::from_micro(turned),
            gained: Cpt::from_micro(money - rewards - received),
        }
    }
}
