//! Who gave money to whom, found out from the journal alone.
//!
//! Money is everything but free credit. Start at [`Audit::follow`]; [`Audit::prove`] compares with the
//! balances.
//!
//! Invariant: no rule of the engine is asked; only what entries post, and who owns what.

use crate::stored::broken;
use hivemind_engine::Violation;
use hivemind_engine::tables::Tables;
use hivemind_ledger::{Account, Entry, Reason};
use hivemind_model::economy::Mode;
use hivemind_model::{AttemptRef, TaskId, UserId};
use std::collections::BTreeMap;

/// How money comes from one user to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// Transfers and tips.
    Given,
    /// Pay for accepted work.
    Work,
}

/// What came out of a user on one way to another, in micro-CPT.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flow {
    /// Out of the payer's money.
    pub(super) own: i64,
    /// Free credit of the payer that is money of the payee.
    pub(super) turned: i64,
}

/// Everything that was followed.
#[derive(Debug, Default)]
pub(super) struct Audit {
    /// From payer to payee.
    pub(super) flows: BTreeMap<(UserId, UserId, Way), Flow>,
    pub(super) rewards: BTreeMap<UserId, i64>,
    pub(super) entries: BTreeMap<&'static str, u64>,
    /// Free credit that can be spent.
    credit: BTreeMap<UserId, i64>,
    /// Whose money an open hold took, and how much of it is no free credit.
    holds: BTreeMap<TaskId, (UserId, i64)>,
}

fn posted(entry: &Entry, account: Account) -> i64 {
    entry.postings.iter().find(|side| side.account == account).map_or(0, |side| side.amount.micro())
}

/// True for money that its user has or will have, whatever happens to tasks.
const fn is_money(account: Account) -> bool {
    match account {
        Account::Available(_) | Account::Owner(_) | Account::Reward(_) => true,
        Account::Treasury | Account::Promo(_) | Account::Held(_) | Account::Pending(_) | Account::Project(_) => false,
    }
}

impl Audit {
    /// Takes the next entry; `tables` are as after its batch.
    pub(super) fn follow(&mut self, entry: &Entry, tables: &Tables, mode: Mode) -> Result<(), Violation> {
        *self.entries.entry(entry.reason.as_str()).or_default() += 1;
        for side in &entry.postings {
            if let Account::Promo(user) = side.account {
                self.credit.insert(user, side.balance.micro());
            }
        }
        let mut turned = 0;
        match entry.reason {
            Reason::Transfer { from, to } => turned = self.given(entry, from, to),
            Reason::Tip { project, .. } => {
                let owner = tables.projects.get(&project).map(|row| row.owner);
                let from = entry.postings.iter().find_map(|side| side.account.user());
                let (Some(from), Some(owner)) = (from, owner) else {
                    return Err(broken("L1", format!("a tip from or to nobody: {entry:?}")));
                };
                turned = self.given(entry, from, owner);
            }
            Reason::Hold { task } => self.held(entry, task)?,
            Reason::Settlement { attempt } => turned = self.settled(entry, attempt, tables)?,
            Reason::Release { task } | Reason::Expiry { task } => {
                let Some((user, own)) = self.holds.remove(&task) else {
                    return Err(broken("L3", format!("{task} has no hold to give back")));
                };
                if posted(entry, Account::Available(user)) != own {
                    return Err(broken(
                        "L3",
                        format!("{task} held {own} micro-CPT of money, and gave back: {entry:?}"),
                    ));
                }
            }
            Reason::Reward { .. } => {
                for side in entry.postings.iter().filter(|side| is_money(side.account)) {
                    if let Some(user) = side.account.user() {
                        *self.rewards.entry(user).or_default() += side.amount.micro();
                    }
                }
            }
            Reason::Genesis
            | Reason::SignUp { .. }
            | Reason::Accrual { .. }
            | Reason::Return { .. }
            | Reason::Vest { .. }
            | Reason::Collect { .. } => {}
        }
        match mode {
            Mode::Guarded if turned != 0 => Err(broken("guard", format!("free credit became money: {entry:?}"))),
            Mode::Guarded | Mode::Open => Ok(()),
        }
    }

