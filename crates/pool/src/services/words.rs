//! What a posting means, in words for the people whose money moved.
//!
//! [`describe`] is the only place where a journal entry is turned into a counterparty and a
//! sentence. Names are looked up once for all entries of a page: [`Names::of`].
//!
//! Invariant: a sentence is short and names amounts nowhere; they have fields of their own.

use crate::shared::Shared;
use crate::status;
use hivemind_ledger::{Account, Entry, Kind, Posting, Reason};
use hivemind_model::rows::TaskRow;
use hivemind_model::{AttemptRef, NodeId, ProjectId, TaskId, UserId};
use std::collections::{BTreeMap, BTreeSet};
use tonic::Status;

/// Names of whoever some entries are about.
#[derive(Default)]
pub(super) struct Names {
    users: BTreeMap<UserId, String>,
    nodes: BTreeMap<NodeId, String>,
    projects: BTreeMap<ProjectId, String>,
    /// Requesters of tasks whose entries do not all show them.
    requesters: BTreeMap<TaskId, UserId>,
}

impl Names {
    /// Looks up everybody whom `entries` name. Where they are all about one task, `task` is that.
    pub(super) async fn of(shared: &Shared, entries: &[Entry], task: Option<&TaskRow>) -> Result<Self, Status> {
        let mut names = Self::default();
        names.requesters.extend(task.map(|row| (row.progress.id, row.user)));
        let mut users = BTreeSet::new();
        for entry in entries {
            users.extend(entry.postings.iter().filter_map(|posting| posting.account.user()));
            match entry.reason {
                Reason::Transfer { from, to } => users.extend([from, to]),
                Reason::Settlement { attempt } if holder_of_hold(entry).is_none() => {
                    names.look_up_requester(shared, attempt.element.task).await?;
                }
                Reason::Reward { node, .. } => drop(names.nodes.insert(node, shared.live.board.node_name(node))),
                Reason::Tip { project, .. } | Reason::Collect { project, .. } => {
                    names.projects.insert(project, shared.live.board.project_name(project));
                }
                Reason::Genesis
                | Reason::SignUp { .. }
                | Reason::Hold { .. }
                | Reason::Accrual { .. }
                | Reason::Return { .. }
                | Reason::Settlement { .. }
                | Reason::Release { .. }
                | Reason::Expiry { .. }
                | Reason::Vest { .. } => {}
            }
        }
        users.extend(names.requesters.values().copied());
        for user in users {
            names.users.insert(user, shared.user_name(user).await?);
        }
        Ok(names)
    }

    async fn look_up_requester(&mut self, shared: &Shared, task: TaskId) -> Result<(), Status> {
        if self.requesters.contains_key(&task) {
            return Ok(());
        }
        let requester = match shared.live.board.user_of(task) {
            Some(user) => Some(user),
            None => shared.store.task(task).await.map_err(|error| status::store(&error))?.map(|row| row.user),
        };
        self.requesters.extend(requester.map(|user| (task, user)));
        Ok(())
    }

    /// The name of whose account it is; empty for the treasury.
    pub(super) fn holder(&self, account: Account) -> String {
        match account {
            Account::Treasury => String::new(),
            Account::Project(project) => self.project(project),
            Account::Available(user)
            | Account::Promo(user)
            | Account::Held(user)
            | Account::Pending(user)
            | Account::Owner(user)
            | Account::Reward(user) => self.user(user),
        }
    }

    /// What an entry is about, as one who is neither side of it reads it.
    pub(super) fn note(&self, entry: &Entry) -> String {
        match entry.reason {
            Reason::Genesis => "all the money there is".into(),
            Reason::SignUp { user } => format!("free credit for {}, who signed up", self.user(user)),
            Reason::Transfer { from, to } => format!("transfer from {} to {}", self.user(from), self.user(to)),
            Reason::Hold { task } => format!("set aside for {task}"),
            Reason::Accrual { attempt } => format!("{attempt} runs: its price so far"),
            Reason::Return { attempt } => format!("{attempt} was not accepted: its price so far goes back"),
            Reason::Settlement { attempt } => format!("{attempt} was accepted and is paid"),
            Reason::Release { task } => format!("rest of the hold of {task}"),
            Reason::Expiry { task } => format!("the hold of {task} expired"),
            Reason::Reward { node, .. } => format!("reward of {} for being there", self.node(node)),
            Reason::Vest { user, .. } => format!("earnings of {} can be spent from now on", self.user(user)),
            Reason::Tip { project, number } => format!("tip {number} to {}", self.project(project)),
            Reason::Collect { project, owner } => {
                format!("{} collects the tips to {}", self.user(owner), self.project(project))
            }
        }
    }

    fn user(&self, user: UserId) -> String {
        self.users.get(&user).cloned().unwrap_or_else(|| user.to_string())
    }

