//! What a warm container knows as `/task`: its input files, and what each element adds for itself.
//!
//! Start at [`Folder::lay`]. The folder, the inputs and the folders of the inputs belong to the agent and are
//! sticky, so that an element's user can add to them and can neither change, move nor remove what is an
//! input. After an element [`Folder::set_back`] removes everything else.
//!
//! Invariant: no link is followed, and no path of an element is ever longer than one name.

use hivemind_model::spec::check_path;
use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, RenameFlags, Uid, fchmod, fchown, mkdirat, openat, renameat_with,
    statat, unlinkat,
};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The folder in it that is nobody's input, and not looked at by those who list theirs.
pub const HIDDEN: &str = ".hivemind";
/// Where the guest lies in the container.
pub const GUEST: &str = "/task/.hivemind/guest";
/// Its name.
const PROGRAM: &str = "guest";
/// Anybody may add, and remove what is their own.
const SHARED: u32 = 0o1777;
/// Bytes that are copied at once.
const PIECE: usize = 128 << 10;
/// Names of one folder that are held in memory.
const BATCH: usize = 4096;
/// Most names that are tried for a folder that is moved up.
const MOST_NAMES: u64 = 1 << 32;

/// What stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folder {
    tree: Tree,
}

/// The names in a folder.
type Tree = BTreeMap<CString, Node>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    File,
    Folder(Tree),
}

impl Folder {
    /// Lays `files` (paths below `task`, and where they come from) and the guest's `program` into the empty
    /// folder `task`, which gets this process as its owner. Given up with `Interrupted` once `is_stopped`.
    /// Blocks.
    ///
    /// # Errors
    /// Where a path leads elsewhere, a file cannot be read, or there is no room (`StorageFull`).
    pub fn lay(
        task: BorrowedFd<'_>,
        files: &[(String, PathBuf)],
        program: &[u8],
        is_stopped: &dyn Fn() -> bool,
    ) -> io::Result<Self> {
        let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
        // What is only a place in a path cannot be changed.
        let top = openat(task, ".", folder_flags(), Mode::empty())?;
        fchown(&top, Some(Uid::from_raw(user.as_raw())), Some(Gid::from_raw(group.as_raw())))?;
        fchmod(&top, Mode::from_raw_mode(SHARED))?;
        let mut this = Self::default();
        let hidden = this.parent(task, Path::new(HIDDEN), Path::new(PROGRAM))?;
        copy(&hidden, PROGRAM.as_bytes(), 0o555, program, &|| false)?;
        for (path, source) in files {
            check_path("files", path)
                .map_err(|rejection| io::Error::new(io::ErrorKind::InvalidInput, rejection.to_string()))?;
            let named = |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"));
            let path = Path::new(path);
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(io::ErrorKind::InvalidInput.into());
            };
            let folder = this.parent(task, parent, Path::new(name)).map_err(named)?;
            let from = File::open(source).map_err(named)?;
            let size = from.metadata().map_err(named)?.len();
            let mut from = from.take(size);
            let mut magic = Vec::with_capacity(4);
            from.by_ref().take(4).read_to_end(&mut magic).map_err(named)?;
            let mode = if crate::program::is_program(&magic) { 0o555 } else { 0o444 };
            copy(&folder, name.as_bytes(), mode, io::Cursor::new(magic).chain(from), is_stopped).map_err(named)?;
        }
        Ok(this)
    }

    /// Makes the folders down to `path` and opens the last one, in which `name` will lie.
    fn parent(&mut self, task: BorrowedFd<'_>, path: &Path, name: &Path) -> io::Result<OwnedFd> {
        let mut folder = openat(task, ".", folder_flags(), Mode::empty())?;
        let mut tree = &mut self.tree;
        for part in path.components() {
            let part = CString::new(part.as_os_str().as_bytes())?;
            if !tree.contains_key(&part) {
                mkdirat(&folder, &part, Mode::from_raw_mode(0o700))?;
                let made = openat(&folder, &part, folder_flags(), Mode::empty())?;
                fchmod(&made, Mode::from_raw_mode(SHARED))?;
            }
            folder = openat(&folder, &part, folder_flags(), Mode::empty())?;
            tree = match tree.entry(part).or_insert_with(|| Node::Folder(Tree::new())) {
                Node::Folder(below) => below,
                Node::File => return Err(io::ErrorKind::NotADirectory.into()),
            };
        }
        tree.insert(CString::new(name.as_os_str().as_bytes())?, Node::File);
        Ok(folder)
    }

    /// Removes everything from `task` that was not laid there. Nothing may run in the container. Blocks.
    ///
    /// # Errors
    /// Where something cannot be removed: the container is not to be used again then.
    pub fn set_back(&self, task: BorrowedFd<'_>) -> io::Result<()> {
        let folder = openat(task, ".", folder_flags(), Mode::empty())?;
        let mut broom = Broom { task, moved: 0 };
        broom.sweep(&folder, &self.tree)
    }
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn copy(
    folder: &OwnedFd,
    name: &[u8],
    mode: u32,
    mut from: impl Read,
    is_stopped: &dyn Fn() -> bool,
) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let to = openat(folder, name, flags, Mode::from_raw_mode(0o600))?;
    fchmod(&to, Mode::from_raw_mode(mode))?;
    let (mut to, mut piece) = (File::from(to), vec![0; PIECE]);
    loop {
        if is_stopped() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match from.read(&mut piece)? {
            0 => return Ok(()),
            length => to.write_all(&piece[..length])?,
        }
    }
}

