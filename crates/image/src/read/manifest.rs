//! What an archive says of itself: which image it holds, of which layers, for which machines.
//!
//! Start at [`find`]. `manifest.json` is what `docker save` writes, `index.json` what an OCI image layout has;
//! an archive with both must say the same in both.
//!
//! Invariant: a digest that names something is compared with it before anything that it says is believed.

use super::contents::{Contents, Place};
use super::refusal::{Refusal, shown};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fs::File;

/// Indexes within indexes that are followed.
const MOST_NESTED: usize = 3;
/// Manifests of an index that are looked at.
const MOST_MANIFESTS: usize = 64;

/// What an image's configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "RawConfig")]
pub struct Config {
    /// Such as `linux`.
    pub os: String,
    /// Such as `amd64`.
    pub architecture: String,
    /// Such as `v8`; empty as a rule.
    pub variant: String,
    /// The digests of its layers' tars, lowest first.
    pub diff_ids: Vec<String>,
}

impl Config {
    /// `linux/amd64`.
    #[must_use]
    pub fn platform(&self) -> String {
        let part = |text: &str| shown(text.as_bytes());
        match self.variant.as_str() {
            "" => format!("{}/{}", part(&self.os), part(&self.architecture)),
            variant => format!("{}/{}/{}", part(&self.os), part(&self.architecture), part(variant)),
        }
    }
}

#[derive(Deserialize)]
struct RawConfig {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: String,
    rootfs: RawRoot,
}

#[derive(Deserialize)]
struct RawRoot {
    #[serde(default)]
    diff_ids: Option<Vec<String>>,
}

impl From<RawConfig> for Config {
    fn from(raw: RawConfig) -> Self {
        let diff_ids = raw.rootfs.diff_ids.unwrap_or_default();
        Self { os: raw.os, architecture: raw.architecture, variant: raw.variant, diff_ids }
    }
}

/// An entry of `manifest.json`.
#[derive(Deserialize)]
struct Saved {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "Layers", default)]
    layers: Option<Vec<String>>,
}

/// An index or a manifest of an OCI layout; what the other one has stays empty.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    manifests: Vec<Descriptor>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Deserialize, Clone)]
struct Descriptor {
    digest: String,
    size: u64,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Deserialize, Clone)]
struct Platform {
    os: String,
    architecture: String,
}

/// The image of an archive.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) id: String,
    pub(super) config: Config,
    pub(super) config_bytes: Vec<u8>,
    /// Where each layer lies.
    pub(super) layers: Vec<Place>,
}

/// The one image that the archive holds.
pub(super) fn find(contents: &Contents, file: &mut File) -> Result<Image, Refusal> {
    let saved = match contents.text(file, "manifest.json", "manifest.json")? {
        Some(text) => Some(of_docker(contents, file, &text)?),
        None => None,
    };
    let layout = match contents.text(file, "index.json", "index.json")? {
        Some(text) => of_layout(contents, file, &text, MOST_NESTED)?,
        None => None,
    };
    match (saved, layout) {
        (Some(saved), Some(layout)) if saved.id != layout.id => {
            Err(Refusal::Digest { what: "manifest.json".into(), named: layout.id, found: saved.id })
        }
        // The layout names every layer by its digest.
        (_, Some(layout)) => Ok(layout),
        (Some(saved), None) => Ok(saved),
        (None, None) => Err(Refusal::Manifest(
            "it is no archive of an image: neither manifest.json nor index.json tells of one; make it with `docker save IMAGE`".into(),
        )),
    }
}

fn json<'a, T: Deserialize<'a>>(text: &'a [u8], what: &str) -> Result<T, Refusal> {
    serde_json::from_slice(text).map_err(|error| Refusal::Manifest(format!("{what} cannot be read: {error}")))
}

fn missing(what: &str) -> Refusal {
    Refusal::Manifest(format!("the archive lacks `{}`, which it names", shown(what.as_bytes())))
}

