//! How many connections a network has.
//!
//! Start at [`Places::take`].
//!
//! Invariant: only networks that have a connection are remembered.

use hivemind_model::network_of;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Copies are the same.
#[derive(Debug, Clone)]
pub(super) struct Places {
    most: usize,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    network: Option<IpAddr>,
}

impl Places {
    /// So many for each network.
    pub(super) fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    /// A place for a connection from `address`; `None` where its network has all it may have. Loopback is this machine: it may have as many
    /// as there are.
    pub(super) fn take(&self, address: IpAddr) -> Option<Place> {
        if address.to_canonical().is_loopback() {
            return Some(Place { places: self.clone(), network: None });
        }
        let network = network_of(address);
        let mut taken = self.taken.lock();
        let count = taken.entry(network).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { places: self.clone(), network: Some(network) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(network) = self.network else { return };
        let mut taken = self.places.taken.lock();
        if let Some(count) = taken.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_its_places_and_leaves_nothing_behind() {
        let places = Places::new(2);
        let take = |text: &str| places.take(text.parse().unwrap());
        let (first, second) = (take("2001:db8::1"), take("2001:db8::2"));
        assert!(first.is_some() && second.is_some() && take("2001:db8::3").is_none());
        assert!(take("192.0.2.1").is_some(), "others have their own");
        let many: Vec<_> = (0..9).map(|_| take("127.0.0.1")).collect();
        assert!(many.iter().all(Option::is_some));
        drop((first, second, many));
        assert!(places.taken.lock().is_empty());
        assert!(take("2001:db8::3").is_some());
    }
}
