//! The files of an output, without their contents.
//!
//! Invariant: names are shown as the pool tells them, which leaves nothing in them that moves a cursor.

use crate::face::table::{Align, Rows};
use crate::face::{Document, Look};
use hivemind_model::Bytes;
use hivemind_proto::v1::ListFilesResponse;
use serde::Serialize;

/// What a task, or an element of one, left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Files {
    /// Whose: a task, or an element of an array.
    pub of: String,
    /// In the order of the archive.
    pub files: Vec<File>,
    /// There are more.
    pub more: bool,
    /// The digest of the archive that they are in.
    pub archive: String,
}

/// One file or folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File {
    /// Its path, by which it can be fetched.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
    /// True of a folder.
    pub folder: bool,
    /// True where it may be executed.
    pub executable: bool,
}

impl Files {
    /// What the pool lists.
    #[must_use]
    pub fn of(of: String, answer: ListFilesResponse) -> Self {
        let file = |file: hivemind_proto::v1::OutputFile| File {
            path: file.path,
            bytes: u64::try_from(file.size).unwrap_or(0),
            folder: file.is_folder,
            executable: file.is_executable,
        };
        let files = answer.files.into_iter().map(file).collect();
        Self { of, files, more: answer.cut, archive: answer.digest }
    }
}

impl Document for Files {
    const SCHEMA: &'static str = "hivemind.files/1";

    fn human(&self, look: &Look) -> String {
        const COLUMNS: [(&str, Align); 2] = [("SIZE", Align::Right), ("PATH", Align::Left)];
        if self.files.is_empty() {
            return format!("{} left an empty folder", self.of);
        }
        let mut rows = Rows::new(look, &COLUMNS);
        for file in &self.files {
            match file.folder {
                true => rows.add(&["-".into(), format!("{}/", file.path)]),
                false => rows.add(&[Bytes(file.bytes).to_string(), file.path.clone()]),
            }
        }
        let more = if self.more { "\nthere are more; fetch them all to see them" } else { "" };
        format!("{}{more}", rows.finish())
    }

    fn quiet(&self) -> String {
        self.files.iter().filter(|file| !file.folder).map(|file| file.path.clone()).collect::<Vec<_>>().join("\n")
    }
}
