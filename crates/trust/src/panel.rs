//! The copies of one element: who works on one, and what came back.
//!
//! Invariant: an owner has one place in a panel, and one vote; nobody leaves what they voted.

use crate::standing::Basis;
use hivemind_model::spec::Digest;
use hivemind_model::verify::MAX_REPLICAS;
use hivemind_model::{AttemptRef, NodeId, UserId};

/// Results that are the same are of one class: that of the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    /// How the command ended.
    pub exit_code: i32,
    /// What it left.
    pub content: Digest,
}

/// One result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    /// Of which attempt.
    pub attempt: AttemptRef,
    /// Where it was made.
    pub node: NodeId,
    /// Whose node it is.
    pub owner: UserId,
    /// What the node was worth when it came back.
    pub basis: Basis,
    /// What it says.
    pub class: Class,
    /// Whether it counts still.
    pub say: Say,
}

/// Whether a vote counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Say {
    /// It does.
    Counted,
    /// Its owner was caught since.
    Struck,
}

/// A copy that has not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// Which.
    pub attempt: AttemptRef,
    /// Where.
    pub node: NodeId,
    /// Whose node it is.
    pub owner: UserId,
}

/// Why a panel takes no such copy or result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Copies never go to one owner.
    #[error("{0} has a copy of this element already; a further one would compare an owner with themselves")]
    OwnerTwice(UserId),
    /// No more copies are made.
    #[error("this element has {MAX_REPLICAS} copies already, which is the most that are made")]
    Full,
    /// Nothing is expected of this attempt.
    #[error("{0} has no open copy of this element; its result came twice, or was given up")]
    NoSeat(AttemptRef),
}

/// The copies of one element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Panel {
    seats: Vec<Seat>,
    votes: Vec<Vote>,
}

impl Panel {
    /// Takes note of a copy that is handed out.
    ///
    /// # Errors
    /// Its owner has one already, or there are [`MAX_REPLICAS`].
    pub fn seat(&mut self, seat: Seat) -> Result<(), Refused> {
        if self.owners().any(|owner| owner == seat.owner) {
            return Err(Refused::OwnerTwice(seat.owner));
        }
        if self.room() == 0 {
            return Err(Refused::Full);
        }
        self.seats.push(seat);
        Ok(())
    }

    /// Takes what came back; the order in which results come is kept.
    ///
    /// # Errors
    /// The attempt is not among those that are expected.
    pub fn vote(&mut self, attempt: AttemptRef, class: Class, basis: Basis) -> Result<(), Refused> {
        let place = self.seats.iter().position(|seat| seat.attempt == attempt).ok_or(Refused::NoSeat(attempt))?;
        let Seat { attempt, node, owner } = self.seats.remove(place);
        self.votes.push(Vote { attempt, node, owner, basis, class, say: Say::Counted });
        Ok(())
    }

    /// Forgets a copy that will not come back. It is not paid, so another may take its place, also of this owner.
    pub fn leave(&mut self, attempt: AttemptRef) {
        self.seats.retain(|seat| seat.attempt != attempt);
    }

    /// Counts the vote of an owner who was caught no longer. Its place stays taken: it was paid, and its
    /// owner gets no other.
    pub fn strike(&mut self, owner: UserId) {
        for vote in self.votes.iter_mut().filter(|vote| vote.owner == owner) {
            vote.say = Say::Struck;
        }
    }

    /// Owners who may get no further copy.
    pub fn owners(&self) -> impl Iterator<Item = UserId> + '_ {
        self.seats.iter().map(|seat| seat.owner).chain(self.votes.iter().map(|vote| vote.owner))
    }

    /// What came back, in this order.
    #[must_use]
    pub fn votes(&self) -> &[Vote] {
        &self.votes
    }

    /// What came back and counts.
    pub fn counted(&self) -> impl Iterator<Item = &Vote> {
        self.votes.iter().filter(|vote| vote.say == Say::Counted)
    }

    /// What has not come back.
    #[must_use]
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// How many have not come back.
    #[must_use]
    pub fn out(&self) -> u8 {
        // A panel has at most MAX_REPLICAS seats and votes together.
        u8::try_from(self.seats.len()).unwrap_or(MAX_REPLICAS)
    }

    /// How many further copies may be made.
    #[must_use]
    pub fn room(&self) -> u8 {
        let made = u8::try_from(self.seats.len() + self.votes.len()).unwrap_or(MAX_REPLICAS);
        MAX_REPLICAS.saturating_sub(made)
    }
}
