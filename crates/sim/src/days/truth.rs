//! What is true of tasks and lies, as only the simulator knows.
//!
//! A true result is a digest of task and index; everything else is a lie. Start at [`said`].
//!
//! Invariant: the engine never sees any of this but as the report of a node.

use super::chance::mixed;
use hivemind_model::rows::ChunkRow;
use hivemind_model::spec::Digest;
use hivemind_model::{ElementRef, NodeId, TrustTier};
use std::collections::BTreeMap;

/// How the nodes of cheats lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Always, each differently.
    Independent,
    /// Always, all in the same way.
    Colluding,
    /// In the same way on the same tenth of the elements, right on the others.
    Occasional,
    /// Right until the node is trusted, then colluding; so again after it was caught.
    Sleeper,
    /// Right until half of the measured time has passed, then colluding.
    Ambush,
}

/// What a machine that may lie knows of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Temper {
    pub(super) kind: Kind,
    pub(super) node: NodeId,
    pub(super) tier: TrustTier,
    /// True from the moment on at which ambushers begin.
    pub(super) ambush: bool,
}

/// One element of a hundred fails by its own doing, wherever it runs.
pub(super) fn fails(element: ElementRef) -> bool {
    mixed([element.task.0, element.index.into(), 3]).is_multiple_of(100)
}

/// How long an element runs on an average machine, where its task's run at `median`: 60 to 160 %.
pub(super) fn length(element: ElementRef, median: u64) -> u64 {
    let percent = 60 + mixed([element.task.0, element.index.into(), 4]) % 101;
    (median * percent / 100).max(1)
}

/// The exit code and the digest that a machine reports; `cheat` is `None` for an honest one. True
/// where it is a lie.
pub(super) fn said(element: ElementRef, cheat: Option<Temper>) -> (i32, Digest, bool) {
    let content = |salt: u64| digest(mixed([element.task.0, element.index.into(), salt]));
    if let Some(temper) = cheat
        && lies(element, temper)
    {
        let salt = match temper.kind {
            Kind::Independent => 1000 + temper.node.0,
            Kind::Colluding | Kind::Occasional | Kind::Sleeper | Kind::Ambush => 1,
        };
        return (0, content(salt), true);
    }
    (i32::from(fails(element)), content(0), false)
}

fn lies(element: ElementRef, temper: Temper) -> bool {
    match temper.kind {
        Kind::Independent | Kind::Colluding => true,
        Kind::Occasional => mixed([element.task.0, element.index.into(), 2]).is_multiple_of(10),
        Kind::Sleeper => temper.tier >= TrustTier::Trusted,
        Kind::Ambush => temper.ambush,
    }
}

fn digest(number: u64) -> Digest {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Digest(bytes)
}

/// A task that has not ended, as its requester and the machines see it.
#[derive(Debug)]
pub(super) struct TaskTruth {
    pub(super) requester: usize,
    /// Of one element.
    pub(super) cores: u32,
    pub(super) submitted_at: u64,
    /// The median of its elements' run times on an average machine; all alike where `alike`.
    pub(super) median: u64,
    pub(super) alike: bool,
    pub(super) verified: bool,
    /// Further stages that are submitted when it has ended.
    pub(super) stages_left: u32,
    /// Elements of which an attempt has started, one bit each.
    started: Vec<u64>,
    /// Its elements as they were stored last.
    pub(super) chunks: BTreeMap<u32, ChunkRow>,
    /// Elements that were accepted once, and in which batch.
    pub(super) accepted_in: BTreeMap<u32, u64>,
}

impl TaskTruth {
    pub(super) fn new(requester: usize, cores: u32, submitted_at: u64, median: u64) -> Self {
        Self {
            requester,
            cores,
            submitted_at,
            median,
            alike: false,
            verified: false,
            stages_left: 0,
            started: Vec::new(),
            chunks: BTreeMap::new(),
            accepted_in: BTreeMap::new(),
        }
    }

    /// True where it is the first time that an attempt of the element starts.
    pub(super) fn starts(&mut self, index: u32) -> bool {
        let (word, bit) = ((index / 64) as usize, 1u64 << (index % 64));
        if self.started.len() <= word {
            self.started.resize(word + 1, 0);
        }
        let new = self.started[word] & bit == 0;
        self.started[word] |= bit;
        new
    }

    /// How long an element runs on a machine of this speed, in thousandths.
    pub(super) fn length_on(&self, element: ElementRef, speed: u64) -> u64 {
        let length = if self.alike { self.median } else { length(element, self.median) };
        (length * 1000 / speed.max(1)).max(1)
    }
}
