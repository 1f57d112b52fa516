//! What the command line remembers of its user: which pool, its CA, who logged in.
//!
//! Start at [`Profile::of_user`].
//!
//! Invariant: the password is never remembered, and the file is readable by nobody else.

use crate::{ClientError, Target};
use hivemind_model::Timestamp;
use hivemind_pki::Trust;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Overrides the folder under which `hivemind/credentials.toml` lies.
pub const CONFIG_HOME: &str = "HIVEMIND_CONFIG_HOME";
const MAX_BYTES: u64 = 1 << 20;

/// A remembered login.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// `https://host:port`.
    pub server: String,
    /// Name of the user; empty where nobody has logged in.
    #[serde(default)]
    pub username: String,
    /// The user token; empty where nobody has logged in.
    #[serde(default)]
    pub token: String,
    /// When the token ends, in milliseconds since 1970.
    #[serde(default)]
    pub token_expires_at_unix_ms: i64,
    /// The pool's CA certificate.
    pub ca_pem: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("server", &self.server)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// The way to the remembered pool.
    #[must_use]
    pub fn target(&self) -> Target {
        Target { server: self.server.clone(), trust: Trust::CaPem(self.ca_pem.clone()), identity: None }
    }

    /// The token, while it is valid.
    ///
    /// # Errors
    /// [`ClientError::Login`] where there is none or it has ended by `now`.
    pub fn token_at(&self, now: Timestamp) -> Result<&str, ClientError> {
        let login = |message: String| ClientError::Login { code: String::new(), message };
        if self.token.is_empty() {
            return Err(login(format!("nobody has logged in to {} from here", self.server)));
        }
        if Timestamp(self.token_expires_at_unix_ms) <= now {
            return Err(login(format!("the login of {} has ended", self.username)));
        }
        Ok(&self.token)
    }
}

/// Where credentials are remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    path: PathBuf,
}

impl Profile {
    /// The user's: `hivemind/credentials.toml` under `$HIVEMIND_CONFIG_HOME`, `$XDG_CONFIG_HOME`
    /// or `~/.config`, the first that is set.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] where none of them and no `HOME` is set.
    pub fn of_user() -> Result<Self, ClientError> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let config = set(CONFIG_HOME)
            .or_else(|| set("XDG_CONFIG_HOME").filter(|path| path.is_absolute()))
            .or_else(|| set("HOME").map(|home| home.join(".config")));
        let config = config.ok_or_else(|| {
            ClientError::invalid(
                "the environment",
                format!("neither HOME nor {CONFIG_HOME} is set, so there is no place for credentials"),
            )
        })?;
        Ok(Self::at(config.join("hivemind").join("credentials.toml")))
    }

    /// The one in the given file.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is remembered; `None` where nothing is.
    ///
    /// # Errors
    /// [`ClientError::Io`] where the file cannot be read, [`ClientError::Invalid`] where it holds
    /// something else.
    pub fn load(&self) -> Result<Option<Credentials>, ClientError> {
        let read = std::fs::metadata(&self.path).and_then(|about| match about.len() {
            0..=MAX_BYTES => std::fs::read_to_string(&self.path),
            _ => Err(ErrorKind::FileTooLarge.into()),
        });
        let text = match read {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ClientError::io("read", &self.path)(error)),
        };
        // The parser's own message would repeat the line at fault, which may hold the token.
        let bad = |_| {
            ClientError::invalid(
                format!("`{}`", self.path.display()),
                "it is not a credentials file; remove it and log in again",
            )
        };
        toml::from_str(&text).map(Some).map_err(bad)
    }

    /// Remembers `credentials` in place of what was remembered, for this user's eyes only.
    ///
    /// # Errors
    /// [`ClientError::Io`]; what was remembered is then as before.
    pub fn save(&self, credentials: &Credentials) -> Result<(), ClientError> {
        if let Some(folder) = self.path.parent() {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(ClientError::io("make the folder", folder))?;
        }
        let text = toml::to_string(credentials).map_err(|why| ClientError::invalid("the credentials", why))?;
        let written = hivemind_pki::write_private(&self.path, text.as_bytes());
        written.map_err(|error| match error {
            hivemind_pki::PkiError::Io { action, path, source } => ClientError::io(action, &path)(source),
            other => ClientError::invalid(format!("`{}`", self.path.display()), other),
        })
    }

    /// Forgets what is remembered, if anything is.
    ///
    /// # Errors
    /// [`ClientError::Io`] where the file cannot be removed.
    pub fn clear(&self) -> Result<(), ClientError> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(ClientError::io("remove", &self.path)(error)),
            _ => Ok(()),
        }
    }
}
