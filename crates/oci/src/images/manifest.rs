//! Manifests: which configuration and which layers an image has.
//!
//! Invariant: no I/O; a digest is compared where the content is read, not here.

use super::Trouble;
use super::config::{MOST_LAYERS, architecture};
use hivemind_model::spec::Digest;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// Longest manifest or index.
pub(super) const MOST_MANIFEST_BYTES: u64 = 4 << 20;

/// A part of an image, by its content.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Descriptor {
    #[serde(default, rename = "mediaType")]
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

impl Descriptor {
    /// The 64 hexadecimal digits of its digest.
    pub(super) fn hex(&self) -> Result<&str, Trouble> {
        hex_of(&self.digest)
    }
}

/// The digits of `sha256:...`.
pub(super) fn hex_of(digest: &str) -> Result<&str, Trouble> {
    match digest.strip_prefix("sha256:") {
        Some(hex) if digest.parse::<Digest>().is_ok() => Ok(hex),
        _ => {
            let shown: String = digest.chars().filter(|c| !c.is_control()).take(80).collect();
            Err(Trouble::Image(format!("`{shown}` is no digest that is understood here; `sha256:` and 64 digits are")))
        }
    }
}

/// `sha256:...` of `content`.
pub(super) fn digest_of(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

/// Refuses `content` that is not what `digest` says.
pub(super) fn check_digest(what: &str, digest: &str, content: &[u8]) -> Result<(), Trouble> {
    let found = digest_of(content);
    if found == digest {
        return Ok(());
    }
    Err(lie(what, digest, &found))
}

/// The refusal of a part that is not what its digest says.
pub(super) fn lie(what: &str, digest: &str, found: &str) -> Trouble {
    Trouble::Image(format!("it lies about its digest: {what} should be {digest} and is {found}"))
}

/// A manifest, or a list of them by platform.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Manifest {
    Image {
        config: Descriptor,
        layers: Vec<Descriptor>,
    },
    /// The one for this machine.
    Chosen(Descriptor),
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
}

impl Manifest {
    /// Reads a manifest or an index.
    ///
    /// # Errors
    /// Where it is neither, or has nothing for this machine.
    pub(super) fn parse(content: &[u8]) -> Result<Self, Trouble> {
        let raw: Raw = serde_json::from_slice(content)
            .map_err(|error| Trouble::Image(format!("its manifest cannot be read: {error}")))?;
        if let Some(manifests) = raw.manifests {
            return choose(manifests).map(Self::Chosen);
        }
        match (raw.config, raw.layers) {
            (Some(config), Some(layers)) if (1..=MOST_LAYERS).contains(&layers.len()) => {
                Ok(Self::Image { config, layers })
            }
            (Some(_), Some(layers)) => Err(Trouble::Image(format!(
                "it has {} layers; 1 to {MOST_LAYERS} can be stacked: squash some",
                layers.len()
            ))),
            (None, _) | (_, None) => Err(Trouble::Image(
                "its manifest has no configuration or no layers; images of the oldest format are not taken: push it again".into(),
            )),
        }
    }
}

fn choose(manifests: Vec<Descriptor>) -> Result<Descriptor, Trouble> {
    let is_ours = |platform: &Platform| platform.os == "linux" && platform.architecture == architecture();
    let others: Vec<String> = manifests
        .iter()
        .filter_map(|one| one.platform.as_ref())
        .filter(|platform| platform.os != "unknown")
        .map(|platform| format!("{}/{}", platform.os, platform.architecture))
        .take(20)
        .collect();
    // One without a platform says it in its configuration.
    let only = manifests.len() == 1;
    let ours = manifests.into_iter().find(|one| one.platform.as_ref().map_or(only, is_ours));
    ours.ok_or_else(|| {
        let others: String = others.join(", ").chars().filter(|c| !c.is_control()).take(300).collect();
        Trouble::Image(format!("there is none for linux/{}; it is for {others}", architecture()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_of_this_machine_is_chosen() {
        let one = |digest: &str, platform: &str| format!(r#"{{"digest":"{digest}","size":1{platform}}}"#);
        let platform = |os: &str, name: &str| format!(r#","platform":{{"os":"{os}","architecture":"{name}"}}"#);
        let index = |entries: &[String]| format!(r#"{{"manifests":[{}]}}"#, entries.join(","));
        let foreign = one("a", &platform("linux", "s390x"));
        let ours = one("b", &platform("linux", architecture()));
        let parsed = Manifest::parse(index(&[foreign.clone(), ours]).as_bytes()).expect("sound");
        assert!(matches!(parsed, Manifest::Chosen(Descriptor { digest, .. }) if digest == "b"));
        assert!(matches!(Manifest::parse(index(&[one("c", "")]).as_bytes()), Ok(Manifest::Chosen(_))));
        let Err(Trouble::Image(reason)) = Manifest::parse(index(&[foreign]).as_bytes()) else { panic!("taken") };
        assert!(reason.contains("linux/s390x"), "{reason}");
    }

    #[test]
    fn what_is_no_manifest_or_no_digest_is_refused() {
        for text in
            ["", "{}", r#"{"schemaVersion":1,"fsLayers":[]}"#, r#"{"config":{"digest":"d","size":1},"layers":[]}"#]
        {
            assert!(matches!(Manifest::parse(text.as_bytes()), Err(Trouble::Image(_))), "{text}");
        }
        assert!(hex_of("sha256:../../../etc/passwd").is_err());
        assert!(hex_of("md5:0").is_err());
        assert!(check_digest("x", &digest_of(b"a"), b"a").is_ok());
        let Err(Trouble::Image(reason)) = check_digest("a layer", &digest_of(b"a"), b"b") else { panic!("taken") };
        assert!(reason.contains("lies about its digest: a layer"), "{reason}");
    }
}