/// Removes what elements left. Folders in folders are moved up to the top first, so that neither their depth
/// nor the length of their path matters.
struct Broom<'a> {
    task: BorrowedFd<'a>,
    moved: u64,
}

impl Broom<'_> {
    /// Leaves in `folder` what is in `tree`. Goes as deep as the inputs do.
    fn sweep(&mut self, folder: &OwnedFd, tree: &Tree) -> io::Result<()> {
        loop {
            let batch = names(folder, |name| !tree.contains_key(name))?;
            for name in &batch {
                self.remove(folder, name)?;
            }
            if batch.is_empty() {
                break;
            }
        }
        for (name, node) in tree {
            match node {
                Node::Folder(below) => self.sweep(&openat(folder, name, folder_flags(), Mode::empty())?, below)?,
                Node::File => {}
            }
        }
        Ok(())
    }

    fn remove(&mut self, folder: &OwnedFd, name: &CString) -> io::Result<()> {
        if !is_folder(folder, name)? {
            return Ok(unlinkat(folder, name, AtFlags::empty())?);
        }
        // Each is emptied of its files, and its folders wait at the top.
        let mut waiting = vec![self.move_up(folder, name)?];
        while let Some(number) = waiting.pop() {
            let top = moved_name(number);
            let opened = openat(self.task, &top, folder_flags(), Mode::empty())?;
            loop {
                let batch = names(&opened, |_| true)?;
                for inner in &batch {
                    if !is_folder(&opened, inner)? {
                        unlinkat(&opened, inner, AtFlags::empty())?;
                    } else if unlinkat(&opened, inner, AtFlags::REMOVEDIR).is_err() {
                        waiting.push(self.move_up(&opened, inner)?);
                    }
                }
                if batch.is_empty() {
                    break;
                }
            }
            unlinkat(self.task, &top, AtFlags::REMOVEDIR)?;
        }
        Ok(())
    }

    /// Moves a folder to the top, under a name that nobody has taken; gives the number in it.
    fn move_up(&mut self, folder: &OwnedFd, name: &CString) -> io::Result<u64> {
        while self.moved < MOST_NAMES {
            self.moved += 1;
            match renameat_with(folder, name, self.task, moved_name(self.moved), RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(self.moved),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::other("too many folders"))
    }
}

fn moved_name(number: u64) -> String {
    format!("{HIDDEN}-gone-{number}")
}

fn is_folder(folder: &OwnedFd, name: &CString) -> io::Result<bool> {
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// The next names in a folder, so many at most that they are held in memory.
fn names(folder: &OwnedFd, is_wanted: impl Fn(&CString) -> bool) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") && is_wanted(&name) {
            names.push(name);
        }
        if names.len() >= BATCH {
            break;
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
