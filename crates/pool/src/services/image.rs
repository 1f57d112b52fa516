//! The program of a submission: an image by its name, or content that its requester has pushed.
//!
//! Start at [`pushed`]. What a content is, its first bytes say; its inside is judged by the runtimes.
//!
//! Invariant: a digest that became known opens nobody else's image, and does not tell that it is here.

use super::output::digest_in;
use super::submission::Refusal;
use crate::blobs::blocking;
use crate::shared::Shared;
use crate::status;
use hivemind_model::node::Kind;
use hivemind_model::spec::{BlobRef, Digest, TaskSpec};
use hivemind_model::verify::Verification;
use hivemind_model::{Bytes, Code, Rejection, UserId};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read};

/// The field that names the program.
const FIELD: &str = "docker_image";
/// Enough of a content to tell what it is: the header of a tar archive.
const HEAD_BYTES: u64 = 512;
/// Where such a header has its magic word.
const TAR_MAGIC_AT: usize = 257;

/// The program of a task where it is content of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pushed {
    /// What it is.
    pub(super) kind: Kind,
    /// All of it.
    pub(super) blob: BlobRef,
}

/// The digest that `image` is, where it is one; an image cannot be called so.
///
/// # Errors
/// It begins like one and is none.
pub(super) fn digest(image: &str) -> Result<Option<Digest>, Rejection> {
    if image.starts_with("sha256:") { digest_in(FIELD, image).map(Some) } else { Ok(None) }
}

/// The content that `image` names; `None` where it is the name of an image.
///
/// # Errors
/// The user has not pushed it; it is too large, or neither an archive nor a module.
pub(super) async fn pushed(shared: &Shared, user: UserId, image: &str) -> Result<Option<Pushed>, Refusal> {
    let Some(digest) = digest(image)? else { return Ok(None) };
    let not_found = || {
        let why = format!("{digest} was not uploaded by you; `hivemind image push` sends an archive or a module");
        Rejection::field(Code::NotFound, FIELD, why)
    };
    let cannot = |error: io::Error| Refusal::Fault(status::file("reading an image", &error));
    let size = shared.blobs.size_for(user, digest).await.map_err(cannot)?.ok_or_else(not_found)?;
    let most = shared.policy.limits.max_image_bytes;
    if size > most.0 {
        let why = format!("it has {}; images of at most {most} are taken", Bytes(size));
        return Err(Rejection::field(Code::TooLarge, FIELD, why).into());
    }
    let file = shared.blobs.read(digest).await.map_err(cannot)?.ok_or_else(not_found)?;
    let head = blocking(move || head(file)).await.map_err(cannot)?;
    let kind = kind_of(&head).ok_or_else(|| {
        let why = "the content is neither a WebAssembly module nor an archive (tar, or tar with gzip) of an image";
        Rejection::invalid(FIELD, why)
    })?;
    Ok(Some(Pushed { kind, blob: BlobRef { digest, size: Bytes(size) } }))
}

fn head(file: File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(head)
}

fn kind_of(head: &[u8]) -> Option<Kind> {
    if head.starts_with(b"\0asm") {
        return Some(Kind::Wasm);
    }
    let is_archive =
        head.starts_with(&[0x1f, 0x8b]) || head.get(TAR_MAGIC_AT..).is_some_and(|rest| rest.starts_with(b"ustar"));
    is_archive.then_some(Kind::Container)
}

/// The kind that the requester says their image will be, once it is pushed.
pub(super) fn said_kind(word: &str) -> Result<Kind, Rejection> {
    match word {
        "" | "container" => Ok(Kind::Container),
        "wasm" => Ok(Kind::Wasm),
        other => {
            let why = format!("`{}` is neither container nor wasm", super::submission::cut(other));
            Err(Rejection::invalid("kind", why))
        }
    }
}

