//! What the reason of an entry lets it move.
//!
//! Start at [`check`]. It is the fence against entries that balance and still cannot be true, such as a transfer
//! out of the treasury or a tip that two users pay.
//!
//! Invariant: judges one entry by itself; what it does to holds and accruals is followed by the replay.

use crate::account::{Account, Kind};
use crate::entry::{Entry, Posting, Reason};
use hivemind_model::UserId;

/// Refuses an entry that moves nothing, names an account twice, or moves what its reason does not.
pub(crate) fn check(entry: &Entry) -> Result<(), String> {
    if entry.postings.is_empty() || entry.postings.iter().any(|posting| posting.amount.micro() == 0) {
        return Err("L1: it moves nothing, or nothing of an account that it names".into());
    }
    let mut accounts: Vec<Account> = entry.postings.iter().map(|posting| posting.account).collect();
    accounts.sort_unstable();
    if let Some([twice, _]) = accounts.array_windows().find(|[one, next]| one == next) {
        return Err(format!("L1: it names {twice} twice"));
    }
    if let Some(posting) = entry.postings.iter().find(|posting| !may_move(&entry.reason, posting)) {
        let way = if posting.amount.is_positive() { "to" } else { "from" };
        return Err(format!(
            "L7: entries of its reason ({}) move nothing {way} {}",
            entry.reason.as_str(),
            posting.account
        ));
    }
    let mut users: Vec<UserId> = accounts.into_iter().filter_map(Account::user).collect();
    users.sort_unstable();
    users.dedup();
    let (most, word) = if of_one_user(&entry.reason) { (1, "one user") } else { (2, "two users") };
    if users.len() > most {
        let names: Vec<String> = users.iter().map(ToString::to_string).collect();
        let reason = entry.reason.as_str();
        return Err(format!("L7: entries of its reason ({reason}) move money of {word}, not of {}", names.join(", ")));
    }
    Ok(())
}

fn may_move(reason: &Reason, posting: &Posting) -> bool {
    let account = posting.account;
    let kind = account.kind();
    let (grows, falls) = (posting.amount.is_positive(), !posting.amount.is_positive());
    let spendable = matches!(kind, Kind::Available | Kind::Promo);
    match *reason {
        Reason::Genesis => grows && kind == Kind::Treasury,
        Reason::SignUp { user } => account == if grows { Account::Promo(user) } else { Account::Treasury },
        Reason::Transfer { from, to } => {
            let paid = falls && (account == Account::Available(from) || account == Account::Promo(from));
            paid || (grows && account == Account::Available(to))
        }
        Reason::Hold { .. } => (falls && spendable) || (grows && kind == Kind::Held),
        Reason::Accrual { .. } => kind == if grows { Kind::Pending } else { Kind::Held },
        Reason::Return { .. } => kind == if grows { Kind::Held } else { Kind::Pending },
        Reason::Settlement { .. } => match kind {
            Kind::Held => true,
            Kind::Pending => falls,
            Kind::Treasury | Kind::Available | Kind::Promo | Kind::Owner => grows,
            Kind::Reward | Kind::Project => false,
        },
        Reason::Release { .. } | Reason::Expiry { .. } => (grows && spendable) || (falls && kind == Kind::Held),
        Reason::Reward { .. } => match kind {
            Kind::Treasury => falls,
            Kind::Available | Kind::Reward => grows,
            Kind::Promo | Kind::Held | Kind::Pending | Kind::Owner | Kind::Project => false,
        },
        Reason::Vest { user, .. } => {
            let earned = account == Account::Owner(user) || account == Account::Reward(user);
            (falls && earned) || (grows && account == Account::Available(user))
        }
        Reason::Tip { project, .. } => (falls && spendable) || (grows && account == Account::Project(project)),
        Reason::Collect { project, owner } => {
            account == if grows { Account::Available(owner) } else { Account::Project(project) }
        }
    }
}

/// Whether such an entry moves money of one user only; others do of two.
const fn of_one_user(reason: &Reason) -> bool {
    match reason {
        Reason::Genesis
        | Reason::SignUp { .. }
        | Reason::Hold { .. }
        | Reason::Release { .. }
        | Reason::Expiry { .. }
        | Reason::Reward { .. }
        | Reason::Vest { .. }
        | Reason::Tip { .. }
        | Reason::Collect { .. } => true,
        Reason::Transfer { .. } | Reason::Accrual { .. } | Reason::Return { .. } | Reason::Settlement { .. } => false,
    }
}
