//! The way of one attempt out to the hosts that it may reach, as every runtime of containers opens it.
//!
//! Start at [`Way::open`]. What goes through is decided by the gate ([`hivemind_egress`]); here is what a runtime
//! does with it: it hands the gate's lines on as the command's own, and tells how much has passed.
//!
//! Invariant: nothing is written to a sink but by the job's own task.

use crate::{Check, Sink, Stream, Verdict};
use hivemind_egress::{Gate, Log, Plan, Rules, Used};
use hivemind_model::EgressPolicy;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// The open way out of one attempt. It closes when it is dropped.
#[derive(Debug)]
pub struct Way {
    gate: Gate,
    /// What the gate tells; it bounds that itself.
    lines: Mutex<UnboundedReceiver<String>>,
}

impl Way {
    /// Opens the doors of `plan` in the container's `network`.
    ///
    /// # Errors
    /// Where this process may not enter `network`, there is no loopback interface in it, or something listens
    /// there already.
    pub async fn open(plan: &Plan, network: OwnedFd, rules: Arc<Rules>) -> io::Result<Self> {
        let (told, lines) = unbounded_channel();
        // Where nobody listens any more the attempt is over.
        let log: Log = Arc::new(move |line: &str| drop(told.send(line.to_owned())));
        let gate = Gate::open(plan, network, rules, log).await?;
        Ok(Self { gate, lines: lines.into() })
    }

    /// The next line for the task's log. Losing the race of a `select!` loses none.
    pub async fn line(&self) -> String {
        match self.lines.lock().await.recv().await {
            Some(line) => line,
            None => std::future::pending().await,
        }
    }

    /// What has passed so far.
    #[must_use]
    pub fn used(&self) -> Used {
        self.gate.used()
    }

    /// Closes it and tells `sink` what had not been told; gives what has passed.
    pub async fn close(self, sink: &dyn Sink) -> Used {
        let used = self.gate.close().await;
        let mut lines = self.lines.into_inner();
        while let Ok(line) = lines.try_recv() {
            tell(sink, &line);
        }
        used
    }
}

/// Puts a line where the requester looks: among the command's own words.
pub fn tell(sink: &dyn Sink, line: &str) {
    sink.output(Stream::Stderr, format!("{line}\n").as_bytes());
}

/// How the network of tasks is, for people: what they may reach by `policy`, or why nothing (`missing`).
#[must_use]
pub fn check(missing: Option<&str>, policy: &EgressPolicy) -> Check {
    let (verdict, detail, fix) = match missing {
        None => (Verdict::Good, format!("tasks may reach: {policy}"), String::new()),
        Some(why) => (
            Verdict::Weak,
            format!("none: {why}"),
            "run the worker as root, with runc; tasks that ask for no network do not need it".into(),
        ),
    };
    Check { name: "network of tasks".into(), verdict, detail, fix }
}
