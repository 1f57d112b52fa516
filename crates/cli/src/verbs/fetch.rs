//! `fetch`: the files that a task left.
//!
//! An archive lies beside the files until all of it is there; a fetch that broke off goes on with it.
//!
//! Invariant: an archive from a stranger's machine is unpacked only by the client's own careful
//! reader, and over files that are there already only where its
//! user says so.

use super::{Context, files, no_task};
use crate::args::FetchArgs;
use crate::exit::Exit;
use crate::face::Face;
use crate::failure::{Done, Failure};
use crate::progress::{Bar, Spinner};
use crate::selector::Selection;
use crate::show::Said;
use crate::show::array::{counted, grouped};
use futures::StreamExt;
use hivemind_client::{Client, ClientError, Existing, UnpackLimits, Wanted};
use hivemind_model::TaskId;
use hivemind_model::ids::ElementRef;
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Elements whose files are on their way at once.
const AT_ONCE: usize = 4;

/// Gets the files of a task, or of elements of an array.
///
/// # Errors
/// The task does not exist or left nothing, or the folder cannot be written to.
pub async fn fetch(ctx: &mut Context, args: &FetchArgs) -> Done {
    let selection = Selection::read(&args.task, args.elements.elements.as_ref())?;
    if args.list {
        return files::list(ctx, &selection).await;
    }
    if let Some(path) = &args.file {
        return files::one(ctx, &selection, path, args).await;
    }
    let task = selection.task;
    let dir = args.to.clone().unwrap_or_else(|| PathBuf::from(task.to_string()));
    let client = ctx.user().await?;
    let existing = if args.replace { Existing::Replace } else { Existing::Refuse };
    if selection.elements.is_some() || is_array(&client, task).await? {
        return elements(ctx, &client, &selection, &dir, existing).await;
    }
    let files = into(&client, ElementRef::only(task), &dir, existing, &mut ctx.face).await?;
    let facts = json!({"task": task.to_string(), "folder": dir.display().to_string(), "files": files});
    let text = format!("{} of {task} in {}", counted(files, "file"), dir.display());
    ctx.face.show(&Said::new(text, facts).bare(dir.display().to_string()))?;
    Ok(Exit::Ok)
}

pub(super) async fn is_array(client: &Client, task: TaskId) -> Done<bool> {
    Ok(!client.status(task).await?.task.ok_or_else(no_task)?.array.is_empty())
}

/// What became of fetching one element.
#[derive(Clone, Copy)]
enum Got {
    /// So many files.
    Files(u64),
    /// It left none.
    Nothing,
    /// They are there from an earlier time.
    There,
}

/// Gets the files of completed elements, each into a folder with the name of its index. An element
/// whose folder is there is not fetched again, so that a broken fetch goes on where it broke.
async fn elements(ctx: &mut Context, client: &Client, selection: &Selection, dir: &Path, existing: Existing) -> Done {
    let task = selection.task;
    fs::create_dir_all(dir)
        .map_err(|error| Failure::io(format!("the folder {} cannot be made", dir.display()), &error))?;
    let wanted = Wanted { elements: selection.indices(), states: vec!["completed".into()] };
    let completed = client.elements(task, wanted, usize::MAX);
    let mut fetched = completed
        .map(|element| async move {
            let element = ElementRef { task, index: element?.index };
            element_into(client, element, dir, existing).await
        })
        .buffer_unordered(AT_ONCE);
    let spinner = Spinner::start(ctx.face.is_live(), "fetching");
    let (mut files, mut with, mut without, mut there) = (0u64, 0u64, 0u64, 0u64);
    while let Some(got) = fetched.next().await {
        match got.inspect_err(|_| spinner.clear())? {
            Got::Files(count) => {
                files += count;
                with += 1;
            }
            Got::Nothing => without += 1,
            Got::There => there += 1,
        }
        spinner.say(&format!("fetching: {} done", counted(with + without + there, "element")));
    }
    spinner.clear();
    let facts = json!({
        "task": task.to_string(),
        "folder": dir.display().to_string(),
        "files": files,
        "elements": with,
        "elements_without_files": without,
        "elements_there_already": there,
    });
    let mut text = format!("{} of {} of {task} in {}", counted(files, "file"), counted(with, "element"), dir.display());
    for (count, what) in [(without, "left no files"), (there, "were there already")] {
        if count > 0 {
            text.push_str(&format!("; {} {what}", grouped(count)));
        }
    }
    ctx.face.show(&Said::new(text, facts).bare(dir.display().to_string()))?;
    Ok(Exit::Ok)
}

