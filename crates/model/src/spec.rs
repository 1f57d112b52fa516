//! What a requester asks for, and the check at the door.
//!
//! [`TaskSpec::check`] is the only place where a specification is judged; every face (gRPC, REST,
//! command line) converts its own form to a `TaskSpec` and calls it.
//!
//! Invariant: no I/O; contents of files are known here only by their digest.

use crate::after::After;
use crate::array::{Array, Indices};
use crate::egress::Egress;
use crate::level::Level;
use crate::node::{Isolation, Kind, Labels, TrustTier};
use crate::policy::Policy;
use crate::rejection::{Code, Rejection};
use crate::resources::Resources;
use crate::units::{Bytes, Millis, Timestamp};
use crate::verify::{Rule, Verification};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

mod texts;

pub use texts::{check_image, check_path};
use texts::{check_text, nested, within};

/// SHA-256 of a blob's content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a digest is `sha256:` and 64 lower-case hexadecimal digits")]
pub struct BadDigest;

impl FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let hex = text.strip_prefix("sha256:").ok_or(BadDigest)?.as_bytes();
        let nibble = |c: u8| match c {
            b'0'..=b'9' => Ok(c - b'0'),
            b'a'..=b'f' => Ok(c - b'a' + 10),
            _ => Err(BadDigest),
        };
        if hex.len() != 64 {
            return Err(BadDigest);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Content that lies in the blob store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    /// Of the whole content.
    pub digest: Digest,
    /// Of the whole content.
    pub size: Bytes,
}

/// One input file of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Where it appears under `/task`; relative, `/`-separated.
    pub path: String,
    /// Its content.
    pub blob: BlobRef,
}

/// A task as the pool accepted it, with every default filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// For people; need not be unique.
    pub name: String,
    /// `name[:tag][@sha256:...]`, or `sha256:...` of content that lies in the blob store.
    pub image: String,
    /// What kind of program it is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kind: Kind,
    /// The content that `image` names by its digest: an archive of an image, or a module.
    #[serde(default, skip_serializing_if = "is_default")]
    pub image_blob: Option<BlobRef>,
    /// Program and arguments; empty means the image's own command. Of a module: its arguments.
    pub command: Vec<String>,
    /// Files under `/task`.
    pub files: Vec<InputFile>,
    /// 1 to 10, 10 most urgent.
    pub priority: u8,
    /// The command is killed after this long.
    pub max_runtime: Millis,
    /// What it may use.
    pub resources: Resources,
    /// Only nodes of this contribution level or higher run it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub min_level: Level,
    /// Only nodes of this trust tier or higher run it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub min_trust: TrustTier,
    /// Only nodes of this isolation tier or higher run it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub min_isolation: Isolation,
    /// Only nodes that have all of these run it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub labels: Labels,
    /// Its elements; `None`: a plain task, whose only element has the index 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub array: Option<Array>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub after: After,
    /// How often an element whose own doing it was that it failed is tried again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retries: u32,
    /// How long it is waited for, and for its nodes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub patience: Patience,
    /// How its results are verified.
    #[serde(default, skip_serializing_if = "is_default")]
    pub verify: Verification,
    /// What it may reach over the network; only nodes whose owner allows it run it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub egress: Egress,
    /// Files and folders under `/task` that are kept; empty: [`OUTPUT`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub outputs: Vec<String>,
    /// Its elements on one node may share a container, one after the other.
    #[serde(default, skip_serializing_if = "is_default")]
    pub warm: bool,
    /// Where its requester allows a result of an equal task of theirs to be its result: of everything that
    /// could change the result.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reuse: Option<Digest>,
}

/// The folder under `/task` that is kept where a task names none.
pub const OUTPUT: &str = "output";
/// Most files and folders that a task names to be kept.
pub const MAX_OUTPUTS: usize = 64;

/// How long a requester waits; `None`: as long as the hold lasts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Patience {
    /// An element that was never handed out is given up after so long in the queue.
    pub queue: Option<Millis>,
    /// What has not ended so long after it was submitted is given up.
    pub total: Option<Millis>,
    /// What has not ended by then is given up.
    pub deadline: Option<Timestamp>,
    /// An attempt whose node is lost is kept as unknown for so long before it is tried elsewhere.
    pub lost_after: Option<Millis>,
}