/// What a task that may take an equal task's result is known by: the digest of all that could change the
/// result. Whose it is, is no part of it.
///
/// # Errors
/// Its image is named by a word that can come to mean another one.
pub(super) fn reuse_key(spec: &TaskSpec) -> Result<Digest, Rejection> {
    let TaskSpec {
        // Names, order and patience change no result.
        name: _,
        priority: _,
        after: _,
        retries: _,
        patience: _,
        reuse: _,
        // Which node it was says nothing of the result, but what it must be like may.
        min_level: _,
        min_trust: _,
        image,
        kind,
        image_blob,
        command,
        files,
        max_runtime,
        resources,
        min_isolation,
        labels,
        array,
        verify: Verification { rule, compare },
        egress,
        outputs,
        warm,
    } = spec;
    if image_blob.is_none() && !image.contains("@sha256:") {
        let why = "a result can be taken only where the image is named by its digest, such as name@sha256:..., as \
                   a tag can come to mean another image; or leave reuse out";
        return Err(Rejection::invalid("reuse", why));
    }
    let mut files: Vec<_> = files.iter().map(|file| (&file.path, file.blob.digest)).collect();
    files.sort_unstable();
    let mut outputs = outputs.clone();
    outputs.sort_unstable();
    let all = json!({
        "version": 1,
        "image": image,
        "kind": kind,
        "command": command,
        "files": files,
        "max_runtime": max_runtime,
        "resources": resources,
        "min_isolation": min_isolation,
        "labels": labels,
        "array": array,
        "rule": rule,
        "compare": compare,
        "egress": egress,
        "outputs": outputs,
        "warm": warm,
    });
    Ok(Digest(Sha256::digest(all.to_string()).into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hivemind_model::spec::InputFile;
    use hivemind_model::{Millis, Timestamp};

    #[test]
    fn first_bytes_say_what_a_content_is() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (head, kind) in [
            (&b"\0asm\x01\0\0\0"[..], Some(Kind::Wasm)),
            (&[0x1f, 0x8b, 8], Some(Kind::Container)),
            (&tar, Some(Kind::Container)),
            (b"\x7fELF", None),
            (b"", None),
            (b"ustar", None),
        ] {
            assert_eq!(kind_of(head), kind, "{head:?}");
        }
    }

    #[test]
    fn a_key_changes_with_what_can_change_the_result_and_with_nothing_else() {
        let blob = |byte: u8| BlobRef { digest: Digest([byte; 32]), size: Bytes(1) };
        let file = |path: &str, byte| InputFile { path: path.into(), blob: blob(byte) };
        let spec = TaskSpec {
            image: blob(1).digest.to_string(),
            image_blob: Some(blob(1)),
            files: vec![file("a", 1), file("b", 2)],
            ..TaskSpec::default()
        };
        let key = |change: &dyn Fn(&mut TaskSpec)| {
            let mut spec = spec.clone();
            change(&mut spec);
            reuse_key(&spec).map_err(|rejection| rejection.field)
        };
        let same = key(&|_| ()).unwrap();
        let unchanging: [&dyn Fn(&mut TaskSpec); 4] = [
            &|spec| spec.name = "another".into(),
            &|spec| spec.priority = 9,
            &|spec| spec.patience.deadline = Some(Timestamp(1)),
            &|spec| spec.files.reverse(),
        ];
        for change in unchanging {
            assert_eq!(key(change), Ok(same));
        }
        let changing: [&dyn Fn(&mut TaskSpec); 6] = [
            &|spec| spec.command.push("x".into()),
            &|spec| spec.files[0].blob = blob(3),
            &|spec| spec.files[0].path = "c".into(),
            &|spec| spec.max_runtime = Millis(1),
            &|spec| spec.resources.memory = Bytes(1),
            &|spec| spec.outputs.push("x".into()),
        ];
        for change in changing {
            assert_ne!(key(change), Ok(same));
        }
        assert_eq!(key(&|spec| (spec.image, spec.image_blob) = ("bb:1".into(), None)), Err("reuse".into()));
    }
}
