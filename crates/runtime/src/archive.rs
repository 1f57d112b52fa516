//! The normal form of an output archive: the same files give the same bytes on every machine.
//!
//! Entries stand in the order of their paths, part by part, so that a folder comes before what is
//! in it. They are regular files and folders of nobody, without a time, with one of two modes.
//! Start at [`Packer`].
//!
//! Invariant: nothing in an archive tells of the machine, the user, or the moment that made it.

use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tar::EntryType;
use tempfile::NamedTempFile;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file that is read.
    File,
    /// A file that is run.
    Program,
}

impl Kind {
    /// The kind of a regular file with this mode.
    pub fn of_file(mode: u32) -> Self {
        if mode & 0o111 == 0 { Self::File } else { Self::Program }
    }

    fn of(header: &tar::Header) -> io::Result<Self> {
        if header.entry_type().is_dir() { Ok(Self::Folder) } else { Ok(Self::of_file(header.mode()?)) }
    }

    fn header(self, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        let (kind, mode, size) = match self {
            Self::Folder => (EntryType::Directory, 0o755, 0),
            Self::File => (EntryType::Regular, 0o644, size),
            Self::Program => (EntryType::Regular, 0o755, size),
        };
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header
    }
}

/// Packs entries as they come, and brings them into their order at the end.
pub struct Packer {
    builder: tar::Builder<BufWriter<NamedTempFile>>,
    scratch: PathBuf,
    last: PathBuf,
    is_sorted: bool,
    entries: usize,
}

impl Packer {
    /// An archive without entries, in a file in `scratch`.
    pub fn new(scratch: &Path) -> io::Result<Self> {
        Ok(Self {
            builder: builder(scratch)?,
            scratch: scratch.to_owned(),
            last: PathBuf::new(),
            is_sorted: true,
            entries: 0,
        })
    }

    /// Adds what `content` gives, which are `size` bytes; of a folder none are taken.
    pub fn add(&mut self, path: &Path, kind: Kind, size: u64, content: impl Read) -> io::Result<()> {
        self.is_sorted &= path >= self.last.as_path();
        path.clone_into(&mut self.last);
        self.entries += 1;
        append(&mut self.builder, path, kind, size, content)
    }

    /// The archive; `None` where nothing was added.
    pub fn finish(self) -> io::Result<Option<NamedTempFile>> {
        if self.entries == 0 {
            return Ok(None);
        }
        let packed = finished(self.builder)?;
        // As a rule they come in order, and nothing is written twice.
        if self.is_sorted { Ok(Some(packed)) } else { sorted(&packed, &self.scratch).map(Some) }
    }
}

/// An entry of an archive on disk.
struct Entry {
    path: PathBuf,
    kind: Kind,
    size: u64,
    /// Where its content begins.
    at: u64,
}

/// The same entries in their order, in another file.
fn sorted(packed: &NamedTempFile, scratch: &Path) -> io::Result<NamedTempFile> {
    let mut archive = tar::Archive::new(packed.reopen()?);
    let entries = archive.entries_with_seek()?.map(|entry| {
        let entry = entry?;
        let (path, kind) = (entry.path()?.into_owned(), Kind::of(entry.header())?);
        Ok(Entry { path, kind, size: entry.size(), at: entry.raw_file_position() })
    });
    let mut entries = entries.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    let mut content = packed.reopen()?;
    let mut builder = builder(scratch)?;
    for Entry { path, kind, size, at } in &entries {
        content.seek(SeekFrom::Start(*at))?;
        append(&mut builder, path, *kind, *size, (&mut content).take(*size))?;
    }
    finished(builder)
}

fn builder(scratch: &Path) -> io::Result<tar::Builder<BufWriter<NamedTempFile>>> {
    Ok(tar::Builder::new(BufWriter::new(NamedTempFile::new_in(scratch)?)))
}

fn append(
    builder: &mut tar::Builder<BufWriter<NamedTempFile>>,
    path: &Path,
    kind: Kind,
    size: u64,
    content: impl Read,
) -> io::Result<()> {
    let mut header = kind.header(size);
    match kind {
        Kind::Folder => builder.append_data(&mut header, path, io::empty()),
        Kind::File | Kind::Program => builder.append_data(&mut header, path, content),
    }
}

fn finished(builder: tar::Builder<BufWriter<NamedTempFile>>) -> io::Result<NamedTempFile> {
    let mut file = builder.into_inner()?;
    file.flush()?;
    file.into_inner().map_err(io::IntoInnerError::into_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(entries: &[(&str, Kind, &str)]) -> Vec<u8> {
        let scratch = tempfile::tempdir().expect("a folder");
        let mut packer = Packer::new(scratch.path()).expect("packer");
        for (path, kind, content) in entries {
            packer.add(Path::new(path), *kind, content.len() as u64, content.as_bytes()).expect("added");
        }
        let file = packer.finish().expect("finished").expect("not empty");
        std::fs::read(file.path()).expect("read")
    }

    fn paths(archive: &[u8]) -> Vec<String> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().expect("entries");
        entries.map(|entry| entry.expect("sound").path().expect("a path").display().to_string()).collect()
    }

    #[test]
    fn any_order_gives_the_same_bytes() {
        let long = "x".repeat(300);
        let deep = format!("d/{long}/{long}");
        let mut entries = vec![
            ("d", Kind::Folder, ""),
            ("d/a", Kind::File, "one"),
            (&deep[..302], Kind::Folder, ""),
            (deep.as_str(), Kind::Program, "deep"),
            // Part by part, so that a folder is not torn apart by names with characters below `/`.
            ("d.txt", Kind::File, "two"),
            ("empty", Kind::File, ""),
            ("z", Kind::Folder, ""),
        ];
        let first = packed(&entries);
        assert_eq!(paths(&first), entries.iter().map(|(path, ..)| (*path).to_owned()).collect::<Vec<_>>());
        for turn in 0..entries.len() {
            entries.rotate_left(1);
            assert_eq!(packed(&entries), first, "turned by {turn}");
        }
        entries.reverse();
        assert_eq!(packed(&entries), first);
    }

    #[test]
    fn headers_are_those_of_nobody() {
        let archive = packed(&[("b", Kind::Program, "x"), ("a", Kind::Folder, "")]);
        let mut archive = tar::Archive::new(&archive[..]);
        for entry in archive.entries().expect("entries") {
            let entry = entry.expect("sound");
            let header = entry.header().as_gnu().expect("a GNU header");
            assert_eq!((&header.mtime, &header.uid, &header.gid), (b"00000000000\0", b"0000000\0", b"0000000\0"));
            assert_eq!((&header.uname, &header.gname), (&[0; 32], &[0; 32]));
            assert_eq!((&header.dev_major, &header.dev_minor, &header.linkname), (&[0; 8], &[0; 8], &[0; 100]));
        }
    }

    #[test]
    fn nothing_is_no_archive() {
        let scratch = tempfile::tempdir().expect("a folder");
        assert!(Packer::new(scratch.path()).expect("packer").finish().expect("finished").is_none());
    }
}
