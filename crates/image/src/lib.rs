//! Archives of container images.
//!
//! [`pack`] makes an archive of a few files: an OCI image layout that also has the `manifest.json` by which
//! `docker load` finds its way. Equal files make equal archives. [`read`] looks through an archive that a
//! stranger made before anything else touches it.
//!
//! Invariant: nothing in an archive that was made here tells of the machine or the moment that made it, and
//! nothing of one that was made elsewhere is unpacked here.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::{self, Write};

pub mod read;

/// A file in an image.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// From the root, without a slash at the beginning.
    pub path: &'a str,
    /// Such as `0o755`.
    pub mode: u32,
    /// What is in it.
    pub content: &'a [u8],
}

/// What an image is beside its files.
#[derive(Debug, Clone, Copy)]
pub struct Description<'a> {
    /// `name:tag` under which `docker load` lists it.
    pub name: &'a str,
    /// The words before what a task gives as its command.
    pub entrypoint: &'a [&'a str],
    /// `NAME=value`.
    pub env: &'a [&'a str],
}

/// The name that image formats have for this machine's kind of processor.
#[must_use]
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// Writes an archive of an image of one layer into `out`; gives the image's id, the digest of its
/// configuration, as `sha256:<hex>`.
///
/// # Errors
/// Where `out` does not take it, or a path cannot be one of an archive.
pub fn pack(files: &[File<'_>], what: &Description<'_>, out: impl Write) -> io::Result<String> {
    let mut layer = tar::Builder::new(Vec::new());
    for file in files {
        add(&mut layer, file.path, file.mode, file.content)?;
    }
    let layer = layer.into_inner()?;
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": { "Entrypoint": what.entrypoint, "Env": what.env, "WorkingDir": "/" },
        "rootfs": { "type": "layers", "diff_ids": [name_of(&layer)] },
        "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "hivemind" }],
        "created": "1970-01-01T00:00:00Z",
    })
    .to_string();
    let descriptor = |kind: &str, content: &[u8]| json!({ "mediaType": format!("application/vnd.oci.image.{kind}"), "digest": name_of(content), "size": content.len() });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", config.as_bytes()),
        "layers": [descriptor("layer.v1.tar", &layer)],
    })
    .to_string();
    let mut entry = descriptor("manifest.v1+json", manifest.as_bytes());
    entry["annotations"] = json!({ "io.containerd.image.name": what.name });
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    let listed: Value =
        json!([{ "Config": place_of(config.as_bytes()), "RepoTags": [what.name], "Layers": [place_of(&layer)] }]);
    let mut archive = tar::Builder::new(out);
    add(&mut archive, "oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    add(&mut archive, "index.json", 0o644, index.to_string().as_bytes())?;
    add(&mut archive, "manifest.json", 0o644, listed.to_string().as_bytes())?;
    for content in [config.as_bytes(), manifest.as_bytes(), &layer] {
        add(&mut archive, &place_of(content), 0o644, content)?;
    }
    archive.into_inner()?.flush()?;
    Ok(name_of(config.as_bytes()))
}

fn add(archive: &mut tar::Builder<impl Write>, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    archive.append_data(&mut header, path, content)
}

fn hash(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

fn name_of(content: &[u8]) -> String {
    format!("sha256:{}", hash(content))
}

fn place_of(content: &[u8]) -> String {
    format!("blobs/sha256/{}", hash(content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::io::Read;

    fn packed(content: &[u8]) -> (String, Vec<u8>) {
        let mut out = Vec::new();
        let files = [File { path: "bin/hello", mode: 0o755, content }];
        let what = Description { name: "hello:1", entrypoint: &["/bin/hello"], env: &["PATH=/bin"] };
        let id = pack(&files, &what, &mut out).expect("packed");
        (id, out)
    }

    fn entries(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().expect("entries").map(|entry| {
            let mut entry = entry.expect("an entry");
            let path = entry.path().expect("a path").to_string_lossy().into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("its content");
            (path, content)
        });
        entries.collect()
    }

    #[test]
    fn every_part_is_found_by_its_digest_from_both_beginnings() {
        let (id, archive) = packed(b"#!");
        let entries = entries(&archive);
        for (path, content) in &entries {
            if let Some(digest) = path.strip_prefix("blobs/sha256/") {
                assert_eq!(digest, hash(content));
            }
        }
        let json = |path: &str| -> Value { serde_json::from_slice(&entries[path]).expect("JSON") };
        let place = |digest: &Value| digest.as_str().expect("a digest").replace("sha256:", "blobs/sha256/");
        let manifest = json(&place(&json("index.json")["manifests"][0]["digest"]));
        assert_eq!(manifest["config"]["digest"], id.as_str());
        let docker = json("manifest.json");
        assert_eq!(docker[0]["Config"].as_str(), Some(place(&manifest["config"]["digest"]).as_str()));
        assert_eq!(docker[0]["Layers"][0].as_str(), Some(place(&manifest["layers"][0]["digest"]).as_str()));
        let config = json(&place(&manifest["config"]["digest"]));
        assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
        let layer = &entries[&place(&manifest["layers"][0]["digest"])];
        assert_eq!(super::tests::entries(layer)["bin/hello"], b"#!");
    }

    #[test]
    fn equal_files_make_equal_archives() {
        assert_eq!(packed(b"a"), packed(b"a"));
        assert_ne!(packed(b"a").0, packed(b"b").0);
    }
}
