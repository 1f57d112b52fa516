//! Why a task waits, where it runs or how it ended, and what would make it run.
//!
//! Invariant: every figure is the pool's own answer; only the options that ask for it are named here.

use super::{Amount, moment};
use crate::face::table::{Align, Rows, pairs};
use crate::face::{Document, Look, harmless};
use hivemind_model::node::{Isolation, TrustTier};
use hivemind_model::{Bytes, Level};
use hivemind_proto::v1;
use serde::Serialize;

/// The answer to: why?
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// Which task.
    pub task: String,
    /// pending, running, completed, failed, cancelled.
    pub state: String,
    /// One sentence.
    pub reason: String,
    /// What to do.
    pub advice: Option<String>,
    /// What its requester can say instead, while no node is big enough.
    pub changes: Vec<Change>,
    /// While it waits: how the nodes stand to it.
    pub nodes: Option<Nodes>,
    /// While it is in the queue: its place.
    pub place: Option<Place>,
    /// A node is kept free for it.
    pub node_reserved: bool,
    /// Attempts that failed through no fault of its own.
    pub faults: Option<Faults>,
    /// Where it runs.
    pub run: Option<Run>,
    /// RFC 3339.
    pub submitted_at: Option<String>,
    /// RFC 3339.
    pub ended_at: Option<String>,
    /// RFC 3339: then an open task fails and is refunded.
    pub hold_expires_at: Option<String>,
    #[serde(skip)]
    hold_expires_at_unix_ms: i64,
    /// The most it can cost.
    pub price_cap: Amount,
    /// What was paid for it.
    pub cost: Amount,
    /// What the user can spend on tasks.
    pub available: Amount,
    /// What is held for all open tasks of the user.
    pub held: Amount,
}

/// Linked nodes that take work.
#[derive(Debug, Clone, Serialize)]
pub struct Nodes {
    /// All of them.
    pub linked: i64,
    /// Those that are big enough and of the level.
    pub capable: i64,
    /// Those of them that have room now.
    pub free: i64,
    /// One for everything that is asked for; the last: all together on one node.
    pub constraints: Vec<Constraint>,
}

/// One constraint, and how the nodes stand to it.
#[derive(Debug, Clone, Serialize)]
pub struct Constraint {
    /// cores, memory, disk, gpus, level, together.
    pub constraint: String,
    /// For people.
    pub asked: Option<String>,
    /// Thousandths of a core, bytes, pieces; of a level its place.
    pub asked_amount: i64,
    /// Nodes that fail it even when idle.
    pub nodes_too_small: i64,
    /// Others that fail it by what is free now.
    pub nodes_busy: i64,
    /// The largest ask that would run, everything else as asked.
    pub largest: Option<String>,
    /// The same, as `asked_amount`.
    pub largest_amount: Option<i64>,
}

/// One thing to ask less of.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// cores, memory, disk, gpus, level.
    pub constraint: String,
    /// What is asked.
    pub from: String,
    /// What would run.
    pub to: String,
    /// The option that asks for it.
    pub option: String,
}

/// What is served before it; counted up to 10,000.
#[derive(Debug, Clone, Serialize)]
pub struct Place {
    /// Requesters whose turn comes earlier.
    pub requesters_before: i64,
    /// Elements of one's own that come earlier.
    pub own_before: i64,
}

/// Attempts that failed through no fault of the task.
#[derive(Debug, Clone, Serialize)]
pub struct Faults {
    /// So many.
    pub count: u32,
    /// With so many the task fails.
    pub most: u32,
    /// RFC 3339; nothing: as soon as a node has room.
    pub tried_again_at: Option<String>,
    #[serde(skip)]
    not_before_unix_ms: i64,
}

/// Where it runs.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// The node's name.
    pub node: String,
    /// offline, away, online, draining.
    pub link: String,
    /// Number of the attempt.
    pub attempt: u32,
    /// RFC 3339.
    pub assigned_at: Option<String>,
    /// RFC 3339; nothing: it is being prepared.
    pub started_at: Option<String>,
    /// What is happening.
    pub note: Option<String>,
    #[serde(skip)]
    assigned_at_unix_ms: i64,
    #[serde(skip)]
    started_at_unix_ms: i64,
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

