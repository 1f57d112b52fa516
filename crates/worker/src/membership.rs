//! Which node of which pool this machine is, and what proves it.
//!
//! Key and certificate are one file, because one without the other is of no use; it is written
//! last, so that its presence means that all is there. Start at [`Membership::load`].
//!
//! Invariant: the key is written to no other place and never sent.

use crate::folders::Folders;
use anyhow::{Context, anyhow, bail};
use hivemind_client::Target;
use hivemind_model::{NodeId, Timestamp};
use hivemind_pki::{NodeIdentity, Trust, write_private};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// What `pool.toml` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PoolFile {
    /// `https://host:port`.
    pub server: String,
    /// Given by the pool.
    pub node_id: NodeId,
    /// This machine's name in the pool.
    pub name: String,
    /// SHA-256 of the pool's CA certificate, in hexadecimal digits.
    pub ca_hash: String,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Membership {
    /// The pool, and this node in it.
    pub pool: PoolFile,
    ca_pem: String,
    identity: RwLock<NodeIdentity>,
    file: PathBuf,
}

impl Membership {
    /// What an earlier enrolment left, or `None` where there was none.
    ///
    /// # Errors
    /// Where a file is missing or is not what was written; it says which.
    pub(crate) fn load(folders: &Folders) -> anyhow::Result<Option<Self>> {
        let file = folders.root.join("identity.pem");
        let Some(pair) = read_if_there(&file)? else { return Ok(None) };
        let need = |name: &str| {
            let path = folders.root.join(name);
            let hint = || {
                anyhow!(
                    "{} is missing though this machine was enrolled; move {} away and join again",
                    path.display(),
                    folders.root.display()
                )
            };
            read_if_there(&path)?.ok_or_else(hint).map(|text| (path, text))
        };
        let (pool_path, pool) = need("pool.toml")?;
        let pool = toml::from_str(&pool).with_context(|| format!("{} is not readable", pool_path.display()))?;
        let (_, ca_pem) = need("ca.pem")?;
        let identity = split(&pair).with_context(|| {
            format!(
                "{} does not hold a key and a certificate; move {} away and join again",
                file.display(),
                folders.root.display()
            )
        })?;
        Ok(Some(Self { pool, ca_pem, identity: RwLock::new(identity), file }))
    }

    /// Keeps what an enrolment gave.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn store(
        folders: &Folders,
        pool: PoolFile,
        ca_pem: String,
        identity: NodeIdentity,
    ) -> anyhow::Result<Self> {
        let text = toml::to_string(&pool).context("the pool's file cannot be written")?;
        write_private(&folders.root.join("pool.toml"), text.as_bytes())?;
        write_private(&folders.root.join("ca.pem"), ca_pem.as_bytes())?;
        let file = folders.root.join("identity.pem");
        write_private(&file, joined(&identity).as_bytes())?;
        Ok(Self { pool, ca_pem, identity: RwLock::new(identity), file })
    }

    /// Replaces key and certificate, on disk and for the next connection.
    ///
    /// # Errors
    /// What the disk says; then the old ones stay.
    pub(crate) fn renew(&self, identity: NodeIdentity) -> anyhow::Result<()> {
        write_private(&self.file, joined(&identity).as_bytes())?;
        *self.identity.write() = identity;
        Ok(())
    }

    /// From when until when the certificate is valid.
    ///
    /// # Errors
    /// Where it is not readable.
    pub(crate) fn validity(&self) -> anyhow::Result<(Timestamp, Timestamp)> {
        Ok(hivemind_pki::validity(&self.identity.read().chain_pem)?)
    }

    /// True where no pool takes the certificate any more.
    ///
    /// # Errors
    /// As of [`Membership::validity`].
    pub(crate) fn is_expired(&self, now: Timestamp) -> anyhow::Result<bool> {
        Ok(now >= self.validity()?.1)
    }

    /// How to reach the pool as this node.
    pub(crate) fn target(&self) -> Target {
        Target {
            server: self.pool.server.clone(),
            trust: Trust::CaPem(self.ca_pem.clone()),
            identity: Some(self.identity.read().clone()),
        }
    }
}

fn joined(identity: &NodeIdentity) -> String {
    format!("{}\n{}", identity.key_pem.trim_end(), identity.chain_pem)
}

fn split(pair: &str) -> anyhow::Result<NodeIdentity> {
    let at = pair.find(CERTIFICATE).context("no certificate in it")?;
    let (key, chain) = pair.split_at(at);
    if !key.contains("PRIVATE KEY-----") {
        bail!("no key in it");
    }
    let identity = NodeIdentity { chain_pem: chain.to_owned(), key_pem: key.to_owned() };
    hivemind_pki::validity(&identity.chain_pem)?;
    Ok(identity)
}

pub(crate) fn read_if_there(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| format!("cannot read {}", path.display())),
    }
}
