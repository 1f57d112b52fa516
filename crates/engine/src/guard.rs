//! Who may sign up, and what becomes of free credit.
//!
//! In the guarded mode free credit buys computing and never becomes money, however often it
//! changes hands; an account takes an invitation, and one network makes few of them. Start at
//! [`Engine::may_sign_up`] and [`Engine::terms`].
//!
//! Invariant: in the open mode nothing here refuses anything.

use crate::Engine;
use hivemind_ledger::{PromoPay, Spend, Terms};
use hivemind_model::economy::Mode;
use hivemind_model::rows::{InvitationRow, Role};
use hivemind_model::{Code, Millis, Rejection, Reply, Timestamp, UserId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Invitations that are open at once.
const MAX_INVITATIONS: usize = 100_000;
/// Longest form of a network, in bytes.
const MAX_NETWORK_BYTES: usize = 64;
/// The span in which sign-ups of one network are counted.
const DAY: Millis = Millis::from_secs(24 * 3600);
/// Earnings of one user that are due within the same such span vest together.
const LONGEST_BUCKET: u64 = 3_600_000;

/// Invitation codes that can still be used.
#[derive(Debug, Default)]
pub(crate) struct Invitations {
    open: BTreeMap<[u8; 32], InvitationRow>,
    expiry: BTreeSet<(Timestamp, [u8; 32])>,
}

impl Invitations {
    pub(crate) fn insert(&mut self, row: InvitationRow) -> bool {
        self.expiry.insert((row.expires_at, row.digest));
        self.open.insert(row.digest, row).is_none()
    }

    pub(crate) fn get(&self, digest: &[u8; 32]) -> Option<&InvitationRow> {
        self.open.get(digest)
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiry.first().map(|(at, _)| *at)
    }

    fn remove(&mut self, digest: &[u8; 32]) {
        if let Some(row) = self.open.remove(digest) {
            self.expiry.remove(&(row.expires_at, row.digest));
        }
    }
}

/// The sign-ups of the last day, by network.
#[derive(Debug, Default)]
pub(crate) struct SignUps {
    order: VecDeque<(Timestamp, String)>,
    counts: BTreeMap<String, u32>,
}

impl SignUps {
    pub(crate) fn note(&mut self, network: &str, at: Timestamp) {
        self.order.push_back((at, network.to_owned()));
        *self.counts.entry(network.to_owned()).or_default() += 1;
    }

    fn within_a_day(&mut self, network: &str, now: Timestamp) -> u32 {
        while let Some((_, old)) = self.order.pop_front_if(|(at, _)| at.after(DAY) <= now) {
            if let Some(count) = self.counts.get_mut(&old) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&old);
                }
            }
        }
        self.counts.get(network).copied().unwrap_or_default()
    }
}

/// One person, as far as it is known: an e-mail address without letter case and without what
/// follows a `+`.
pub(crate) fn person_of(email: &str) -> String {
    let folded = email.to_ascii_lowercase();
    match folded.rsplit_once('@') {
        Some((local, domain)) => {
            let local = local.split_once('+').map_or(local, |(name, _)| name);
            format!("{local}@{domain}")
        }
        None => folded,
    }
}

impl Engine {
    /// Refuses a sign-up that the guarded mode does not allow. Gives the invitation that it uses up.
    pub(crate) fn may_sign_up(
        &mut self,
        role: Role,
        network: &str,
        invitation: Option<[u8; 32]>,
        now: Timestamp,
    ) -> Result<Option<[u8; 32]>, Rejection> {
        let economy = &self.policy.economy;
        if economy.mode == Mode::Open || role == Role::Operator {
            return Ok(None);
        }
        if network.len() > MAX_NETWORK_BYTES || network.chars().any(char::is_control) {
            return Err(Rejection::invalid("from", "is no network address; this is a fault of the caller"));
        }
        let (most, needs_code) = (economy.guard.signups_per_address, economy.guard.invitations);
        let used = match invitation.filter(|_| needs_code) {
            Some(digest) => match self.invitations.get(&digest) {
                Some(row) if row.expires_at > now => Some(digest),
                Some(_) | None => {
                    return Err(Rejection::field(
                        Code::Invitation,
                        "invitation",
                        "is not valid: it is unknown, used up or past its time; ask the operator for a new one",
                    ));
                }
            },
            None if needs_code => {
                return Err(Rejection::field(
                    Code::Invitation,
                    "invitation",
                    "is missing; this pool takes new users by invitation, ask its operator for a code",
                ));
            }
            None => None,
        };
        if !network.is_empty() && self.signups.within_a_day(network, now) >= most {
            return Err(Rejection::new(
                Code::Busy,
                format!(
                    "{most} accounts were made from your network today, the most that this pool takes; try again tomorrow"
                ),
            ));
        }
        Ok(used)
    }

