//! A pool and workers as real processes, to be killed and started again.

use crate::grid::PASSWORD;
use crate::port::steady_address;
use crate::process::{Process, Still};
use anyhow::Context;
use hivemind_client::{Client, Target};
use hivemind_pki::Trust;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// How the workers of a scene run tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// Real containers.
    Docker,
    /// No containers.
    Fake,
}

/// Real processes over one temporary folder.
pub struct Scene {
    dir: TempDir,
    exe: PathBuf,
    runtime: Runtime,
    listen: String,
    policy: Option<PathBuf>,
    docker_host: Option<String>,
    pool: Option<Process>,
    workers: BTreeMap<String, Process>,
}

impl Scene {
    /// Starts a pool of the program at `exe`.
    ///
    /// # Errors
    /// Where it does not get ready.
    pub fn start(exe: &Path, runtime: Runtime) -> anyhow::Result<Self> {
        Self::start_with(exe, runtime, "")
    }

    /// Starts a pool of the program at `exe` with a policy file of this content; empty: without one.
    ///
    /// # Errors
    /// Where it does not get ready.
    pub fn start_with(exe: &Path, runtime: Runtime, policy: &str) -> anyhow::Result<Self> {
        hivemind_pki::install_provider();
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("policy.toml");
        std::fs::write(&file, policy)?;
        let mut scene = Self {
            dir,
            policy: (!policy.is_empty()).then_some(file),
            exe: exe.to_owned(),
            runtime,
            listen: steady_address().to_string(),
            docker_host: None,
            pool: None,
            workers: BTreeMap::new(),
        };
        scene.start_pool()?;
        Ok(scene)
    }

    fn data(&self, role: &str) -> String {
        self.dir.path().join(role).display().to_string()
    }

    fn spawn(&self, args: &[&str]) -> anyhow::Result<Process> {
        let home = self.data("config");
        let mut env = vec![("HIVEMIND_CONFIG_HOME", home.as_str())];
        env.extend(self.docker_host.as_deref().map(|host| ("DOCKER_HOST", host)));
        Process::start(&self.exe, args, &env)
    }

    /// Starts the pool over the same data and on the same address as before.
    ///
    /// # Errors
    /// Where it does not get ready.
    pub fn start_pool(&mut self) -> anyhow::Result<()> {
        let data = self.data("pool");
        let mut args = vec!["--data", &data, "pool", "--listen", &self.listen, "--web", "off"];
        let policy = self.policy.as_ref().map(|file| file.display().to_string());
        args.extend(policy.iter().flat_map(|file| ["--policy", file.as_str()]));
        let mut pool = self.spawn(&args)?;
        let server = pool.ready("grpc")?;
        self.listen = server.strip_prefix("https://").context("the pool serves https")?.to_owned();
        self.pool = Some(pool);
        Ok(())
    }

    /// Kills the pool with SIGKILL.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn kill_pool(&mut self) -> anyhow::Result<()> {
        self.pool.take().context("no pool runs")?.kill()?;
        Ok(())
    }

    /// Workers that are started from now on use the Docker engine at `host`, as `DOCKER_HOST` says it.
    pub fn use_engine(&mut self, host: String) {
        self.docker_host = Some(host);
    }

    /// Starts a worker with two cores that `owner` owns; the same name goes on with the same data.
    ///
    /// # Errors
    /// Where it does not get ready.
    pub async fn start_worker(&mut self, owner: &Client, name: &str) -> anyhow::Result<()> {
        let data = self.data(name);
        let worker = Path::new(&data).join("worker");
        std::fs::create_dir_all(&worker)?;
        // The tester's own machine may run on battery.
        std::fs::write(worker.join("owner.toml"), "[battery]\nwhen = \"run\"\nleast_percent = 0\n")?;
        let token = owner.create_join_token(Duration::ZERO).await?.token;
        let mut args = vec!["--data", &data, "worker", "--join", &token, "--name", name];
        args.extend(["--cpus", "2", "--memory", "2g", "--disk", "4g"]);
        if self.runtime == Runtime::Fake {
            args.extend(["--runtime", "fake"]);
        }
        let mut worker = self.spawn(&args)?;
        worker.ready("node")?;
        self.workers.insert(name.to_owned(), worker);
        Ok(())
    }

    /// Kills a worker with SIGKILL.
    ///
    /// # Errors
    /// Where none of that name runs.
    pub fn kill_worker(&mut self, name: &str) -> anyhow::Result<()> {
        self.workers.remove(name).context("no such worker runs")?.kill()?;
        Ok(())
    }

    /// Makes a worker stand still, or go on.
    ///
    /// # Errors
    /// Where none of that name runs.
    pub fn freeze_worker(&self, name: &str, still: Still) -> anyhow::Result<()> {
        self.workers.get(name).context("no such worker runs")?.freeze(still)
    }

    /// The labels that the containers of the running workers carry as `hivemind.instance`.
    #[must_use]
    pub fn instances(&self) -> BTreeSet<String> {
        let file = |name: &String| self.dir.path().join(name).join("docker/instance");
        let labels = self.workers.keys().filter_map(|name| std::fs::read_to_string(file(name)).ok());
        labels.map(|label| label.trim().to_owned()).collect()
    }

    /// How to reach the pool.
    ///
    /// # Errors
    /// Where the pool has no certificate yet.
    pub fn target(&self) -> anyhow::Result<Target> {
        let ca = std::fs::read_to_string(Path::new(&self.data("pool")).join("ca.pem"))?;
        Ok(Target { server: format!("https://{}", self.listen), trust: Trust::CaPem(ca), identity: None })
    }

    /// A client that is logged in as a new user.
    ///
    /// # Errors
    /// Where the pool refuses.
    pub async fn new_user(&self, name: &str) -> anyhow::Result<Client> {
        let client = Client::connect(&self.target()?, None).await?;
        client.register(name, PASSWORD, &format!("{name}@example.org")).await?;
        self.login(name, PASSWORD).await
    }

    /// The operator.
    ///
    /// # Errors
    /// Where the pool refuses.
    pub async fn operator(&self) -> anyhow::Result<Client> {
        let path = Path::new(&self.data("pool")).join("operator.password");
        self.login("operator", std::fs::read_to_string(path)?.trim()).await
    }

    async fn login(&self, name: &str, password: &str) -> anyhow::Result<Client> {
        let client = Client::connect(&self.target()?, None).await?;
        let session = client.login(name, password).await?;
        Ok(client.with_token(&session.token)?)
    }
}
