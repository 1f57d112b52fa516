//! What keeps an element from the nodes, constraint by constraint, and the smallest change that would let it run.
//!
//! Start at [`constraints`].
//!
//! Invariant: names no node and no other user's work; one look at each node.

use crate::NodeView;
use hivemind_model::spec::Need;
use hivemind_model::{Bytes, Level, MilliCores, Resources};
use std::fmt;

/// What a node can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Constraint {
    /// Processor time.
    Cores,
    /// Main memory.
    Memory,
    /// Disk space.
    Disk,
    /// Graphics processors.
    Gpus,
    /// What level it must have reached.
    Level,
    /// All of these on one node.
    Together,
}

impl Constraint {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cores => "cores",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Gpus => "gpus",
            Self::Level => "level",
            Self::Together => "together",
        }
    }
}

/// So much of one thing, as it can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// Processor time.
    Cores(MilliCores),
    /// Main memory.
    Memory(Bytes),
    /// Disk space.
    Disk(Bytes),
    /// Graphics processors.
    Gpus(u32),
    /// A level.
    Level(Level),
}

impl Ask {
    /// Which constraint it makes.
    #[must_use]
    pub const fn constraint(self) -> Constraint {
        match self {
            Self::Cores(_) => Constraint::Cores,
            Self::Memory(_) => Constraint::Memory,
            Self::Disk(_) => Constraint::Disk,
            Self::Gpus(_) => Constraint::Gpus,
            Self::Level(_) => Constraint::Level,
        }
    }

    /// Thousandths of a core, bytes, pieces; of a level its place, lowest 0.
    #[must_use]
    pub fn amount(self) -> u64 {
        match self {
            Self::Cores(cores) => cores.0.into(),
            Self::Memory(bytes) | Self::Disk(bytes) => bytes.0,
            Self::Gpus(count) => count.into(),
            Self::Level(level) => Level::ALL.iter().map(|other| u64::from(*other < level)).sum(),
        }
    }

    /// Everything that `need` asks for; what it wants none of is no constraint.
    fn of(need: &Need) -> impl Iterator<Item = Self> {
        let Resources { cpu, memory, disk, gpus } = need.resources;
        let all = [Self::Cores(cpu), Self::Memory(memory), Self::Disk(disk), Self::Gpus(gpus), Self::Level(need.level)];
        all.into_iter().filter(|ask| ask.amount() > 0)
    }

    /// What `node` has of it, where it is idle (`capacity`) or now (`free`).
    fn offered(self, node: &NodeView, quantities: &Resources) -> Self {
        match self {
            Self::Cores(_) => Self::Cores(quantities.cpu),
            Self::Memory(_) => Self::Memory(quantities.memory),
            Self::Disk(_) => Self::Disk(quantities.disk),
            Self::Gpus(_) => Self::Gpus(quantities.gpus),
            Self::Level(_) => Self::Level(node.level),
        }
    }

    /// The most that can be asked of a node that has `offered` of it: whole cores and whole MiB, and not
    /// less than `least`. `None` where that is too little to be asked for.
    fn askable(self, offered: Self, least: &Resources) -> Option<Self> {
        let rounded = |offered: u64, step: u64, least: u64| {
            let whole = offered / step * step;
            // What is asked for already can be asked for, however odd.
            if offered >= self.amount() { Some(whole.max(self.amount())) } else { Some(whole).filter(|&w| w >= least) }
        };
        let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        match offered {
            Self::Cores(cores) => {
                let cores = rounded(cores.0.into(), CORE, least.cpu.0.into())?;
                Some(Self::Cores(MilliCores(narrow(cores))))
            }
            Self::Memory(bytes) => Some(Self::Memory(Bytes(rounded(bytes.0, MIB, least.memory.0)?))),
            Self::Disk(bytes) => Some(Self::Disk(Bytes(rounded(bytes.0, MIB, least.disk.0)?))),
            Self::Gpus(_) | Self::Level(_) => Some(offered),
        }
    }
}

/// Steps in which people ask.
const CORE: u64 = 1000;
const MIB: u64 = 1 << 20;

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cores(cores) => write!(f, "{cores}"),
            Self::Memory(bytes) => write!(f, "{bytes} memory"),
            Self::Disk(bytes) => write!(f, "{bytes} disk"),
            Self::Gpus(0) => f.write_str("no GPU"),
            Self::Gpus(1) => f.write_str("1 GPU"),
            Self::Gpus(count) => write!(f, "{count} GPUs"),
            Self::Level(Level::None) => f.write_str("any level"),
            Self::Level(level) => write!(f, "level {level}"),
        }
    }
}

/// One constraint, and how the nodes stand to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
                f.write_str("ask for ")?;
                for (index, Change { from, to }) in changes.iter().enumerate() {
                    let between = if index == 0 { "" } else { ", and for " };
                    write!(f, "{between}{to} instead of {from}")?;
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
/// A change is measured by the part of the asked quantity that it gives up (a level by its place among the levels);
/// changing one quantity goes before changing two. `least` is what can be asked for at least.
#[must_use]
pub fn constraints(nodes: impl IntoIterator<Item = NodeView>, need: &Need, least: &Resources) -> Constraints {
    let standing = |constraint, asked| Standing { constraint, asked, too_small: 0, busy: 0, largest: None };
    let mut standings: Vec<Standing> = Ask::of(need).map(|ask| standing(ask.constraint(), Some(ask))).collect();
    standings.push(standing(Constraint::Together, None));
    let (mut linked, mut capable, mut room) = (0, 0, 0);
    let mut nearest: Option<(usize, u128, Vec<Change>)> = None;
    for node in nodes {
        linked += 1;
        capable += usize::from(node.could_run(need));
        room += usize::from(node.has_room(need));
        let fails = |ask: Ask, quantities: &Resources| ask.offered(&node, quantities) < ask;
        let failed: Vec<Ask> = Ask::of(need).filter(|ask| fails(*ask, &node.capacity)).collect();
        for standing in &mut standings {
            let (too_small, short_now) = match standing.asked {
                Some(ask) => (fails(ask, &node.capacity), fails(ask, &node.free)),
                None => (!node.could_run(need), !node.has_room(need)),
            };
            standing.too_small += usize::from(too_small);
            standing.busy += usize::from(short_now && !too_small);
            if let Some(ask) = standing.asked.filter(|ask| failed.iter().all(|failed| failed == ask)) {
                standing.largest = standing.largest.max(ask.askable(ask.offered(&node, &node.capacity), least));
            }
        }
        let to = |from: Ask| Some(Change { from, to: from.askable(from.offered(&node, &node.capacity), least)? });
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
    Constraints { linked, capable, room, standings, remedy }
}

#[cfg(test)]
mod tests;
