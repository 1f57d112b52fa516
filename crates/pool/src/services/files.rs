//! `ListFiles` and `ReadFile`: what is in the archive that a completed task left.
//!
//! Invariant: a caller's path is compared with names that an archive holds; it is no path on this machine.

use super::output::{self, Output, first_size};
use super::submission::cut;
use crate::files::{Index, Item, Kind};
use crate::shared::Shared;
use crate::status;
use bytes::Bytes;
use futures::stream::BoxStream;
use hivemind_model::rows::TaskRow;
use hivemind_model::{Code, Rejection};
use hivemind_proto::v1::{DownloadChunk, ListFilesRequest, ListFilesResponse, OutputFile, ReadFileRequest};
use std::io;
use std::sync::Arc;
use tonic::Status;

/// Bytes of a file that are sent to a caller who names no bound, and most that one may name.
const DEFAULT_BYTES: u64 = 16 << 20;
const MOST_BYTES: u64 = 1 << 30;

/// The files of a completed element of a task of the caller.
pub(super) async fn list(
    shared: &Shared,
    row: &TaskRow,
    request: &ListFilesRequest,
) -> Result<ListFilesResponse, Status> {
    let output = output::open(shared, row, request.element).await?;
    let index = index(shared, &output).await?;
    let file = |item: &Item| OutputFile {
        path: item.path.clone(),
        size: first_size(item.size),
        is_folder: item.kind == Kind::Folder,
        is_executable: item.kind == Kind::Program,
    };
    Ok(ListFilesResponse {
        files: index.items.iter().map(file).collect(),
        cut: index.cut,
        digest: output.blob.digest.to_string(),
        size: first_size(output.blob.size.0),
    })
}

/// Sends one file of a completed element of a task of the caller.
pub(super) async fn read(
    shared: &Shared,
    row: &TaskRow,
    request: &ReadFileRequest,
) -> Result<BoxStream<'static, Result<DownloadChunk, Status>>, Status> {
    let most = most(request.max_bytes).map_err(|rejection| status::rejected(&rejection))?;
    let output = output::open(shared, row, request.element).await?;
    let index = index(shared, &output).await?;
    let item = found(&index, &output.what, &request.path).map_err(|rejection| status::rejected(&rejection))?;
    let offset = u64::try_from(request.offset).ok().filter(|offset| *offset <= item.size).ok_or_else(|| {
        let why = format!("{} is outside 0 to {}, the size of the file", request.offset, item.size);
        status::rejected(&Rejection::invalid("offset", why))
    })?;
    let head =
        DownloadChunk { size: first_size(item.size), digest: output.blob.digest.to_string(), data: Bytes::new() };
    let most = most.min(item.size - offset);
    Ok(output::stream(shared, head, output.file, item.at + offset, most))
}

fn most(asked: i64) -> Result<u64, Rejection> {
    match u64::try_from(asked) {
        Ok(0) => Ok(DEFAULT_BYTES),
        Ok(most @ 1..=MOST_BYTES) => Ok(most),
        Ok(_) | Err(_) => Err(Rejection::invalid("max_bytes", format!("{asked} is outside 1 to {MOST_BYTES}"))),
    }
}

/// The file of that name.
fn found<'a>(index: &'a Index, what: &str, path: &str) -> Result<&'a Item, Rejection> {
    match index.items.iter().find(|item| item.path == path) {
        Some(item) if item.kind == Kind::Folder => {
            Err(Rejection::invalid("path", format!("`{}` is a folder; name a file in it", cut(path))))
        }
        Some(item) => Ok(item),
        None => {
            let rest = match index.cut {
                true => "; it has more files than are looked at one by one, DownloadOutput has them all",
                false => "; ListFiles tells which there are",
            };
            Err(Rejection::field(Code::NotFound, "path", format!("{what} left no file `{}`{rest}", cut(path))))
        }
    }
}

async fn index(shared: &Shared, output: &Output) -> Result<Arc<Index>, Status> {
    let cannot = |error: &io::Error| status::file("reading the output", error);
    let file = output.file.try_clone().map_err(|error| cannot(&error))?;
    shared.files.index(output.blob, file).await.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => {
            let why = format!("what {} left cannot be shown file by file: {error}; DownloadOutput has it", output.what);
            status::rejected(&Rejection::new(Code::Conflict, why))
        }
        _ => cannot(&error),
    })
}
