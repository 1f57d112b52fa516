//! What is large is not kept out by what is handed out in advance.
//!
//! Room that frees goes to the backlog of its node at once, so placement may never see any and never keep a node free for
//! what has waited for long. Start at [`Engine::keep_room_for_large`].
//!
//! Invariant: for what is as small as something that runs no node is kept free here: its turn comes when that ends.

use crate::Engine;
use crate::state::{Node, Stage};
use hivemind_model::Timestamp;
use hivemind_model::spec::Need;
use hivemind_placement::{Queue as _, Reservation};

/// Most lines of the queue, and most nodes, that are looked at.
const MOST: usize = 64;

impl Engine {
    /// Where no node has anything free: keeps one free for an element that has waited for long and is larger than
    /// all that runs where it could run.
    pub(crate) fn keep_room_for_large(&mut self, now: Timestamp) {
        if self.reserved.is_some() || !self.placeable.is_empty() || self.backlogs.is_empty() {
            return;
        }
        let old = now.before(self.policy.scheduling.reserve_after);
        let lines =
            self.queue.turns(None).flat_map(|turn| self.queue.lines(turn.user, None).map(move |line| (turn, line)));
        let kept = lines.take(MOST).filter(|(_, line)| line.head.since() <= old).find_map(|(turn, line)| {
            let mut capable =
                self.working_nodes().filter(|node| node.view().could_run(&line.need)).take(MOST).peekable();
            let node = capable.peek()?.row.id;
            let is_large = !capable.any(|node| self.runs_as_much(node, &line.need));
            is_large.then(|| Reservation { user: turn.user, rank: line.head, need: line.need.clone(), node })
        });
        if let Some(kept) = kept {
            let node = kept.node;
            self.reserved = Some(kept);
            self.return_backlog(node, "its node is kept free for something large", now);
        }
    }

    fn working_nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().filter(|node| node.working_session().is_some())
    }

    /// True where something has as much room on the node as `need` asks for.
    fn runs_as_much(&self, node: &Node, need: &Need) -> bool {
        node.live.iter().any(|attempt| {
            let has_room = self.live.get(attempt).is_some_and(|live| live.stage != Stage::Queued);
            let task = self.tasks.get(&attempt.element.task).filter(|_| has_room);
            task.is_some_and(|task| task.row.spec.resources.covers(&need.resources))
        })
    }
}
