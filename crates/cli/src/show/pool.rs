//! Nodes, money, the books, and the checks of `doctor`.
//!
//! Invariant: every number has its unit, in its column's name or beside it.

use super::{Amount, moment};
use crate::face::table::{Align, Rows, pairs};
use crate::face::{Document, Look};
use hivemind_model::{Bytes, Cpt, MilliCores};
use hivemind_proto::v1::{AuditResponse, NodeSummary};
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
            seen_at_unix_ms: node.seen_at_unix_ms,
        }
    }
}

impl Document for Nodes {
    const SCHEMA: &'static str = "hivemind.nodes/1";

    fn human(&self, look: &Look) -> String {
        const COLUMNS: [(&str, Align); 9] = [
            ("NODE", Align::Left),
            ("OWNER", Align::Left),
            ("STATE", Align::Left),
            ("CPU", Align::Right),
            ("MEMORY", Align::Right),
            ("DISK", Align::Right),
            ("GPUS", Align::Right),
            ("ATTEMPTS", Align::Right),
            ("SEEN", Align::Right),
        ];
        let mut rows = Rows::new(look, &COLUMNS);
        for node in &self.nodes {
            let mib = |count: i64| Bytes::from_mib(u64::try_from(count).unwrap_or(0)).to_string();
            let seen = if node.seen_at_unix_ms == 0 {
                "never".into()
            } else {
                format!("{} ago", look.age(node.seen_at_unix_ms))
            };
            rows.add(&[
                node.node.clone(),
                node.owner.clone(),
                node.state.clone(),
                MilliCores(u32::try_from(node.cpu_millicores).unwrap_or(0)).to_string(),
                mib(node.memory_mib),
                mib(node.disk_mib),
                node.gpus.to_string(),
                node.active_attempts.to_string(),
                seen,
            ]);
        }
        rows.finish()
    }

    fn quiet(&self) -> String {
        self.nodes.iter().map(|node| node.node.as_str()).collect::<Vec<_>>().join("\n")
    }
}

/// What a user has.
#[derive(Debug, Clone, Serialize)]
pub struct Balance {
    /// Can be spent.
    pub available: Amount,
    /// Set aside for open tasks.
    pub held: Amount,
}

impl From<hivemind_client::Balance> for Balance {
    fn from(balance: hivemind_client::Balance) -> Self {
        Self { available: Amount::of(balance.available.micro()), held: Amount::of(balance.held.micro()) }
    }
}

impl Document for Balance {
    const SCHEMA: &'static str = "hivemind.balance/1";

    fn human(&self, _: &Look) -> String {
        pairs(&[
            ("available", Cpt::from_micro(self.available.micro).to_string()),
            ("held", format!("{} for open tasks", Cpt::from_micro(self.held.micro))),
        ])
    }

    fn quiet(&self) -> String {
        self.available.cpt.clone()
    }
}

/// What the check of the books found.
#[derive(Debug, Clone, Serialize)]
pub struct Audit {
    /// Everything is right.
    pub balanced: bool,
    /// The first thing wrong.
    pub finding: Option<String>,
    /// Entries that were replayed.
    pub entries: i64,
    /// Accounts that were compared.
    pub accounts: i64,
    /// All CPT there are.
    pub supply: Amount,
    /// Set aside for open tasks.
    pub held: Amount,
    /// Not given out.
    pub treasury: Amount,
}

impl From<AuditResponse> for Audit {
    fn from(audit: AuditResponse) -> Self {
        Self {
            balanced: audit.balanced,
            finding: (!audit.finding.is_empty()).then_some(audit.finding),
            entries: audit.entries,
            accounts: audit.accounts,
            supply: Amount::of(audit.supply_micro),
            held: Amount::of(audit.held_micro),
            treasury: Amount::of(audit.treasury_micro),
        }
    }
}

impl Audit {
    /// `ledger: balanced`, or what is wrong.
    #[must_use]
    pub fn verdict(&self) -> String {
        match (self.balanced, &self.finding) {
            (true, _) => "ledger: balanced".into(),
            (false, Some(finding)) => format!("ledger: NOT balanced: {finding}"),
            (false, None) => "ledger: NOT balanced".into(),
        }
    }
}

impl Document for Audit {
    const SCHEMA: &'static str = "hivemind.audit/1";

    fn human(&self, _: &Look) -> String {
        let figures = pairs(&[
            ("entries", self.entries.to_string()),
            ("accounts", self.accounts.to_string()),
            ("supply", Cpt::from_micro(self.supply.micro).to_string()),
            ("held", Cpt::from_micro(self.held.micro).to_string()),
            ("treasury", Cpt::from_micro(self.treasury.micro).to_string()),
        ]);
        format!("{}\n{figures}", self.verdict())
    }

    fn quiet(&self) -> String {
        self.verdict()
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