    /// Uses up one use of an invitation.
    pub(crate) fn use_invitation(&mut self, digest: [u8; 32]) {
        let Some(row) = self.invitations.open.get_mut(&digest) else { return };
        row.uses_left -= 1;
        if row.uses_left == 0 {
            self.end_invitation(digest);
        } else {
            self.pending.invitations.insert(digest);
        }
    }

    /// Forgets invitations whose time is over.
    pub(crate) fn expire_invitations(&mut self, now: Timestamp) {
        while let Some(&(_, digest)) = self.invitations.expiry.first().filter(|(at, _)| *at <= now) {
            self.end_invitation(digest);
        }
    }

    fn end_invitation(&mut self, digest: [u8; 32]) {
        self.invitations.remove(&digest);
        self.pending.invitations.insert(digest);
    }

    /// Makes an invitation code valid.
    pub(crate) fn invite(&mut self, row: InvitationRow, now: Timestamp) -> Result<Reply, Rejection> {
        if self.user(row.made_by)?.role != Role::Operator {
            return Err(Rejection::new(Code::Forbidden, "only an operator invites"));
        }
        if row.uses_left == 0 {
            return Err(Rejection::invalid("uses", "is 0; an invitation makes at least one account"));
        }
        if row.expires_at <= now {
            return Err(Rejection::invalid("valid_seconds", "ends in the past"));
        }
        if self.invitations.len() >= MAX_INVITATIONS {
            return Err(Rejection::new(
                Code::Busy,
                format!("{MAX_INVITATIONS} invitations are open; wait for some to end"),
            ));
        }
        if self.invitations.get(&row.digest).is_some() {
            return Err(Rejection::new(Code::Conflict, "there is such an invitation already; make another code"));
        }
        self.pending.invitations.insert(row.digest);
        self.invitations.insert(row);
        Ok(Reply::Done)
    }

    /// The network of a sign-up, where sign-ups are counted.
    pub(crate) fn counted_network(&self, from: String) -> String {
        match self.policy.economy.mode {
            Mode::Open => String::new(),
            Mode::Guarded => from,
        }
    }

    /// The person that a new user with this address is.
    pub(crate) fn person(&mut self, email: &str, user: UserId) -> UserId {
        *self.persons.entry(person_of(email)).or_insert(user)
    }

    /// What a refusal for lack of money adds where free credit does not count.
    pub(crate) fn but_promo(&self) -> &'static str {
        match self.policy.economy.mode {
            Mode::Open => "",
            Mode::Guarded => " (free credit buys computing only)",
        }
    }

    /// Which money users may give away.
    pub(crate) fn spend(&self) -> Spend {
        match self.policy.economy.mode {
            Mode::Open => Spend::OwnThenPromo,
            Mode::Guarded => Spend::Own,
        }
    }

    /// How work for `requester` on a node of `owner` is paid.
    pub(crate) fn terms(&self, requester: UserId, owner: UserId, now: Timestamp) -> Terms {
        let promo = match self.policy.economy.mode {
            Mode::Open => PromoPay::Money,
            Mode::Guarded if self.is_same_person(requester, owner) => PromoPay::Treasury,
            Mode::Guarded => PromoPay::Promo,
        };
        Terms { promo, vests_at: self.vests_at(now) }
    }

    /// When what is earned now can be spent; `None` where at once.
    pub(crate) fn vests_at(&self, now: Timestamp) -> Option<Timestamp> {
        let vesting = self.policy.economy.guard.vesting;
        match self.policy.economy.mode {
            Mode::Guarded if vesting > Millis(0) => {
                let bucket = i64::try_from((vesting.0 / 24).clamp(1, LONGEST_BUCKET)).unwrap_or(1);
                let due = now.after(vesting).0;
                Some(Timestamp(due.saturating_add(bucket - 1).div_euclid(bucket).saturating_mul(bucket)))
            }
            Mode::Guarded | Mode::Open => None,
        }
    }

    /// True where both are known to be one person.
    pub(crate) fn is_same_person(&self, a: UserId, b: UserId) -> bool {
        let person = |id: UserId| self.users.get(&id).map(|user| user.person);
        a == b || person(a) == person(b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_a_tag_is_the_same_person() {
        for (email, person) in [
            ("Anna@Example.org", "anna@example.org"),
            ("anna+2@example.org", "anna@example.org"),
            ("an.na@example.org", "an.na@example.org"),
            ("anna@b@example.org", "anna@b@example.org"),
        ] {
            assert_eq!(person_of(email), person);
        }
    }

    #[test]
    fn sign_ups_are_forgotten_after_a_day() {
        let mut signups = SignUps::default();
        signups.note("a", Timestamp(0));
        signups.note("a", Timestamp(10));
        signups.note("b", Timestamp(10));
        let day = Timestamp(0).after(DAY);
        assert_eq!(signups.within_a_day("a", Timestamp(10)), 2);
        assert_eq!(signups.within_a_day("a", day), 1);
        assert_eq!(signups.within_a_day("a", day.after(Millis(10))), 0);
        assert!(signups.counts.is_empty() && signups.order.is_empty());
    }
}
