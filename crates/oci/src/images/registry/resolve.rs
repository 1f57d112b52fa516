//! The addresses of registries.
//!
//! Invariant: a name never leads to an address that is not public, unless the owner has listed it; the addresses that
//! are looked at are those that are connected to.

use hivemind_runtime::docker::ImageRules;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Looks up names as this machine does, and leaves out what is not to be asked.
#[derive(Debug)]
pub(super) struct Guarded(pub(super) Arc<ImageRules>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = self.0.clone();
        Box::pin(async move {
            let host = name.as_str();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            let allowed: Vec<SocketAddr> =
                found.into_iter().filter(|address| rules.may_ask(host, address.ip())).collect();
            if allowed.is_empty() {
                return Err(io::Error::other(format!("{host} leads to no public address")).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_of_this_machine_leads_nowhere_unless_it_is_listed() {
        let found = async |rules| {
            let name = "localhost".parse().expect("a name");
            Guarded(Arc::new(rules)).resolve(name).await.map(Iterator::count)
        };
        let refused = found(ImageRules::default()).await.expect_err("found");
        assert!(refused.to_string().contains("no public address"), "{refused}");
        let private_registries = vec!["localhost:5000".to_owned()];
        assert!(found(ImageRules { private_registries, ..ImageRules::default() }).await.expect("found") > 0);
    }
}
