//! A pool and its workers inside the test's own process, over real TLS on loopback.

use anyhow::Context;
use hivemind_client::{Client, Target};
use hivemind_model::{Bytes, MilliCores, Policy, Resources};
use hivemind_pki::Trust;
use hivemind_pool::{PoolConfig, PoolHandle};
use hivemind_runtime::fake::{FakeConfig, FakeRuntime};
use hivemind_runtime::{Offer, Runtime};
use hivemind_worker::{WorkerConfig, WorkerHandle};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// The password of every user that a fixture registers.
pub const PASSWORD: &str = "correct horse battery";

/// A running grid; everything it keeps is in one temporary folder.
pub struct Grid {
    dir: TempDir,
    pool: Option<PoolHandle>,
    workers: Vec<WorkerHandle>,
}

impl Grid {
    /// Starts a pool without workers.
    ///
    /// # Errors
    /// Where the pool does not start.
    pub async fn start(policy: Policy) -> anyhow::Result<Self> {
        hivemind_pki::install_provider();
        let dir = tempfile::tempdir()?;
        let pool = start_pool(dir.path(), "127.0.0.1:0", policy).await?;
        Ok(Self { dir, pool: Some(pool), workers: Vec::new() })
    }

    fn pool(&self) -> anyhow::Result<&PoolHandle> {
        self.pool.as_ref().context("the pool was stopped")
    }

    /// How to reach the pool.
    ///
    /// # Errors
    /// Where the pool was stopped.
    pub fn target(&self) -> anyhow::Result<Target> {
        let pool = self.pool()?;
        Ok(Target {
            server: format!("https://{}", pool.grpc_addr()),
            trust: Trust::CaPem(pool.ca_pem().to_owned()),
            identity: None,
        })
    }

    /// A client that is logged in as a new or known user with [`PASSWORD`].
    ///
    /// # Errors
    /// Where the pool refuses the login.
    pub async fn user(&self, name: &str) -> anyhow::Result<Client> {
        let client = Client::connect(&self.target()?, None).await?;
        // Known already: then the login decides.
        let _ = client.register(name, PASSWORD, &format!("{name}@example.org")).await;
        let session = client.login(name, PASSWORD).await?;
        Ok(client.with_token(&session.token)?)
    }

    /// Adds a worker with the fake runtime and `cores` cores, owned by the bearer of `owner`.
    ///
    /// # Errors
    /// Where it cannot join.
    pub async fn add_worker(&mut self, owner: &Client, name: &str, cores: u32) -> anyhow::Result<Arc<FakeRuntime>> {
        let capacity = Resources {
            cpu: MilliCores::from_cores(cores),
            memory: Bytes::from_gib(u64::from(cores)),
            disk: Bytes::from_gib(2 * u64::from(cores)),
            gpus: 0,
        };
        let runtime = Arc::new(FakeRuntime::new(FakeConfig::default()));
        let token = owner.create_join_token(Duration::ZERO).await?;
        let worker = hivemind_worker::start(WorkerConfig {
            egress: hivemind_model::EgressPolicy::None,
            share: None,
            machine: self.dir.path().join("no machine"),
            data: self.dir.path().join(name),
            join: Some(token.token),
            server: None,
            name: Some(name.to_owned()),
            labels: hivemind_model::Labels::default(),
            offer: Offer { capacity, gpu_info: String::new() },
            runtime: Arc::clone(&runtime) as Arc<dyn Runtime>,
        })
        .await?;
        worker.linked().await;
        self.workers.push(worker);
        Ok(runtime)
    }

    /// Stops everything in an orderly way.
    ///
    /// # Errors
    /// Where the pool or a worker ended with an error.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        for worker in self.workers.drain(..) {
            worker.stop().await?;
        }
        match self.pool.take() {
            Some(pool) => pool.shutdown().await,
            None => Ok(()),
        }
    }
}

async fn start_pool(dir: &Path, listen: &str, policy: Policy) -> anyhow::Result<PoolHandle> {
    hivemind_pool::start(PoolConfig {
        data: dir.join("pool"),
        listen: listen.parse()?,
        advertise: None,
        names: Vec::new(),
        policy,
        reflection: false,
    })
    .await
}
