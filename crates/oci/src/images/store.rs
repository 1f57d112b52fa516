//! Images on disk.
//!
//! Start at [`Store::unpack`] and [`Store::keep`]. A layer is unpacked beside the others and gets its name when
//! it is whole and written out, so whoever finds one under its name may use it.
//!
//! Invariant: the index on disk names nothing that is not there.

use super::config::Config;
use super::index::{Image, Index, Layer, folder_of};
use super::layer::{self, Budget};
use super::manifest::hex_of;
use super::{ImageLimits, Trouble};
use hivemind_runtime::Stop;
use parking_lot::{Mutex, MutexGuard};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::{NamedTempFile, TempDir};

/// The index.
const INDEX: &str = "index.json";

/// The image store of one agent.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    layers: PathBuf,
    /// What is in the making, of this process alone.
    making: TempDir,
    limits: ImageLimits,
    index: Mutex<Index>,
}

impl Store {
    /// Opens the store in `folder`, and forgets what has gone from it.
    pub(super) fn open(folder: &Path, limits: ImageLimits) -> io::Result<Self> {
        let (layers, making) = (folder.join("layers"), folder.join("making"));
        for folder in [&layers, &making] {
            // Nobody else on this machine has to see what is in an image.
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let making = tempfile::Builder::new().prefix("by-").tempdir_in(&making)?;
        let mut index: Index = match fs::read(folder.join(INDEX)) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!(%error, "the index of images cannot be read; images are fetched again");
                Index::default()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Index::default(),
            Err(error) => return Err(error),
        };
        let there = fs::read_dir(&layers)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        index.keep_only(&there);
        Ok(Self { folder: folder.to_owned(), layers, making, limits, index: Mutex::new(index) })
    }

    pub(super) fn layers_folder(&self) -> &Path {
        &self.layers
    }

    pub(super) fn limits(&self) -> &ImageLimits {
        &self.limits
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock()
    }

    /// A file for what is being fetched.
    pub(super) fn scratch(&self) -> Result<NamedTempFile, Trouble> {
        NamedTempFile::new_in(self.making.path()).map_err(|error| Trouble::io("a file for a layer", &error))
    }

    /// The layer with the digest `diff_id`, if it is here.
    pub(super) fn layer(&self, diff_id: &str) -> Result<Option<Arc<Layer>>, Trouble> {
        Ok(self.index().layer(folder_of(hex_of(diff_id)?), diff_id))
    }

    /// Unpacks a layer, unless it is here.
    pub(super) fn unpack(
        &self,
        diff_id: &str,
        from: impl Read,
        budget: &mut Budget,
        stop: &Stop,
    ) -> Result<Arc<Layer>, Trouble> {
        let failed = |error: io::Error| Trouble::io("a layer could not be kept", &error);
        let name = folder_of(hex_of(diff_id)?).to_owned();
        let making = TempDir::new_in(self.making.path()).map_err(failed)?;
        let root = making.path().join("root");
        fs::create_dir(&root).map_err(failed)?;
        // What the command's user enters.
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).map_err(failed)?;
        let bytes = layer::unpack(from, diff_id, &root, (budget, &self.limits), stop)?;
        layer::settle(&root).map_err(failed)?;
        let mut index = self.index();
        if let Some(known) = index.layer(&name, diff_id) {
            return Ok(known);
        }
        if index.knows(&name) {
            return Err(Trouble::Image(format!("its layer {diff_id} shares half of its digest with another one")));
        }
        let place = self.layers.join(&name);
        match fs::remove_dir_all(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        fs::rename(&root, &place).map_err(failed)?;
        Ok(index.add_layer(&name, Layer { diff_id: diff_id.to_owned(), bytes }))
    }

    /// Keeps the image `id`, whose layers are here, and makes room for it where it is short.
    pub(super) fn keep(&self, id: String, config: Config, names: Vec<String>) -> Result<Image, Trouble> {
        let folders = config.diff_ids.iter().rev().map(|id| hex_of(id).map(|hex| folder_of(hex).to_owned()));
        let folders = folders.collect::<Result<Vec<_>, _>>()?;
        let (image, text, doomed) = {
            let mut index = self.index();
            let image = index.add(id, folders, config, names);
            let gone = index.evict(self.limits.store);
            // Out of the way under the lock, so that nobody unpacks to the same place meanwhile.
            let doomed: Vec<PathBuf> = gone.iter().filter_map(|name| self.doom(name)).collect();
            (image, serde_json::to_vec(&*index), doomed)
        };
        let text = text.map_err(|error| Trouble::Machine(format!("the index of images: {error}")))?;
        self.write_index(&text).map_err(|error| Trouble::io("the index of images could not be written", &error))?;
        for folder in doomed {
            if let Err(error) = fs::remove_dir_all(&folder) {
                tracing::warn!(folder = %folder.display(), %error, "a layer that nobody needs stays until the next sweep");
            }
        }
        Ok(image)
    }

    /// Moves a layer away to be removed.
    fn doom(&self, name: &str) -> Option<PathBuf> {
        let doomed = self.making.path().join(format!("doomed-{name}"));
        match fs::rename(self.layers.join(name), &doomed) {
            Ok(()) => Some(doomed),
            Err(error) => {
                tracing::warn!(name, %error, "a layer that nobody needs stays until the next sweep");
                None
            }
        }
    }

    fn write_index(&self, text: &[u8]) -> io::Result<()> {
        let mut file = NamedTempFile::new_in(&self.folder)?;
        file.write_all(text)?;
        file.as_file().sync_all()?;
        file.persist(self.folder.join(INDEX)).map_err(|error| error.error)?;
        Ok(())
    }

    /// Removes what other processes of this agent left in the making, and layers that nobody knows.
    pub(super) fn sweep(&self) -> io::Result<()> {
        let making = self.folder.join("making");
        for entry in fs::read_dir(&making)? {
            let path = entry?.path();
            if path != self.making.path() {
                remove(&path)?;
            }
        }
        // Under the lock, so that none gets its name in between.
        let index = self.index();
        for entry in fs::read_dir(&self.layers)? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(|name| index.knows(name)) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
