//! Panels after a start, built again from the results and the attempts that were stored.
//!
//! Start at [`Engine::restore_panels`].
//!
//! Invariant: what was decided before the stop is decided again in the same way, by the same secret.

use super::{Copies, Reported};
use crate::Engine;
use hivemind_model::rows::{AttemptPhase, AttemptRow, ElementPhase};
use hivemind_model::verify::Rule;
use hivemind_model::{AttemptRef, ElementRef, NodeId};
use hivemind_trust::panel::Seat;

impl Engine {
    /// Builds panels again from the rows that were stored. Comparisons that were under way are asked for
    /// again.
    pub(crate) fn restore_panels(&mut self, rows: Vec<AttemptRow>) {
        let now = self.seen_at;
        let verified = |task: &&crate::state::Task| task.row.spec.verify.rule != Rule::First;
        for task in self.tasks.values().filter(verified) {
            let live = task.elements().filter(|(_, element)| element.phase == ElementPhase::Live);
            self.panels.extend(live.map(|(at, _)| (at, Copies::default())));
        }
        let mut votes: Vec<(u32, AttemptRef)> = Vec::new();
        for row in rows {
            let AttemptPhase::Reported { report, ballot } = row.phase else { continue };
            let reported = Reported { node: row.node, assigned_at: row.assigned_at, report, ballot };
            votes.push((ballot.place, row.attempt));
            self.panels.entry(row.attempt.element).or_default().reported.insert(row.attempt, reported);
        }
        votes.sort_unstable();
        let out: Vec<(AttemptRef, NodeId)> = self.live.iter().map(|(attempt, live)| (*attempt, live.node)).collect();
        let here = votes.iter().filter_map(|(_, attempt)| {
            Some((*attempt, self.panels.get(&attempt.element)?.reported.get(attempt)?.node))
        });
        let seats: Vec<(AttemptRef, NodeId)> = here.chain(out).collect();
        for (attempt, node) in seats {
            let owner = self.nodes.get(&node).map(|node| node.row.owner);
            if let (Some(copies), Some(owner)) = (self.panels.get_mut(&attempt.element), owner) {
                if let Some(node) = self.nodes.get_mut(&node) {
                    node.at_stake += 1;
                }
                copies
                    .panel
                    .seat(Seat { attempt, node, owner })
                    .unwrap_or_else(|refused| panic!("T3: {attempt} was handed out against the rules: {refused}"));
            }
        }
        // All that counts is counted first: some of it alone may look decided. Where that waits for a comparison, so does
        // the decision.
        for (_, attempt) in votes {
            self.classify(attempt);
        }
        let whole = self.panels.iter().filter(|(_, copies)| copies.comparing.is_empty());
        let open: Vec<ElementRef> = whole.map(|(at, _)| *at).collect();
        self.judge(open, now);
        // By other rules than those before the stop some may be decided now.
        self.follow(now);
    }
}
