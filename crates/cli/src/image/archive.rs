//! What an archive of an image says of itself: that it holds one, and for which machines.
//!
//! Both forms are known, that of `docker save` and the OCI image layout. One that is compressed is sent as it
//! is, without a look inside.
//!
//! Invariant: a bounded part of an archive is held in memory, and nothing of it is unpacked.

use crate::failure::{Done, Failure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

/// Largest description in an archive.
const MAX_TEXT_BYTES: u64 = 1 << 20;
/// Most descriptions that are looked at.
const MAX_TEXTS: usize = 64;
/// Most entries that are looked over.
const MAX_ENTRIES: usize = 100_000;
/// Ways from the index to a description of the image.
const MAX_STEPS: usize = 4;

/// The architectures that an archive names; empty: it is compressed, and says nothing.
pub(super) fn architectures(path: &Path) -> Done<Vec<String>> {
    let shown = path.display();
    let cannot = |error: std::io::Error| Failure::io(format!("{shown} cannot be read as an archive"), &error);
    let mut file = File::open(path).map_err(cannot)?;
    let mut begin = [0; 2];
    file.read_exact(&mut begin).map_err(cannot)?;
    if begin == [0x1f, 0x8b] {
        return Ok(Vec::new());
    }
    file.rewind().map_err(cannot)?;
    let texts = texts(file).map_err(cannot)?;
    if !["manifest.json", "index.json"].iter().any(|name| texts.contains_key(*name)) {
        return Err(Failure::usage(format!(
            "{shown} is an archive, but holds no image (no manifest.json, no index.json)"
        ))
        .fix("make one with `docker save IMAGE -o image.tar`; files for a task go with --input"));
    }
    Ok(found(&texts).into_iter().collect())
}

/// Everything in an archive that is small enough to be a description.
fn texts(file: File) -> std::io::Result<BTreeMap<String, Value>> {
    let mut archive = tar::Archive::new(BufReader::new(file));
    let mut texts = BTreeMap::new();
    for entry in archive.entries_with_seek()?.take(MAX_ENTRIES) {
        let mut entry = entry?;
        if entry.size() > MAX_TEXT_BYTES || texts.len() >= MAX_TEXTS {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        let mut text = Vec::new();
        entry.read_to_end(&mut text)?;
        if let Ok(value) = serde_json::from_slice(&text) {
            texts.insert(name, value);
        }
    }
    Ok(texts)
}

fn found(texts: &BTreeMap<String, Value>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let named = |value: &Value| value["architecture"].as_str().map(crate::face::harmless);
    let blob =
        |digest: &Value| digest.as_str().and_then(|digest| texts.get(&format!("blobs/{}", digest.replace(':', "/"))));
    for image in texts.get("manifest.json").and_then(Value::as_array).into_iter().flatten() {
        let config = image["Config"].as_str().and_then(|path| texts.get(path));
        found.extend(config.and_then(named));
    }
    let mut next: Vec<&Value> = texts.get("index.json").into_iter().collect();
    for _ in 0..MAX_STEPS {
        let now = std::mem::take(&mut next);
        for value in now {
            found.extend(named(value));
            next.extend(blob(&value["config"]["digest"]));
            for manifest in value["manifests"].as_array().into_iter().flatten() {
                found.extend(named(&manifest["platform"]).filter(|arch| arch != "unknown"));
                next.extend(blob(&manifest["digest"]));
            }
        }
    }
    found
}
