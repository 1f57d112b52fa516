//! Whose money it is.
//!
//! Invariant: an account has no state of its own; its balance is the sum of its postings.

use hivemind_model::{Cpt, ProjectId, UserId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Whose money, and of which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// What was never given out.
    Treasury,
    /// What a user can spend on anything.
    Available(UserId),
    /// Free credit of a user; what it is good for is the pool's policy.
    Promo(UserId),
    /// What is set aside for a user's open tasks, all holds together.
    Held(UserId),
    /// What running attempts on a user's nodes have earned so far, all accruals together.
    Pending(UserId),
    /// What a user earned by accepted work and cannot spend yet.
    Owner(UserId),
    /// What a user was rewarded for being there and cannot spend yet.
    Reward(UserId),
    /// Tips to a project that its owner has not collected.
    Project(ProjectId),
}

/// What an account is, without whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// [`Account::Treasury`].
    Treasury,
    /// [`Account::Available`].
    Available,
    /// [`Account::Promo`].
    Promo,
    /// [`Account::Held`].
    Held,
    /// [`Account::Pending`].
    Pending,
    /// [`Account::Owner`].
    Owner,
    /// [`Account::Reward`].
    Reward,
    /// [`Account::Project`].
    Project,
}

impl Kind {
    /// Every kind, in the order of a trial balance.
    pub const ALL: [Self; 8] = [
        Self::Treasury,
        Self::Available,
        Self::Promo,
        Self::Held,
        Self::Pending,
        Self::Owner,
        Self::Reward,
        Self::Project,
    ];

    /// The word on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Treasury => "treasury",
            Self::Available => "available",
            Self::Promo => "promo",
            Self::Held => "held",
            Self::Pending => "pending",
            Self::Owner => "owner",
            Self::Reward => "reward",
            Self::Project => "project",
        }
    }

    /// Reads [`Kind::as_str`] back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The number of the kind in the hash chain.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Treasury => 0,
            Self::Available => 1,
            Self::Held => 2,
            Self::Promo => 3,
            Self::Pending => 4,
            Self::Owner => 5,
            Self::Reward => 6,
            Self::Project => 7,
        }
    }
}

impl Account {
    /// What it is.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Treasury => Kind::Treasury,
            Self::Available(_) => Kind::Available,
            Self::Promo(_) => Kind::Promo,
            Self::Held(_) => Kind::Held,
            Self::Pending(_) => Kind::Pending,
            Self::Owner(_) => Kind::Owner,
            Self::Reward(_) => Kind::Reward,
            Self::Project(_) => Kind::Project,
        }
    }

    /// The number of whose it is; 0 for the treasury.
    #[must_use]
    pub const fn holder(self) -> u64 {
        match self {
            Self::Treasury => 0,
            Self::Available(user)
            | Self::Promo(user)
            | Self::Held(user)
            | Self::Pending(user)
            | Self::Owner(user)
            | Self::Reward(user) => user.0,
            Self::Project(project) => project.0,
        }
    }

    /// The user whose it is; `None` for the treasury and projects.
    #[must_use]
    pub const fn user(self) -> Option<UserId> {
        match self {
            Self::Treasury | Self::Project(_) => None,
            Self::Available(user)
            | Self::Promo(user)
            | Self::Held(user)
            | Self::Pending(user)
            | Self::Owner(user)
            | Self::Reward(user) => Some(user),
        }
    }

    /// The account of a kind and the number of its holder.
    #[must_use]
    pub const fn of(kind: Kind, holder: u64) -> Self {
        match kind {
            Kind::Treasury => Self::Treasury,
            Kind::Available => Self::Available(UserId(holder)),
            Kind::Promo => Self::Promo(UserId(holder)),
            Kind::Held => Self::Held(UserId(holder)),
            Kind::Pending => Self::Pending(UserId(holder)),
            Kind::Owner => Self::Owner(UserId(holder)),
            Kind::Reward => Self::Reward(UserId(holder)),
            Kind::Project => Self::Project(ProjectId(holder)),
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind().as_str();
        match self {
            Self::Treasury => f.write_str(kind),
            Self::Project(project) => write!(f, "{kind}:{project}"),
            Self::Available(user)
            | Self::Promo(user)
            | Self::Held(user)
            | Self::Pending(user)
            | Self::Owner(user)
            | Self::Reward(user) => write!(f, "{kind}:{user}"),
        }
    }
}

/// An amount with the part of it that is free credit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purse {
    /// Money.
    pub own: Cpt,
    /// Free credit.
    pub promo: Cpt,
}

impl Purse {
    /// Both together. All money there is fits in 64 bits; what was stored by somebody else and does not is
    /// the most that does, which is no true balance.
    #[must_use]
    pub const fn total(self) -> Cpt {
        Cpt::from_micro(self.own.micro().saturating_add(self.promo.micro()))
    }

    /// `amount` of it, free credit first; `None` where it is not there.
    #[must_use]
    pub fn take(self, amount: Cpt) -> Option<Self> {
        let promo = self.promo.min(amount);
        let own = Cpt::from_micro(amount.micro() - promo.micro());
        (own <= self.own && amount >= Cpt::ZERO).then_some(Self { own, promo })
    }

    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            own: Cpt::from_micro(self.own.micro() + other.own.micro()),
            promo: Cpt::from_micro(self.promo.micro() + other.promo.micro()),
        }
    }

    pub(crate) const fn minus(self, other: Self) -> Self {
        Self {
            own: Cpt::from_micro(self.own.micro() - other.own.micro()),
            promo: Cpt::from_micro(self.promo.micro() - other.promo.micro()),
        }
    }
}
