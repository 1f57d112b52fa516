//! What is let through.
//!
//! A connection passes when the task asked for its host and port, the owner of the machine allows it, and every
//! address of the host is public and neither this machine's own nor a neighbour's. [`Rules::permits`] decides the
//! first two before anything is looked up, [`Rules::check`] the rest before anything is connected.
//!
//! Invariant: no I/O; what is not allowed is refused.

use crate::address::{forbidden, meanings};
use crate::own::Own;
use crate::resolve::{Resolver, System};
use hivemind_model::{Egress, EgressPolicy, Endpoint};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Most addresses of one host that are looked at.
const MOST_ADDRESSES: usize = 32;

/// How much of the owner's network one attempt may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkLimits {
    /// Connections at once; more wait until one ends.
    pub connections: usize,
    /// Connections begun in a second; more wait.
    pub connections_per_second: u32,
    /// Longest wait for the name and the connection together.
    pub connect: Duration,
    /// A connection on which nothing is sent for so long is closed.
    pub idle: Duration,
    /// Bytes per second, each way, of all connections together.
    pub bytes_per_second: u64,
    /// Bytes of all connections together, both ways; then everything is closed.
    pub volume: u64,
}

impl Default for NetworkLimits {
    /// 64 connections, 32 begun in a second, 10 s to connect, 5 min idle, 100 Mbit/s each way, 10 GiB.
    fn default() -> Self {
        Self {
            connections: 64,
            connections_per_second: 32,
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(300),
            bytes_per_second: 12_500_000,
            volume: 10 << 30,
        }
    }
}

/// What tests need, as they have no public host: nothing by default.
///
/// No option, file or message sets any of it: it is only there where a program that was compiled for it says so.
/// A task cannot say anything here, and neither can the pool.
#[derive(Debug, Clone, Default)]
pub struct Loosened {
    /// Addresses with a port that are reached though they are not public.
    pub reach: Vec<SocketAddr>,
    /// Looks up names instead of this machine.
    pub resolver: Option<Arc<dyn Resolver>>,
}

/// What decides about the connections of attempts on this machine.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// What the owner lets tasks reach.
    pub policy: EgressPolicy,
    /// How much.
    pub limits: NetworkLimits,
    /// For tests only.
    pub loosened: Loosened,
}

/// Why a connection did not come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// What was asked for is no host and port, because of this.
    NoTarget(String),
    /// The task did not ask for it when it was submitted.
    NotAsked,
    /// The owner of this machine does not allow it.
    NotAllowed,
    /// This address of it is what the words say.
    Address(IpAddr, &'static str),
    /// Its name leads to nothing.
    Unresolved(String),
    /// It is allowed, and does not answer.
    Unreached(String),
    /// The attempt has used its volume.
    UsedUp(u64),
}

impl Refusal {
    /// True where a rule says no; false where the network did not get there.
    #[must_use]
    pub fn is_rule(&self) -> bool {
        match self {
            Self::NoTarget(_) | Self::NotAsked | Self::NotAllowed | Self::Address(..) | Self::UsedUp(_) => true,
            Self::Unresolved(_) | Self::Unreached(_) => false,
        }
    }

    /// The line for the task's log about `target`, without the words before it.
    #[must_use]
    pub fn line(&self, target: &str) -> String {
        let verb = if self.is_rule() { "refused" } else { "could not reach" };
        format!("{verb} {target} ({self})")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTarget(why) | Self::Unreached(why) => f.write_str(why),
            Self::NotAsked => f.write_str("the task did not ask for it"),
            Self::NotAllowed => f.write_str("the owner of this machine does not allow it"),
            Self::Address(address, is) => write!(f, "{address} is {is}"),
            Self::Unresolved(why) => write!(f, "its name leads nowhere: {why}"),
            Self::UsedUp(volume) => write!(f, "the task has used its volume of {volume} bytes"),
        }
    }
}

/// Reads the host and port that a program asks for: a name or an address in its usual spelling, nothing else. An
/// address of IPv6 is in brackets.
///
/// # Errors
/// [`Refusal::NoTarget`] for every other spelling: `2130706433`, `0x7f.1`, `0177.0.0.1`, `127.1`, `example.org.`,
/// `*.example.org`.
pub fn target(host: &str, port: u16) -> Result<Endpoint, Refusal> {
    let endpoint: Endpoint =
        format!("{host}:{port}").parse().map_err(|_| Refusal::NoTarget("it is no name and no usual address".into()))?;
    if endpoint.is_wildcard() {
        return Err(Refusal::NoTarget("it stands for many hosts".into()));
    }
    if !endpoint.host().eq_ignore_ascii_case(host) {
        return Err(Refusal::NoTarget(format!("it is to be written as {}", endpoint.host())));
    }
    Ok(endpoint)
}

/// The address that `host` of an [`Endpoint`] is; `None` where it is a name.
#[must_use]
pub fn literal(host: &str) -> Option<IpAddr> {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.unwrap_or(host).parse().ok()
}

impl Rules {
    /// Whether a task that asked for `asked` may go to `target`, wherever that is.
    ///
    /// # Errors
    /// [`Refusal::NotAsked`], [`Refusal::NotAllowed`].
    pub fn permits(&self, asked: &Egress, target: &Endpoint) -> Result<(), Refusal> {
        if !asked.covers(target.host(), target.port()) {
            return Err(Refusal::NotAsked);
        }
        let allowed = match &self.policy {
            EgressPolicy::None => false,
            EgressPolicy::Only(list) => list.covers(target.host(), target.port()),
            EgressPolicy::Public => true,
        };
        if allowed { Ok(()) } else { Err(Refusal::NotAllowed) }
    }

    /// The addresses of a host that may be connected to: all of `found`, in their usual form. `own` are those of
    /// this machine, whose neighbours are not reached either.
    ///
    /// # Errors
    /// Where one of them may not be, though others may: a name that leads to both has been made to get in here.
    pub fn check(&self, found: &[IpAddr], port: u16, own: &[Own]) -> Result<Vec<SocketAddr>, Refusal> {
        if found.is_empty() {
            return Err(Refusal::Unresolved("it has no address".into()));
        }
        if found.len() > MOST_ADDRESSES {
            return Err(Refusal::Unresolved(format!("it has more than {MOST_ADDRESSES} addresses")));
        }
        found.iter().map(|address| self.check_one(*address, port, own)).collect()
    }

    fn check_one(&self, found: IpAddr, port: u16, own: &[Own]) -> Result<SocketAddr, Refusal> {
        let address = SocketAddr::new(found.to_canonical(), port);
        if self.loosened.reach.contains(&address) {
            return Ok(address);
        }
        for meant in meanings(found) {
            if let Some(is) = forbidden(meant) {
                return Err(Refusal::Address(found, is));
            }
            if own.iter().any(|own| own.is(meant)) {
                return Err(Refusal::Address(found, "an address of this machine"));
            }
            if own.iter().any(|own| own.is_near(meant)) {
                return Err(Refusal::Address(found, "an address in this machine's own network"));
            }
        }
        Ok(address)
    }

    /// What looks up names.
    pub(crate) fn resolver(&self) -> Arc<dyn Resolver> {
        self.loosened.resolver.clone().unwrap_or_else(|| Arc::new(System))
    }
}

#[cfg(test)]
mod tests;