fn of_docker(contents: &Contents, file: &mut File, text: &[u8]) -> Result<Image, Refusal> {
    let images: Vec<Saved> = json(text, "manifest.json")?;
    let [saved] = images.as_slice() else {
        let count = images.len();
        return Err(Refusal::Manifest(format!("the archive holds {count} images; save one alone")));
    };
    let named = contents.place(&saved.config).ok_or_else(|| missing(&saved.config))?.digest.clone();
    let bytes = contents.text(file, &saved.config, "the configuration")?.ok_or_else(|| missing(&saved.config))?;
    let layers =
        saved.layers.iter().flatten().map(|layer| contents.place(layer).cloned().ok_or_else(|| missing(layer)));
    image(named, bytes, layers.collect::<Result<_, _>>()?)
}

/// `None` where the index names no image for any machine.
fn of_layout(contents: &Contents, file: &mut File, text: &[u8], nested: usize) -> Result<Option<Image>, Refusal> {
    let index: Document = json(text, "index.json")?;
    if index.manifests.len() > MOST_MANIFESTS {
        let found = index.manifests.len() as u64;
        return Err(Refusal::TooMany { what: "manifests", found, most: MOST_MANIFESTS as u64 });
    }
    let Some(chosen) = choose(&index.manifests) else { return Ok(None) };
    let text = named_text(contents, file, chosen, "a manifest")?;
    let document: Document = json(&text, "a manifest")?;
    let Some(config) = &document.config else {
        if nested == 0 || document.manifests.is_empty() {
            return Err(Refusal::Manifest("an index leads to no manifest".into()));
        }
        return of_layout(contents, file, &text, nested - 1);
    };
    let bytes = named_text(contents, file, config, "the configuration")?;
    let mut layers = Vec::with_capacity(document.layers.len());
    for layer in &document.layers {
        let path = place_of(&layer.digest)?;
        let place = contents.place(&path).ok_or_else(|| missing(&path))?;
        if place.size != layer.size {
            return Err(Refusal::TwoSizes { path, first: layer.size, second: place.size });
        }
        layers.push(place.clone());
    }
    image(Some(config.digest.clone()), bytes, layers).map(Some)
}

/// The image for this machine, else the only one: which machine it is for is judged by who knows the machine.
fn choose(manifests: &[Descriptor]) -> Option<&Descriptor> {
    let is_image = |found: &&Descriptor| found.platform.as_ref().is_none_or(|platform| platform.os != "unknown");
    let is_ours = |found: &&Descriptor| {
        found
            .platform
            .as_ref()
            .is_some_and(|platform| platform.os == "linux" && platform.architecture == crate::architecture())
    };
    manifests.iter().find(is_ours).or_else(|| manifests.iter().find(is_image))
}

fn place_of(digest: &str) -> Result<String, Refusal> {
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    let is_hex = hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_hex {
        return Ok(format!("blobs/sha256/{hex}"));
    }
    Err(Refusal::Manifest(format!("`{}` is no digest that is known here", shown(digest.as_bytes()))))
}

fn named_text(
    contents: &Contents,
    file: &mut File,
    named: &Descriptor,
    what: &'static str,
) -> Result<Vec<u8>, Refusal> {
    let path = place_of(&named.digest)?;
    let text = contents.text(file, &path, what)?.ok_or_else(|| missing(&path))?;
    compare(what, &named.digest, &text)?;
    if text.len() as u64 != named.size {
        return Err(Refusal::TwoSizes { path, first: named.size, second: text.len() as u64 });
    }
    Ok(text)
}

fn compare(what: &str, named: &str, content: &[u8]) -> Result<String, Refusal> {
    let found = format!("sha256:{}", hex::encode(Sha256::digest(content)));
    if named == found {
        return Ok(found);
    }
    Err(Refusal::Digest { what: what.to_owned(), named: shown(named.as_bytes()), found })
}

fn image(named: Option<String>, config_bytes: Vec<u8>, layers: Vec<Place>) -> Result<Image, Refusal> {
    let id = format!("sha256:{}", hex::encode(Sha256::digest(&config_bytes)));
    compare("the configuration", named.as_deref().unwrap_or(&id), &config_bytes)?;
    let config: Config = json(&config_bytes, "the configuration")?;
    if config.diff_ids.len() != layers.len() {
        let (told, found) = (config.diff_ids.len(), layers.len());
        return Err(Refusal::Manifest(format!("the configuration tells of {told} layers and the archive has {found}")));
    }
    Ok(Image { id, config, config_bytes, layers })
}