impl From<v1::ExplainResponse> for Explanation {
    fn from(told: v1::ExplainResponse) -> Self {
        let constraints: Vec<Constraint> = told.constraints.into_iter().map(Constraint::from).collect();
        let nodes =
            Nodes { linked: told.nodes_linked, capable: told.nodes_capable, free: told.nodes_free, constraints };
        Self {
            task: told.task_id,
            state: told.status,
            reason: told.reason,
            advice: filled(told.advice),
            changes: told.changes.into_iter().map(Change::from).collect(),
            nodes: (!nodes.constraints.is_empty()).then_some(nodes),
            place: told
                .place
                .map(|place| Place { requesters_before: place.requesters_before, own_before: place.own_before }),
            node_reserved: told.node_reserved,
            faults: told.faults.map(|faults| Faults {
                count: faults.count,
                most: faults.most,
                tried_again_at: moment(faults.not_before_unix_ms),
                not_before_unix_ms: faults.not_before_unix_ms,
            }),
            run: told.run.map(Run::from),
            submitted_at: moment(told.submitted_at_unix_ms),
            ended_at: moment(told.ended_at_unix_ms),
            hold_expires_at: moment(told.hold_expires_at_unix_ms),
            hold_expires_at_unix_ms: told.hold_expires_at_unix_ms,
            price_cap: Amount::of(told.price_cap_micro),
            cost: Amount::of(told.cost_micro),
            available: Amount::of(told.balance_micro),
            held: Amount::of(told.held_micro),
        }
    }
}

impl From<v1::Constraint> for Constraint {
    fn from(told: v1::Constraint) -> Self {
        let largest = filled(told.largest);
        Self {
            constraint: told.name,
            asked: filled(told.asked),
            asked_amount: told.asked_amount,
            nodes_too_small: told.nodes_too_small,
            nodes_busy: told.nodes_busy,
            largest_amount: largest.as_ref().map(|_| told.largest_amount),
            largest,
        }
    }
}

impl From<v1::AskChange> for Change {
    fn from(told: v1::AskChange) -> Self {
        let option = option(&told.name, u64::try_from(told.to_amount).unwrap_or(0), &told.from);
        Self { constraint: told.name, from: told.from, to: told.to, option }
    }
}

impl From<v1::RunPlace> for Run {
    fn from(told: v1::RunPlace) -> Self {
        Self {
            node: told.node,
            link: told.link,
            attempt: told.attempt,
            assigned_at: moment(told.assigned_at_unix_ms),
            started_at: moment(told.started_at_unix_ms),
            note: filled(told.note),
            assigned_at_unix_ms: told.assigned_at_unix_ms,
            started_at_unix_ms: told.started_at_unix_ms,
        }
    }
}

/// The option of `submit` that asks for so much in the place of `from`; empty for what this program does not know.
fn option(constraint: &str, amount: u64, from: &str) -> String {
    let level = || usize::try_from(amount).ok().and_then(|place| Level::ALL.get(place));
    match (constraint, level()) {
        ("cores", _) => format!("--cpus {}", amount / 1000),
        ("memory", _) => format!("--memory {}m", Bytes(amount).mib()),
        ("disk", _) => format!("--disk {}m", Bytes(amount).mib()),
        ("gpus", _) => format!("--gpus {amount}"),
        ("level", Some(Level::None)) => "no --min-level".into(),
        ("level", Some(level)) => format!("--min-level {level}"),
        ("trust", _) => tier("--min-trust", TrustTier::ALL.iter().map(|tier| tier.as_str()), amount),
        ("isolation", _) => tier("--min-isolation", Isolation::ALL.iter().map(|tier| tier.as_str()), amount),
        ("labels", _) => match from.split_whitespace().find(|word| word.contains('=')) {
            Some(label) => format!("no --label {label}"),
            None => "no --label".into(),
        },
        ("network", _) => "no --network".into(),
        _ => String::new(),
    }
}

