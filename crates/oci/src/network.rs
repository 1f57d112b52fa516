//! The network of the tasks that asked for one.
//!
//! Every container has a network of its own with nothing but loopback in it. For a job that may reach hosts, a
//! gate opens its doors in there after the container was made and before its command begins. Start at
//! [`Network::open`].
//!
//! Invariant: what a container is made of is the same with and without a network, but for two files and its
//! environment.

use hivemind_egress::{Gate, Plan, Rules, cannot_enter, of_process};
use hivemind_model::Egress;
use hivemind_model::state::Outcome;
use hivemind_runtime::{Check, way};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The names that every container knows.
const OWN_NAMES: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.0.1\ttask\n";

/// What all attempts' networks share.
#[derive(Debug)]
pub(crate) struct Network {
    rules: Arc<Rules>,
    /// Why there is none here.
    missing: Option<String>,
}

impl Network {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules: Arc::new(rules), missing: cannot_enter() }
    }

    /// Why tasks have no network here, with what to do about it.
    pub(crate) fn missing(&self) -> Option<String> {
        self.missing.clone()
    }

    /// How it is, for people.
    pub(crate) fn check(&self) -> Check {
        way::check(self.missing.as_deref(), &self.rules.policy)
    }

    /// What a container has to be told for `egress`; `None` where it may reach nothing.
    ///
    /// # Errors
    /// `Infrastructure` where this machine cannot do it.
    pub(crate) fn plan(&self, egress: &Egress) -> Result<Option<Plan>, Outcome> {
        if egress.is_empty() {
            return Ok(None);
        }
        match &self.missing {
            None => Ok(Some(Gate::plan(egress))),
            Some(why) => Err(Outcome::Infrastructure { reason: format!("tasks have no network here: {why}") }),
        }
    }

    /// Opens the doors of `plan` in the container whose first process is `pid`, in the control groups `group`.
    ///
    /// # Errors
    /// `Infrastructure` where the kernel refuses.
    pub(crate) async fn open(&self, plan: &Plan, pid: i32, group: &Path) -> Result<way::Way, Outcome> {
        let opened = async {
            let pid = u32::try_from(pid).map_err(io::Error::other)?;
            let network = of_process(pid, &group.to_string_lossy())?;
            way::Way::open(plan, network, self.rules.clone()).await
        };
        opened.await.map_err(|error| Outcome::Infrastructure {
            reason: format!("the way out of the task's network could not be opened: {error}"),
        })
    }
}

/// What `/etc/hosts` has in it.
pub(crate) fn hosts(plan: Option<&Plan>) -> String {
    let names = plan.into_iter().flat_map(|plan| &plan.hosts);
    names.fold(OWN_NAMES.to_owned(), |text, (name, address)| format!("{text}{address}\t{name}\n"))
}

/// What `/etc/resolv.conf` has in it: nobody answers there, so that a program hears at once that there is no name
/// server.
pub(crate) fn resolvers(plan: Option<&Plan>) -> String {
    plan.map(|plan| format!("nameserver {}\nsearch .\n", plan.name_server)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_the_doors_and_without_a_network_nowhere() {
        let egress = Egress::parse(&["data.example.net:443", "*.example.org:443"]).expect("endpoints");
        let plan = Gate::plan(&egress);
        assert_eq!(hosts(Some(&plan)), format!("{OWN_NAMES}127.64.1.1\tdata.example.net\n"));
        assert_eq!(resolvers(Some(&plan)), "nameserver 127.64.0.1\nsearch .\n");
        assert_eq!((hosts(None).as_str(), resolvers(None).as_str()), (OWN_NAMES, ""));
    }
}
