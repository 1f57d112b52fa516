//! Which image a job names, found here, pulled, or loaded from an archive.
//!
//! Start at [`Images::resolve`]. A container is always made from the content-addressed id that
//! comes out of it. What the owner allows is in [`rules`], archives in [`load`], and which of the
//! fetched ones go again in [`kept`].
//!
//! Invariant: no credentials; what a stranger's task names is pulled as anybody could.

use super::daemon;
use super::pull::Pulls;
use crate::{Sink, Stop};
use bollard::Docker;
use bollard::models::ImageInspect;
use bollard::query_parameters::RemoveImageOptionsBuilder;
use hivemind_model::spec::Digest;
use hivemind_model::state::Outcome;
use hivemind_model::units::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

mod kept;
mod load;
pub(super) mod rules;

use rules::ImageRules;

/// How long a reference is taken to mean the same image; short, so that a rebuilt image is seen.
const REMEMBERED: Duration = Duration::from_secs(5);
/// Most references remembered.
const MOST_REMEMBERED: usize = 256;
/// Time between two looks at which fetched images go, where none is fetched meanwhile.
const TIDY_EVERY: Duration = Duration::from_secs(3600);
/// Most folders that an image may declare as volumes.
const MOST_VOLUMES: usize = 16;

/// What was found under a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    /// `sha256:...` of its content.
    pub(super) id: String,
    /// The folders that it declares as volumes.
    pub(super) volumes: Vec<String>,
    /// What it puts before every command.
    pub(super) entrypoint: Vec<String>,
    /// Its own command.
    pub(super) command: Vec<String>,
}

/// A reference, taken apart; the name in its short form, as the daemon lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Without its registry where that is the usual one.
    pub name: String,
    /// `latest` where neither tag nor digest was given.
    pub tag: Option<String>,
    /// `sha256:...` of its manifest.
    pub digest: Option<String>,
}

