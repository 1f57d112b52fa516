//! What is known of the images that are here, and which of them goes when room is short.
//!
//! Start at [`Index::find`] and [`Index::evict`]. An image is in use while a job holds it, a layer while an image
//! or a pull holds it; the count of holders is that of their shared pointers.
//!
//! Invariant: no I/O; what is in use is never evicted.

use super::config::Config;
use hivemind_model::units::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most names remembered, those of images that went with them.
const MOST_NAMES: usize = 10_000;

/// An image that is here.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// `sha256:...` of its configuration.
    pub(super) id: String,
    /// The names of its layers' folders, the uppermost first.
    pub(super) layers: Vec<String>,
    pub(super) entrypoint: Vec<String>,
    pub(super) cmd: Vec<String>,
    pub(super) env: Vec<String>,
    pub(super) volumes: Vec<String>,
}

/// A layer that is here.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Layer {
    /// `sha256:...` of its archive.
    pub(super) diff_id: String,
    /// What it takes on disk, about.
    pub(super) bytes: u64,
}

/// An image, kept for as long as this lives.
#[derive(Debug, Clone)]
pub(crate) struct Image(Arc<Record>);

impl Image {
    /// `sha256:...` of its configuration.
    pub(crate) fn id(&self) -> &str {
        &self.0.id
    }

    /// The names of its layers' folders, the uppermost first.
    pub(crate) fn layers(&self) -> &[String] {
        &self.0.layers
    }

    /// The folders that it declares as volumes.
    pub(crate) fn volumes(&self) -> &[String] {
        &self.0.volumes
    }

    /// `NAME=value`.
    pub(crate) fn env(&self) -> &[String] {
        &self.0.env
    }

    /// Program and arguments: its entry point, then `command`, or its own where there is none.
    pub(crate) fn argv(&self, command: &[String]) -> Vec<String> {
        let command = if command.is_empty() { &self.0.cmd } else { command };
        self.0.entrypoint.iter().chain(command).cloned().collect()
    }
}

/// Everything that is here.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Index {
    records: BTreeMap<String, Arc<Record>>,
    /// References, manifests and archives by which they were asked for.
    names: BTreeMap<String, String>,
    layers: BTreeMap<String, Arc<Layer>>,
    /// A number that grows with every use.
    used: BTreeMap<String, u64>,
    clock: u64,
}

/// The name of a layer's folder.
pub(super) fn folder_of(hex: &str) -> &str {
    // Half of a digest: two layers that share it cannot be found, and all names have to fit into a page.
    hex.get(..32).unwrap_or(hex)
}

impl Index {
    /// The image that was asked for as `name`, or has the digest `pinned`.
    pub(super) fn find(&mut self, name: &str, pinned: Option<&str>) -> Option<Image> {
        let id = match pinned {
            // It pins the content, so the name under which it lies here does not matter.
            Some(digest) => self.names.get(digest).or_else(|| self.records.get(digest).map(|record| &record.id)),
            None => self.names.get(name),
        }?;
        let record = self.records.get(id)?.clone();
        self.clock += 1;
        self.used.insert(record.id.clone(), self.clock);
        Some(Image(record))
    }

    /// The layer whose archive has the digest `diff_id`; held, it stays.
    pub(super) fn layer(&self, folder: &str, diff_id: &str) -> Option<Arc<Layer>> {
        self.layers.get(folder).filter(|layer| layer.diff_id == diff_id).cloned()
    }

    /// Takes note of a layer; gives the one that is there where it is there already.
    pub(super) fn add_layer(&mut self, folder: &str, layer: Layer) -> Arc<Layer> {
        self.layers.entry(folder.to_owned()).or_insert_with(|| Arc::new(layer)).clone()
    }

    /// Takes note of an image, and of how it was asked for.
    pub(super) fn add(&mut self, id: String, layers: Vec<String>, config: Config, names: Vec<String>) -> Image {
        let Config { entrypoint, cmd, env, volumes, diff_ids: _ } = config;
        let record = Record { id: id.clone(), layers, entrypoint, cmd, env, volumes };
        // The same id is the same content.
        let record = self.records.entry(id.clone()).or_insert_with(|| Arc::new(record)).clone();
        for name in names {
            if self.names.len() < MOST_NAMES || self.names.contains_key(&name) {
                self.names.insert(name, id.clone());
            }
        }
        self.clock += 1;
        self.used.insert(id, self.clock);
        Image(record)
    }