/// The option that asks for a tier by its place; the lowest is asked for by not asking.
fn tier(option: &str, mut tiers: impl Iterator<Item = &'static str>, amount: u64) -> String {
    match usize::try_from(amount).map(|place| (place, tiers.nth(place))) {
        Ok((0, _)) => format!("no {option}"),
        Ok((_, Some(tier))) => format!("{option} {tier}"),
        Ok((_, None)) | Err(_) => String::new(),
    }
}

impl Nodes {
    fn table(&self, look: &Look) -> String {
        const COLUMNS: [(&str, Align); 5] = [
            ("CONSTRAINT", Align::Left),
            ("ASKED", Align::Left),
            ("NODES THAT FAIL IT", Align::Left),
            ("BUSY NOW", Align::Right),
            ("LARGEST THAT WOULD RUN", Align::Left),
        ];
        let mut rows = Rows::new(look, &COLUMNS);
        for row in &self.constraints {
            let (name, asked) = match &row.asked {
                Some(asked) => (row.constraint.clone(), asked.clone()),
                None => ("all together".into(), "on one node".into()),
            };
            let fail = format!("{} of {}", row.nodes_too_small, self.linked);
            let largest = row.largest.clone().unwrap_or_else(|| "-".into());
            rows.add(&[name, asked, fail, row.nodes_busy.to_string(), largest]);
        }
        rows.finish()
    }
}

impl Explanation {
    fn place(&self) -> Option<String> {
        let place = self.place.as_ref()?;
        let others = match place.requesters_before {
            0 => "no other requester comes before you".into(),
            1 => "1 other requester comes before you".into(),
            n => format!("{n} other requesters come before you"),
        };
        let own = match place.own_before {
            0 => "nothing of your own comes before it".into(),
            n => format!("{n} of your own before it"),
        };
        Some(format!("{others}, {own}"))
    }

    fn tried_again(&self, look: &Look) -> Option<String> {
        let faults = self.faults.as_ref()?;
        let when = match faults.not_before_unix_ms {
            0 => "as soon as a node has room".into(),
            at => format!("at {}", look.moment(at)),
        };
        Some(format!("{when}; failed {} of {} times, not its own fault", faults.count, faults.most))
    }

    fn options(&self) -> String {
        let options: Vec<&str> = self.changes.iter().map(|change| change.option.as_str()).collect();
        options.join(" ")
    }

    fn facts(&self, look: &Look) -> String {
        let open = self.ended_at.is_none();
        let what = if self.nodes.is_some() { "cheapest change" } else { "what to do" };
        let since = |run: &Run| match run.started_at_unix_ms {
            0 => format!("{}, handed out at {}", run.node, look.moment(run.assigned_at_unix_ms)),
            at => format!("{}, since {}", run.node, look.moment(at)),
        };
        let expiry = match self.hold_expires_at_unix_ms {
            0 => String::new(),
            at => format!("{} are held until {}", self.price_cap, look.moment(at)),
        };
        pairs(&[
            (what, self.advice.clone().unwrap_or_default()),
            ("with", self.options()),
            ("place", self.place().unwrap_or_default()),
            ("reserved", if self.node_reserved { "a node is kept free for it".into() } else { String::new() }),
            ("tried again", self.tried_again(look).unwrap_or_default()),
            ("node", self.run.as_ref().map(since).unwrap_or_default()),
            ("doing", self.run.as_ref().and_then(|run| run.note.clone()).unwrap_or_default()),
            ("price", if open { expiry } else { format!("{} paid of at most {}", self.cost, self.price_cap) }),
            ("your balance", format!("{} available, {} held for open tasks", self.available, self.held)),
        ])
    }
}

impl Document for Explanation {
    const SCHEMA: &'static str = "hivemind.explain/1";

    fn human(&self, look: &Look) -> String {
        let sentence = format!("{} ({}): {}", self.task, self.state, harmless(&self.reason));
        let parts = [Some(sentence), self.nodes.as_ref().map(|nodes| nodes.table(look)), Some(self.facts(look))];
        parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
    }

    fn quiet(&self) -> String {
        harmless(&self.reason)
    }
}
