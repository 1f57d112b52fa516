//! What keeps an element from the nodes, constraint by constraint, and the smallest change that would let it run.
//!
//! Start at [`constraints`].
//!
//! Invariant: names no node and no other user's work; one look at each node.

mod ask;

pub use ask::{Ask, Constraint};

use crate::NodeView;
use hivemind_model::spec::Need;
use hivemind_model::{Kind, Resources};
use std::borrow::Borrow;
use std::fmt;

/// One constraint, and how the nodes stand to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub constraint: Constraint,
    /// What is asked; `None` for all together.
    pub asked: Option<Ask>,
    /// How many nodes fail it even when idle.
    pub too_small: usize,
    /// How many others fail it by what is free on them now.
    pub busy: usize,
    /// The largest ask that some node could run when idle, everything else as it is asked. `None` where none
    /// would, whatever is asked of this.
    pub largest: Option<Ask>,
}

/// One quantity, and what to ask of it instead.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// What is asked.
    pub from: Ask,
    /// What would run.
    pub to: Ask,
}

impl Change {
    /// By how much less is asked, in millionths of what is asked now.
    fn reduction(&self) -> u128 {
        let (from, to) = (u128::from(self.from.amount()), u128::from(self.to.amount()));
        from.saturating_sub(to) * 1_000_000 / from.max(1)
    }
}

/// What would make an element run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing needs to change: a node has room.
    Next {
        /// How many have.
        room: usize,
    },
    /// Nothing needs to change, but all that are big enough are busy.
    Wait {
        /// How many are.
        big_enough: usize,
    },
    /// Asking for less: all of these together, as few as possible, and by as little as possible.
    Change(Vec<Change>),
    /// No node is linked.
    NoNode,
    /// No node is large enough for the least that can be asked for.
    Nothing,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Next { room: 1 } => f.write_str("wait: a node has room for it"),
            Self::Next { room } => write!(f, "wait: {room} nodes have room for it"),
            Self::Wait { big_enough: 1 } => f.write_str("wait: 1 node is big enough, and busy"),
            Self::Wait { big_enough } => write!(f, "wait: {big_enough} nodes are big enough, all busy"),
            Self::Change(changes) => {
                for (index, Change { from, to }) in changes.iter().enumerate() {
                    let between = if index == 0 { "" } else { ", and " };
                    // Quantities and tiers come first: it is either "ask for", "and for", or "drop".
                    match (from, index) {
                        (Ask::Label(_), _) => write!(f, "{between}drop --label {from}")?,
                        (Ask::Host(_), _) => write!(f, "{between}drop --network {from}")?,
                        (_, 0) => write!(f, "ask for {to} instead of {from}")?,
                        (_, _) => write!(f, ", and for {to} instead of {from}")?,
                    }
                }
                Ok(())
            }
            Self::NoNode => f.write_str("wait: no node is linked, and any change would have to wait for one, too"),
            Self::Nothing => f.write_str("wait for a larger node: those there are cannot run the smallest task"),
        }
    }
}

/// How the nodes stand to an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraints {
    /// How many nodes were looked at.
    pub linked: usize,
    /// How many could run it when idle.
    pub capable: usize,
    /// How many of them have room now.
    pub room: usize,
    /// One for everything that is asked for, and the last for all together.
    pub standings: Vec<Standing>,
    /// What would make it run.
    pub remedy: Remedy,
}

/// Says how `nodes` (every linked node that takes work, full or not) stand to `need`.
///
/// A change is measured by the part of the asked quantity that it gives up (a level or tier by its place among
/// them, a label as a whole); changing one quantity goes before changing two. `least` is what can be asked for at
/// least.
#[must_use]
pub fn constraints<N: Borrow<NodeView>>(
    nodes: impl IntoIterator<Item = N>,
    need: &Need,
    least: &Resources,
) -> Constraints {
    let standing = |constraint, asked| Standing { constraint, asked, too_small: 0, busy: 0, largest: None };
    let asks = Ask::of(need);
    let mut standings: Vec<Standing> = asks.iter().map(|ask| standing(ask.constraint(), Some(ask.clone()))).collect();
    standings.push(standing(Constraint::Together, None));
    let (mut linked, mut capable, mut room) = (0, 0, 0);
    let mut nearest: Option<(usize, u128, Vec<Change>)> = None;
    for node in nodes {
        let node = node.borrow();
        linked += 1;
        capable += usize::from(node.could_run(need));
        room += usize::from(node.has_room(need));
        let failed: Vec<&Ask> = asks.iter().filter(|ask| ask.fails(node, &node.capacity)).collect();
        for standing in &mut standings {
            let (too_small, short_now) = match &standing.asked {
                Some(ask) => (ask.fails(node, &node.capacity), ask.fails(node, &node.free)),
                None => (!node.could_run(need), !node.has_room(need)),
            };
            standing.too_small += usize::from(too_small);
            standing.busy += usize::from(short_now && !too_small);
            if let Some(ask) = standing.asked.as_ref().filter(|ask| failed.iter().all(|failed| failed == ask)) {
                let offered = ask.askable(ask.offered(node, &node.capacity), least);
                if offered > standing.largest {
                    standing.largest = offered;
                }
            }
        }
        if nearest.as_ref().is_some_and(|(fewest, _, _)| *fewest < failed.len()) {
            continue;
        }
        let to = |from: &Ask| {
            Some(Change { from: from.clone(), to: from.askable(from.offered(node, &node.capacity), least)? })
        };
        if let Some(changes) = failed.into_iter().map(to).collect::<Option<Vec<Change>>>() {
            let near = (changes.len(), changes.iter().map(Change::reduction).sum(), changes);
            if nearest.as_ref().is_none_or(|nearest| near < *nearest) {
                nearest = Some(near);
            }
        }
    }
    let remedy = match (linked, capable, room, nearest) {
        (0, _, _, _) => Remedy::NoNode,
        (_, _, 1.., _) => Remedy::Next { room },
        (_, 1.., 0, _) => Remedy::Wait { big_enough: capable },
        (_, 0, 0, Some((_, _, changes))) => Remedy::Change(changes),
        (_, 0, 0, None) => Remedy::Nothing,
    };
    // Nearly every node runs containers: that is worth a line only where some do not.
    standings.retain(|standing| standing.asked != Some(Ask::Kind(Some(Kind::Container))) || standing.too_small > 0);
    Constraints { linked, capable, room, standings, remedy }
}

#[cfg(test)]
mod tests;
