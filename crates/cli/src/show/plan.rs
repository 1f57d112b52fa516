//! What a task would cost and who could run it.
//!
//! Invariant: every figure is the pool's own answer.

use super::Amount;
use crate::face::table::{Align, Rows, pairs};
use crate::face::{Document, Look};
use crate::quantity::show_span;
use hivemind_model::Millis;
use hivemind_proto::v1::QuoteResponse;
use serde::Serialize;

/// The answer to: what if it were submitted?
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The most it can cost; so much is held when it is submitted.
    pub price_cap: Amount,
    /// What the cap is made of.
    pub lines: Vec<PlanLine>,
    /// What it is likely to cost.
    pub expected: Amount,
    /// How that is known.
    pub expected_basis: String,
    /// The run time it stands for, in milliseconds.
    pub expected_wall_ms: i64,
    /// What the user can spend on tasks.
    pub available: Amount,
    /// That is enough for the cap.
    pub affordable: bool,
    /// Nodes that are big enough and of the level.
    pub nodes_capable: i64,
    /// Those of them that have room now.
    pub nodes_free: i64,
    /// Why it would wait.
    pub waiting_reason: Option<String>,
    /// The image that it names.
    pub image: String,
    /// container or wasm, where the image is a file here.
    pub kind: Option<String>,
    /// What its nodes must let it reach.
    pub network: Vec<String>,
}

/// One part of the price cap.
#[derive(Debug, Clone, Serialize)]
pub struct PlanLine {
    /// cores, memory, gpus, minimum.
    pub what: String,
    /// How much of it, for people.
    pub quantity: String,
    /// For an hour of that.
    pub per_hour: Amount,
    /// For the longest run time.
    pub amount: Amount,
}

impl From<QuoteResponse> for Plan {
    fn from(quote: QuoteResponse) -> Self {
        let lines = quote.lines.into_iter().map(|line| PlanLine {
            what: line.what,
            quantity: line.quantity,
            per_hour: Amount::of(line.per_hour_micro),
            amount: Amount::of(line.amount_micro),
        });
        Self {
            price_cap: Amount::of(quote.price_cap_micro),
            lines: lines.collect(),
            expected: Amount::of(quote.expected_micro),
            expected_basis: quote.expected_basis,
            expected_wall_ms: quote.expected_wall_ms,
            available: Amount::of(quote.balance_micro),
            affordable: quote.balance_micro >= quote.price_cap_micro,
            nodes_capable: quote.nodes_capable,
            nodes_free: quote.nodes_free,
            waiting_reason: (!quote.waiting_reason.is_empty()).then_some(quote.waiting_reason),
            image: String::new(),
            kind: None,
            network: Vec::new(),
        }
    }
}

impl Plan {
    fn parts(&self, look: &Look) -> String {
        const COLUMNS: [(&str, Align); 4] =
            [("FOR", Align::Left), ("QUANTITY", Align::Left), ("AN HOUR", Align::Right), ("AT MOST", Align::Right)];
        let mut rows = Rows::new(look, &COLUMNS);
        for line in &self.lines {
            let per_hour = if line.per_hour.micro == 0 { "-".into() } else { line.per_hour.to_string() };
            rows.add(&[line.what.clone(), line.quantity.clone(), per_hour, line.amount.to_string()]);
        }
        rows.add(&["price cap".into(), String::new(), String::new(), self.price_cap.to_string()]);
        rows.finish()
    }

    fn expected(&self) -> String {
        let time = match u64::try_from(self.expected_wall_ms) {
            Ok(millis) if millis > 0 => format!(" for {}", show_span(Millis(millis))),
            _ => String::new(),
        };
        let basis = if self.expected_basis.is_empty() { String::new() } else { format!(", {}", self.expected_basis) };
        format!("{}{time}{basis}", self.expected)
    }
}

impl Document for Plan {
    const SCHEMA: &'static str = "hivemind.plan/1";

    fn human(&self, look: &Look) -> String {
        let plural = if self.nodes_capable == 1 { "node" } else { "nodes" };
        let verb = if self.nodes_free == 1 { "has" } else { "have" };
        let free =
            if self.nodes_capable == 0 { String::new() } else { format!("; {} {verb} room now", self.nodes_free) };
        let starts = match &self.waiting_reason {
            None => "at once".to_owned(),
            Some(reason) => format!("later: {reason}"),
        };
        let short = if self.affordable { "" } else { ", less than the price cap" };
        let needs: Vec<String> = [
            self.kind.as_ref().map(|kind| format!("nodes that run {kind}")),
            (!self.network.is_empty()).then(|| format!("network to {}", self.network.join(", "))),
        ]
        .into_iter()
        .flatten()
        .collect();
        let facts = pairs(&[
            ("needs", needs.join("; ")),
            ("expected", self.expected()),
            ("available", format!("{}{short}", self.available)),
            ("could run on", format!("{} {plural}{free}", self.nodes_capable)),
            ("would start", starts),
        ]);
        format!("{}\n\n{facts}", self.parts(look))
    }

    fn quiet(&self) -> String {
        self.price_cap.cpt.clone()
    }
}
