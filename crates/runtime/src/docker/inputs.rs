//! Input files on their way into /task.
//!
//! Start at [`upload`]: they travel as a tar stream to a container that does not run yet, with a
//! bounded piece of it in memory.
//!
//! Invariant: the paths were checked at the pool's door, and are checked here again.

use super::daemon;
use crate::volume::USER_ID;
use bollard::Docker;
use bollard::query_parameters::UploadToContainerOptionsBuilder;
use bytes::Bytes;
use hivemind_model::spec::check_path;
use hivemind_model::state::Outcome;
use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Pieces of the stream waiting for the daemon.
const WAITING_PIECES: usize = 8;
/// Size of a piece.
const PIECE_BYTES: usize = 64 << 10;

/// Puts `files` under /task of the container `name`, owned by the job's user.
pub(super) async fn upload(docker: &Docker, name: &str, files: Vec<(String, PathBuf)>) -> Result<(), Outcome> {
    let (pieces, stream) = mpsc::channel(WAITING_PIECES);
    let packing = tokio::task::spawn_blocking(move || {
        let result = pack(&files, Pieces { out: pieces.clone(), held: Vec::with_capacity(PIECE_BYTES) });
        if let Err(error) = &result {
            // Cuts the request short, so that no half of an archive is taken for a whole one.
            let _ = pieces.blocking_send(Err(io::Error::new(error.kind(), error.to_string())));
        }
        result
    });
    let options = UploadToContainerOptionsBuilder::default().path("/task").build();
    let sent =
        docker.upload_to_container(name, Some(options), bollard::body_try_stream(ReceiverStream::new(stream))).await;
    let packed = packing.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    match (sent, packed) {
        (Ok(()), Ok(())) => Ok(()),
        (Err(error), _) if daemon::explain(&error).contains("no space left") => Err(Outcome::CannotStart {
            reason: "the input files do not fit into the task's disk; ask for more disk".into(),
        }),
        // A packer whose reader went away only says so; the daemon's own words say why.
        (Err(error), Ok(())) => Err(daemon::fault("the input files could not be put into /task", &error)),
        (Err(error), Err(packing)) if packing.kind() == io::ErrorKind::BrokenPipe => {
            Err(daemon::fault("the input files could not be put into /task", &error))
        }
        (_, Err(error)) => Err(daemon::io_fault("the input files could not be read", &error)),
    }
}

/// Writes an archive of `files`, parents first.
fn pack(files: &[(String, PathBuf)], out: impl Write) -> io::Result<()> {
    let mut builder = tar::Builder::new(out);
    let mut parents = BTreeSet::new();
    for (path, source) in files {
        check_path("files", path)
            .map_err(|rejection| io::Error::new(io::ErrorKind::InvalidInput, rejection.to_string()))?;
        for (at, _) in path.match_indices('/') {
            if parents.insert(&path[..at]) {
                builder.append_data(&mut header(tar::EntryType::Directory, 0, 0o755), &path[..at], io::empty())?;
            }
        }
        let opened = std::fs::File::open(source)
            .map_err(|error| io::Error::new(error.kind(), format!("{path} at {}: {error}", source.display())))?;
        let size = opened.metadata()?.len();
        let mut content = opened.take(size);
        let mut magic = Vec::with_capacity(4);
        content.by_ref().take(4).read_to_end(&mut magic)?;
        let mode = if crate::program::is_program(&magic) { 0o755 } else { 0o644 };
        builder.append_data(
            &mut header(tar::EntryType::Regular, size, mode),
            path,
            io::Cursor::new(magic).chain(content),
        )?;
    }
    builder.into_inner()?.flush()
}

fn header(kind: tar::EntryType, size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(USER_ID.into());
    header.set_gid(USER_ID.into());
    header.set_mtime(0);
    header
}

/// The writing end of the stream.
struct Pieces {
    out: mpsc::Sender<io::Result<Bytes>>,
    held: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(data);
        if self.held.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::replace(&mut self.held, Vec::with_capacity(PIECE_BYTES)));
        self.out.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_first_and_programs_are_executable() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).expect("written");
            path
        };
        let files = [
            ("a/b/data".to_owned(), file("1", b"text")),
            ("a/run.sh".to_owned(), file("2", b"#!/bin/sh\n")),
            ("prog".to_owned(), file("3", b"\x7fELF...")),
            ("empty".to_owned(), file("4", b"")),
        ];
        let mut packed = Vec::new();
        pack(&files, &mut packed).expect("packed");
        let mut archive = tar::Archive::new(&packed[..]);
        let seen: Vec<_> = archive
            .entries()
            .expect("entries")
            .map(|entry| {
                let mut entry = entry.expect("sound");
                let mut content = String::new();
                entry.read_to_string(&mut content).expect("text");
                let header = entry.header();
                assert_eq!(
                    (header.uid().ok(), header.gid().ok()),
                    (Some(u64::from(USER_ID)), Some(u64::from(USER_ID)))
                );
                (entry.path().expect("a path").display().to_string(), header.mode().expect("a mode"), content)
            })
            .collect();
        let expected = [
            ("a", 0o755, ""),
            ("a/b", 0o755, ""),
            ("a/b/data", 0o644, "text"),
            ("a/run.sh", 0o755, "#!/bin/sh\n"),
            ("prog", 0o755, "\x7fELF..."),
            ("empty", 0o644, ""),
        ];
        assert_eq!(seen, expected.map(|(path, mode, content)| (path.to_owned(), mode, content.to_owned())));
    }

    #[test]
    fn a_path_that_leaves_task_is_refused() {
        let error = pack(&[("../x".to_owned(), PathBuf::from("/dev/null"))], io::sink()).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
