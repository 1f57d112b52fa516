//! Where a content to upload is, and what it is.
//!
//! Invariant: only regular files are read, and nothing is held in memory as a whole unless the caller brought
//! it so.

use crate::ClientError;
use bytes::Bytes;
use hivemind_model::Bytes as Size;
use hivemind_model::spec::{BlobRef, Digest};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io::{Cursor, Read, SeekFrom};
use std::path::{Path, PathBuf};
use tokio::io::{AsyncRead, AsyncSeekExt};

/// Bytes that are hashed at once.
const CHUNK: usize = 256 << 10;

/// Where a content to upload is.
#[derive(Debug, Clone)]
pub enum Source {
    /// In a file.
    File(PathBuf),
    /// Here.
    Bytes(Bytes),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Bytes(_) => f.write_str("the given bytes"),
        }
    }
}

impl Source {
    /// Size and digest of the content.
    ///
    /// # Errors
    /// [`ClientError::Io`] where the file cannot be read, [`ClientError::Invalid`] where it is none.
    pub async fn blob(&self) -> Result<BlobRef, ClientError> {
        match self {
            Self::Bytes(bytes) => {
                let digest = Digest(Sha256::digest(bytes).into());
                Ok(BlobRef { digest, size: Size(bytes.len() as u64) })
            }
            Self::File(path) => {
                let path = path.clone();
                let hashed = tokio::task::spawn_blocking(move || blob_of(&path)).await;
                hashed.unwrap_or_else(|why| Err(ClientError::invalid(self.to_string(), why)))
            }
        }
    }

    /// The content from `offset` on.
    pub(super) async fn open(&self, offset: u64) -> Result<Box<dyn AsyncRead + Unpin + Send + '_>, ClientError> {
        match self {
            Self::Bytes(bytes) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Ok(Box::new(Cursor::new(&bytes[from..])))
            }
            Self::File(path) => {
                let mut file = tokio::fs::File::open(path).await.map_err(ClientError::io("open", path))?;
                file.seek(SeekFrom::Start(offset)).await.map_err(ClientError::io("read", path))?;
                Ok(Box::new(file))
            }
        }
    }

    /// Where it lies; for errors.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Bytes(_) => Path::new("the given bytes"),
            Self::File(path) => path,
        }
    }

    /// The refusal of a content that is not at rest.
    pub(super) fn changed(&self) -> ClientError {
        ClientError::invalid(self.to_string(), "it changed while it was read; try again once it is at rest")
    }
}

fn blob_of(path: &Path) -> Result<BlobRef, ClientError> {
    let mut file = std::fs::File::open(path).map_err(ClientError::io("open", path))?;
    let about = file.metadata().map_err(ClientError::io("look at", path))?;
    if !about.is_file() {
        return Err(ClientError::invalid(format!("`{}`", path.display()), "it is not a regular file"));
    }
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0u64, vec![0; CHUNK]);
    loop {
        match file.read(&mut buffer).map_err(ClientError::io("read", path))? {
            0 => return Ok(BlobRef { digest: Digest(hash.finalize().into()), size: Size(size) }),
            got => {
                hash.update(&buffer[..got]);
                size += got as u64;
            }
        }
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&Path> for Source {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<Bytes> for Source {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Source {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}
