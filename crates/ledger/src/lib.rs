//! The books: accounts, balanced journal entries, holds, accruals, vesting and supply.
//!
//! Start at [`Ledger`]. Every movement of money is one [`Entry`] whose postings sum to zero; the
//! entries form a hash chain; a [`Replay`] from genesis gives the balances.
//!
//! Invariant: nothing here knows what a task does, and no method changes anything when it refuses.

mod account;
mod check;
mod compare;
mod entry;
mod hold;
mod ledger;
mod refusal;
mod replay;
mod rules;
mod work;

#[cfg(test)]
mod random;
#[cfg(test)]
mod script;

pub use account::{Account, Kind, Purse};
pub use check::Broken;
pub use entry::{Entry, Posting, Reason};
pub use hold::{Accrual, Hold, Source, Vest, VestKey};
pub use ledger::{Ledger, LedgerChanges, LedgerImage, Spend};
pub use refusal::Refusal;
pub use replay::{BadEntry, Replay, ReplayedBooks, replay};
pub use work::{Paid, PromoPay, Terms};

use hivemind_model::Cpt;

/// All money there is: 1,000,000,000,000 CPT, created by the first entry and never again (L5).
pub const SUPPLY: Cpt = Cpt::from_micro(1_000_000_000_000 * hivemind_model::units::MICRO_PER_CPT);
