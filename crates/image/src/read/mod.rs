//! A stranger's archive of an image, read without trust.
//!
//! Start at [`open`]: it reads what the archive says of itself, looks through every layer, and compares each
//! content with the digest that names it. [`check_layer`] does that for one layer alone. What was found sound can
//! be written anew by [`Opened::write_for_docker`], so that a daemon never sees the archive's own folders.
//!
//! Taken are what `docker save` writes and OCI image layouts, as plain tar; layers may be compressed with gzip.
//!
//! Invariant: memory is bounded by [`Limits`], and no path of an archive is ever used on this machine.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

mod contents;
mod layer;
mod manifest;
mod refusal;
mod tar;

pub use layer::{Summary, check_layer};
pub use manifest::Config;
pub use refusal::Refusal;

/// How much is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// Bytes of all layers together, unpacked.
    pub unpacked_bytes: u64,
    /// Layers of an image.
    pub layers: usize,
    /// Files, folders and links of all layers together.
    pub entries: u64,
    /// Unpacked bytes for each compressed one, beyond the first 64 MiB.
    pub ratio: u64,
}

impl Default for Limits {
    /// 16 GiB packed, 32 GiB unpacked, 127 layers (more than any daemon takes), 2,000,000 entries, 200 to 1.
    fn default() -> Self {
        Self { archive_bytes: 16 << 30, unpacked_bytes: 32 << 30, layers: 127, entries: 2_000_000, ratio: 200 }
    }
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// By gzip.
    Gzip,
}

/// A layer of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Where its bytes begin in the archive.
    pub offset: u64,
    /// How many there are.
    pub size: u64,
    /// How they are compressed.
    pub packing: Packing,
    /// The digest of its tar, as `sha256:<hex>`; it has been compared.
    pub diff_id: String,
}

/// An archive that was found sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The image's id: the digest of its configuration, as `sha256:<hex>`.
    pub id: String,
    /// What the configuration says.
    pub config: Config,
    /// The configuration's own bytes.
    pub config_bytes: Vec<u8>,
    /// Lowest first.
    pub layers: Vec<Layer>,
    /// Bytes of all files in all layers.
    pub unpacked_bytes: u64,
}

/// Reads and checks the archive in `file`, whole.
///
/// # Errors
/// Why it is not taken, by name.
pub fn open(file: &mut File, limits: &Limits) -> Result<Opened, Refusal> {
    let size = file.seek(SeekFrom::End(0)).map_err(Refusal::Io)?;
    if size > limits.archive_bytes {
        return Err(Refusal::TooLarge { what: "the archive", found: size, most: limits.archive_bytes });
    }
    let contents = contents::Contents::list(file, size)?;
    let image = manifest::find(&contents, file)?;
    if image.layers.len() > limits.layers {
        let found = image.layers.len() as u64;
        return Err(Refusal::TooMany { what: "layers", found, most: limits.layers as u64 });
    }
    let mut left = *limits;
    let mut layers = Vec::with_capacity(image.layers.len());
    let mut unpacked_bytes = 0;
    for (at, (place, diff_id)) in image.layers.iter().zip(&image.config.diff_ids).enumerate() {
        let packing = packing_of(file, place)?;
        let mut raw = contents::section(file, place.offset, place.size)?;
        let found = layer::check(&mut raw, packing, &left)?;
        if let Some(named) = &place.digest
            && *named != found.packed_digest
        {
            return Err(Refusal::Digest {
                what: format!("layer {at}"),
                named: named.clone(),
                found: found.packed_digest,
            });
        }
        if *diff_id != found.diff_id {
            return Err(Refusal::Digest { what: format!("layer {at}"), named: diff_id.clone(), found: found.diff_id });
        }
        left.unpacked_bytes -= found.bytes.min(left.unpacked_bytes);
        left.entries -= found.entries.min(left.entries);
        unpacked_bytes += found.bytes;
        layers.push(Layer { offset: place.offset, size: place.size, packing, diff_id: diff_id.clone() });
    }
    Ok(Opened { id: image.id, config: image.config, config_bytes: image.config_bytes, layers, unpacked_bytes })
}

fn packing_of(file: &mut File, place: &contents::Place) -> Result<Packing, Refusal> {
    let mut magic = Vec::with_capacity(6);
    contents::section(file, place.offset, place.size.min(6))?.read_to_end(&mut magic).map_err(Refusal::Io)?;
    match magic.as_slice() {
        [0x1f, 0x8b, ..] => Ok(Packing::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Err(Refusal::Compression { name: "zstd" }),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Err(Refusal::Compression { name: "xz" }),
        [b'B', b'Z', b'h', ..] => Err(Refusal::Compression { name: "bzip2" }),
        _ => Ok(Packing::Plain),
    }
}

impl Opened {
    /// Writes an archive with this image alone, as `docker load` reads it: the bytes come from `file`, which was
    /// given to [`open`], the names from here. It has no tag.
    ///
    /// # Errors
    /// Where `file` cannot be read or `out` does not take it.
    pub fn write_for_docker(&self, file: &mut File, out: impl Write) -> io::Result<()> {
        let hex = self.id.trim_start_matches("sha256:");
        let names: Vec<String> = (0..self.layers.len()).map(|at| format!("{at}/layer.tar")).collect();
        let manifest = serde_json::json!([{ "Config": format!("{hex}.json"), "RepoTags": null, "Layers": names }]);
        let mut archive = ::tar::Builder::new(out);
        crate::add(&mut archive, "manifest.json", 0o644, manifest.to_string().as_bytes())?;
        crate::add(&mut archive, &format!("{hex}.json"), 0o644, &self.config_bytes)?;
        for (layer, name) in self.layers.iter().zip(&names) {
            file.seek(SeekFrom::Start(layer.offset))?;
            let mut header = ::tar::Header::new_gnu();
            header.set_size(layer.size);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, (&mut *file).take(layer.size))?;
        }
        archive.into_inner()?.flush()
    }
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;
