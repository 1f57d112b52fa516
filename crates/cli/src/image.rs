//! An IMAGE that is a file here: a WebAssembly module, a statically linked program, or an archive of an image.
//!
//! Only a path that begins with `./`, `../` or `/` is one, so that a file never stands for the image of its
//! name. Start at [`Local::read`]. A program is packed into an image of this one file, the same bytes for the
//! same program.
//!
//! Invariant: nothing is sent here; what a file is, is told by its bytes and not by its name.

use crate::failure::{Done, Failure};
use hivemind_image::{Description, architecture, pack};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use tempfile::{NamedTempFile, TempPath};

mod archive;
mod elf;

/// Largest program that is packed here; what is larger is made an image with its own tools.
const MAX_PROGRAM_BYTES: u64 = 512 << 20;
/// Where a program lies in its image.
const PROGRAM: &str = "program";

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A WebAssembly module.
    Module,
    /// A statically linked program for this kind of machine.
    Program,
    /// An archive of an image.
    Archive,
}

/// A file that is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Where it lies.
    pub path: PathBuf,
    /// What it is.
    pub what: What,
}

/// What is sent of it.
#[derive(Debug)]
pub struct Content {
    /// Where that lies.
    pub path: PathBuf,
    _packed: Option<TempPath>,
}

/// True where an IMAGE is a file of this machine.
#[must_use]
pub fn is_path(image: &str) -> bool {
    ["./", "../", "/"].iter().any(|begin| image.starts_with(begin))
}

impl Local {
    /// The file that `image` names, relative to `base`; `None` where it is the name of an image.
    ///
    /// # Errors
    /// It cannot be read, or is nothing that runs as it is.
    pub fn of(image: &str, base: &Path) -> Done<Option<Self>> {
        if is_path(image) { Self::read(&base.join(image)).map(Some) } else { Ok(None) }
    }

    /// Looks at a file.
    ///
    /// # Errors
    /// As of [`Local::of`].
    pub fn read(path: &Path) -> Done<Self> {
        let shown = path.display();
        let cannot = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => Failure::usage(format!("{shown} does not exist")),
            _ => Failure::io(format!("{shown} cannot be read"), &error),
        };
        let file = File::open(path).map_err(cannot)?;
        if !file.metadata().map_err(cannot)?.is_file() {
            return Err(
                Failure::usage(format!("{shown} is no regular file")).fix("name a program, a module or an archive")
            );
        }
        let mut head = Vec::new();
        (&file).take(512).read_to_end(&mut head).map_err(cannot)?;
        let what = match head.as_slice() {
            [0, b'a', b's', b'm', ..] => What::Module,
            [0x7f, b'E', b'L', b'F', ..] => {
                elf::judge(&file).map_err(cannot)?.map_err(|bad| bad.failure(&shown.to_string()))?;
                What::Program
            }
            [0x1f, 0x8b, ..] => What::Archive,
            head if head.get(257..262) == Some(b"ustar") => What::Archive,
            [b'#', b'!', ..] => {
                return Err(Failure::usage(format!("{shown} is a script, which needs an image with its interpreter"))
                    .fix(format!(
                        "run it in one, such as `hivemind run --input {shown}:script python:3.12 python script`"
                    )));
            }
            _ => {
                let what = format!("{shown} is no WebAssembly module, no program for Linux and no archive of an image");
                return Err(Failure::usage(what).fix("make an archive with `docker save IMAGE -o image.tar`"));
            }
        };
        Ok(Self { path: path.to_owned(), what })
    }

    /// container or wasm, as the API says it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.what {
            What::Module => "wasm",
            What::Program | What::Archive => "container",
        }
    }

    /// The architectures that it runs on, where that can be told; empty: any.
    ///
    /// # Errors
    /// An archive that holds no image.
    pub async fn architectures(&self) -> Done<Vec<String>> {
        match self.what {
            What::Module => Ok(Vec::new()),
            What::Program => Ok(vec![architecture().to_owned()]),
            What::Archive => {
                let path = self.path.clone();
                away(move || archive::architectures(&path)).await
            }
        }
    }

    /// What is sent of it; a program is packed.
    ///
    /// # Errors
    /// It cannot be read, or is too large.
    pub async fn content(&self) -> Done<Content> {
        let path = self.path.clone();
        match self.what {
            What::Module | What::Archive => Ok(Content { path, _packed: None }),
            What::Program => away(move || packed(&path)).await,
        }
    }
}

/// Runs file work where it may block.
async fn away<T: Send + 'static>(work: impl FnOnce() -> Done<T> + Send + 'static) -> Done<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|why| Err(Failure::new(crate::exit::Exit::Failure, "E_BUG", why.to_string())))
}

/// An image of one program.
fn packed(path: &Path) -> Done<Content> {
    let cannot = |error: std::io::Error| Failure::io(format!("{} cannot be packed", path.display()), &error);
    let mut content = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_PROGRAM_BYTES + 1).read_to_end(&mut content)).map_err(cannot)?;
    if content.len() as u64 > MAX_PROGRAM_BYTES {
        let what = format!("{} has more than {MAX_PROGRAM_BYTES} bytes", path.display());
        return Err(Failure::usage(what).fix("build an image with it and name the archive of that"));
    }
    let out = NamedTempFile::new().map_err(cannot)?;
    write_image(&content, out.as_file()).map_err(cannot)?;
    let out = out.into_temp_path();
    Ok(Content { path: out.to_path_buf(), _packed: Some(out) })
}

/// Equal programs make equal images: nothing of the file's name or place gets in.
fn write_image(program: &[u8], out: impl Write) -> std::io::Result<()> {
    let digest = Sha256::digest(program);
    let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let name = format!("hivemind-program:{short}");
    let entrypoint = format!("/{PROGRAM}");
    let description = Description {
        name: &name,
        entrypoint: &[&entrypoint],
        env: &["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    };
    let file = hivemind_image::File { path: PROGRAM, mode: 0o755, content: program };
    let mut out = BufWriter::new(out);
    pack(&[file], &description, &mut out)?;
    out.flush()
}

#[cfg(test)]
mod tests;
