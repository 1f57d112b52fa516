//! What an image says of itself.
//!
//! Invariant: nothing is taken over that would change what a container may do.

use super::Trouble;
use hivemind_runtime::docker::declared_volumes;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Longest configuration.
pub(super) const MOST_CONFIG_BYTES: u64 = 8 << 20;
/// Most layers that can be stacked: their names have to fit into a page.
pub(super) const MOST_LAYERS: usize = 100;

/// The configuration of an image, as far as it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) entrypoint: Vec<String>,
    pub(super) cmd: Vec<String>,
    pub(super) env: Vec<String>,
    pub(super) volumes: Vec<String>,
    /// `sha256:...` of each unpacked layer, the lowest first.
    pub(super) diff_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    config: Option<RawConfig>,
    rootfs: RawRoot,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawConfig {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    volumes: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Deserialize)]
struct RawRoot {
    #[serde(default)]
    diff_ids: Vec<String>,
}

/// The name that image formats have for this machine's kind of processor.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// Where it is none, is for another kind of machine, or declares what cannot be.
    pub(super) fn parse(content: &[u8]) -> Result<Self, Trouble> {
        let raw: Raw = serde_json::from_slice(content)
            .map_err(|error| Trouble::Image(format!("its configuration cannot be read: {error}")))?;
        if raw.os != "linux" || raw.architecture != architecture() {
            let shown = format!("{}/{}", raw.os, raw.architecture);
            let shown: String = shown.chars().filter(|c| !c.is_control()).take(80).collect();
            return Err(Trouble::Image(format!(
                "it is for {shown}, and this machine is linux/{}; give one for this platform",
                architecture()
            )));
        }
        if raw.rootfs.diff_ids.is_empty() || raw.rootfs.diff_ids.len() > MOST_LAYERS {
            return Err(Trouble::Image(format!(
                "it has {} layers; 1 to {MOST_LAYERS} can be stacked: squash some",
                raw.rootfs.diff_ids.len()
            )));
        }
        let config = raw.config.unwrap_or_default();
        let declared = config.volumes.unwrap_or_default().into_keys().collect();
        Ok(Self {
            entrypoint: config.entrypoint.unwrap_or_default(),
            cmd: config.cmd.unwrap_or_default(),
            env: config.env.unwrap_or_default(),
            volumes: declared_volumes(declared).map_err(Trouble::Image)?,
            diff_ids: raw.rootfs.diff_ids,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(os: &str, architecture: &str, layers: usize, config: &str) -> Result<Config, Trouble> {
        let ids = vec!["\"sha256:x\""; layers].join(",");
        let text = format!(
            r#"{{"os":"{os}","architecture":"{architecture}","config":{config},"rootfs":{{"type":"layers","diff_ids":[{ids}]}}}}"#
        );
        Config::parse(text.as_bytes())
    }

    fn refusal(result: Result<Config, Trouble>) -> String {
        match result {
            Err(Trouble::Image(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_counts_is_read_and_another_platform_is_refused() {
        let here = architecture();
        let read = config("linux", here, 1, r#"{"Cmd":["a"],"Env":["B=c"],"Volumes":{"/d/":{}},"User":"root"}"#);
        let read = read.expect("sound");
        assert_eq!(
            (&read.cmd[..], &read.env[..], &read.volumes[..]),
            (&["a".into()][..], &["B=c".into()][..], &["/d".into()][..])
        );
        assert!(config("linux", here, 1, "null").expect("sound").entrypoint.is_empty());
        assert!(refusal(config("linux", "s390x", 1, "{}")).contains("linux/s390x"));
        assert!(refusal(config("windows", here, 1, "{}")).contains("windows"));
        assert!(refusal(config("linux", here, 0, "{}")).contains("layers"));
        assert!(refusal(config("linux", here, 101, "{}")).contains("layers"));
        assert!(refusal(config("linux", here, 1, r#"{"Volumes":{"/proc/x":{}}}"#)).contains("/proc/x"));
        assert!(refusal(Config::parse(b"{")).contains("cannot be read"));
    }
}
