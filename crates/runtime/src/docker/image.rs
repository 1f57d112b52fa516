//! Which image a reference names, found here or pulled.
//!
//! Start at [`Images::resolve`]. A container is always made from the content-addressed id that
//! comes out of it.
//!
//! Invariant: no credentials; what a stranger's task names is pulled as anybody could.

use super::daemon;
use super::pull::Pulls;
use crate::{Sink, Stop};
use bollard::Docker;
use bollard::models::ImageInspect;
use hivemind_model::spec::Digest;
use hivemind_model::state::Outcome;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

/// How long a reference is taken to mean the same image; short, so that a rebuilt image is seen.
const REMEMBERED: Duration = Duration::from_secs(5);
/// Most references remembered.
const MOST_REMEMBERED: usize = 256;
/// Most folders that an image may declare as volumes.
const MOST_VOLUMES: usize = 16;

/// What was found under a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    /// `sha256:...` of its content.
    pub(super) id: String,
    /// The folders that it declares as volumes.
    pub(super) volumes: Vec<String>,
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
}

impl Images {
    /// `stall`: a pull without progress for so long is given up.
    pub(super) fn new(docker: Docker, stall: Duration) -> Self {
        Self { pulls: Pulls::new(docker.clone(), stall), docker, remembered: Mutex::default() }
    }

    /// The image that `text` names: the local one, else the pulled one.
    ///
    /// # Errors
    /// `BadImage`, `Infrastructure`, or `Cancelled` where `stop` fires during a pull.
    pub(super) async fn resolve(&self, text: &str, sink: &dyn Sink, stop: &Stop) -> Result<Image, Outcome> {
        if let Some((since, image)) = self.remembered.lock().get(text)
            && since.elapsed() < REMEMBERED
        {
            return Ok(image.clone());
        }
        let reference = Reference::parse(text).map_err(|reason| Outcome::BadImage { reason })?;
        let found = match self.local(&reference).await? {
            Some(found) => found,
            None => {
                self.pulls.pull(&reference, sink, stop).await?;
                let gone = || Outcome::Infrastructure {
                    reason: format!("{reference} was pulled and is not there: was it removed in between?"),
                };
                self.local(&reference).await?.ok_or_else(gone)?
            }
        };
        let image = describe(found)?;
        self.remember(text, &image);
        Ok(image)
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

fn describe(found: ImageInspect) -> Result<Image, Outcome> {
    let Some(id) = found.id.filter(|id| id.parse::<Digest>().is_ok()) else {
        return Err(Outcome::Infrastructure { reason: "the Docker daemon gave an image without an id".into() });
    };
    let declared = found.config.and_then(|config| config.volumes).unwrap_or_default();
    let volumes = declared_volumes(declared).map_err(|reason| Outcome::BadImage { reason })?;
    Ok(Image { id, volumes })
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