async fn element_into(client: &Client, element: ElementRef, dir: &Path, existing: Existing) -> Done<Got> {
    let folder = dir.join(element.index.to_string());
    let replace = matches!(existing, Existing::Replace);
    if !replace && fs::symlink_metadata(&folder).is_ok() {
        return Ok(Got::There);
    }
    // A folder has its name only once everything is in it.
    let part = if replace { folder.clone() } else { dir.join(format!(".{}.part", element.index)) };
    let cannot = |error: std::io::Error| Failure::io(format!("{} cannot be used", part.display()), &error);
    if !replace && fs::symlink_metadata(&part).is_ok() {
        fs::remove_dir_all(&part).map_err(cannot)?;
    }
    let made = !part.exists();
    fs::create_dir_all(&part).map_err(cannot)?;
    match download(client, element, dir, &part, existing, &Bar::hidden()).await {
        Ok(files) if replace => Ok(Got::Files(files)),
        Ok(files) => fs::rename(&part, &folder).map(|()| Got::Files(files)).map_err(cannot),
        Err(failure) => {
            if made {
                // Only an empty folder goes; what was unpacked before a fault stays to be looked at.
                let _ = fs::remove_dir(&part);
            }
            // The element is there: what is not found is its output.
            if failure.exit == Exit::NotFound { Ok(Got::Nothing) } else { Err(failure) }
        }
    }
}

/// Downloads and unpacks the output of `element` into `dir`, which is made where it is not there.
/// Returns how many files there were.
///
/// # Errors
/// As [`fetch`].
pub async fn into(client: &Client, element: ElementRef, dir: &Path, existing: Existing, face: &mut Face) -> Done<u64> {
    let cannot = |what: String| move |error: std::io::Error| Failure::io(what, &error);
    let made = !dir.exists();
    fs::create_dir_all(dir).map_err(cannot(format!("the folder {} cannot be made", dir.display())))?;
    let fetched = download(client, element, dir, dir, existing, &Bar::of(face, "fetching")).await;
    if fetched.is_err() && made {
        // Only an empty folder goes; what was unpacked before a fault stays to be looked at.
        let _ = fs::remove_dir(dir);
    }
    fetched
}

/// Unpacks the archive of `element` into `dir`; until all of it is there it lies in `beside`.
async fn download(
    client: &Client,
    element: ElementRef,
    beside: &Path,
    dir: &Path,
    existing: Existing,
    bar: &Bar,
) -> Done<u64> {
    let cannot = |error: std::io::Error| Failure::io("no space for the archive could be made", &error);
    let archive = beside.join(format!(".{}.{}.fetch-part", element.task, element.index));
    // Nobody else's file, and no link to one, is written to.
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags)
        .open(&archive);
    let mut file = tokio::fs::File::from_std(opened.map_err(cannot)?);
    let downloaded = client.download_into(element, &mut file, |done, whole| bar.set(done, whole)).await;
    bar.clear();
    let whole = match downloaded {
        Ok(_) => Client::unpack_output(&archive, dir, UnpackLimits::default(), existing).await.map_err(refused),
        // What came is kept for the next time.
        Err(error) if error.is_unreachable() => {
            let failure = Failure::from(error);
            return Err(if file.metadata().await.is_ok_and(|about| about.len() > 0) {
                failure.fix("the same command goes on where it broke")
            } else {
                let _empty = fs::remove_file(&archive);
                failure
            });
        }
        Err(error) => Err(Failure::from(error)),
    };
    fs::remove_file(&archive).map_err(cannot)?;
    Ok(whole?.files)
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
