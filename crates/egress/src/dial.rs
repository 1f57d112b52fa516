//! From what a program asks for to a connection, or to the reason why there is none.
//!
//! Start at [`Way::reach`]: permission, addresses, their check, connection, in this order.
//!
//! Invariant: one lookup per connection; what is connected to is what was checked.

use crate::journal::Journal;
use crate::meter::{Activity, Meter, Metered};
use crate::own;
use crate::rules::{Refusal, Rules, literal};
use hivemind_model::{Egress, Endpoint};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

/// Lookups of one attempt at once.
const MOST_LOOKUPS: usize = 4;

/// The way out of one attempt.
#[derive(Debug)]
pub(crate) struct Way {
    egress: Egress,
    pub(crate) rules: Arc<Rules>,
    pub(crate) journal: Journal,
    pub(crate) meter: Arc<Meter>,
    lookups: Semaphore,
}

impl Way {
    pub(crate) fn new(egress: Egress, rules: Arc<Rules>, journal: Journal) -> Self {
        let meter = Arc::new(Meter::new(&rules.limits));
        Self { egress, rules, journal, meter, lookups: Semaphore::new(MOST_LOOKUPS) }
    }

    /// Connects to `target`, or tells the log why not.
    ///
    /// # Errors
    /// The same reason.
    pub(crate) async fn reach(&self, target: &Endpoint, activity: &Arc<Activity>) -> Result<Metered, Refusal> {
        let reached = self.try_reach(target).await;
        match reached {
            Ok(stream) => Ok(Metered::new(stream, self.meter.clone(), activity.clone())),
            Err(refusal) => {
                self.journal.tell(&refusal.line(&target.to_string()));
                Err(refusal)
            }
        }
    }

    /// Tells the log of something that was asked for and is no target.
    pub(crate) fn refuse(&self, asked: &str, refusal: &Refusal) {
        let shown: String = asked.chars().take(80).collect();
        self.journal.tell(&refusal.line(&format!("`{shown}`")));
    }

    async fn try_reach(&self, target: &Endpoint) -> Result<TcpStream, Refusal> {
        if self.meter.is_used_up() {
            return Err(Refusal::UsedUp(self.rules.limits.volume));
        }
        self.rules.permits(&self.egress, target)?;
        let patience = self.rules.limits.connect;
        let late = || format!("no answer within {} s", patience.as_secs_f64());
        let end = Instant::now() + patience;
        let found = timeout_at(end, self.addresses(target.host())).await;
        let found = found.map_err(|_| Refusal::Unresolved(late()))?;
        let found = found.map_err(|error| Refusal::Unresolved(error.to_string()))?;
        let checked = self.rules.check(&found, target.port(), &own_now()?)?;
        connect(&checked, end).await.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => Refusal::Unreached(late()),
            _ => Refusal::Unreached(error.to_string()),
        })
    }

    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Some(address) = literal(host) {
            return Ok(vec![address]);
        }
        let _permit = self.lookups.acquire().await.map_err(io::Error::other)?;
        self.rules.resolver().resolve(host).await
    }
}

/// Whether this process itself may go to a host with these addresses for a stranger, as for the image that a task
/// names.
///
/// # Errors
/// [`Refusal::Address`] where one of them is not public, or is this machine's or a neighbour's.
pub fn outside(found: &[IpAddr]) -> Result<(), Refusal> {
    Rules::default().check(found, 0, &own_now()?).map(drop)
}

fn own_now() -> Result<Vec<own::Own>, Refusal> {
    own::addresses()
        .map_err(|error| Refusal::Unreached(format!("this machine's own addresses cannot be listed: {error}")))
}

/// Connects to the first of `addresses` that answers; each may take its part of the time.
async fn connect(addresses: &[SocketAddr], end: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for (done, address) in addresses.iter().enumerate() {
        let rest = u32::try_from(addresses.len() - done).unwrap_or(u32::MAX);
        let part = end.saturating_duration_since(Instant::now()) / rest;
        match timeout(part, TcpStream::connect(*address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}