    /// Forgets images, the longest unused first, until the layers take no more than `most`; gives the folders
    /// of layers that nobody needs any more.
    pub(super) fn evict(&mut self, most: Bytes) -> Vec<String> {
        let mut gone = self.unneeded();
        while self.bytes() > most.0 {
            let idle = self.records.values().filter(|record| Arc::strong_count(record) == 1);
            let Some(oldest) = idle.min_by_key(|record| self.used.get(&record.id)).map(|record| record.id.clone())
            else {
                break;
            };
            self.records.remove(&oldest);
            self.used.remove(&oldest);
            self.names.retain(|_, id| *id != oldest);
            gone.append(&mut self.unneeded());
        }
        gone
    }

    /// Forgets layers that no image has and no pull holds.
    fn unneeded(&mut self) -> Vec<String> {
        let needed: BTreeSet<&String> = self.records.values().flat_map(|record| &record.layers).collect();
        let idle = |(name, layer): &(&String, &Arc<Layer>)| !needed.contains(name) && Arc::strong_count(layer) == 1;
        let gone: Vec<String> = self.layers.iter().filter(idle).map(|(name, _)| name.clone()).collect();
        for name in &gone {
            self.layers.remove(name);
        }
        gone
    }

    /// Forgets what has lost its folder.
    pub(super) fn keep_only(&mut self, there: &BTreeSet<String>) {
        self.layers.retain(|name, _| there.contains(name));
        let layers = &self.layers;
        self.records.retain(|_, record| record.layers.iter().all(|name| layers.contains_key(name)));
        let records = &self.records;
        self.names.retain(|_, id| records.contains_key(id));
        self.used.retain(|id, _| records.contains_key(id));
    }

    /// True of the folder of a layer.
    pub(super) fn knows(&self, folder: &str) -> bool {
        self.layers.contains_key(folder)
    }

    fn bytes(&self) -> u64 {
        self.layers.values().map(|layer| layer.bytes).sum()
    }

    /// For people.
    pub(super) fn describe(&self) -> String {
        format!("{} here, {} on disk", self.records.len(), Bytes(self.bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            entrypoint: vec!["/entry".into()],
            cmd: vec!["own".into()],
            env: Vec::new(),
            volumes: Vec::new(),
            diff_ids: Vec::new(),
        }
    }

    fn add(index: &mut Index, id: &str, layers: &[&str]) -> Image {
        for layer in layers {
            index.add_layer(layer, Layer { diff_id: format!("sha256:{layer}"), bytes: 10 });
        }
        let layers = layers.iter().map(|layer| (*layer).to_owned()).collect();
        index.add(id.into(), layers, config(), vec![format!("name-{id}"), format!("manifest-{id}")])
    }

    #[test]
    fn what_was_not_used_for_longest_goes_and_what_is_in_use_stays() {
        let mut index = Index::default();
        drop(add(&mut index, "a", &["base", "a1"]));
        let held = add(&mut index, "b", &["base", "b1"]);
        drop(add(&mut index, "c", &["c1"]));
        assert!(index.find("name-a", None).is_some(), "used again");
        assert_eq!(index.evict(Bytes(40)), Vec::<String>::new());
        assert_eq!(index.evict(Bytes(35)), ["c1"]);
        assert_eq!(index.evict(Bytes(0)), ["a1"], "the shared layer stays for the one in use");
        assert!(index.find("name-a", None).is_none());
        assert_eq!(held.layers(), ["base", "b1"]);
        drop(held);
        assert_eq!(index.evict(Bytes(0)), ["b1", "base"]);
    }

    #[test]
    fn a_layer_of_a_pull_under_way_stays() {
        let mut index = Index::default();
        let pulled = index.add_layer("x", Layer { diff_id: "sha256:x".into(), bytes: 10 });
        assert!(index.evict(Bytes(0)).is_empty());
        drop(pulled);
        assert_eq!(index.evict(Bytes(0)), ["x"]);
    }

    #[test]
    fn a_pinned_digest_names_the_content_whatever_it_is_called() {
        let mut index = Index::default();
        add(&mut index, "sha256:a", &["a1"]);
        assert!(index.find("other@sha256:a", Some("sha256:a")).is_some());
        assert!(index.find("other", Some("manifest-sha256:a")).is_some());
        assert!(index.find("name-sha256:a", Some("sha256:b")).is_none(), "the name does not count");
        let image = index.find("name-sha256:a", None).expect("found");
        assert_eq!(image.argv(&[]), ["/entry", "own"]);
        assert_eq!(image.argv(&["x".into()]), ["/entry", "x"]);
        index.keep_only(&BTreeSet::new());
        assert!(index.find("name-sha256:a", None).is_none());
        assert!(index.layer("a1", "sha256:a1").is_none());
    }
}