impl Reference {
    /// Reads `name[:tag][@sha256:...]`.
    ///
    /// # Errors
    /// Why it is none, and how to write one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("`{text}` is not an image reference: {why}; write it like `python:3.12`");
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|digest| digest.parse::<Digest>().is_err()) {
            return Err(bad("what follows `@` is not `sha256:` and 64 hexadecimal digits"));
        }
        let last = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[last..].find(':') {
            Some(at) => (&rest[..last + at], Some(&rest[last + at + 1..])),
            None => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(bad("the tag is empty, too long, or has a character that tags do not have"));
        }
        let (domain, path) = match name.split_once('/') {
            Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), path),
            _ => (None, name),
        };
        if domain.is_some_and(|domain| !is_domain(domain)) || !path.split('/').all(is_component) {
            return Err(bad("names are lower-case letters and digits, separated by one of . _ - /"));
        }
        let is_hub = domain.is_none_or(|domain| domain == "docker.io" || domain == "index.docker.io");
        let name = match path.strip_prefix("library/") {
            _ if !is_hub => name,
            Some(official) if !official.contains('/') => official,
            _ => path,
        };
        let tag = tag.or_else(|| digest.is_none().then_some("latest"));
        Ok(Self { name: name.to_owned(), tag: tag.map(str::to_owned), digest: digest.map(str::to_owned) })
    }

    /// True where one of the daemon's tags for an image is this name and tag. The daemon also
    /// finds images by the beginning of their id, which is not what a task may name.
    fn is_tagged(&self, tags: &[String]) -> bool {
        tags.iter().any(|tag| Self::parse(tag).is_ok_and(|tag| tag.name == self.name && tag.tag == self.tag))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

fn is_tag(tag: &str) -> bool {
    let first = tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    first && tag.len() <= 128 && tag.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = domain.split_once(':').map_or((domain, None), |(host, port)| (host, Some(port)));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    host.split('.').all(label) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

fn is_component(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut separators = part.split(alphanumeric).filter(|separator| !separator.is_empty());
    part.starts_with(alphanumeric)
        && part.ends_with(alphanumeric)
        && separators.all(|separator| matches!(separator, "." | "_" | "__") || separator.chars().all(|c| c == '-'))
}

/// The images of this machine, and the pulls under way.
#[derive(Debug)]
pub(super) struct Images {
    docker: Docker,
    pulls: Pulls,
    remembered: Mutex<HashMap<String, (Instant, Image)>>,
    rules: ImageRules,
    kept: kept::Kept,
    /// One archive at a time.
    loads: tokio::sync::Mutex<()>,
    tidied: Mutex<Option<Instant>>,
}

impl Images {
    /// `stall`: a pull without progress for so long is given up. What was fetched is listed in a file in `state`.
    pub(super) fn new(docker: Docker, stall: Duration, rules: ImageRules, state: &Path) -> Arc<Self> {
        Arc::new(Self {
            pulls: Pulls::new(docker.clone(), stall, rules.max_bytes),
            docker,
            remembered: Mutex::default(),
            rules,
            kept: kept::Kept::open(state.join("images.json")),
            loads: tokio::sync::Mutex::default(),
            tidied: Mutex::default(),
        })
    }

    /// The image that `source` names: the one that is here, else the pulled or loaded one.
    ///
    /// # Errors
    /// `BadImage`, `ImageUnavailable` where the owner's rules refuse it, `Infrastructure`, or `Cancelled` where
    /// `stop` fires meanwhile.
    pub(super) async fn resolve(
        self: &Arc<Self>,
        source: &crate::Image,
        sink: &dyn Sink,
        stop: &Stop,
    ) -> Result<Image, Outcome> {
        let key = source.to_string();
        if let Some((since, image)) = self.remembered.lock().get(&key)
            && since.elapsed() < REMEMBERED
        {
            return Ok(image.clone());
        }
        self.tidy_at_times();
        let image = match source {
            crate::Image::Named(text) => self.named(text, sink, stop).await?,
            crate::Image::Content { digest, file } => self.load(*digest, file, sink, stop).await?,
        };
        self.remember(&key, &image);
        Ok(image)
    }

    async fn named(self: &Arc<Self>, text: &str, sink: &dyn Sink, stop: &Stop) -> Result<Image, Outcome> {
        let reference = Reference::parse(text).map_err(|reason| Outcome::BadImage { reason })?;
        self.rules.check_name(&rules::written_out(&reference)).map_err(refused)?;
        let key = reference.to_string();
        if let Some(found) = self.local(&reference).await? {
            self.kept.used(&key);
            return describe(found, &self.rules, &key);
        }
        self.rules.check_registry(&reference).await.map_err(refused)?;
        self.pulls.pull(&reference, sink, stop).await?;
        let gone = || Outcome::Infrastructure {
            reason: format!("{reference} was pulled and is not there: was it removed in between?"),
        };
        let found = self.local(&reference).await?.ok_or_else(gone)?;
        let bytes = found.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
        self.kept.fetched(&key, found.id.as_deref().unwrap_or_default(), bytes);
        let image = describe(found, &self.rules, &key);
        if image.is_err() {
            // Nobody will want it here again.
            self.remove(&key, &key).await;
        }
        let this = self.clone();
        tokio::spawn(async move { this.tidy().await });
        image
    }

    fn tidy_at_times(self: &Arc<Self>) {
        let mut tidied = self.tidied.lock();
        if tidied.is_none_or(|at| at.elapsed() >= TIDY_EVERY) {
            *tidied = Some(Instant::now());
            let this = self.clone();
            tokio::spawn(async move { this.tidy().await });
        }
    }

    /// Removes fetched images that are not wanted any more.
    async fn tidy(&self) {
        for image in self.kept.due(self.rules.cache_bytes.0, self.rules.cache_idle) {
            match self.inspect(&image.id).await {
                // The owner gave it a name, and so wants it.
                Ok(Some(found))
                    if image.is_nameless() && found.repo_tags.as_ref().is_some_and(|tags| !tags.is_empty()) =>
                {
                    self.kept.gone(&image.key);
                }
                Ok(_) => self.remove(&image.key, image.handle()).await,
                Err(outcome) => {
                    tracing::warn!(image = image.key, ?outcome, "an image is not looked at; it is tried again later");
                }
            }
        }
    }

    async fn remove(&self, key: &str, handle: &str) {
        // Not by force: what a container or another name of the owner's stands on stays.
        let options = RemoveImageOptionsBuilder::default().build();
        match self.docker.remove_image(handle, Some(options), None).await {
            Ok(_) => self.kept.gone(key),
            Err(error) if daemon::is_absent(&error) => self.kept.gone(key),
            Err(error) if daemon::status(&error) == Some(409) => {
                tracing::debug!(image = key, error = daemon::explain(&error), "an image is in use and stays");
            }
            Err(error) => {
                tracing::warn!(
                    image = key,
                    error = daemon::explain(&error),
                    "an image could not be removed; it is tried again later"
                );
            }
        }
        self.remembered.lock().remove(key);
    }

    /// Takes back what was remembered of `text`: the image has gone.
    pub(super) fn forget(&self, text: &str) {
        self.remembered.lock().remove(text);
    }

    fn remember(&self, text: &str, image: &Image) {
        let mut remembered = self.remembered.lock();
        if remembered.len() >= MOST_REMEMBERED {
            remembered.retain(|_, (since, _)| since.elapsed() < REMEMBERED);
        }
        if remembered.len() < MOST_REMEMBERED {
            remembered.insert(text.to_owned(), (Instant::now(), image.clone()));
        }
    }

    async fn local(&self, reference: &Reference) -> Result<Option<ImageInspect>, Outcome> {
        let Some(digest) = &reference.digest else {
            let found = self.inspect(&reference.to_string()).await?;
            return Ok(found.filter(|image| reference.is_tagged(image.repo_tags.as_deref().unwrap_or_default())));
        };
        // A digest pins the content, so the name under which it lies here does not matter: it is
        // the image's own id (built here) or what a registry calls it (pulled).
        let by_name = Reference {
            digest: None,
            tag: reference.tag.clone().or_else(|| Some("latest".into())),
            ..reference.clone()
        };
        let by_digest = format!("{}@{digest}", reference.name);
        for candidate in [by_digest, by_name.to_string(), digest.clone()] {
            if let Some(image) = self.inspect(&candidate).await?
                && has_digest(&image, digest)
            {
                return Ok(Some(image));
            }
        }
        Ok(None)
    }

    async fn inspect(&self, name: &str) -> Result<Option<ImageInspect>, Outcome> {
        match self.docker.inspect_image(name).await {
            Ok(image) => Ok(Some(image)),
            Err(error) if daemon::is_absent(&error) => Ok(None),
            Err(error) => Err(daemon::fault("the local images cannot be looked up", &error)),
        }
    }
}

fn has_digest(image: &ImageInspect, digest: &str) -> bool {
    let names = image.repo_digests.as_deref().unwrap_or_default();
    image.id.as_deref() == Some(digest)
        || names.iter().any(|name| name.split_once('@').is_some_and(|(_, own)| own == digest))
}

/// The owner's rules refuse it: another owner's may not.
fn refused(reason: String) -> Outcome {
    Outcome::ImageUnavailable { reason }
}

fn describe(found: ImageInspect, rules: &ImageRules, name: &str) -> Result<Image, Outcome> {
    let Some(id) = found.id.filter(|id| id.parse::<Digest>().is_ok()) else {
        return Err(Outcome::Infrastructure { reason: "the Docker daemon gave an image without an id".into() });
    };
    check_platform(found.os.as_deref().unwrap_or_default(), found.architecture.as_deref().unwrap_or_default(), name)?;
    let bytes = found.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
    rules.check_unpacked(name, Bytes(bytes)).map_err(refused)?;
    let config = found.config.unwrap_or_default();
    let (entrypoint, command) = (config.entrypoint.unwrap_or_default(), config.cmd.unwrap_or_default());
    let declared = config.volumes.unwrap_or_default();
    let volumes = declared_volumes(declared).map_err(|reason| Outcome::BadImage { reason })?;
    Ok(Image { id, volumes, entrypoint, command })
}

/// Refuses what is made for other machines; what does not say for which is tried.
fn check_platform(os: &str, architecture: &str, name: &str) -> Result<(), Outcome> {
    let own = hivemind_image::architecture();
    let runs = matches!((own, architecture), ("amd64", "386")) || architecture == own || architecture.is_empty();
    if runs && matches!(os, "" | "linux") {
        return Ok(());
    }
    let shown = |text: &str| text.chars().filter(|c| !c.is_control()).take(40).collect::<String>();
    let reason = format!("{name} is for {}/{}, and this machine is linux/{own}", shown(os), shown(architecture));
    Err(Outcome::BadImage { reason })
}

/// The folders that have to be covered, cleaned, sorted, without doubles.
///
/// # Errors
/// Where there are too many, or one of them cannot be a volume.
pub fn declared_volumes(declared: Vec<String>) -> Result<Vec<String>, String> {
    if declared.len() > MOST_VOLUMES {
        return Err(format!("the image declares {} volumes; at most {MOST_VOLUMES} are taken", declared.len()));
    }
    let mut cleaned = Vec::with_capacity(declared.len());
    for path in declared {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let forbidden = matches!(parts.first(), None | Some(&("proc" | "sys" | "dev")));
        if !path.starts_with('/') || forbidden || parts.contains(&"..") {
            let shown: String = path.chars().filter(|c| !c.is_control()).take(80).collect();
            return Err(format!("the image declares the volume `{shown}`, which cannot be one"));
        }
        cleaned.push(format!("/{}", parts.join("/")));
    }
    cleaned.sort_unstable();
    cleaned.dedup();
    Ok(cleaned)
}

#[cfg(test)]
mod tests;
