//! `fetch`: the files that a task left under /task/output.
//!
//! Invariant: an archive from a stranger's machine is unpacked only by the client's own careful
//! reader, and over files that are there already only where its
//! user says so.

use super::{Context, task_id};
use crate::args::FetchArgs;
use crate::exit::Exit;
use crate::face::Face;
use crate::failure::{Done, Failure};
use crate::progress::Bar;
use crate::show::Said;
use hivemind_client::{Client, ClientError, Existing, UnpackLimits};
use hivemind_model::TaskId;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Gets the files of a task.
///
/// # Errors
/// The task does not exist or left nothing, or the folder cannot be written to.
pub async fn fetch(ctx: &mut Context, args: &FetchArgs) -> Done {
    let task = task_id(&args.task)?;
    let dir = args.to.clone().unwrap_or_else(|| PathBuf::from(task.to_string()));
    let client = ctx.user().await?;
    let existing = if args.replace { Existing::Replace } else { Existing::Refuse };
    let files = into(&client, task, &dir, existing, &mut ctx.face).await?;
    let facts = json!({"task": task.to_string(), "folder": dir.display().to_string(), "files": files});
    let text = format!("{files} {} of {task} in {}", if files == 1 { "file" } else { "files" }, dir.display());
    ctx.face.show(&Said::new(text, facts).bare(dir.display().to_string()))?;
    Ok(Exit::Ok)
}

/// Downloads and unpacks the output of `task` into `dir`, which is made where it is not there.
/// Returns how many files there were.
///
/// # Errors
/// As [`fetch`].
pub async fn into(client: &Client, task: TaskId, dir: &Path, existing: Existing, face: &mut Face) -> Done<u64> {
    let cannot = |what: String| move |error: std::io::Error| Failure::io(what, &error);
    let made = !dir.exists();
    fs::create_dir_all(dir).map_err(cannot(format!("the folder {} cannot be made", dir.display())))?;
    let fetched = download(client, task, dir, existing, face).await;
    if fetched.is_err() && made {
        // Only an empty folder goes; what was unpacked before a fault stays to be looked at.
        let _ = fs::remove_dir(dir);
    }
    fetched
}

async fn download(client: &Client, task: TaskId, dir: &Path, existing: Existing, face: &mut Face) -> Done<u64> {
    let cannot = |error: std::io::Error| Failure::io("no space for the archive could be made", &error);
    let archive = tempfile::NamedTempFile::new().map_err(cannot)?;
    let mut file = tokio::fs::File::from_std(archive.reopen().map_err(cannot)?);
    let bar = Bar::start(face.is_live(), "fetching");
    client.download(task, &mut file, |done, whole| bar.set(done, whole)).await?;
    bar.clear();
    let unpacked = Client::unpack_output(archive.path(), dir, UnpackLimits::default(), existing).await;
    Ok(unpacked.map_err(refused)?.files)
}

/// A file that is in the way is no fault of this machine.
fn refused(error: ClientError) -> Failure {
    let is_there =
        matches!(&error, ClientError::Io { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists);
    let failure = Failure::from(error);
    if !is_there {
        return failure;
    }
    Failure { exit: Exit::Conflict, code: "E_EXISTS".into(), ..failure }
        .fix("name another folder, or say `hivemind fetch --replace`")
}
