//! A Docker engine of a test's own, to be killed and started again under running containers.
//!
//! It has its own folders, socket and network namespace: the machine's engine does not notice it. Start at [`Engine::start`].
//!
//! Invariant: only what was started here is ended, and no mount of it is left.

use crate::image::daemon;
use crate::wait;
use anyhow::Context;
use bollard::Docker;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::fs::File;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long it may take to end its containers and itself.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// See the module.
pub struct Engine {
    dir: TempDir,
    process: Option<Child>,
}

impl Engine {
    /// Starts one. `None` where the tests do without Docker, or are not root.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn start() -> anyhow::Result<Option<Self>> {
        if daemon().await?.is_none() {
            return Ok(None);
        }
        if !geteuid().is_root() {
            println!("skipped: only root can start a Docker engine");
            return Ok(None);
        }
        let mut engine = Self { dir: tempfile::tempdir()?, process: None };
        engine.start_again().await?;
        Ok(Some(engine))
    }

    /// Where it answers, as `DOCKER_HOST` says it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.dir.path().join("docker.sock").display())
    }

    /// A connection to it.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn docker(&self) -> anyhow::Result<Docker> {
        let docker = Docker::connect_with_unix(&self.host(), 120, bollard::API_DEFAULT_VERSION)?;
        Ok(docker.negotiate_version().await?)
    }

    /// Starts it over the same folders, after it was killed.
    ///
    /// # Errors
    /// Where it ends at once, with where its log is.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let at = |name: &str| self.dir.path().join(name).display().to_string();
        let log = File::options().create(true).append(true).open(at("log"))?;
        // What a killed one has left would keep the next from starting.
        let _absent = std::fs::remove_file(at("pid")).is_err();
        // An engine without a bridge takes that of the machine's away, so it has a network namespace of its own.
        let child = Command::new("unshare")
            .args(["--net", "dockerd"])
            .args([
                "--host",
                &self.host(),
                "--data-root",
                &at("data"),
                "--exec-root",
                &at("exec"),
                "--pidfile",
                &at("pid"),
            ])
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting dockerd with unshare")?;
        let child = Mutex::new(child);
        let ended = wait::until("the engine answers", || async {
            let answers = self.docker().await.is_ok();
            let ended = child.lock().ok()?.try_wait().ok().flatten();
            (answers || ended.is_some()).then_some(ended)
        })
        .await;
        self.process = child.into_inner().ok();
        ended.map_or(Ok(()), |status| Err(anyhow::anyhow!("dockerd ended with {status}: {}", self.said())))
    }

    /// Kills it and its containerd with SIGKILL; its containers go on until it comes back.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn kill(&mut self) -> anyhow::Result<ExitStatus> {
        let mut process = self.process.take().context("no engine runs")?;
        process.kill()?;
        let ended = process.wait()?;
        // The next engine starts one of its own only where there is no word of an old one.
        let file = self.dir.path().join("exec/containerd/containerd.pid");
        let containerd = std::fs::read_to_string(&file).context("the engine has no containerd")?;
        if let Some(pid) = Pid::from_raw(containerd.trim().parse()?) {
            // It may have died with its engine.
            let _ = kill_process(pid, Signal::KILL);
        }
        std::fs::remove_file(&file)?;
        Ok(ended)
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
            let asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
            let end = Instant::now() + LAST_WORDS;
            while asked && matches!(process.try_wait(), Ok(None)) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(20));
            }
            // It may have ended already; there is nobody left to tell.
            let _ = process.kill();
            let _ = process.wait();
        }
        let folder = self.dir.path().display().to_string();
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        let ours = mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|place| place.starts_with(&folder));
        for place in ours.collect::<Vec<_>>().into_iter().rev() {
            let _ = unmount(place, UnmountFlags::DETACH);
        }
    }
}
