//! Open-source projects and the tips they get.
//!
//! Start at [`Engine::tip`].
//!
//! Invariant: a closed project holds no money and never takes any again.

use crate::Engine;
use crate::accounts::{check_name, known_name};
use hivemind_ledger::Refusal;
use hivemind_model::command::Once;
use hivemind_model::rows::{Answer, ProjectRow, ProjectState, TipRow};
use hivemind_model::text::is_unseen;
use hivemind_model::{Code, Cpt, ProjectId, Rejection, Reply, Timestamp, UserId};

/// Projects of one owner.
const MAX_PROJECTS_PER_OWNER: u32 = 100;
/// Longest address of a repository, in bytes.
const MAX_REPOSITORY_BYTES: usize = 300;
/// Longest message of a tip, in bytes.
const MAX_MESSAGE_BYTES: usize = 280;

/// One tip as it was asked for.
pub(crate) struct Tip {
    pub(crate) from: UserId,
    pub(crate) project: String,
    pub(crate) amount: Cpt,
    pub(crate) message: String,
}

impl Engine {
    /// Registers a project.
    pub(crate) fn register_project(
        &mut self,
        owner: UserId,
        name: String,
        repository: String,
        now: Timestamp,
    ) -> Result<Reply, Rejection> {
        let projects = self.user(owner)?.projects;
        check_name("name", &name, 2, 64)?;
        check_repository(&repository)?;
        let folded = name.to_ascii_lowercase();
        if self.project_names.contains_key(&folded) {
            return Err(Rejection::field(
                Code::Taken,
                "name",
                format!("`{name}` is taken (letter case does not count); choose another"),
            ));
        }
        if projects >= MAX_PROJECTS_PER_OWNER {
            return Err(Rejection::new(
                Code::Busy,
                format!("you have {MAX_PROJECTS_PER_OWNER} projects, the most that this pool takes from one owner"),
            ));
        }
        let id = ProjectId(self.counters.project);
        self.counters.project += 1;
        self.pending.counters_moved = true;
        let row = ProjectRow {
            id,
            name,
            repository,
            owner,
            state: ProjectState::Open,
            registered_at: now,
            tips: 0,
            tipped: Cpt::ZERO,
        };
        self.projects.insert(id, row);
        self.project_names.insert(folded, id);
        self.pending.projects.insert(id);
        if let Some(user) = self.users.get_mut(&owner) {
            user.projects += 1;
        }
        Ok(Reply::ProjectRegistered { project: id })
    }

    /// Takes no more tips, and gives the owner what was not collected.
    pub(crate) fn close_project(&mut self, owner: UserId, name: &str, now: Timestamp) -> Result<Reply, Rejection> {
        let id = self.own_project(owner, name)?;
        if let Some(project) = self.projects.get_mut(&id) {
            project.state = ProjectState::Closed;
        }
        self.pending.projects.insert(id);
        Ok(Reply::Collected { amount: self.ledger.collect(id, owner, now) })
    }

    /// Gives the owner what was tipped.
    pub(crate) fn collect_tips(&mut self, owner: UserId, name: &str, now: Timestamp) -> Result<Reply, Rejection> {
        let id = self.own_project(owner, name)?;
        Ok(Reply::Collected { amount: self.ledger.collect(id, owner, now) })
    }

    /// Moves money from a user to a project.
    pub(crate) fn tip(&mut self, ask: Tip, once: Option<Once>, now: Timestamp) -> Result<Reply, Rejection> {
        self.user(ask.from)?;
        let user = ask.from;
        self.at_most_once(once, user, "tip_id", |engine| {
            let balance = engine.tip_now(ask, now)?;
            Ok((Reply::Transferred { balance }, Answer::Transferred { balance }))
        })
    }

    fn tip_now(&mut self, ask: Tip, now: Timestamp) -> Result<Cpt, Rejection> {
        let Tip { from, project, amount, message } = ask;
        if !amount.is_positive() {
            return Err(Rejection::invalid("amount", format!("{amount} is no tip; it must be above zero")));
        }
        if message.len() > MAX_MESSAGE_BYTES || message.chars().any(is_unseen) {
            return Err(Rejection::invalid(
                "message",
                format!(
                    "is longer than {MAX_MESSAGE_BYTES} bytes or contains a control character, or one that hides or turns around text"
                ),
            ));
        }
        let id = self.project(&project)?;
        let (spend, but) = (self.spend(), self.but_promo());
        let Some(row) = self.projects.get_mut(&id) else { return Err(unknown(&project)) };
        if row.owner == from {
            return Err(Rejection::invalid("project", "is your own; nothing would move"));
        }
        if row.state == ProjectState::Closed {
            return Err(Rejection::field(
                Code::Conflict,
                "project",
                format!("`{}` is closed and takes no tips", row.name),
            ));
        }
        let number = row.tips + 1;
        self.ledger.tip(from, (id, number), amount, spend, now).map_err(|refusal| match refusal {
            Refusal::Insufficient { .. } => Rejection::field(
                Code::InsufficientCpt,
                "amount",
                format!("{refusal}{but}; give less, or wait for open tasks to end"),
            ),
            other => Rejection::invalid("amount", other),
        })?;
        row.tips = number;
        // All tips together are within the supply, so within 64 bits, unless they go in circles.
        row.tipped = row.tipped.checked_add(amount).unwrap_or(row.tipped);
        self.pending.projects.insert(id);
        self.pending.tips.push(TipRow { number, project: id, from, amount, message, at: now });
        Ok(self.ledger.spendable(from))
    }

    fn own_project(&self, owner: UserId, name: &str) -> Result<ProjectId, Rejection> {
        self.user(owner)?;
        let id = self.project(name)?;
        match self.projects.get(&id) {
            Some(project) if project.owner == owner => Ok(id),
            Some(_) | None => Err(Rejection::field(Code::Forbidden, "project", "belongs to another user")),
        }
    }

    fn project(&self, name: &str) -> Result<ProjectId, Rejection> {
        self.project_names.get(&name.to_ascii_lowercase()).copied().ok_or_else(|| unknown(name))
    }
}

fn unknown(name: &str) -> Rejection {
    Rejection::field(Code::NotFound, "project", format!("there is no project `{}`", known_name(name)))
}

/// Checks that an address is of the form `https://host/...` without anything that could deceive.
fn check_repository(address: &str) -> Result<(), Rejection> {
    let bad = |why: &str| Err(Rejection::invalid("repository", why));
    if address.len() > MAX_REPOSITORY_BYTES {
        return bad("is longer than 300 bytes");
    }
    let Some(rest) = address.strip_prefix("https://") else { return bad("does not begin with https://") };
    if !address.bytes().all(|byte| byte.is_ascii_graphic()) || address.contains(['"', '<', '>', '`', '\\']) {
        return bad("contains a character that an address does not have");
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let fine = host.starts_with(|c: char| c.is_ascii_alphanumeric())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte));
    if fine { Ok(()) } else { bad("names no host") }
}
