//! Users and their money.
//!
//! Start at [`Engine::register`] and [`Engine::transfer`].
//!
//! Invariant: no password is judged here; the hash comes ready made.

use crate::{Engine, User};
use hivemind_ledger::Refusal;
use hivemind_model::command::Once;
use hivemind_model::rows::{Answer, Role, UserRow};
use hivemind_model::{Code, Cpt, Rejection, Reply, Timestamp, UserId};

/// Longest e-mail address, in bytes (RFC 5321).
const MAX_EMAIL_BYTES: usize = 254;
/// Longest password hash, in bytes; a PHC string of Argon2id has about 100.
const MAX_HASH_BYTES: usize = 512;

/// A new user as they registered.
pub(crate) struct Registration {
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) password_hash: String,
    pub(crate) role: Role,
    pub(crate) from: String,
    pub(crate) invitation: Option<[u8; 32]>,
}

/// One transfer as it was asked for.
pub(crate) struct Transfer {
    pub(crate) from: UserId,
    pub(crate) to_username: String,
    pub(crate) amount: Cpt,
}

impl Engine {
    /// Makes a user and gives the sign-up grant.
    pub(crate) fn register(&mut self, new: Registration, now: Timestamp) -> Result<Reply, Rejection> {
        check_name("username", &new.username, 3, 32)?;
        check_email(&new.email)?;
        if new.password_hash.is_empty() || new.password_hash.len() > MAX_HASH_BYTES {
            return Err(Rejection::invalid("password", "its hash is empty or too long; this is a fault of the caller"));
        }
        let folded = new.username.to_ascii_lowercase();
        if self.usernames.contains_key(&folded) {
            return Err(Rejection::field(
                Code::Taken,
                "username",
                format!("`{}` is taken (letter case does not count); choose another", new.username),
            ));
        }
        let used = self.may_sign_up(new.role, &new.from, new.invitation, now)?;
        let id = UserId(self.counters.user);
        self.ledger.sign_up(id, self.policy.signup_grant, now).map_err(|refusal| {
            Rejection::new(Code::Busy, format!("the pool takes no new users: {refusal}; ask its operator"))
        })?;
        self.counters.user += 1;
        self.pending.counters_moved = true;
        let row = UserRow {
            id,
            username: new.username,
            email: new.email,
            password_hash: new.password_hash,
            role: new.role,
            registered_at: now,
            registered_from: self.counted_network(new.from),
        };
        if let Some(digest) = used {
            self.use_invitation(digest);
        }
        if !row.registered_from.is_empty() {
            self.signups.note(&row.registered_from, now);
        }
        let person = self.person(&row.email, id);
        self.users.insert(id, User::new(row.username.clone(), row.role, person));
        self.usernames.insert(folded, id);
        self.pending.users.push(row);
        Ok(Reply::Registered { user: id })
    }

    /// Moves money from user to user.
    pub(crate) fn transfer(&mut self, ask: Transfer, once: Option<Once>, now: Timestamp) -> Result<Reply, Rejection> {
        self.user(ask.from)?;
        let user = ask.from;
        self.at_most_once(once, user, "transfer_id", |engine| {
            let balance = engine.transfer_now(&ask, now)?;
            Ok((Reply::Transferred { balance }, Answer::Transferred { balance }))
        })
    }

    fn transfer_now(&mut self, ask: &Transfer, now: Timestamp) -> Result<Cpt, Rejection> {
        let amount = ask.amount;
        if !amount.is_positive() {
            return Err(Rejection::invalid("amount", format!("{amount} cannot be transferred; it must be above zero")));
        }
        let to = self.usernames.get(&ask.to_username.to_ascii_lowercase()).copied();
        let Some(to) = to else {
            let shown = known_name(&ask.to_username);
            return Err(Rejection::field(Code::NotFound, "to_username", format!("nobody here is called `{shown}`")));
        };
        let spend = self.spend();
        self.ledger.transfer(ask.from, to, amount, spend, now).map_err(|refusal| match refusal {
            Refusal::SameUser { .. } => Rejection::invalid("to_username", "is yourself; nothing would move"),
            Refusal::Insufficient { .. } => Rejection::field(
                Code::InsufficientCpt,
                "amount",
                format!("{refusal}{}; transfer less, or wait for open tasks to end", self.but_promo()),
            ),
            other => Rejection::invalid("amount", other),
        })?;
        Ok(self.ledger.spendable(ask.from))
    }

    /// Does `act` unless its client-made id was seen before; remembers what it answers.
    pub(crate) fn at_most_once(
        &mut self,
        once: Option<Once>,
        user: UserId,
        field: &str,
        act: impl FnOnce(&mut Self) -> Result<(Reply, Answer), Rejection>,
    ) -> Result<Reply, Rejection> {
        let Some(once) = once else { return act(self).map(|(reply, _)| reply) };
        if let Some(reply) = self.once.find(&once, user, field)? {
            return Ok(reply);
        }
        let (result, answer) = match act(self) {
            Ok((reply, answer)) => (Ok(reply), answer),
            Err(rejection) => (Err(rejection.clone()), Answer::Refused { rejection }),
        };
        self.pending.requests.extend(self.once.remember(once, answer));
        result
    }

    /// The user of that id.
    pub(crate) fn user(&self, id: UserId) -> Result<&User, Rejection> {
        self.users.get(&id).ok_or_else(|| Rejection::not_found(id))
    }
}

/// What was given as a name, fit to be shown.
pub(crate) fn known_name(given: &str) -> String {
    given.chars().take(64).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Checks a name of `least` to `most` characters of `a-z A-Z 0-9 . _ -` that starts with a letter or digit.
pub(crate) fn check_name(field: &str, name: &str, least: usize, most: usize) -> Result<(), Rejection> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !(least..=most).contains(&name.len()) {
        return Err(Rejection::invalid(field, format!("must have {least} to {most} characters")));
    }
    if !name.chars().all(allowed) {
        return Err(Rejection::invalid(field, "may only have the characters a-z A-Z 0-9 . _ -"));
    }
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(Rejection::invalid(field, "must start with a letter or a digit"));
    }
    Ok(())
}

/// Checks that an address has the form `local@domain`; whether it exists is not known here.
fn check_email(email: &str) -> Result<(), Rejection> {
    let bad = |why: &str| Err(Rejection::invalid("email", why));
    if email.len() > MAX_EMAIL_BYTES {
        return bad("is longer than 254 bytes");
    }
    if email.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return bad("contains a blank or a control character");
    }
    match email.rsplit_once('@') {
        Some((local, domain))
            if !local.is_empty()
                && !domain.is_empty()
                && !local.contains('@')
                && !domain.starts_with('.')
                && !domain.ends_with('.') =>
        {
            Ok(())
        }
        _ => bad("is not of the form name@domain"),
    }
}
