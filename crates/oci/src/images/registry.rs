//! Images from registries, over their HTTP API.
//!
//! Start at [`Registry::pull`]. Every answer is bounded, in size by what the manifest says or a constant, in time
//! by the longest span without progress.
//!
//! Invariant: anonymous; a token is for the one repository, and goes to no other host.

use super::Trouble;
use super::board::Progress;
use super::config::{Config, MOST_CONFIG_BYTES};
use super::index::Image;
use super::layer::Budget;
use super::manifest::{Descriptor, MOST_MANIFEST_BYTES, Manifest, check_digest, digest_of, hex_of, lie};
use super::store::Store;
use hivemind_runtime::Stop;
use hivemind_runtime::docker::{ImageRules, Reference};
use reqwest::header::{ACCEPT, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use sha2::{Digest as _, Sha256};
use std::io::{Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::NamedTempFile;

mod resolve;
mod token;

/// What a reference without a registry means.
const USUAL: &str = "registry-1.docker.io";
/// What is asked for.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(30);
/// Most redirections of one request.
const MOST_REDIRECTS: usize = 5;
/// Deepest list of lists of manifests.
const MOST_LISTS: usize = 4;

/// The way to registries.
#[derive(Debug)]
pub(super) struct Registry {
    /// Why there is none, else.
    client: Result<Client, String>,
    stall: Duration,
    plain_loopback: bool,
    rules: Arc<ImageRules>,
}

/// One repository, and the token for it.
struct Repository<'a> {
    registry: &'a Registry,
    client: &'a Client,
    reference: &'a Reference,
    base: Url,
    name: String,
    token: Option<String>,
}

impl Registry {
    /// `stall`: what shows no progress for so long is given up.
    pub(super) fn new(stall: Duration, plain_loopback: bool, rules: Arc<ImageRules>) -> Self {
        // Where the program has chosen a provider already, this one is not needed.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let allowed = rules.clone();
        let follow = redirect::Policy::custom(move |attempt| {
            let url = attempt.url();
            let is_safe = url.scheme() == "https" || (plain_loopback && is_loopback(url));
            if !is_safe {
                return attempt.error("a redirection to a place without TLS");
            }
            if !may_ask(&allowed, url) {
                return attempt.error("a redirection to an address that is not public");
            }
            if attempt.previous().len() > MOST_REDIRECTS {
                attempt.error("too many redirections")
            } else {
                attempt.follow()
            }
        });
        let client = Client::builder()
            .user_agent(concat!("hivemind/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .read_timeout(stall)
            .redirect(follow)
            // Whatever leads there, a name of a registry, a redirection or the place of a login.
            .dns_resolver(Arc::new(resolve::Guarded(rules.clone())))
            .referer(false)
            .build()
            .map_err(|error| {
                format!("no TLS for registries: {error}; install the system's certificates (ca-certificates)")
            });
        Self { client, stall, plain_loopback, rules }
    }

    /// Fetches what `reference` names, and keeps it.
    ///
    /// # Errors
    /// Where it is not there or not sound, the registry is away, or nobody waits any more.
    pub(super) async fn pull(
        &self,
        store: &Arc<Store>,
        reference: &Reference,
        progress: &Progress,
        stop: Stop,
    ) -> Result<Image, Trouble> {
        let mut repository = self.repository(reference)?;
        let (digest, config, layers) = repository.manifest().await?;
        let packed: u64 = layers.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.size));
        if packed > store.limits().packed.0 {
            return Err(Trouble::Image(format!("{reference} has {packed} bytes, more than this machine takes")));
        }
        let content = repository.small("blobs", &config.digest, MOST_CONFIG_BYTES.min(config.size.max(1))).await?;
        check_digest("its configuration", &config.digest, &content)?;
        let parsed = Config::parse(&content)?;
        if parsed.diff_ids.len() != layers.len() {
            return Err(Trouble::Image("its configuration and its manifest name different numbers of layers".into()));
        }
        let mut budget = Budget::of(store.limits());
        let (mut held, mut done) = (Vec::new(), 0u64);
        for (diff_id, layer) in parsed.diff_ids.iter().zip(&layers) {
            let known = store.layer(diff_id)?;
            if let Some(known) = known {
                budget.take(known.bytes)?;
                held.push(known);
                done = done.saturating_add(layer.size);
                continue;
            }
            let told = |read: u64| {
                let percent = u128::from(done.saturating_add(read)) * 100 / u128::from(packed.max(1));
                progress.tell(format!("pulling {reference}: {} %", percent.min(100)));
            };
            let file = store.scratch()?;
            let file = repository.layer(layer, file, told).await?;
            let (store, diff_id, stop) = (store.clone(), diff_id.clone(), stop.clone());
            let unpacked = tokio::task::spawn_blocking(move || {
                let unpacked = store.unpack(&diff_id, file.as_file(), &mut budget, &stop)?;
                Ok((unpacked, budget))
            });
            let (layer_kept, left) = unpacked.await.unwrap_or_else(|error| Err(Trouble::Machine(error.to_string())))?;
            budget = left;
            held.push(layer_kept);
            done = done.saturating_add(layer.size);
        }
        let names = vec![reference.to_string(), digest];
        let (store, id) = (store.clone(), config.digest);
        let kept = tokio::task::spawn_blocking(move || store.keep(id, parsed, names));
        let kept = kept.await.unwrap_or_else(|error| Err(Trouble::Machine(error.to_string())));
        drop(held);
        kept
    }

    fn repository<'a>(&'a self, reference: &'a Reference) -> Result<Repository<'a>, Trouble> {
        let (host, name) = match reference.name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path.to_owned()),
            Some(_) => (USUAL, reference.name.clone()),
            None => (USUAL, format!("library/{}", reference.name)),
        };
        let host = if host == "docker.io" || host == "index.docker.io" { USUAL } else { host };
        let url = |scheme: &str| Url::parse(&format!("{scheme}://{host}/"));
        let bad = |error| Trouble::Image(format!("{reference} names no registry that can be asked: {error}"));
        let mut base = url("https").map_err(bad)?;
        if self.plain_loopback && is_loopback(&base) {
            base = url("http").map_err(bad)?;
        }
        let client = self.client.as_ref().map_err(|why| Trouble::Machine(why.clone()))?;
        Ok(Repository { registry: self, client, reference, base, name, token: None })
    }
}

