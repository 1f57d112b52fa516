//! The images of this machine: fetched or loaded, checked, unpacked, kept while there is room.
//!
//! Start at [`Images::resolve`]. A layer is unpacked once ([`layer`]), into a folder named by what is in it,
//! and shared by all images that have it. Images come from registries ([`registry`]) and from archives
//! ([`archive`]); what is known of them lies in the [`index`], which also decides what goes when room is short.
//!
//! Invariant: no credentials, what a stranger's task names is fetched as anybody could; and nothing is used
//! that is not what its digest says.

use crate::OciConfig;
use hivemind_model::spec::Digest;
use hivemind_model::state::Outcome;
use hivemind_model::units::Bytes;
use hivemind_runtime::docker::{ImageRules, Reference};
use hivemind_runtime::selftest::is_own_image;
use hivemind_runtime::{Image as Source, Sink, Stop};
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod archive;
mod board;
mod config;
mod entries;
mod index;
mod layer;
mod manifest;
mod registry;
mod store;

use board::{Board, Progress};
pub(crate) use index::Image;
use manifest::Descriptor;
use store::Store;

/// How much images may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageLimits {
    /// Of one image as it is fetched, all layers together.
    pub packed: Bytes,
    /// Of one image on disk, all layers together.
    pub unpacked: Bytes,
    /// Files and folders of one image.
    pub entries: u64,
    /// How many times larger a layer may get by unpacking, beyond its first 64 MiB.
    pub ratio: u64,
    /// Of all images on disk; beyond it, the one that was not used for longest goes, unless it is in use.
    pub store: Bytes,
}

impl Default for ImageLimits {
    fn default() -> Self {
        Self {
            packed: Bytes::from_gib(8),
            unpacked: Bytes::from_gib(8),
            entries: 1_000_000,
            ratio: 200,
            store: Bytes::from_gib(32),
        }
    }
}

/// Why an image cannot be used.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It is not sound, or not for us.
    Image(String),
    /// It cannot be had now.
    Unavailable(String),
    /// This machine failed.
    Machine(String),
    /// Nobody wants it any more.
    Stopped,
}

impl Trouble {
    fn io(what: impl std::fmt::Display, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::Machine(format!("{what}: the disk for images is full"))
            }
            _ => Self::Machine(format!("{what}: {error}")),
        }
    }

    fn outcome(self) -> Outcome {
        match self {
            Self::Image(reason) => Outcome::BadImage { reason },
            Self::Unavailable(reason) => Outcome::ImageUnavailable { reason },
            Self::Machine(reason) => Outcome::Infrastructure { reason },
            Self::Stopped => Outcome::Cancelled,
        }
    }
}

/// The images of this agent.
#[derive(Debug)]
pub(crate) struct Images {
    store: Arc<Store>,
    board: Board,
    registry: Arc<registry::Registry>,
    rules: Arc<ImageRules>,
}

impl Images {
    /// Opens the store in `folder`.
    ///
    /// # Errors
    /// A sentence for people.
    pub(crate) fn open(folder: &Path, config: &OciConfig) -> Result<Self, String> {
        let mut rules = config.rules.clone();
        let limits = ImageLimits {
            packed: config.images.packed.min(rules.max_bytes),
            unpacked: config.images.unpacked.min(rules.max_unpacked),
            store: config.images.store.min(rules.cache_bytes),
            ..config.images
        };
        if config.plain_loopback {
            rules.private_registries.extend(["127.0.0.1", "localhost"].map(str::to_owned));
        }
        let rules = Arc::new(rules);
        let store = Store::open(folder, limits).map_err(|error| {
            format!(
                "the image store {} cannot be opened: {error}; give the agent a data folder that it may write",
                folder.display()
            )
        })?;
        let registry = registry::Registry::new(config.pull_stall, config.plain_loopback, rules.clone());
        Ok(Self { store: Arc::new(store), board: Board::default(), registry: Arc::new(registry), rules })
    }

    /// Where the layers lie.
    pub(crate) fn layers_folder(&self) -> &Path {
        self.store.layers_folder()
    }

    /// How much is there, for people.
    pub(crate) fn describe(&self) -> String {
        self.store.index().describe()
    }

    /// Removes what an earlier process of this agent left half-way.
    ///
    /// # Errors
    /// What cannot be removed.
    pub(crate) fn sweep(&self) -> Result<(), String> {
        self.store.sweep().map_err(|error| format!("what was left of pulls cannot be removed: {error}"))
    }

    /// The image that `source` names: the one that is here, else the one that is fetched or loaded. It stays
    /// for as long as the result lives.
    ///
    /// # Errors
    /// `BadImage`, `ImageUnavailable`, `Infrastructure`, or `Cancelled` where `stop` fires meanwhile.
    pub(crate) async fn resolve(&self, source: &Source, sink: &dyn Sink, stop: &Stop) -> Result<Image, Outcome> {
        match source {
            Source::Named(text) => {
                let reference = Reference::parse(text).map_err(|reason| Outcome::BadImage { reason })?;
                self.named(reference, sink, stop).await
            }
            Source::Content { digest, file } => self.content(digest, file.clone(), sink, stop).await,
        }
    }

    async fn named(&self, reference: Reference, sink: &dyn Sink, stop: &Stop) -> Result<Image, Outcome> {
        self.rules.check_reference(&reference).map_err(refused)?;
        let key = reference.to_string();
        let found = self.store.index().find(&key, reference.digest.as_deref());
        if let Some(image) = found {
            return Ok(image);
        }
        self.rules.check_registry(&reference).await.map_err(refused)?;
        let (store, registry) = (self.store.clone(), self.registry.clone());
        let line = format!("pulling {key}");
        let pull =
            |progress: Progress, stop: Stop| async move { registry.pull(&store, &reference, &progress, stop).await };
        self.board.share(&key, line, sink, stop, pull).await
    }

    async fn content(&self, digest: &Digest, file: PathBuf, sink: &dyn Sink, stop: &Stop) -> Result<Image, Outcome> {
        if !is_own_image(digest) {
            self.rules.check_name(&digest.to_string()).map_err(refused)?;
        }
        let key = format!("archive {digest}");
        let found = self.store.index().find(&key, None);
        if let Some(image) = found {
            return Ok(image);
        }
        let (store, name) = (self.store.clone(), key.clone());
        let load = |_: Progress, stop: Stop| async move {
            let loaded = tokio::task::spawn_blocking(move || archive::load(&store, &name, &file, &stop));
            loaded.await.unwrap_or_else(|error| Err(Trouble::Machine(error.to_string())))
        };
        self.board.share(&key, format!("loading {key}"), sink, stop, load).await
    }
}

/// What this machine's owner does not want, another one may.
fn refused(reason: String) -> Outcome {
    Outcome::ImageUnavailable { reason }
}
