//! The peer: PostgreSQL and its own benchmark `pgbench`, from the distribution's package.
//!
//! A cluster of its own in a temporary folder on the disk of the benchmarks, with the defaults that make every
//! transaction durable, reached through a Unix socket only. PostgreSQL refuses to run as root, so as root it runs as
//! the package's user. Where it cannot be had, the figure is given without it, with the reason on standard error.
//! Start at [`measure`].

use crate::machine;
use anyhow::{Context, bail, ensure};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// A tenth of a million accounts each.
const SCALE: u32 = 20;
/// Longest wait for one of its programs beside the run itself.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(50);
/// Where the packages of distributions put the programs, one folder for each version.
const PACKAGES: &str = "/usr/lib/postgresql";
const SUPERUSER: &str = "bench";

/// Transactions per second of `pgbench --builtin=simple-update`, with the name of the peer; `None`, with a reason on
/// standard error, where it does not run here.
pub(crate) async fn measure(clients: usize, run: Duration) -> Option<(String, f64)> {
    match try_measure(clients, run).await {
        Ok(figure) => Some(figure),
        Err(error) => {
            eprintln!("  PostgreSQL is left out: {error:#}");
            None
        }
    }
}

async fn try_measure(clients: usize, run: Duration) -> anyhow::Result<(String, f64)> {
    let cluster = Cluster::start().await?;
    let measured = cluster.measure(clients, run).await;
    let stopped = cluster.stop().await;
    let rate = measured?;
    stopped.context("it could not be stopped in order")?;
    Ok(rate)
}

/// Whose processes they are.
#[derive(Debug, Clone, Copy)]
struct Ids {
    uid: u32,
    gid: u32,
}

/// A running cluster; killed when dropped.
#[derive(Debug)]
struct Cluster {
    programs: PathBuf,
    /// `None`: our own.
    ids: Option<Ids>,
    dir: TempDir,
    /// Apart, as the path of a socket may have a hundred bytes only.
    sockets: TempDir,
    server: Child,
}

impl Cluster {
    async fn start() -> anyhow::Result<Self> {
        let programs = programs()?;
        let ids = unprivileged()?;
        let dir = folder(ids)?;
        let sockets = tempfile::Builder::new().prefix("hivemind-bench-").tempdir().context("no folder for a socket")?;
        give(sockets.path(), ids)?;
        let data = dir.path().join("data");
        let mut initdb = command(&programs, "initdb", ids);
        initdb.arg("--pgdata").arg(&data);
        initdb.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--username", SUPERUSER]);
        output(initdb, PATIENCE).await?;
        let mut postgres = command(&programs, "postgres", ids);
        postgres.arg("-D").arg(&data).arg("-k").arg(sockets.path()).args(["-c", "listen_addresses="]);
        // In a group of its own, so that an interrupt from the keyboard lets us end it, not end it by itself.
        postgres.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let server = postgres.spawn().context("cannot start postgres")?;
        let mut cluster = Self { programs, ids, dir, sockets, server };
        cluster.ready().await?;
        Ok(cluster)
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < deadline {
            if let Some(status) = self.server.try_wait()? {
                bail!("postgres ended with {status}");
            }
            let mut ask = self.client("pg_isready");
            ask.stdout(Stdio::null()).stderr(Stdio::null());
            if ask.status().await.context("cannot start pg_isready")?.success() {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("postgres takes no connection within {PATIENCE:?}")
    }

    async fn measure(&self, clients: usize, run: Duration) -> anyhow::Result<(String, f64)> {
        let mut initialize = self.client("pgbench");
        initialize.args(["--initialize", "--quiet", "--scale", &SCALE.to_string(), "postgres"]);
        output(initialize, PATIENCE).await?;
        let version = self.setting("server_version").await?;
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let value = self.setting(setting).await?;
            ensure!(value == "on", "{setting} is {value}: its transactions would not be durable");
        }
        let mut bench = self.client("pgbench");
        bench.args(["--builtin=simple-update", "--protocol=prepared", "--jobs=2"]);
        bench.args(["--client", &clients.to_string(), "--time", &run.as_secs().to_string(), "postgres"]);
        let said = output(bench, PATIENCE + run).await?;
        let rate = rate(&said).with_context(|| format!("pgbench said no rate: {said}"))?;
        println!("  {rate:.0} transactions/s");
        let version = version.split(' ').next().unwrap_or_default();
        Ok((format!("pgbench simple-update, PostgreSQL {version}, scale {SCALE}, {clients} clients"), rate))
    }

    async fn setting(&self, name: &str) -> anyhow::Result<String> {
        let mut show = self.client("psql");
        show.args(["--no-psqlrc", "--no-align", "--tuples-only", "--command", &format!("SHOW {name}"), "postgres"]);
        Ok(output(show, PATIENCE).await?.trim().to_owned())
    }

    /// Lets it end in order.
    async fn stop(mut self) -> anyhow::Result<()> {
        let mut stop = command(&self.programs, "pg_ctl", self.ids);
        stop.args(["stop", "--mode=fast", "--silent", "--pgdata"]).arg(self.dir.path().join("data"));
        output(stop, PATIENCE).await?;
        let status = tokio::time::timeout(PATIENCE, self.server.wait()).await.context("it does not end")??;
        ensure!(status.success(), "postgres ended with {status}");
        Ok(())
    }

    /// A program that talks to the server.
    fn client(&self, program: &str) -> Command {
        let mut command = command(&self.programs, program, self.ids);
        command.arg("--host").arg(self.sockets.path()).args(["--username", SUPERUSER]);
        command
    }
}

/// The folder with the programs of the newest version.
fn programs() -> anyhow::Result<PathBuf> {
    let complete = |folder: &PathBuf| ["initdb", "postgres", "pgbench"].iter().all(|name| folder.join(name).is_file());
    let versions = std::fs::read_dir(PACKAGES).into_iter().flatten().flatten();
    let mut packaged: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, folder)| complete(folder))
        .collect();
    packaged.sort_unstable();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let newest = packaged.pop().map(|(_, folder)| folder);
    newest.or_else(|| std::env::split_paths(&path).find(complete)).with_context(|| {
        format!("initdb, postgres and pgbench are neither under {PACKAGES} nor in one folder of PATH; install the package postgresql")
    })
}

