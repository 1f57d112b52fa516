//! What an agent that was killed, or stands still, leaves running.
//!
//! Most ends by itself: a container ends with its helper, and a helper with its agent. What stays is what an agent
//! that stands still has running, and what a helper that was killed as well could not remove.
//!
//! Invariant: containers that a successor makes have other names, and are not touched.

use crate::{cgroup, check_instance, check_parent, clear, place_of};
use async_trait::async_trait;
use hivemind_runtime::reaper::Leftovers;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The containers of one instance of the built-in runtime.
#[derive(Debug)]
pub struct OciLeftovers {
    place: PathBuf,
    state: PathBuf,
    /// What was there when the removal began; `None`: that is not known.
    noted: Mutex<Option<BTreeSet<String>>>,
}

impl OciLeftovers {
    /// Of the agent with this `instance`, `parent_group` and `state` in its [`OciConfig`](crate::OciConfig).
    ///
    /// # Errors
    /// For people: one of them cannot be used.
    pub fn new(instance: &str, parent_group: &Path, state: &Path) -> Result<Self, String> {
        check_instance(instance)?;
        check_parent(parent_group)?;
        Ok(Self { place: place_of(instance, parent_group), state: state.to_owned(), noted: Mutex::default() })
    }

    fn there(&self) -> Result<(cgroup::Tree, BTreeSet<String>), String> {
        let tree = cgroup::Tree::of_this_machine(&self.place)?;
        let names = tree.names().map_err(|error| format!("the control groups cannot be listed: {error}"))?;
        Ok((tree, names))
    }
}

#[async_trait]
impl Leftovers for OciLeftovers {
    fn state(&self) -> &Path {
        &self.state
    }

    fn begin(&self) {
        // Where it cannot be listed now, nobody is spared later: what runs without a lease is worse.
        *self.noted.lock() = self.there().ok().map(|(_, names)| names);
    }

    async fn remove(&self, _: i64) -> Result<usize, String> {
        let (tree, there) = self.there()?;
        let names = match &*self.noted.lock() {
            Some(noted) => there.intersection(noted).cloned().collect(),
            None => there,
        };
        // A killed process takes its time to end.
        let cleared = tokio::task::spawn_blocking(move || clear(&tree, &names));
        cleared.await.map_err(|error| error.to_string())?
    }
}
