//! From a folder to a pool: the lock, keys, store, recovery or founding, and the operator.
//!
//! Start at [`found`]. Every step may be cut off by a crash and is completed by the next start.
//!
//! Invariant: nothing here is done twice on what is there already.

use crate::auth::{Auth, random_password};
use crate::blobs::{Blobs, make_folder};
use crate::board::Board;
use crate::clock::Clock;
use crate::compare::Question;
use crate::disk::Disk;
use crate::entries::Entries;
use crate::figures::Figures;
use crate::files::Files;
use crate::gate::Gate;
use crate::hub::Hub;
use crate::links::Links;
use crate::liveness::Liveness;
use crate::logs::Logs;
use crate::monitor::Monitor;
use crate::secrets::Chain;
use crate::sessions::Sessions;
use crate::shared::{Followers, Shared};
use crate::tokens::Tokens;
use crate::turns::Turns;
use crate::watching::Watching;
use crate::writer::{self, Writer, WriterFailure};
use crate::{PoolConfig, Tuning};
use anyhow::Context;
use hivemind_engine::{Engine, Secret};
use hivemind_model::rows::{Recovered, Role};
use hivemind_model::{Command, Timestamp};
use hivemind_pki::Authority;
use hivemind_store::{SqliteOptions, SqliteStore, Store};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// The name of the user who runs the pool.
pub(crate) const OPERATOR: &str = "operator";

/// What came of it.
pub(crate) struct Founded {
    pub(crate) shared: Arc<Shared>,
    pub(crate) writer: JoinHandle<Result<(), WriterFailure>>,
    pub(crate) store: Arc<SqliteStore>,
    /// Results to compare.
    pub(crate) asked: mpsc::UnboundedReceiver<Question>,
    /// Names and addresses for the server's certificate.
    pub(crate) server_names: Vec<String>,
}