/// True of an address of this machine that no other machine has, written as a number.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// False where `url` names an address that is not to be asked. Names are looked at when they are looked up.
fn may_ask(rules: &ImageRules, url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host.parse().map_or(true, |address: IpAddr| rules.may_ask(host, address))
}

impl Repository<'_> {
    /// The digest of what was asked for, and what it is made of for this machine.
    async fn manifest(&mut self) -> Result<(String, Descriptor, Vec<Descriptor>), Trouble> {
        let wanted = self.reference.digest.clone();
        let version = wanted.clone().or_else(|| self.reference.tag.clone()).unwrap_or_else(|| "latest".into());
        let mut content = self.small("manifests", &version, MOST_MANIFEST_BYTES).await?;
        if let Some(digest) = &wanted {
            check_digest("its manifest", digest, &content)?;
        }
        let digest = digest_of(&content);
        for _ in 0..MOST_LISTS {
            match Manifest::parse(&content)? {
                Manifest::Image { config, layers } => return Ok((digest, config, layers)),
                Manifest::Chosen(one) => {
                    hex_of(&one.digest)?;
                    content = self.small("manifests", &one.digest, MOST_MANIFEST_BYTES).await?;
                    check_digest("its manifest", &one.digest, &content)?;
                }
            }
        }
        Err(Trouble::Image(format!("{} has lists of lists of manifests", self.reference)))
    }

    /// Fetches something of at most `most` bytes.
    async fn small(&mut self, kind: &str, version: &str, most: u64) -> Result<Vec<u8>, Trouble> {
        let mut answer = self.get(kind, version).await?;
        let mut content = Vec::new();
        while let Some(piece) = self.chunk(&mut answer).await? {
            if content.len() as u64 + piece.len() as u64 > most {
                return Err(Trouble::Image(format!(
                    "{}: the registry sends more than {most} bytes for its description",
                    self.reference
                )));
            }
            content.extend_from_slice(&piece);
        }
        Ok(content)
    }

    /// Fetches a layer into `file`, and checks it.
    async fn layer(
        &mut self,
        layer: &Descriptor,
        mut file: NamedTempFile,
        told: impl Fn(u64),
    ) -> Result<NamedTempFile, Trouble> {
        layer.hex()?;
        let mut answer = self.get("blobs", &layer.digest).await?;
        let (mut hash, mut read) = (Sha256::new(), 0u64);
        while let Some(piece) = self.chunk(&mut answer).await? {
            read += piece.len() as u64;
            if read > layer.size {
                return Err(Trouble::Image(format!(
                    "it lies about its size: layer {} has more than {} bytes",
                    layer.digest, layer.size
                )));
            }
            hash.update(&*piece);
            // A file of the page cache; what does not fit there waits as any writer does.
            file.write_all(&piece).map_err(|error| Trouble::io("a layer could not be written", &error))?;
            told(read);
        }
        let found = format!("sha256:{}", hex::encode(hash.finalize()));
        if found != layer.digest {
            return Err(lie("a layer", &layer.digest, &found));
        }
        file.as_file_mut()
            .seek(SeekFrom::Start(0))
            .map_err(|error| Trouble::io("a layer could not be read", &error))?;
        Ok(file)
    }

    async fn chunk(
        &self,
        answer: &mut Response,
    ) -> Result<Option<impl std::ops::Deref<Target = [u8]> + use<>>, Trouble> {
        match tokio::time::timeout(self.registry.stall, answer.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(error)) => Err(self.away(&error)),
            Err(_) => Err(Trouble::Unavailable(format!(
                "the pull of {} showed no progress for {} s; is the way to its registry open?",
                self.reference,
                self.registry.stall.as_secs()
            ))),
        }
    }

    async fn get(&mut self, kind: &str, version: &str) -> Result<Response, Trouble> {
        let path = format!("v2/{}/{kind}/{version}", self.name);
        let url = self.base.join(&path).map_err(|error| Trouble::Image(format!("{}: {error}", self.reference)))?;
        let answer = self.ask(url.clone()).await?;
        if answer.status() != StatusCode::UNAUTHORIZED || self.token.is_some() {
            return self.judge(answer);
        }
        let challenge = answer.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let Some(challenge) = challenge.as_deref().and_then(token::Challenge::parse) else { return self.judge(answer) };
        self.token = Some(self.fetch_token(&challenge).await?);
        let answer = self.ask(url).await?;
        self.judge(answer)
    }

    async fn ask(&self, url: Url) -> Result<Response, Trouble> {
        let mut request = self.client.get(url).header(ACCEPT, MANIFESTS);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request.send().await.map_err(|error| self.away(&error))
    }

    /// Asks the place that the registry names for a token that lets anybody read this repository.
    async fn fetch_token(&self, challenge: &token::Challenge) -> Result<String, Trouble> {
        let refused = |why: &str| Trouble::Image(format!("{} cannot be pulled: {why}", self.reference));
        let url =
            challenge.url(&self.name).ok_or_else(|| refused("its registry asks for a login in an unknown way"))?;
        if url.scheme() != "https" && !(self.registry.plain_loopback && is_loopback(&url)) {
            return Err(refused("its registry asks for a login without TLS"));
        }
        if !may_ask(&self.registry.rules, &url) {
            return Err(refused("its registry asks for a login at an address that is not public"));
        }
        let answer = self.client.get(url).send().await.map_err(|error| self.away(&error))?;
        let mut answer = self.judge(answer)?;
        let mut content = Vec::new();
        while let Some(piece) = self.chunk(&mut answer).await? {
            content.extend_from_slice(&piece);
            if content.len() as u64 > token::MOST_BYTES {
                return Err(refused("its registry answers with an endless token"));
            }
        }
        token::read(&content).ok_or_else(|| refused("its registry gives no token to somebody without a login"))
    }

    /// Tells an image that is not there from a registry that is not.
    fn judge(&self, answer: Response) -> Result<Response, Trouble> {
        let (reference, status) = (self.reference, answer.status());
        match status {
            status if status.is_success() => Ok(answer),
            StatusCode::NOT_FOUND => {
                Err(Trouble::Image(format!("{reference} cannot be pulled: its registry does not have it")))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Trouble::Image(format!(
                "{reference} cannot be pulled: its registry does not give it to somebody without a login, or does not have it"
            ))),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Err(Trouble::Unavailable(format!(
                "{reference} could not be pulled: its registry answers {status}; try later"
            ))),
            status if status.is_client_error() => {
                Err(Trouble::Image(format!("{reference} cannot be pulled: its registry answers {status}")))
            }
            _ => Err(Trouble::Unavailable(format!("{reference} could not be pulled: its registry answers {status}"))),
        }
    }

    fn away(&self, error: &reqwest::Error) -> Trouble {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        Trouble::Unavailable(format!("{} could not be pulled: {text}", self.reference))
    }
}
