//! The way from this command to the pool: address, certificate, login.
//!
//! Start at [`Route::find`]. Flags and environment come first, then what the last login left in
//! `DATA/credentials.toml`, then a pool that runs here.
//!
//! Invariant: a remembered token goes only to a pool that proves itself with the certificate it
//! was got under.

use crate::args::{DEFAULT_SERVER, Global};
use crate::failure::{Done, Failure};
use crate::{place, secret};
use hivemind_client::profile::{Credentials, Profile};
use hivemind_client::{Client, Session, Target, Trust};
use hivemind_model::Timestamp;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The way to a pool.
#[derive(Debug, Clone)]
pub struct Route {
    /// `https://host:port`.
    pub server: String,
    /// Where the certificate came from, for people.
    pub ca_from: String,
    ca_pem: String,
    profile: Profile,
    remembered: Option<Credentials>,
    token_file: Option<PathBuf>,
}

impl Route {
    /// Finds the way without using the network.
    ///
    /// # Errors
    /// No certificate of the pool is known, or a file cannot be read.
    pub fn find(global: &Global) -> Done<Self> {
        let data = place::data(global)?;
        let profile = profile(&data);
        let remembered = profile.load()?;
        let server = global.server.clone().or_else(|| remembered.as_ref().map(|known| known.server.clone()));
        let server = normal(&server.unwrap_or_else(|| DEFAULT_SERVER.to_owned()));
        let (ca_pem, ca_from) = find_ca(global, &data, &server, remembered.as_ref())?;
        Ok(Self { server, ca_from, ca_pem, profile, remembered, token_file: global.token_file.clone() })
    }

    /// A connection without a login.
    ///
    /// # Errors
    /// The pool does not answer, or is another one.
    pub async fn anonymous(&self) -> Done<Client> {
        Ok(Client::connect(&self.target(), None).await?)
    }

    /// A connection with the login.
    ///
    /// # Errors
    /// Nobody is logged in, or as [`Route::anonymous`].
    pub async fn user(&self) -> Done<Client> {
        let token = self.token()?;
        Ok(Client::connect(&self.target(), Some(token)).await?)
    }

    /// The login token, from HIVEMIND_TOKEN_FILE or the last login.
    ///
    /// # Errors
    /// There is none, it has ended, or it belongs to another pool.
    pub fn token(&self) -> Done<String> {
        if let Some(file) = &self.token_file {
            return secret::line_of_file(file);
        }
        let fix = format!(
            "hivemind login USERNAME{}",
            if self.server == DEFAULT_SERVER { String::new() } else { format!(" --server {}", self.server) }
        );
        let Some(known) = &self.remembered else {
            return Err(Failure::login("nobody is logged in").fix(fix));
        };
        if known.ca_pem.trim() != self.ca_pem.trim() {
            return Err(Failure::login(format!(
                "the login of {} belongs to another pool ({}) than {}",
                known.username, known.server, self.server
            ))
            .fix(fix));
        }
        let now = Timestamp(jiff::Timestamp::now().as_millisecond());
        known.token_at(now).map(str::to_owned).map_err(|error| Failure::from(error).fix(fix))
    }

    /// Writes a login down.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn remember(&self, username: &str, session: &Session) -> Done<()> {
        let credentials = Credentials {
            server: self.server.clone(),
            username: username.to_owned(),
            token: session.token.clone(),
            token_expires_at_unix_ms: session.expires_at.0,
            ca_pem: self.ca_pem.clone(),
        };
        Ok(self.profile.save(&credentials)?)
    }

    /// The pool as a client needs it.
    #[must_use]
    pub fn target(&self) -> Target {
        Target { server: self.server.clone(), trust: Trust::CaPem(self.ca_pem.clone()), identity: None }
    }
}

/// Forgets the token; the pool's address and certificate stay known. False where there was none.
///
/// # Errors
/// The file cannot be written.
pub fn forget(global: &Global) -> Done<bool> {
    let profile = profile(&place::data(global)?);
    let Some(known) = profile.load()? else { return Ok(false) };
    let had = !known.token.is_empty();
    profile.save(&Credentials {
        username: String::new(),
        token: String::new(),
        token_expires_at_unix_ms: 0,
        ..known
    })?;
    Ok(had)
}

fn profile(data: &Path) -> Profile {
    Profile::at(data.join("credentials.toml"))
}

/// Without the slash at the end, so that two spellings of one address are equal.
fn normal(server: &str) -> String {
    server.trim_end_matches('/').to_owned()
}

/// The certificate: `--ca`; else the remembered one for the remembered pool; else `DATA/ca.pem`;
/// else the remembered one.
fn find_ca(global: &Global, data: &Path, server: &str, remembered: Option<&Credentials>) -> Done<(String, String)> {
    if let Some(file) = &global.ca {
        let text = fs::read_to_string(file)
            .map_err(|error| Failure::io(format!("--ca: {} cannot be read", file.display()), &error))?;
        return Ok((text, file.display().to_string()));
    }
    let known = |known: &Credentials| (known.ca_pem.clone(), "the last login".to_owned());
    if let Some(same) = remembered.filter(|known| normal(&known.server) == server) {
        return Ok(known(same));
    }
    let local = place::local_ca(data);
    match fs::read_to_string(&local) {
        Ok(text) => return Ok((text, local.display().to_string())),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::io(format!("{} cannot be read", local.display()), &error)),
    }
    remembered.map(known).ok_or_else(|| {
        Failure::new(crate::exit::Exit::Failure, "E_NO_CA", format!("the certificate of the pool at {server} is not known, so it could not be told from an impostor"))
            .fix("copy ca.pem from the pool's data folder and name it with --ca FILE; or start a pool here with `hivemind up`")
    })
}

#[cfg(test)]
mod tests;
