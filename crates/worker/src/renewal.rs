//! A new certificate before the old one ends, over the living link.
//!
//! At two thirds of the certificate's life a new key is made, and the pool is asked to sign it;
//! the pair is used from the next connection on. Start at [`Renewal::request`].
//!
//! Invariant: the new key is on disk only together with its certificate.

use crate::membership::Membership;
use anyhow::Context;
use hivemind_model::Timestamp;
use hivemind_pki::{NodeIdentity, NodeKey, client_config};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Between two requests, where the first had no answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(crate) struct Renewal {
    membership: Arc<Membership>,
    due: Timestamp,
    asked: Option<(NodeKey, Instant)>,
}

impl Renewal {
    /// For the certificate of `membership`.
    ///
    /// # Errors
    /// Where that is not readable.
    pub(crate) fn new(membership: Arc<Membership>) -> anyhow::Result<Self> {
        let due = due(&membership)?;
        Ok(Self { membership, due, asked: None })
    }

    /// What to send to the pool, where it is time to.
    ///
    /// # Errors
    /// Where no key can be made.
    pub(crate) fn request(&mut self, wall: Timestamp, now: Instant) -> anyhow::Result<Option<String>> {
        let waiting = self.asked.as_ref().is_some_and(|(_, at)| now < *at + PATIENCE);
        if wall < self.due || waiting {
            return Ok(None);
        }
        let key = NodeKey::generate()?;
        let csr = key.csr_pem()?;
        self.asked = Some((key, now));
        Ok(Some(csr))
    }

    /// Keeps the certificate that the pool signed for the key it was last asked about.
    ///
    /// # Errors
    /// Where it is not for that key, or the disk refuses; the old pair stays in use.
    pub(crate) fn keep(&mut self, chain_pem: String) -> anyhow::Result<()> {
        let (key, _) = self.asked.take().context("the pool sent a certificate that was not asked for")?;
        let identity = NodeIdentity { chain_pem, key_pem: key.pem().to_owned() };
        client_config(&self.membership.target().trust, Some(&identity))
            .context("the pool sent a certificate that is not for this node's new key")?;
        self.membership.renew(identity)?;
        self.due = due(&self.membership)?;
        Ok(())
    }
}

/// Two thirds through its life.
fn due(membership: &Membership) -> anyhow::Result<Timestamp> {
    let (from, until) = membership.validity()?;
    let life = until.since(from);
    Ok(from.after(hivemind_model::Millis(life.0 / 3 * 2)))
}
