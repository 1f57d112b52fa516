//! Nodes, and the checks of `doctor`.
//!
//! Invariant: every number has its unit, in its column's name or beside it.

use super::{Amount, moment};
use crate::face::table::{Align, Rows, pairs};
use crate::face::{Document, Look};
use crate::quantity::show_hours;
use hivemind_model::{Bytes, Level, MilliCores, Millis};
use hivemind_proto::v1::NodeSummary;
use hivemind_runtime::{Check, Verdict};
use serde::Serialize;

/// Some nodes.
#[derive(Debug, Clone, Serialize)]
pub struct Nodes {
    /// One entry a node.
    pub nodes: Vec<Node>,
}

/// One node.
#[derive(Debug, Clone, Serialize)]
pub struct Node {
    /// Its name.
    pub node: String,
    /// Who earns.
    pub owner: String,
    /// online, draining, silent, offline.
    pub state: String,
    /// Thousandths of a core that it offers.
    pub cpu_millicores: i32,
    /// Thousandths of a core that are not in use.
    pub free_cpu_millicores: i32,
    /// Memory that it offers, in MiB.
    pub memory_mib: i64,
    /// Memory that is not in use, in MiB.
    pub free_memory_mib: i64,
    /// Disk space that it offers, in MiB.
    pub disk_mib: i64,
    /// Graphics processors.
    pub gpus: i32,
    /// The graphics processor, for people.
    pub gpu_info: String,
    /// Attempts that it has.
    pub active_attempts: i32,
    /// How tasks are run there.
    pub runtime: String,
    /// RFC 3339.
    pub seen_at: Option<String>,
    /// Percent of the machine.
    pub cpu_usage_percent: f32,
    /// Percent of the machine.
    pub memory_usage_percent: f32,
    /// Percent of the machine.
    pub disk_usage_percent: f32,
    /// Percent of the machine.
    pub gpu_usage_percent: f32,
    /// none, bronze, silver, gold, platinum, diamond.
    pub level: String,
    /// How long it was alive in its whole life, in milliseconds.
    pub runtime_ms: i64,
    /// What is missing to the next level, in milliseconds; null above the highest.
    pub next_level_in_ms: Option<i64>,
    /// Earned by what runs there now, not yet paid.
    pub pending: Amount,
    /// in service, cordoned, draining, banned: whether people let it have work.
    pub service: String,
    /// RFC 3339: when what still runs on a draining node is tried elsewhere.
    pub service_until: Option<String>,
    /// Why it is banned; empty where it is not.
    pub service_reason: String,
    /// key=value, as its owner says.
    pub labels: Vec<String>,
    /// How well it keeps tasks in: basic, rootless, sandboxed.
    pub isolation: String,
    /// What its verified work has shown: new, known, trusted, proven.
    pub trust: String,
    /// Verified results in a row without an error.
    pub verified_results: u32,
    /// Wrong results in its whole life.
    pub wrong_results: u32,
    /// While it is new: attempts that it may still be given today.
    pub quota_left: u32,
    /// RFC 3339: it failed too often in a row and gets no work until then.
    pub resting_until: Option<String>,
    /// What it runs: container, wasm.
    pub kinds: Vec<String>,
    /// What its owner lets tasks reach, HOST:PORT, or only `public`.
    pub network: Vec<String>,
    /// open, finishing, paused: whether its owner lets it work now.
    pub available: String,
    /// Why it does not; empty where it does.
    pub available_reason: String,
    /// Of one core, in parts of the mean machine's, as the pool measured it; null where it did not yet.
    pub speed: Option<f32>,
    /// The same, of real tasks; null while they are too few.
    pub speed_in_tasks: Option<f32>,
    /// The hottest sensor, in degrees Celsius; null where it is not known.
    pub temperature_celsius: Option<f32>,
    /// For moments.
    #[serde(skip)]
    resting_until_unix_ms: i64,
    /// For ages.
    #[serde(skip)]
    pub seen_at_unix_ms: i64,
}