    /// Notes a hold; it takes money only once there is no free credit left.
    fn held(&mut self, entry: &Entry, task: TaskId) -> Result<(), Violation> {
        let holder = entry.postings.iter().find_map(|side| side.account.user());
        let Some(user) = holder else { return Err(broken("L3", format!("a hold of nobody: {entry:?}"))) };
        let own = -posted(entry, Account::Available(user));
        let credit = self.credit.get(&user).copied().unwrap_or_default();
        if own > 0 && credit > 0 {
            return Err(broken("guard", format!("{task} holds money while {credit} of free credit are left")));
        }
        self.holds.insert(task, (user, own));
        Ok(())
    }

    /// Notes a settlement; gives how much free credit it made money.
    fn settled(&mut self, entry: &Entry, attempt: AttemptRef, tables: &Tables) -> Result<i64, Violation> {
        let Some((payer, own)) = self.holds.remove(&attempt.element.task) else {
            return Err(broken("L3", format!("{attempt} is paid without a hold")));
        };
        let row = tables.attempts.get(&attempt).and_then(|row| tables.nodes.get(&row.node));
        let Some(payee) = row.map(|node| node.owner) else {
            return Err(broken("L4", format!("{attempt} is paid, and nobody ran it")));
        };
        let (own_back, credit_back) = (posted(entry, Account::Available(payer)), posted(entry, Account::Promo(payer)));
        if payer != payee && own > own_back && credit_back > 0 {
            return Err(broken("guard", format!("{attempt} was paid with money before free credit: {entry:?}")));
        }
        Ok(self.worked(entry, (payer, own), payee))
    }

    /// Notes a gift; gives how much of it was free credit.
    fn given(&mut self, entry: &Entry, from: UserId, to: UserId) -> i64 {
        let flow = self.flows.entry((from, to, Way::Given)).or_default();
        let turned = -posted(entry, Account::Promo(from));
        flow.own -= posted(entry, Account::Available(from));
        flow.turned += turned;
        turned
    }

    /// Notes pay for work. What the entry makes anybody's money, beyond the money that was set aside,
    /// was free credit; gives how much that is.
    fn worked(&mut self, entry: &Entry, (payer, own): (UserId, i64), payee: UserId) -> i64 {
        let flow = self.flows.entry((payer, payee, Way::Work)).or_default();
        let money = entry.postings.iter().filter(|side| is_money(side.account)).map(|side| side.amount.micro());
        let turned = money.sum::<i64>() - own;
        flow.turned += turned;
        if payer != payee {
            flow.own += own - posted(entry, Account::Available(payer));
        }
        turned
    }

    /// The money of every user: available, vesting, in own projects, and the own part of open holds and
    /// of what attempts earn from them.
    pub(super) fn money(tables: &Tables) -> BTreeMap<UserId, i64> {
        let mut money: BTreeMap<UserId, i64> = BTreeMap::new();
        let mut add = |user: Option<UserId>, micro: i64| {
            if let Some(user) = user {
                *money.entry(user).or_default() += micro;
            }
        };
        for (account, balance) in &tables.balances {
            match account {
                Account::Available(user) | Account::Owner(user) | Account::Reward(user) => {
                    add(Some(*user), balance.micro());
                }
                Account::Project(project) => {
                    add(tables.projects.get(project).map(|row| row.owner), balance.micro());
                }
                Account::Treasury | Account::Promo(_) | Account::Held(_) | Account::Pending(_) => {}
            }
        }
        for hold in tables.holds.values() {
            add(Some(hold.user), hold.left.own.micro());
        }
        for accrual in tables.accruals.values() {
            let payer = tables.holds.get(&accrual.attempt.element.task).map(|hold| hold.user);
            add(payer, accrual.amount.own.micro());
        }
        money
    }

    /// Everybody's money is what they were rewarded and given, less what they gave, and what was free
    /// credit before.
    pub(super) fn prove(&self, tables: &Tables) -> Result<(), Violation> {
        let mut expected = self.rewards.clone();
        for ((from, to, _), flow) in &self.flows {
            *expected.entry(*from).or_default() -= flow.own;
            *expected.entry(*to).or_default() += flow.own + flow.turned;
        }
        let mut money = Self::money(tables);
        for user in tables.users.keys() {
            let (has, had) = (money.remove(user).unwrap_or_default(), expected.remove(user).unwrap_or_default());
            if has != had {
                return Err(broken("guard", format!("{user} has {has} micro-CPT of money, and should have {had}")));
            }
        }
        match money.into_iter().chain(expected).find(|(_, micro)| *micro != 0) {
            Some((user, micro)) => Err(broken("guard", format!("{micro} micro-CPT are of {user}, who is nobody"))),
            None => Ok(()),
        }
    }
}
