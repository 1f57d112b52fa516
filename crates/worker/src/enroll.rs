//! From a join token to a node of a pool.
//!
//! Start at [`membership`]: it uses what is on disk, and joins only where nothing usable is.
//!
//! Invariant: the pool is believed only when it shows the authority whose hash the token carries,
//! and the token is sent to nobody else.

use crate::WorkerConfig;
use crate::folders::Folders;
use crate::membership::{Membership, PoolFile, read_if_there};
use anyhow::{Context, anyhow, bail};
use hivemind_client::{JoinClaims, Target, join_token_peek};
use hivemind_model::{NodeId, Timestamp};
use hivemind_pki::{NodeIdentity, NodeKey, Trust, write_private};
use hivemind_proto::convert::{bounded, wire_offer};
use hivemind_proto::worker::worker_service_client::WorkerServiceClient;
use hivemind_proto::worker::{EnrollRequest, EnrollResponse};
use std::time::Duration;
use tonic::Code;

/// How long the pool may take to make a node.
const TIMEOUT: Duration = Duration::from_secs(30);

/// This machine's membership, joined now where it has none.
///
/// # Errors
/// Where there is no membership and no usable token; where the token is another pool's; where
/// the certificate has ended and no token is given.
pub(crate) async fn membership(config: &WorkerConfig, folders: &Folders) -> anyhow::Result<Membership> {
    let claims = config.join.as_deref().map(join_token_peek).transpose()?;
    let known = Membership::load(folders)?;
    let root = folders.root.display();
    let mut membership = match (known, claims) {
        (None, None) => bail!(
            "this machine belongs to no pool yet; ask the pool's operator for a join token and start again with --join TOKEN"
        ),
        (None, Some(claims)) => join(config, folders, &claims).await?,
        (Some(known), Some(claims)) if hex::encode(claims.ca_hash) != known.pool.ca_hash => bail!(
            "this machine belongs to the pool at {}, and the join token is of another pool; to leave the old one, move {root} away and start again",
            known.pool.server
        ),
        (Some(known), Some(claims)) if known.is_expired(now())? => {
            tracing::info!("the node's certificate has ended; joining again with the token");
            join(config, folders, &claims).await?
        }
        (Some(known), None) if known.is_expired(now())? => bail!(
            "the certificate of this node ended while it was offline; make a join token for the pool at {} and start again with --join TOKEN (finished results are kept)",
            known.pool.server
        ),
        (Some(known), Some(_)) => {
            tracing::info!("this machine belongs to the pool already; the join token is not used");
            known
        }
        (Some(known), None) => known,
    };
    if let Some(server) = &config.server {
        membership.pool.server.clone_from(server);
    }
    Ok(membership)
}

async fn join(config: &WorkerConfig, folders: &Folders, claims: &JoinClaims) -> anyhow::Result<Membership> {
    let token = config.join.clone().unwrap_or_default();
    if now() >= claims.expires_at {
        bail!("the join token has expired; tokens are valid for 15 minutes at most: make a new one and start again");
    }
    let name = match &config.name {
        Some(name) => name.clone(),
        None => host_name(),
    };
    let key = pending_key(folders)?;
    let server = config.server.clone().unwrap_or_else(|| claims.server.clone());
    let target = Target { server: server.clone(), trust: Trust::CaHash(claims.ca_hash), identity: None };
    let channel = hivemind_client::connect(&target).await?;
    let offer = config.node_offer(&name);
    let request = EnrollRequest {
        join_token: token,
        csr_pem: key.csr_pem()?,
        offer: Some(wire_offer(&offer, config.runtime.name(), env!("CARGO_PKG_VERSION"))),
    };
    let mut request = tonic::Request::new(request);
    request.set_timeout(TIMEOUT);
    let answer = WorkerServiceClient::new(channel).enroll(request).await.map_err(|status| refusal(&server, &status))?;
    let EnrollResponse { node_id, certificate_pem, ca_pem } = answer.into_inner();
    let node: NodeId = node_id.parse().context("the pool answered with a node id that is none")?;
    let identity = NodeIdentity { chain_pem: certificate_pem, key_pem: key.pem().to_owned() };
    // What cannot be used is refused now, not at the next start.
    hivemind_pki::client_config(&Trust::CaPem(ca_pem.clone()), Some(&identity))
        .context("the pool answered with a certificate that is not for this node's key")?;
    let pool = PoolFile { server, node_id: node, name, ca_hash: hex::encode(claims.ca_hash) };
    let membership = Membership::store(folders, pool, ca_pem, identity)?;
    crate::capture::remove_if_there(&folders.root.join(PENDING)).context("cannot remove the key of the enrolment")?;
    tracing::info!(node = %node, name = membership.pool.name, server = membership.pool.server, "joined the pool");
    Ok(membership)
}

const PENDING: &str = "pending.key";

/// The key of an enrolment is on disk before the pool hears of it, so that one that is cut off
/// goes on with the same key.
fn pending_key(folders: &Folders) -> anyhow::Result<NodeKey> {
    let path = folders.root.join(PENDING);
    if let Some(pem) = read_if_there(&path)? {
        match NodeKey::from_pem(&pem) {
            Ok(key) => return Ok(key),
            Err(why) => tracing::warn!("the key of an earlier enrolment is not usable, making another: {why}"),
        }
    }
    let key = NodeKey::generate()?;
    write_private(&path, key.pem().as_bytes())?;
    Ok(key)
}

fn refusal(server: &str, status: &tonic::Status) -> anyhow::Error {
    let said = bounded(status.message());
    match hivemind_model::Code::ALL.iter().find(|code| said.starts_with(code.as_str())) {
        Some(hivemind_model::Code::TokenUsed) => {
            anyhow!("{said}\neach join token enrols one machine, once: make a new one and start again")
        }
        Some(hivemind_model::Code::TokenExpired) => anyhow!("{said}\nmake a new join token and start again"),
        Some(_) => anyhow!("the pool at {server} refused this machine: {said}"),
        None if status.code() == Code::Unauthenticated => {
            anyhow!("the pool at {server} does not take the join token: {said}")
        }
        None => anyhow!("the pool at {server} did not enrol this machine ({:?}): {said}; try again", status.code()),
    }
}

/// The machine's name, with what a node's name may not have replaced.
fn host_name() -> String {
    let system = rustix::system::uname();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = system.nodename().to_string_lossy().chars().map(plain).take(64).collect();
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        name
    } else {
        format!("node{name}").chars().take(64).collect()
    }
}

/// The wall clock, which certificates and tokens go by.
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
