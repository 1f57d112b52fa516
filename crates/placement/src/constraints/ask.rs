//! What can be asked of a node, how much of it, and how that reads.
//!
//! Invariant: an ask that a node does not fail is one that it can serve when idle.

use crate::NodeView;
use hivemind_model::spec::Need;
use hivemind_model::{Bytes, Endpoint, Isolation, Kind, Label, Level, MilliCores, Resources, TrustTier};
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
    /// What trust its verified work must have earned.
    Trust,
    /// How well its runtime must isolate.
    Isolation,
    /// What its owner must say of it.
    Labels,
    /// What its owner must let tasks reach.
    Network,
    /// What kind of program it must run.
    Kind,
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
            Self::Trust => "trust",
            Self::Isolation => "isolation",
            Self::Labels => "labels",
            Self::Network => "network",
            Self::Kind => "kind",
            Self::Together => "together",
        }
    }
}

/// So much of one thing, as it can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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
    /// A trust tier.
    Trust(TrustTier),
    /// An isolation tier.
    Isolation(Isolation),
    /// A label, or none in its place.
    Label(Option<Label>),
    /// A host to reach, or none in its place.
    Host(Option<Endpoint>),
    /// A kind of program; `None`: not that one, and nothing can be asked in its place.
    Kind(Option<Kind>),
}

impl Ask {
    /// Which constraint it makes.
    #[must_use]
    pub const fn constraint(&self) -> Constraint {
        match self {
            Self::Cores(_) => Constraint::Cores,
            Self::Memory(_) => Constraint::Memory,
            Self::Disk(_) => Constraint::Disk,
            Self::Gpus(_) => Constraint::Gpus,
            Self::Level(_) => Constraint::Level,
            Self::Trust(_) => Constraint::Trust,
            Self::Isolation(_) => Constraint::Isolation,
            Self::Label(_) => Constraint::Labels,
            Self::Host(_) => Constraint::Network,
            Self::Kind(_) => Constraint::Kind,
        }
    }

    /// Thousandths of a core, bytes, pieces; of a level or tier its place, lowest 0; of the others 1.
    #[must_use]
    pub fn amount(&self) -> u64 {
        match self {
            Self::Cores(cores) => cores.0.into(),
            Self::Memory(bytes) | Self::Disk(bytes) => bytes.0,
            Self::Gpus(count) => (*count).into(),
            Self::Level(level) => place(&Level::ALL, level),
            Self::Trust(tier) => place(TrustTier::ALL, tier),
            Self::Isolation(tier) => place(Isolation::ALL, tier),
            Self::Label(label) => label.is_some().into(),
            Self::Host(host) => host.is_some().into(),
            Self::Kind(kind) => kind.is_some().into(),
        }
    }

    /// Everything that `need` asks for; what it wants none of is no constraint. Labels and hosts come last, each
    /// for itself.
    pub(super) fn of(need: &Need) -> Vec<Self> {
        let Need { resources, level, trust, isolation, labels, kind, egress, image: _ } = need;
        let Resources { cpu, memory, disk, gpus } = *resources;
        let amounts = [Self::Cores(cpu), Self::Memory(memory), Self::Disk(disk), Self::Gpus(gpus)];
        let tiers = [Self::Kind(Some(*kind)), Self::Level(*level), Self::Trust(*trust), Self::Isolation(*isolation)];
        let hosts = egress.as_slice().iter().map(|host| Self::Host(Some(host.clone())));
        let labels = labels.as_slice().iter().map(|label| Self::Label(Some(label.clone())));
        amounts.into_iter().chain(tiers).chain(labels).chain(hosts).filter(|ask| ask.amount() > 0).collect()
    }

    /// What `node` has of it, where it is idle (`capacity`) or now (`free`).
    pub(super) fn offered(&self, node: &NodeView, quantities: &Resources) -> Self {
        match self {
            Self::Cores(_) => Self::Cores(quantities.cpu),
            Self::Memory(_) => Self::Memory(quantities.memory),
            Self::Disk(_) => Self::Disk(quantities.disk),
            Self::Gpus(_) => Self::Gpus(quantities.gpus),
            Self::Level(_) => Self::Level(node.level),
            Self::Trust(_) => Self::Trust(node.trust),
            Self::Isolation(_) => Self::Isolation(node.isolation),
            Self::Label(label) => Self::Label(label.clone().filter(|_| !self.fails(node, quantities))),
            Self::Host(host) => Self::Host(host.clone().filter(|_| !self.fails(node, quantities))),
            Self::Kind(kind) => Self::Kind(kind.filter(|_| !self.fails(node, quantities))),
        }
    }

    /// True where `node` has too little of it, where it is idle (`capacity`) or now (`free`).
    pub(super) fn fails(&self, node: &NodeView, quantities: &Resources) -> bool {
        match self {
            Self::Cores(cores) => quantities.cpu < *cores,
            Self::Memory(bytes) => quantities.memory < *bytes,
            Self::Disk(bytes) => quantities.disk < *bytes,
            Self::Gpus(count) => quantities.gpus < *count,
            Self::Level(level) => node.level < *level,
            Self::Trust(tier) => node.trust < *tier,
            Self::Isolation(tier) => node.isolation < *tier,
            Self::Label(label) => {
                label.as_ref().is_some_and(|label| node.labels.as_slice().binary_search(label).is_err())
            }
            Self::Host(host) => host.as_ref().is_some_and(|host| !node.egress.allows_endpoint(host)),
            Self::Kind(kind) => kind.is_some_and(|kind| !node.kinds.has(kind)),
        }
    }

    /// The most that can be asked of a node that has `offered` of it: whole cores and whole MiB, and not
    /// less than `least`. `None` where that is too little to be asked for.
    pub(super) fn askable(&self, offered: Self, least: &Resources) -> Option<Self> {
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
            Self::Kind(kind) => kind.map(|kind| Self::Kind(Some(kind))),
            Self::Gpus(_) | Self::Level(_) | Self::Trust(_) | Self::Isolation(_) | Self::Label(_) | Self::Host(_) => {
                Some(offered)
            }
        }
    }
}

/// How many come before `tier`.
fn place<T: Ord>(all: &[T], tier: &T) -> u64 {
    all.iter().map(|other| u64::from(other < tier)).sum()
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
            Self::Trust(TrustTier::New) => f.write_str("any trust"),
            Self::Trust(tier) => write!(f, "trust {tier}"),
            Self::Isolation(Isolation::Basic) => f.write_str("any isolation"),
            Self::Isolation(tier) => write!(f, "isolation {tier}"),
            Self::Label(None) => f.write_str("no label"),
            Self::Label(Some(label)) => write!(f, "{label}"),
            Self::Host(None) => f.write_str("no network"),
            Self::Host(Some(host)) => write!(f, "{host}"),
            Self::Kind(None) => f.write_str("another kind of program"),
            Self::Kind(Some(Kind::Container)) => f.write_str("containers"),
            Self::Kind(Some(Kind::Wasm)) => f.write_str("WebAssembly modules"),
        }
    }
}