/// Most tries of its own that a task may ask for.
pub const MAX_RETRIES: u32 = 100;

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What a node must be and have to run an element.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// What it must have.
    pub resources: Resources,
    /// What level it must have reached.
    pub level: Level,
    /// What trust its verified work must have earned.
    pub trust: TrustTier,
    /// How well its runtime must isolate.
    pub isolation: Isolation,
    /// What its owner must say of it.
    pub labels: Labels,
    /// What kind of program it must run.
    pub kind: Kind,
    /// What its owner must let it reach.
    pub egress: Egress,
    /// [`image_key`] of the image, to prefer nodes that have it.
    pub image: u64,
}

/// FNV-1a of an image reference: equal images have equal keys. Used only to prefer nodes, so that a
/// collision does no harm.
#[must_use]
pub fn image_key(image: &str) -> u64 {
    image.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Longest task name, in bytes.
pub const MAX_NAME_BYTES: usize = 200;
/// Longest image reference, in bytes.
pub const MAX_IMAGE_BYTES: usize = 512;
/// Most bytes of all words of a command together.
pub const MAX_COMMAND_BYTES: usize = 64 << 10;
/// Most input files of one task.
pub const MAX_FILES: usize = 1000;
/// Longest path of an input file, in bytes.
pub const MAX_PATH_BYTES: usize = 512;

impl TaskSpec {
    /// What a node must be and have to run it.
    #[must_use]
    pub fn need(&self) -> Need {
        Need {
            resources: self.resources,
            level: self.min_level,
            trust: self.min_trust,
            isolation: self.min_isolation,
            labels: self.labels.clone(),
            kind: self.kind,
            egress: self.egress.clone(),
            image: image_key(&self.image),
        }
    }

    /// The indices of its elements; a plain task has only 0.
    #[must_use]
    pub fn indices(&self) -> Indices {
        self.array.as_ref().map_or_else(Indices::only, |array| array.indices.clone())
    }

    /// How many elements it has.
    #[must_use]
    pub fn elements(&self) -> u32 {
        let elements = self.array.as_ref().map_or(1, |array| array.indices.len());
        u32::try_from(elements).unwrap_or(u32::MAX)
    }

    /// The most attempts of one element that its requester pays for.
    #[must_use]
    pub fn paid_attempts(&self) -> u64 {
        u64::from(self.verify.most_paid()) * (u64::from(self.retries) + 1)
    }

    /// The contents in the blob store that it needs to run.
    pub fn contents(&self) -> impl Iterator<Item = BlobRef> + '_ {
        let entries = self.array.as_ref().and_then(|array| array.entries);
        self.files.iter().map(|file| file.blob).chain(self.image_blob).chain(entries)
    }

    /// Checks every field against the bounds of `policy`.
    ///
    /// # Errors
    /// The first field that is out of bounds, by the name it has in the API.
    pub fn check(&self, policy: &Policy) -> Result<(), Rejection> {
        check_text("task_name", &self.name, MAX_NAME_BYTES)?;
        self.check_image()?;
        self.check_command()?;
        self.check_outputs()?;
        if !(1..=10).contains(&self.priority) {
            return Err(Rejection::invalid(
                "priority",
                format!("{} is outside 1 to 10 (10 is the most urgent)", self.priority),
            ));
        }
        self.check_amounts(policy)?;
        if let Some(array) = &self.array {
            array.check(policy)?;
        }
        self.after.check()?;
        self.check_patience(policy)?;
        self.verify.check()?;
        if self.patience.lost_after.is_some() && self.verify.rule != Rule::First {
            return Err(Rejection::invalid(
                "lost_after_seconds",
                "a copy on a lost node is replaced at once where results are verified; leave it 0",
            ));
        }
        if self.retries > 0 && self.verify.rule != Rule::First {
            return Err(Rejection::invalid("retries", "a result on which copies agree is not tried again; leave it 0"));
        }
        self.check_files(policy)
    }

    fn check_patience(&self, policy: &Policy) -> Result<(), Rejection> {
        within("retries", self.retries.into(), 0, MAX_RETRIES.into(), "tries")?;
        let Patience { queue, total, deadline: _, lost_after } = self.patience;
        let most = policy.limits.max_runtime.0;
        for (field, time) in
            [("max_wait_seconds", queue), ("max_total_seconds", total), ("lost_after_seconds", lost_after)]
        {
            if let Some(time) = time {
                within(field, time.0, 1000, most, "ms")?;
            }
        }
        Ok(())
    }

    fn check_image(&self) -> Result<(), Rejection> {
        if let Some(blob) = &self.image_blob {
            return match self.image == blob.digest.to_string() {
                true => Ok(()),
                false => Err(Rejection::invalid("docker_image", "does not name the content that was pushed")),
            };
        }
        if self.kind != Kind::Container {
            return Err(Rejection::invalid("docker_image", "a module is pushed first, and named by its digest"));
        }
        check_image(&self.image)
    }

    /// The files and folders under `/task` that are kept.
    pub fn kept(&self) -> impl Iterator<Item = &str> {
        let named = self.outputs.iter().map(String::as_str);
        named.chain(self.outputs.is_empty().then_some(OUTPUT))
    }

    fn check_outputs(&self) -> Result<(), Rejection> {
        if self.outputs.len() > MAX_OUTPUTS {
            return Err(Rejection::field(
                Code::TooLarge,
                "outputs",
                format!("{} paths; at most {MAX_OUTPUTS} are taken; name a folder", self.outputs.len()),
            ));
        }
        for path in &self.outputs {
            check_path("outputs", path)?;
        }
        let mut paths: Vec<&str> = self.outputs.iter().map(String::as_str).collect();
        if let Some((outer, inner)) = nested(&mut paths) {
            return Err(Rejection::invalid("outputs", format!("`{inner}` is within `{outer}`; name one of them")));
        }
        if self.warm && (self.array.is_none() || self.kind != Kind::Container) {
            return Err(Rejection::invalid("warm", "only elements of an array of containers can share one"));
        }
        if self.reuse.is_some() && (self.array.is_some() || !self.egress.is_empty() || self.verify.rule != Rule::First)
        {
            return Err(Rejection::invalid(
                "reuse",
                "only a plain task without network and without verification can take the result of an equal one",
            ));
        }
        Ok(())
    }

    fn check_command(&self) -> Result<(), Rejection> {
        let bytes: usize = self.command.iter().map(|word| word.len() + 1).sum();
        if bytes > MAX_COMMAND_BYTES {
            return Err(Rejection::field(
                Code::TooLarge,
                "command",
                format!("{bytes} bytes; at most {MAX_COMMAND_BYTES} are taken; put long input into a file"),
            ));
        }
        if self.command.iter().any(|word| word.contains('\0')) {
            return Err(Rejection::invalid("command", "contains a NUL character"));
        }
        if self.command.first().is_some_and(String::is_empty) {
            return Err(Rejection::invalid("command", "its first word, the program, is empty"));
        }
        Ok(())
    }

    fn check_amounts(&self, policy: &Policy) -> Result<(), Rejection> {
        let limits = &policy.limits;
        within("max_runtime", self.max_runtime.0, 1000, limits.max_runtime.0, "ms")?;
        let (need, most) = (&self.resources, &limits.max_resources);
        within("required_cpu_cores", need.cpu.0.into(), 1, most.cpu.0.into(), "thousandths of a core")?;
        within("required_memory", need.memory.0, limits.min_memory.0, most.memory.0, "bytes")?;
        within("required_disk_mb", need.disk.0, limits.min_disk.0, most.disk.0, "bytes")?;
        within("required_gpus", need.gpus.into(), 0, most.gpus.into(), "GPUs")
    }

    fn check_files(&self, policy: &Policy) -> Result<(), Rejection> {
        if self.files.len() > MAX_FILES {
            return Err(Rejection::field(
                Code::TooLarge,
                "files",
                format!("{} files; at most {MAX_FILES} are taken; pack them into an archive", self.files.len()),
            ));
        }
        let mut paths: Vec<&str> = self.files.iter().map(|file| file.path.as_str()).collect();
        for path in &paths {
            check_path("files", path)?;
        }
        if let Some((outer, inner)) = nested(&mut paths) {
            return Err(Rejection::invalid("files", format!("`{outer}` and `{inner}` cannot both be files")));
        }
        let total = self.files.iter().try_fold(0u64, |sum, file| sum.checked_add(file.blob.size.0));
        let most = policy.limits.max_input_bytes.0.min(self.resources.disk.0);
        match total {
            Some(bytes) if bytes <= most => Ok(()),
            _ => Err(Rejection::field(
                Code::TooLarge,
                "files",
                format!("together more than {}, which is what this task's disk and the pool allow", Bytes(most)),
            )),
        }
    }
}

#[cfg(test)]
mod tests;