    fn node(&self, node: NodeId) -> String {
        self.nodes.get(&node).cloned().unwrap_or_else(|| node.to_string())
    }

    fn project(&self, project: ProjectId) -> String {
        self.projects.get(&project).cloned().unwrap_or_else(|| project.to_string())
    }

    /// Who pays for what an entry is about.
    fn requester(&self, entry: &Entry) -> Option<UserId> {
        holder_of_hold(entry).or_else(|| self.requesters.get(&entry.reason.task()?).copied())
    }

    /// The other person of an entry about work, as the holder of `account` sees it.
    fn other(&self, entry: &Entry, account: Account) -> Option<UserId> {
        let me = account.user()?;
        let others = entry.users().into_iter().flatten().chain(self.requester(entry));
        others.into_iter().find(|user| *user != me)
    }
}

fn holder_of_hold(entry: &Entry) -> Option<UserId> {
    let held = entry.postings.iter().find(|posting| posting.account.kind() == Kind::Held)?;
    held.account.user()
}

/// The other side of a posting (the other user, the node or the project; empty where there is
/// none), and what happened.
pub(super) fn describe(names: &Names, entry: &Entry, posting: &Posting) -> (String, String) {
    let account = posting.account;
    let grew = posting.amount.is_positive();
    let other = || names.other(entry, account).map(|user| names.user(user)).unwrap_or_default();
    match entry.reason {
        Reason::Genesis => (String::new(), "all the money there is".into()),
        Reason::SignUp { .. } => (String::new(), "free credit for signing up".into()),
        Reason::Transfer { from, to } if account.user() == Some(from) => {
            (names.user(to), format!("transfer to {}", names.user(to)))
        }
        Reason::Transfer { from, .. } => (names.user(from), format!("transfer from {}", names.user(from))),
        Reason::Hold { task } => (String::new(), format!("set aside for {task}")),
        Reason::Accrual { attempt } => (other(), format!("{attempt} runs: its price so far")),
        Reason::Return { attempt } => {
            (other(), format!("{attempt} was not accepted: its price so far goes back to the hold"))
        }
        Reason::Settlement { attempt } => (other(), settlement(names, entry, posting, attempt)),
        Reason::Release { task } => (String::new(), format!("rest of the hold of {task}")),
        Reason::Expiry { task } => (String::new(), format!("the hold of {task} expired")),
        Reason::Reward { node, .. } => {
            let name = names.node(node);
            let note = format!("reward of {name} for being there");
            (name, note)
        }
        Reason::Vest { .. } if grew => (String::new(), "earnings that can be spent from now on".into()),
        Reason::Vest { .. } => (String::new(), "earnings became money that can be spent".into()),
        Reason::Tip { project, number } => {
            let name = names.project(project);
            let note = format!("tip {number} to {name}");
            (name, note)
        }
        Reason::Collect { project, .. } => {
            let name = names.project(project);
            let note = format!("tips to {name} were collected");
            (name, note)
        }
    }
}

fn settlement(names: &Names, entry: &Entry, posting: &Posting, attempt: AttemptRef) -> String {
    let account = posting.account;
    let requester = names.requester(entry);
    let rest = |posting: &Posting| match posting.account.kind() {
        Kind::Available | Kind::Promo => posting.account.user() == requester && posting.amount.is_positive(),
        Kind::Treasury | Kind::Held | Kind::Pending | Kind::Owner | Kind::Reward | Kind::Project => false,
    };
    match account.kind() {
        Kind::Held if posting.amount.is_positive() => format!("{attempt} cost less than it was metered at"),
        Kind::Held if entry.postings.iter().any(rest) => {
            format!("the hold of {} ends: pay for {attempt}, and what was not used", attempt.element.task)
        }
        Kind::Held => format!("pay for {attempt}, out of the hold"),
        Kind::Pending => format!("{attempt} was accepted: its price so far is paid"),
        Kind::Treasury => format!("free credit for {attempt}: requester and owner are one person"),
        Kind::Owner | Kind::Reward => format!("pay for {attempt}, to be spent later"),
        Kind::Available | Kind::Promo if account.user() == requester => {
            // On a node of one's own, pay and rest of the hold arrive together.
            let paid_elsewhere = |posting: &&Posting| match posting.account.kind() {
                Kind::Treasury | Kind::Owner => true,
                Kind::Available | Kind::Promo | Kind::Pending => posting.account.user() != requester,
                Kind::Held | Kind::Reward | Kind::Project => false,
            };
            match entry.postings.iter().find(paid_elsewhere) {
                Some(_) => format!("rest of the hold of {}", attempt.element.task),
                None => format!("pay for {attempt} on a node of one's own, and rest of the hold"),
            }
        }
        Kind::Available | Kind::Promo | Kind::Project => format!("pay for {attempt}"),
    }
}

#[cfg(test)]
mod tests;