impl From<NodeSummary> for Node {
    fn from(node: NodeSummary) -> Self {
        Self {
            node: node.node_id,
            owner: node.owner,
            state: node.state,
            cpu_millicores: node.cpu_millicores,
            free_cpu_millicores: node.free_cpu_millicores,
            memory_mib: node.memory_mb,
            free_memory_mib: node.free_memory_mb,
            disk_mib: node.disk_mb,
            gpus: node.gpus,
            gpu_info: node.gpu_info,
            active_attempts: node.active_attempts,
            runtime: node.runtime,
            seen_at: moment(node.seen_at_unix_ms),
            cpu_usage_percent: node.cpu_usage,
            memory_usage_percent: node.memory_usage,
            disk_usage_percent: node.disk_usage,
            gpu_usage_percent: node.gpu_usage,
            level: node.level,
            runtime_ms: node.runtime_ms,
            next_level_in_ms: (node.next_level_ms > 0).then_some(node.next_level_ms),
            pending: Amount::of(node.pending_micro),
            service: node.service,
            service_until: moment(node.service_until_unix_ms),
            service_reason: node.service_reason,
            labels: node.labels,
            isolation: node.isolation,
            trust: node.trust,
            verified_results: node.verified_results,
            wrong_results: node.wrong_results,
            quota_left: node.quota_left,
            resting_until: moment(node.resting_until_unix_ms),
            kinds: node.kinds,
            network: node.network,
            available: node.available,
            available_reason: node.available_reason,
            speed: Some(node.speed).filter(|speed| *speed > 0.0),
            speed_in_tasks: Some(node.speed_in_tasks).filter(|speed| *speed > 0.0),
            temperature_celsius: Some(node.temperature_celsius).filter(|degrees| *degrees > 0.0),
            resting_until_unix_ms: node.resting_until_unix_ms,
            seen_at_unix_ms: node.seen_at_unix_ms,
        }
    }
}

impl Document for Nodes {
    const SCHEMA: &'static str = "hivemind.nodes/1";

    fn human(&self, look: &Look) -> String {
        const COLUMNS: [(&str, Align); 13] = [
            ("NODE", Align::Left),
            ("OWNER", Align::Left),
            ("STATE", Align::Left),
            ("SERVICE", Align::Left),
            ("LEVEL", Align::Left),
            ("TRUST", Align::Left),
            ("CPU", Align::Right),
            ("MEMORY", Align::Right),
            ("DISK", Align::Right),
            ("GPUS", Align::Right),
            ("ATTEMPTS", Align::Right),
            ("SEEN", Align::Right),
            ("LABELS", Align::Left),
        ];
        let mut rows = Rows::new(look, &COLUMNS);
        for node in &self.nodes {
            rows.add(&[
                node.node.clone(),
                node.owner.clone(),
                node.state.clone(),
                node.service.clone(),
                node.level.clone(),
                node.trust.clone(),
                cores(node.cpu_millicores),
                mib(node.memory_mib),
                mib(node.disk_mib),
                node.gpus.to_string(),
                node.active_attempts.to_string(),
                node.seen(look),
                node.labels.join(","),
            ]);
        }
        rows.finish()
    }

    fn quiet(&self) -> String {
        self.nodes.iter().map(|node| node.node.as_str()).collect::<Vec<_>>().join("\n")
    }
}

fn cores(millis: i32) -> String {
    MilliCores(u32::try_from(millis).unwrap_or(0)).to_string()
}

fn mib(count: i64) -> String {
    Bytes::from_mib(u64::try_from(count).unwrap_or(0)).to_string()
}

fn hours(millis: i64) -> String {
    show_hours(Millis(u64::try_from(millis).unwrap_or(0)))
}

impl Node {
    fn seen(&self, look: &Look) -> String {
        match self.seen_at_unix_ms {
            0 => "never".into(),
            at => format!("{} ago", look.age(at)),
        }
    }

    fn service(&self) -> String {
        match (&self.service_until, self.service_reason.as_str()) {
            (Some(until), _) => format!("{}: what still runs at {until} is tried elsewhere", self.service),
            (None, "") => self.service.clone(),
            (None, reason) => format!("{}: {reason}", self.service),
        }
    }

    /// Its trust, and what it comes from.
    fn trust(&self) -> String {
        let shown = format!("{} results verified in a row, {} wrong ever", self.verified_results, self.wrong_results);
        match (self.trust.as_str(), self.quota_left) {
            ("", _) => String::new(),
            ("new", left) => format!("new: {shown}; at most {left} more attempts today"),
            (trust, _) => format!("{trust}: {shown}"),
        }
    }

    fn resting(&self, look: &Look) -> String {
        match self.resting_until_unix_ms {
            0 => String::new(),
            until => format!("gets no work until {}: it failed too often in a row", look.moment(until)),
        }
    }

    /// What is missing to the next level, by its name.
    /// What its owner decides; empty where nothing is known of that.
    fn availability(&self) -> String {
        match (self.available.as_str(), self.available_reason.as_str()) {
            ("open", _) => "work".into(),
            ("finishing", why) => format!("finish what runs: {why}"),
            ("paused", why) => format!("stand still: {why}"),
            (other, _) => other.into(),
        }
    }