/// Makes the folder and locks it for this process.
pub(crate) fn lock(data: &Path) -> anyhow::Result<File> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .with_context(|| format!("cannot make the data folder {}", data.display()))?;
    let path = data.join("pool.lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            anyhow::bail!("{} is in use by another pool; stop it, or choose another data folder", data.display())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

/// Opens everything under the folder and starts the writer.
pub(crate) async fn found(
    config: &PoolConfig,
    tuning: &Tuning,
    address: SocketAddr,
    writer_stop: CancellationToken,
) -> anyhow::Result<Founded> {
    let data = &config.data;
    let store = SqliteStore::open(&data.join("pool.db"), SqliteOptions::default()).await;
    let store = Arc::new(store.with_context(|| format!("cannot open the store in {}", data.display()))?);
    let secret = spot_secret(data)?;
    let recovered = recover(store.as_ref(), config, secret).await?;
    let clock = match &recovered {
        Some(Recovery { floor, .. }) => Clock::resume(*floor)?,
        None => Clock::from(Timestamp(0)),
    };
    let clock = Arc::new(clock);
    let started_at = clock.now();
    let (engine, board, sessions, has_operator) = match recovered {
        Some(Recovery { engine, rows, .. }) => (
            engine,
            Board::recovered(&rows),
            Sessions::recovered(&rows.sessions),
            rows.users.iter().any(|user| user.role == Role::Operator),
        ),
        None => {
            let engine = Engine::found(config.policy.clone(), started_at).with_secret(secret);
            (engine, Board::default(), Sessions::default(), false)
        }
    };
    let authority = Authority::open(data, started_at).context("cannot open the certificate authority")?;
    let disk = Disk::new(data, tuning.disk_reserve.0, tuning.command_reserve.0);
    let logs = Logs::open(data.join("logs"), tuning.log_cap.0, disk.clone()).context("cannot open the logs")?;
    let (questions, asked) = mpsc::unbounded_channel();
    let live = Arc::new(Followers {
        board,
        sessions,
        hub: Hub::default(),
        links: Links::new(started_at),
        logs,
        figures: Figures::default(),
        watching: Watching::default(),
        questions,
    });
    let liveness = Liveness::new(Duration::from_millis(config.policy.lost_after.0), live.board.busy_nodes());
    let (writer, task) = writer::spawn(engine, store.clone(), clock.clone(), live.clone(), disk.clone(), writer_stop);
    let auth = Auth::new(&tuning.rates)?;
    if !has_operator {
        make_operator(data, &auth, &writer).await?;
    }
    let blobs = Blobs::open(data.join("blobs"), disk.clone()).context("cannot open the blob store")?;
    let shared = Shared {
        policy: config.policy.clone(),
        tokens: Tokens::open(&data.join("keys/jwt.pem"), clock.clone())?,
        chain: Chain::new(random_key(&data.join("keys/refresh.key"))?),
        gate: Gate::new(hex::encode(random_key(&data.join("gateway.key"))?)),
        turns: Turns::default(),
        clock,
        store: store.clone(),
        writer,
        live,
        liveness,
        monitor: Arc::new(Monitor::open(data.join("usage"))),
        benchmark: Arc::default(),
        entries: Entries::new(blobs.clone()),
        files: Files::default(),
        blobs,
        auth,
        disk,
        authority,
        server_url: server_url(config, address),
        started_at,
        listens_outside: !address.ip().to_canonical().is_loopback(),
        closing: CancellationToken::new(),
    };
    Ok(Founded { shared: Arc::new(shared), writer: task, store, asked, server_names: server_names(config, address) })
}

/// The secret on which spot checks hang: made once, known to nobody but the pool.
fn spot_secret(data: &Path) -> anyhow::Result<Secret> {
    let folder = data.join("keys");
    make_folder(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(Secret::new(random_key(&folder.join("spot.key"))?))
}

/// 32 random bytes that lie in a file as hex, made at the first start, for the eyes of the pool's user only.
fn random_key(path: &Path) -> anyhow::Result<[u8; 32]> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let fresh: [u8; 32] = rand::random();
            let text = format!("{}\n", hex::encode(fresh));
            hivemind_pki::write_private(path, text.as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
            text
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let bytes: Option<[u8; 32]> = hex::decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
    let damaged = || format!("{} is damaged; remove it, and the pool makes a new one", path.display());
    bytes.with_context(damaged)
}

/// What a pool that was founded before goes on from.
struct Recovery {
    engine: Engine,
    /// What is live.
    rows: Recovered,
    /// The newest time in the store.
    floor: Timestamp,
}

/// What is stored; `None` where no pool was founded yet.
async fn recover(store: &dyn Store, config: &PoolConfig, secret: Secret) -> anyhow::Result<Option<Recovery>> {
    let Some((rows, books)) = store.recover().await.context("cannot read the stored pool")? else { return Ok(None) };
    let tasks = rows.tasks.iter().map(|task| task.submitted_at);
    let attempts = rows.attempts.iter().map(|attempt| attempt.assigned_at);
    let nodes = rows.nodes.iter().map(|node| node.seen_at);
    let sessions = rows.sessions.iter().map(|session| session.used_at);
    let awake = [rows.clock.awake_at, books.last_at];
    let floor = tasks.chain(sessions).chain(attempts).chain(nodes).chain(awake).max().unwrap_or_default();
    let engine = Engine::restore_with(config.policy.clone(), secret, rows.clone(), books)
        .context("the stored pool is damaged; restore it from a backup")?;
    Ok(Some(Recovery { engine, rows, floor }))
}

/// Makes the operator's account.
///
/// The password is on disk before the account is made: a crash between the two leaves a password
/// without an account, which the next start uses, and never an account without a password.
async fn make_operator(data: &Path, auth: &Auth, writer: &Writer) -> anyhow::Result<()> {
    let path = data.join("operator.password");
    let password = match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let password = random_password();
            hivemind_pki::write_private(&path, format!("{password}\n").as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
            password.to_string()
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let password_hash = auth
        .hash(Zeroizing::new(password))
        .await
        .with_context(|| format!("{} holds no usable password; remove it and start again", path.display()))?;
    let command = Command::Register {
        username: OPERATOR.into(),
        email: "operator@localhost.localdomain".into(),
        password_hash,
        role: Role::Operator,
        from: String::new(),
        invitation: None,
    };
    writer.apply(command).await.context("cannot make the operator's account")?;
    tracing::info!(path = %path.display(), "made the operator's account; its password is in the file");
    Ok(())
}

fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let usable =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
    usable.then_some(name)
}

/// What join tokens say: the advertised address, else one that reaches the listener.
fn server_url(config: &PoolConfig, address: SocketAddr) -> String {
    if let Some(advertised) = &config.advertise {
        return advertised.trim_end_matches('/').to_owned();
    }
    match host_name().filter(|_| address.ip().is_unspecified()) {
        Some(name) => format!("https://{name}:{}", address.port()),
        None => format!("https://{address}"),
    }
}

fn server_names(config: &PoolConfig, address: SocketAddr) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(Into::into).into();
    names.extend(host_name());
    names.extend(config.names.iter().cloned());
    let advertised = config.advertise.as_deref().and_then(|url| url.parse::<http::Uri>().ok());
    names.extend(advertised.and_then(|url| url.host().map(|host| host.trim_matches(['[', ']']).to_owned())));
    if !address.ip().is_unspecified() {
        names.push(address.ip().to_string());
    }
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.to_ascii_lowercase()));
    names
}
