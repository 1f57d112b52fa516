//! What nodes were rewarded, line by line.
//!
//! Invariant: the parts are those that the pool paid by; nothing is computed anew here but shares.

use super::{Amount, moment};
use crate::face::csv::{Field, Record};
use crate::face::table::{Align, Rows};
use crate::face::{Document, Look};
use crate::quantity::show_span;
use hivemind_model::Millis;
use hivemind_proto::v1::RewardLine;
use serde::Serialize;

/// Rewards, newest period first.
#[derive(Debug, Clone, Serialize)]
pub struct Rewards {
    /// One entry a node and period.
    pub rewards: Vec<Reward>,
    /// There are older ones.
    pub more: bool,
}

/// What one node was paid for one period.
#[derive(Debug, Clone, Serialize)]
pub struct Reward {
    /// The node's name.
    pub node: String,
    /// RFC 3339.
    pub from: Option<String>,
    /// RFC 3339.
    pub to: Option<String>,
    /// How long it was registered in the period, in milliseconds.
    pub registered_ms: i64,
    /// How long it was alive in it, in milliseconds.
    pub alive_ms: i64,
    /// The share of the one in the other, in percent, rounded down to a tenth.
    pub uptime_percent: f64,
    /// Attempts that ended.
    pub attempts_ended: u32,
    /// Attempts that were accepted.
    pub attempts_accepted: u32,
    /// Accepted attempts of complex tasks.
    pub complex_accepted: u32,
    /// For its runtime.
    pub base: Amount,
    /// For accepted attempts.
    pub performance: Amount,
    /// For being alive throughout.
    pub stability: Amount,
    /// For complex tasks.
    pub quality: Amount,
    /// none, bronze, silver, gold, platinum, diamond.
    pub level: String,
    /// What the sum of the four is multiplied with, in tenths.
    pub multiplier_tenths: u32,
    /// What was paid.
    pub total: Amount,
    /// For moments.
    #[serde(skip)]
    pub from_unix_ms: i64,
    /// For moments.
    #[serde(skip)]
    pub to_unix_ms: i64,
}

impl From<RewardLine> for Reward {
    fn from(line: RewardLine) -> Self {
        Self {
            node: line.node,
            from: moment(line.from_unix_ms),
            to: moment(line.to_unix_ms),
            registered_ms: line.registered_ms,
            alive_ms: line.alive_ms,
            uptime_percent: f64::from(uptime_tenths(line.alive_ms, line.registered_ms)) / 10.0,
            attempts_ended: line.attempts_ended,
            attempts_accepted: line.attempts_completed,
            complex_accepted: line.complex_completed,
            base: Amount::of(line.base_micro),
            performance: Amount::of(line.performance_micro),
            stability: Amount::of(line.stability_micro),
            quality: Amount::of(line.quality_micro),
            level: line.level,
            multiplier_tenths: line.multiplier_tenths,
            total: Amount::of(line.total_micro),
            from_unix_ms: line.from_unix_ms,
            to_unix_ms: line.to_unix_ms,
        }
    }
}

/// Tenths of a percent, rounded down; 0 for a node that was not registered.
fn uptime_tenths(alive_ms: i64, registered_ms: i64) -> u32 {
    let tenths = (i128::from(alive_ms) * 1000).checked_div(i128::from(registered_ms)).unwrap_or(0);
    u32::try_from(tenths.clamp(0, 1000)).unwrap_or(0)
}

impl Reward {
    fn multiplier(&self) -> String {
        format!("{}.{}", self.multiplier_tenths / 10, self.multiplier_tenths % 10)
    }
}

fn span(millis: i64) -> String {
    show_span(Millis(u64::try_from(millis).unwrap_or(0)))
}

impl Record for Reward {
    const COLUMNS: &'static [&'static str] = &[
        "from",
        "to",
        "node",
        "registered_ms",
        "alive_ms",
        "uptime_percent",
        "attempts_accepted",
        "attempts_ended",
        "complex_accepted",
        "base_cpt",
        "base_micro",
        "performance_cpt",
        "performance_micro",
        "stability_cpt",
        "stability_micro",
        "quality_cpt",
        "quality_micro",
        "level",
        "multiplier",
        "total_cpt",
        "total_micro",
    ];

    fn fields(&self) -> Vec<Field> {
        let text = |text: &Option<String>| Field::text(text.clone().unwrap_or_default());
        let mut fields = vec![
            text(&self.from),
            text(&self.to),
            Field::text(&*self.node),
            Field::number(self.registered_ms),
            Field::number(self.alive_ms),
            Field::number(format!("{:.1}", self.uptime_percent)),
            Field::number(self.attempts_accepted),
            Field::number(self.attempts_ended),
            Field::number(self.complex_accepted),
        ];
        for part in [&self.base, &self.performance, &self.stability, &self.quality] {
            fields.extend(Field::amount(part));
        }
        fields.extend([Field::text(&*self.level), Field::number(self.multiplier())]);
        fields.extend(Field::amount(&self.total));
        fields
    }
}

impl Document for Rewards {
    const SCHEMA: &'static str = "hivemind.rewards/1";

    fn human(&self, look: &Look) -> String {
        const COLUMNS: [(&str, Align); 13] = [
            ("FROM", Align::Left),
            ("PERIOD", Align::Right),
            ("NODE", Align::Left),
            ("ALIVE", Align::Right),
            ("UPTIME", Align::Right),
            ("ACCEPTED/ENDED", Align::Right),
            ("COMPLEX", Align::Right),
            ("BASE CPT", Align::Right),
            ("PERFORMANCE CPT", Align::Right),
            ("STABILITY CPT", Align::Right),
            ("QUALITY CPT", Align::Right),
            ("LEVEL", Align::Left),
            ("TOTAL", Align::Right),
        ];
        let mut rows = Rows::new(look, &COLUMNS);
        for reward in &self.rewards {
            rows.add(&[
                look.moment(reward.from_unix_ms),
                span(reward.to_unix_ms.saturating_sub(reward.from_unix_ms)),
                reward.node.clone(),
                span(reward.alive_ms),
                format!("{:.1} %", reward.uptime_percent),
                format!("{}/{}", reward.attempts_accepted, reward.attempts_ended),
                reward.complex_accepted.to_string(),
                reward.base.cpt.clone(),
                reward.performance.cpt.clone(),
                reward.stability.cpt.clone(),
                reward.quality.cpt.clone(),
                format!("{} x{}", reward.level, reward.multiplier()),
                reward.total.to_string(),
            ]);
        }
        rows.finish()
    }

    fn quiet(&self) -> String {
        self.rewards.iter().map(|reward| reward.total.cpt.as_str()).collect::<Vec<_>>().join("\n")
    }
}
