//! Images from archives: what `docker save`, other tools' OCI layouts, and `hivemind_image` write.
//!
//! Start at [`load`]. The archive is read in place; only its table of contents is held in memory.
//!
//! Invariant: nothing of the archive is taken by its name that has a digest to be taken by.

use super::config::{Config, MOST_CONFIG_BYTES};
use super::entries::each;
use super::index::Image;
use super::layer::Budget;
use super::manifest::{MOST_MANIFEST_BYTES, Manifest, check_digest, digest_of, hex_of};
use super::store::Store;
use super::{Descriptor, Trouble};
use hivemind_runtime::Stop;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Take};
use std::path::Path;
use tar::EntryType;

/// Most files of an archive: blobs and a few more.
const MOST_FILES: usize = 4096;
/// Deepest list of lists of manifests.
const MOST_LISTS: usize = 4;

/// Where the files of an archive lie in it.
struct Contents {
    file: File,
    places: BTreeMap<String, (u64, u64)>,
}

/// The beginning of what `docker save` writes.
#[derive(Deserialize)]
struct Saved {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "Layers")]
    layers: Vec<String>,
}

/// Loads the image of the archive `file` and keeps it as `name`.
///
/// # Errors
/// Where it is no such archive, is not sound, or is larger than allowed.
pub(super) fn load(store: &Store, name: &str, file: &Path, stop: &Stop) -> Result<Image, Trouble> {
    let opened = File::open(file).map_err(|error| Trouble::io("the archive of the image", &error))?;
    let contents = Contents::read(opened)?;
    let (config, layers) = if contents.places.contains_key("index.json") {
        contents.layout()?
    } else if contents.places.contains_key("manifest.json") {
        contents.saved()?
    } else {
        return Err(Trouble::Image(
            "the archive holds no image: it has neither index.json nor manifest.json; make it with `docker save`"
                .into(),
        ));
    };
    let id = digest_of(&config);
    let config = Config::parse(&config)?;
    if config.diff_ids.len() != layers.len() {
        return Err(Trouble::Image("its configuration and its manifest name different numbers of layers".into()));
    }
    let packed: u64 = layers.iter().map(|(_, size)| size).sum();
    if packed > store.limits().packed.0 {
        return Err(Trouble::Image(format!("it has {packed} bytes, more than this machine takes")));
    }
    let mut budget = Budget::of(store.limits());
    let mut held = Vec::new();
    for (diff_id, (place, _)) in config.diff_ids.iter().zip(layers) {
        match store.layer(diff_id)? {
            Some(layer) => {
                budget.take(layer.bytes)?;
                held.push(layer);
            }
            None => held.push(store.unpack(diff_id, contents.open(&place)?, &mut budget, stop)?),
        }
    }
    store.keep(id, config, vec![name.to_owned()])
}

/// The place of a blob in a layout.
fn blob(digest: &str) -> Result<String, Trouble> {
    Ok(format!("blobs/sha256/{}", hex_of(digest)?))
}

type Parts = (Vec<u8>, Vec<(String, u64)>);

impl Contents {
    fn read(file: File) -> Result<Self, Trouble> {
        let mut places = BTreeMap::new();
        let again = file.try_clone().map_err(|error| Trouble::io("the archive of the image", &error))?;
        each(BufReader::new(again), |item| {
            let path = String::from_utf8_lossy(&item.path).into_owned();
            let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
            match item.kind {
                EntryType::Regular | EntryType::Continuous => {
                    places.insert(path, (item.position, item.size));
                }
                // Older forms of `docker save` name a layer twice so.
                EntryType::Symlink | EntryType::Link => {
                    let link = String::from_utf8_lossy(&item.link).into_owned();
                    if let Some(place) = places.get(link.trim_start_matches("../")).copied() {
                        places.insert(path, place);
                    }
                }
                _ => {}
            }
            if places.len() > MOST_FILES {
                return Err(Trouble::Image(format!("its archive has more than {MOST_FILES} files")));
            }
            Ok(())
        })?;
        Ok(Self { file, places })
    }

    fn open(&self, path: &str) -> Result<Take<File>, Trouble> {
        let (position, size) = self.place(path)?;
        let failed = |error: std::io::Error| Trouble::io("the archive of the image", &error);
        // The position is shared by all that read it; only one does at a time.
        let mut file = self.file.try_clone().map_err(failed)?;
        file.seek(SeekFrom::Start(position)).map_err(failed)?;
        Ok(file.take(size))
    }

    fn place(&self, path: &str) -> Result<(u64, u64), Trouble> {
        let shown: String = path.chars().filter(|c| !c.is_control()).take(100).collect();
        self.places.get(path).copied().ok_or_else(|| Trouble::Image(format!("its archive has no `{shown}`")))
    }

    fn small(&self, path: &str, most: u64) -> Result<Vec<u8>, Trouble> {
        let (_, size) = self.place(path)?;
        if size > most {
            return Err(Trouble::Image(format!("its archive has a description of {size} bytes")));
        }
        let mut content = Vec::new();
        let read = self.open(path)?.read_to_end(&mut content);
        read.map_err(|error| Trouble::io("the archive of the image", &error))?;
        Ok(content)
    }

    fn described(&self, what: &str, descriptor: &Descriptor, most: u64) -> Result<Vec<u8>, Trouble> {
        let content = self.small(&blob(&descriptor.digest)?, most)?;
        check_digest(what, &descriptor.digest, &content)?;
        Ok(content)
    }

    /// Of an OCI layout.
    fn layout(&self) -> Result<Parts, Trouble> {
        let mut list = self.small("index.json", MOST_MANIFEST_BYTES)?;
        for _ in 0..MOST_LISTS {
            match Manifest::parse(&list)? {
                Manifest::Chosen(one) => list = self.described("its manifest", &one, MOST_MANIFEST_BYTES)?,
                Manifest::Image { config, layers } => {
                    let content = self.described("its configuration", &config, MOST_CONFIG_BYTES)?;
                    let layers = layers.iter().map(|layer| {
                        let path = blob(&layer.digest)?;
                        let (_, size) = self.place(&path)?;
                        Ok((path, size))
                    });
                    return Ok((content, layers.collect::<Result<_, Trouble>>()?));
                }
            }
        }
        Err(Trouble::Image("its archive has lists of lists of manifests".into()))
    }

    /// Of `docker save`.
    fn saved(&self) -> Result<Parts, Trouble> {
        let text = self.small("manifest.json", MOST_MANIFEST_BYTES)?;
        let images: Vec<Saved> = serde_json::from_slice(&text)
            .map_err(|error| Trouble::Image(format!("its manifest.json cannot be read: {error}")))?;
        let [image] = &images[..] else {
            return Err(Trouble::Image(format!("its archive has {} images; save one at a time", images.len())));
        };
        let content = self.small(&image.config, MOST_CONFIG_BYTES)?;
        let hex = image.config.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
        check_digest("its configuration", &format!("sha256:{hex}"), &content)?;
        let layers = image.layers.iter().map(|path| Ok((path.clone(), self.place(path)?.1)));
        Ok((content, layers.collect::<Result<_, Trouble>>()?))
    }
}
