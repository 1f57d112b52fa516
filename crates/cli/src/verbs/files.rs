//! `fetch --list` and `fetch TASK PATH`: files of an output one by one.
//!
//! Invariant: a file is written under the last part of the name that its user typed, into the folder that its user
//! chose, and has that name only once all of it is there.

use super::Context;
use super::fetch::is_array;
use crate::args::FetchArgs;
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::progress::Bar;
use crate::selector::Selection;
use crate::show::Said;
use crate::show::files::Files;
use futures::StreamExt;
use hivemind_client::Client;
use hivemind_model::Bytes;
use hivemind_model::ids::ElementRef;
use serde_json::json;
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Bytes that are asked for at once: the most that a pool sends.
const PART_BYTES: u64 = 1 << 30;

/// Lists the files of a task, or of an element of an array.
///
/// # Errors
/// The task does not exist, has not completed or left nothing; it is an array, and no element is named.
pub async fn list(ctx: &mut Context, selection: &Selection) -> Done {
    let client = ctx.user().await?;
    let element = element(&client, selection).await?;
    let answer = client.list_files(element).await?;
    ctx.face.show(&Files::of(selection.to_string(), answer))?;
    Ok(Exit::Ok)
}

/// Gets one file of a task, or of an element of an array.
///
/// # Errors
/// As [`list`]; there is no such file; a file of its name is there already; the disk is full.
pub async fn one(ctx: &mut Context, selection: &Selection, path: &str, args: &FetchArgs) -> Done {
    let name = path.rsplit('/').next().filter(|name| !["", ".", ".."].contains(name)).ok_or_else(|| {
        Failure::usage(format!("`{path}` names no file")).fix(format!("`hivemind fetch {selection} --list` lists them"))
    })?;
    let dir = args.to.clone().unwrap_or_else(|| PathBuf::from("."));
    let to = dir.join(name);
    if !args.replace && fs::symlink_metadata(&to).is_ok() {
        return Err(is_there(&to));
    }
    let client = ctx.user().await?;
    let element = element(&client, selection).await?;
    let cannot = |error: io::Error| Failure::io(format!("{} cannot be written", to.display()), &error);
    fs::create_dir_all(&dir)
        .map_err(|error| Failure::io(format!("the folder {} cannot be made", dir.display()), &error))?;
    let mut file = NamedTempFile::new_in(&dir).map_err(cannot)?;
    let bar = Bar::of(&ctx.face, "fetching");
    let fetched = fetch(&client, element, path, &mut file, &to, &bar).await;
    bar.clear();
    let size = fetched?;
    file.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(cannot)?;
    let kept = if args.replace { file.persist(&to) } else { file.persist_noclobber(&to) };
    kept.map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => is_there(&to),
        _ => cannot(error.error),
    })?;
    let facts = json!({"task": selection.to_string(), "path": path, "file": to.display().to_string(), "bytes": size});
    let text = format!("{} ({})", to.display(), Bytes(size));
    ctx.face.show(&Said::new(text, facts).bare(to.display().to_string()))?;
    Ok(Exit::Ok)
}

/// Writes all of a file, however large it is; tells its size. What breaks off goes on where it broke.
async fn fetch(
    client: &Client,
    element: ElementRef,
    path: &str,
    file: &mut NamedTempFile,
    to: &Path,
    bar: &Bar,
) -> Done<u64> {
    let mut done = 0;
    loop {
        let mut part = client.read_file(element, path, done, PART_BYTES).await?;
        let before = done;
        while let Some(data) = part.content.next().await {
            let data = match data {
                Ok(data) => data,
                Err(error) if error.is_unreachable() && done > before => break,
                Err(error) => return Err(error.into()),
            };
            file.write_all(&data)
                .map_err(|error| Failure::io(format!("{} cannot be written", to.display()), &error))?;
            done += data.len() as u64;
            bar.set(done, part.size);
        }
        if done >= part.size {
            return Ok(done);
        }
        if done == before {
            return Err(Failure::new(Exit::Failure, "E_PROTOCOL", "the pool sent nothing of the rest of the file"));
        }
    }
}

/// The one element that is meant.
async fn element(client: &Client, selection: &Selection) -> Done<ElementRef> {
    let task = selection.task;
    match (selection.only(), &selection.elements) {
        (Some(element), _) => Ok(element),
        (None, None) if !is_array(client, task).await? => Ok(ElementRef::only(task)),
        (None, _) => Err(Failure::usage(format!("each element of {task} has its own files"))
            .fix(format!("name one, as in '{task}[3]'"))),
    }
}

fn is_there(path: &Path) -> Failure {
    Failure::new(Exit::Conflict, "E_EXISTS", format!("{} is already there", path.display()))
        .fix("name another folder with --to, or say --replace")
}
