//! What systemd hears of a server: that it is ready, what it does, that it ends.
//!
//! That it is alive is said by the worker's own loop. Start at [`Systemd::listens`].
//!
//! Invariant: a worker that systemd did not start works the same.

use hivemind_model::Availability;
use hivemind_owner::service::Notifier;
use hivemind_worker::Status;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Between two sentences.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Systemd(Option<Arc<Notifier>>);

impl Systemd {
    /// Whoever this process's environment names.
    pub(super) fn listens() -> Self {
        match Notifier::from_environment() {
            Ok(notifier) => Self(Some(Arc::new(notifier))),
            Err(error) => {
                tracing::warn!("systemd cannot be told how the worker does: {error}");
                Self(None)
            }
        }
    }

    /// The worker is ready; what it does is told for as long as it lives.
    pub(super) fn ready(&self, mut status: watch::Receiver<Status>) {
        let Some(notifier) = self.0.clone() else { return };
        let mut said = sentence(&status.borrow_and_update());
        told(notifier.ready(&said));
        tokio::spawn(async move {
            while status.changed().await.is_ok() {
                let now = sentence(&status.borrow_and_update());
                if now != said {
                    told(notifier.status(&now));
                    said = now;
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }

    /// It ends now.
    pub(super) fn stopping(&self) {
        if let Some(notifier) = &self.0 {
            told(notifier.stopping());
        }
    }
}

fn told(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!("systemd did not hear it: {error}");
    }
}

fn sentence(status: &Status) -> String {
    let what = match &status.availability {
        Availability::Open if status.draining => "drains: takes no more work".to_owned(),
        Availability::Open => "takes work".to_owned(),
        Availability::Finishing { reason } => format!("finishing: {reason}"),
        Availability::Paused { reason } => format!("paused: {reason}"),
    };
    let link = if status.linked { "" } else { "; no link to the pool" };
    format!("{} running; {what}{link}", status.jobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sentence_says_what_it_does() {
        let mut status = Status::default();
        (status.linked, status.jobs) = (true, 2);
        assert_eq!(sentence(&status), "2 running; takes work");
        status.availability = Availability::Paused { reason: "the owner paused it".into() };
        status.linked = false;
        assert_eq!(sentence(&status), "2 running; paused: the owner paused it; no link to the pool");
    }
}
