//! Who is about to name a blob, and which pass looks for blobs without names.
//!
//! A pass begins at a moment ([`Uses::begin_pass`]) and then waits until every use that began before it has ended
//! ([`Uses::over`]). What was named before is durable then, and is marked; what is used later shows the moment of the
//! pass, or a later one, on its file.
//!
//! Invariant: a use never waits for a pass.

use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::Notify;

/// See the module.
#[derive(Debug)]
pub(super) struct Uses {
    open: Mutex<Open>,
    ended: Notify,
}

#[derive(Debug)]
struct Open {
    next: u64,
    numbers: BTreeSet<u64>,
    /// When the newest pass began.
    since: SystemTime,
}

/// While it is there, no blob is removed that was found or stored since it is.
#[derive(Debug)]
#[must_use = "what is used is protected only as long as this is there"]
pub(crate) struct Use {
    uses: Arc<Uses>,
    number: u64,
}

impl Default for Uses {
    fn default() -> Self {
        let open = Open { next: 0, numbers: BTreeSet::new(), since: SystemTime::UNIX_EPOCH };
        Self { open: Mutex::new(open), ended: Notify::new() }
    }
}

impl Uses {
    /// Begins a use.
    pub(super) fn begin(self: &Arc<Self>) -> Use {
        let mut open = self.open.lock();
        let number = open.next;
        open.next += 1;
        open.numbers.insert(number);
        Use { uses: self.clone(), number }
    }

    /// Begins a pass: its moment, later than that of any pass before, and the first number of later uses.
    pub(super) fn begin_pass(&self) -> (SystemTime, u64) {
        let mut open = self.open.lock();
        open.since = SystemTime::now().max(open.since);
        (open.since, open.next)
    }

    /// Waits until no use with a number below `first` is open.
    pub(super) async fn over(&self, first: u64) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Heard of from here on, so that none is missed between the look and the wait.
            ended.as_mut().enable();
            if self.open.lock().numbers.first().is_none_or(|oldest| *oldest >= first) {
                return;
            }
            ended.await;
        }
    }

    /// The moment of the newest pass.
    pub(super) fn since(&self) -> SystemTime {
        self.open.lock().since
    }

    /// What a used file shows: now, and never less than the moment of the newest pass, whatever the clock does.
    pub(super) fn stamp(&self) -> SystemTime {
        SystemTime::now().max(self.since())
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.uses.open.lock().numbers.remove(&self.number);
        self.uses.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pass_waits_for_the_uses_before_it_and_for_no_other() {
        let uses = Arc::new(Uses::default());
        let before = uses.begin();
        let (since, first) = uses.begin_pass();
        let _after = uses.begin();
        assert!(uses.stamp() >= since);
        let waiting = tokio::spawn({
            let uses = uses.clone();
            async move { uses.over(first).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(before);
        waiting.await.unwrap();
    }
}
