//! The agent's end of a helper.
//!
//! Start at [`Container::launch`]. Output goes from the command to this process through two pipes that the
//! helper does not touch.
//!
//! Invariant: when a [`Container`] is dropped, its helper sees it and ends what runs.

use crate::Helper;
use crate::cgroup::Group;
use crate::helper::PROBE_WORD;
use crate::helper::spec::{Failure, Order, Report, Spec};
use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// Longest wait for a container to be made, and for a helper to go after it said how all ended.
const PATIENCE: Duration = Duration::from_secs(60);

/// A helper, and the container that it makes.
#[derive(Debug)]
pub(crate) struct Container {
    helper: Child,
    orders: OwnedWriteHalf,
    reports: Lines<BufReader<OwnedReadHalf>>,
    group: Group,
}

/// Where the command's output comes from.
pub(crate) struct Streams {
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: ChildStderr,
}

impl Container {
    /// Starts a helper that makes the container of `spec`.
    pub(crate) async fn launch(helper: &Helper, spec: &Spec) -> io::Result<(Self, Streams)> {
        let (mut this, stderr) = Self::spawn(helper, spec, Stdio::piped()).await?;
        let stdout = this.helper.stdout.take().ok_or_else(without_pipes)?;
        Ok((this, Streams { stdout, stderr }))
    }

    /// Starts a helper that makes the container of `spec`, which speaks through a socket; gives that, and its
    /// complaints.
    pub(crate) async fn launch_speaking(helper: &Helper, spec: &Spec) -> io::Result<(Self, UnixStream, ChildStderr)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (this, stderr) = Self::spawn(helper, spec, Stdio::from(OwnedFd::from(theirs))).await?;
        Ok((this, UnixStream::from_std(ours)?, stderr))
    }

    async fn spawn(helper: &Helper, spec: &Spec, stdout: Stdio) -> io::Result<(Self, ChildStderr)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut child = Command::new(&helper.program)
            .args(&helper.words)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(stdout)
            .stderr(Stdio::piped())
            // An interrupt from the terminal is for the agent.
            .process_group(0)
            .kill_on_drop(false)
            .spawn()?;
        let stderr = child.stderr.take().ok_or_else(without_pipes)?;
        let (reports, orders) = UnixStream::from_std(ours)?.into_split();
        let reports = BufReader::new(reports).lines();
        let mut this = Self { helper: child, orders, reports, group: spec.group.clone() };
        let mut line = serde_json::to_vec(spec)?;
        line.push(b'\n');
        this.orders.write_all(&line).await?;
        Ok((this, stderr))
    }

    /// The helper's next word; `None` where it is gone.
    pub(crate) async fn report(&mut self) -> io::Result<Option<Report>> {
        match self.reports.next_line().await {
            Ok(Some(line)) => Ok(Some(serde_json::from_str(&line)?)),
            Ok(None) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until the container is made; gives its first process.
    pub(crate) async fn created(&mut self) -> Result<i32, Failure> {
        match tokio::time::timeout(PATIENCE, self.report()).await {
            Ok(Ok(Some(Report::Created { pid }))) => Ok(pid),
            Ok(other) => Err(unexpected(other)),
            Err(_) => {
                Err(Failure::machine("the container was not made", format!("no word for {} s", PATIENCE.as_secs())))
            }
        }
    }

    /// Lets the command begin, and waits until it has.
    pub(crate) async fn start(&mut self) -> Result<(), Failure> {
        self.order(Order::Start).await.map_err(|error| Failure::machine("the helper is gone", error))?;
        match tokio::time::timeout(PATIENCE, self.report()).await {
            Ok(Ok(Some(Report::Started))) => Ok(()),
            Ok(other) => Err(unexpected(other)),
            Err(_) => {
                Err(Failure::machine("the command did not begin", format!("no word for {} s", PATIENCE.as_secs())))
            }
        }
    }

    /// Tells the helper what to do.
    pub(crate) async fn order(&mut self, order: Order) -> io::Result<()> {
        let mut line = serde_json::to_vec(&order)?;
        line.push(b'\n');
        self.orders.write_all(&line).await
    }

    /// Waits until the helper has given back what the container had, and does it in its place where it does not.
    pub(crate) async fn gone(mut self) -> Result<(), String> {
        let exited = match tokio::time::timeout(PATIENCE, self.helper.wait()).await {
            Ok(Ok(status)) if status.success() => return Ok(()),
            Ok(Ok(status)) => format!("its helper ended with {status}"),
            Ok(Err(error)) => format!("its helper cannot be waited for: {error}"),
            Err(_) => "its helper does not end".into(),
        };
        tracing::debug!(exited, "a container is given back without its helper");
        self.discard().await
    }

    /// Ends helper and container, wherever they stand, and gives back what they had.
    pub(crate) async fn discard(mut self) -> Result<(), String> {
        // The container's first process ends with it.
        self.helper.kill().await.map_err(|error| format!("a helper could not be ended: {error}"))?;
        let group = self.group;
        let cleared = tokio::task::spawn_blocking(move || {
            if !group.kill() {
                return Err("its processes do not end".to_owned());
            }
            group.remove().map_err(|error| error.to_string())
        });
        cleared.await.map_err(|error| error.to_string())?
    }
}

fn without_pipes() -> io::Error {
    io::Error::other("a helper without pipes")
}

fn unexpected(report: io::Result<Option<Report>>) -> Failure {
    match report {
        Ok(Some(Report::Failed(failure))) => failure,
        Ok(Some(other)) => Failure::machine("the helper said something unexpected", format!("{other:?}")),
        Ok(None) => Failure::machine("the container could not be made", "its helper ended"),
        Err(error) => Failure::machine("the helper cannot be heard", error),
    }
}

/// Asks a helper whether this machine has user namespaces; the error says why not.
pub(crate) async fn probe(helper: &Helper) -> Result<(), String> {
    let asked = Command::new(&helper.program)
        .args(&helper.words)
        .arg(PROBE_WORD)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut asked = asked.map_err(|error| format!("{} cannot be run: {error}", helper.program.display()))?;
    let mut said = Vec::new();
    let answered = async {
        if let Some(stderr) = asked.stderr.take() {
            stderr.take(4096).read_to_end(&mut said).await?;
        }
        asked.wait().await
    };
    match tokio::time::timeout(PATIENCE, answered).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(_)) => Err(String::from_utf8_lossy(&said).trim().to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the helper does not answer".into()),
    }
}