    fn speed(&self) -> String {
        match (self.speed, self.speed_in_tasks) {
            (None, None) => String::new(),
            (Some(measured), None) => format!("{measured:.2} of the mean machine's core"),
            (None, Some(real)) => format!("{real:.2} of the mean machine's, in real tasks"),
            (Some(measured), Some(real)) => {
                format!("{measured:.2} of the mean machine's core, {real:.2} in real tasks")
            }
        }
    }

    fn next_level(&self) -> String {
        let next = Level::parse(&self.level).and_then(Level::next);
        match (self.next_level_in_ms, next) {
            (Some(missing), Some(level)) => format!("{level} after {} more", hours(missing)),
            (Some(missing), None) => format!("after {} more", hours(missing)),
            (None, _) => "none: this is the highest".into(),
        }
    }
}

/// A node by itself.
impl Document for Node {
    const SCHEMA: &'static str = "hivemind.node/1";

    fn human(&self, look: &Look) -> String {
        let of = |free: String, whole: String| format!("{whole}, {free} of it free");
        pairs(&[
            ("node", self.node.clone()),
            ("owner", self.owner.clone()),
            ("state", self.state.clone()),
            ("service", self.service()),
            ("owner lets it", self.availability()),
            ("level", self.level.clone()),
            ("trust", self.trust()),
            ("isolation", self.isolation.clone()),
            ("labels", self.labels.join(", ")),
            ("resting", self.resting(look)),
            ("runtime", hours(self.runtime_ms)),
            ("next level", self.next_level()),
            ("pending", format!("{} earned by what runs there now", self.pending)),
            ("attempts", self.active_attempts.to_string()),
            ("cpu", of(cores(self.free_cpu_millicores), cores(self.cpu_millicores))),
            ("memory", of(mib(self.free_memory_mib), mib(self.memory_mib))),
            ("disk", mib(self.disk_mib)),
            ("gpus", if self.gpus == 0 { String::new() } else { format!("{} {}", self.gpus, self.gpu_info) }),
            ("speed", self.speed()),
            ("temperature", self.temperature_celsius.map_or_else(String::new, |degrees| format!("{degrees:.0} °C"))),
            ("runs", self.kinds.join(", ")),
            ("network", if self.network.is_empty() { "none".into() } else { self.network.join(", ") }),
            ("runs tasks by", self.runtime.clone()),
            ("seen", self.seen(look)),
        ])
    }

    fn quiet(&self) -> String {
        self.state.clone()
    }
}

/// The checks of `doctor`.
#[derive(Debug, Clone, Serialize)]
pub struct Checks {
    /// No check is bad.
    pub ok: bool,
    /// In the order they were made.
    pub checks: Vec<Checked>,
}

/// One check.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// What was looked at.
    pub check: String,
    /// ok, weak, bad.
    pub verdict: &'static str,
    /// What was found.
    pub detail: String,
    /// What to do; empty where nothing.
    pub fix: String,
}

impl From<Vec<Check>> for Checks {
    fn from(checks: Vec<Check>) -> Self {
        let ok = checks.iter().all(|check| check.verdict != Verdict::Bad);
        let word = |verdict| match verdict {
            Verdict::Good => "ok",
            Verdict::Weak => "weak",
            Verdict::Bad => "bad",
        };
        let one = |check: Check| Checked {
            check: check.name,
            verdict: word(check.verdict),
            detail: check.detail,
            fix: check.fix,
        };
        Self { ok, checks: checks.into_iter().map(one).collect() }
    }
}

impl Document for Checks {
    const SCHEMA: &'static str = "hivemind.doctor/1";

    fn human(&self, look: &Look) -> String {
        const COLUMNS: [(&str, Align); 3] = [("CHECK", Align::Left), ("", Align::Left), ("FOUND", Align::Left)];
        let mut rows = Rows::new(look, &COLUMNS);
        for check in &self.checks {
            rows.add(&[check.check.clone(), check.verdict.into(), check.detail.clone()]);
            if !check.fix.is_empty() {
                rows.add(&[String::new(), String::new(), format!("fix: {}", check.fix)]);
            }
        }
        rows.finish()
    }

    fn quiet(&self) -> String {
        let bad = self.checks.iter().filter(|check| check.verdict == "bad");
        bad.map(|check| check.check.as_str()).collect::<Vec<_>>().join("\n")
    }
}