/// The ids of the user `postgres` where we are root, who may not run it.
fn unprivileged() -> anyhow::Result<Option<Ids>> {
    let own = std::fs::metadata("/proc/self").context("cannot tell whose process this is")?.uid();
    if own != 0 {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let line = users.lines().find_map(|line| line.strip_prefix("postgres:"));
    let mut fields = line.context("there is no user postgres, and root may not run it")?.split(':').skip(1);
    let mut id =
        || fields.next().and_then(|id| id.parse().ok()).context("the line of postgres in /etc/passwd is broken");
    Ok(Some(Ids { uid: id()?, gid: id()? }))
}

/// A fresh folder of theirs: among those of the benchmarks where they can get there, else on the same disk.
fn folder(ids: Option<Ids>) -> anyhow::Result<TempDir> {
    let ours = machine::bench_folder()?;
    let base = if ids.is_none() || open_to_all(&ours) { ours.clone() } else { PathBuf::from("/var/tmp") };
    let disk = |path: &Path| Ok::<_, anyhow::Error>(std::fs::metadata(path)?.dev());
    if disk(&base)? != disk(&ours)? {
        eprintln!("  PostgreSQL cannot get to {} and works in {}, on another disk", ours.display(), base.display());
    }
    let dir = tempfile::tempdir_in(&base).with_context(|| format!("cannot make a folder in {}", base.display()))?;
    give(dir.path(), ids)?;
    Ok(dir)
}

/// Whether everybody may pass through all folders of the path.
fn open_to_all(path: &Path) -> bool {
    path.ancestors().all(|folder| std::fs::metadata(folder).is_ok_and(|metadata| metadata.mode() & 0o001 != 0))
}

fn give(path: &Path, ids: Option<Ids>) -> anyhow::Result<()> {
    let Some(Ids { uid, gid }) = ids else { return Ok(()) };
    std::os::unix::fs::chown(path, Some(uid), Some(gid)).with_context(|| format!("cannot give away {}", path.display()))
}

fn command(programs: &Path, program: &str, ids: Option<Ids>) -> Command {
    let mut command = Command::new(programs.join(program));
    // From a folder that everybody may read; in English, as `rate` reads it.
    command.current_dir("/").env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
    if let Some(Ids { uid, gid }) = ids {
        command.uid(uid).gid(gid);
    }
    command
}

/// What a program printed.
async fn output(mut command: Command, patience: Duration) -> anyhow::Result<String> {
    let name = PathBuf::from(command.as_std().get_program());
    let name = name.file_name().unwrap_or_default().display().to_string();
    let done = tokio::time::timeout(patience, command.output())
        .await
        .with_context(|| format!("{name} does not end within {patience:?}"))?
        .with_context(|| format!("cannot start {name}"))?;
    let ended: ExitStatus = done.status;
    ensure!(ended.success(), "{name} ended with {ended}: {}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// The rate in what pgbench prints: `tps = 1234.567890 (without initial connection time)`. Older versions print
/// one with the time for connections before it.
fn rate(said: &str) -> Option<f64> {
    let line = said.lines().rfind(|line| line.starts_with("tps = "))?;
    line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn the_rate_is_the_one_without_connecting() {
        let old = "tps = 85.1 (including connections establishing)\ntps = 85.2 (excluding connections establishing)\n";
        let new = "latency average = 1.1 ms\ntps = 900.123456 (without initial connection time)\n";
        assert_eq!((rate(old), rate(new), rate("")), (Some(85.2), Some(900.123_456), None));
    }
}
