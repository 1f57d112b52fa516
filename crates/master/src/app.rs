//! What all requests share.
//!
//! Invariant: no state of the pool is kept here; a gateway that starts anew has lost nothing but logins by cookie, which browsers
//! renew by themselves.

use crate::events::Feeds;
use crate::fault::Fault;
use crate::figures::Figures;
use crate::link::PoolLink;
use crate::serve::Way;
use crate::sessions::{Session, Sessions};
use axum::extract::ConnectInfo;
use hivemind_client::{Client, Target};
use hivemind_http::browser::IsTls;
use hivemind_http::pages::Site;
use hivemind_limit::{Limiter, NoPlace, Place, Places};
use http::{Extensions, HeaderMap};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Requests of one address a minute.
const PER_MINUTE: NonZeroU32 = NonZeroU32::new(6000).expect("it is not zero");

/// Large bodies that are read at once, of one user and together.
const LARGE_BODIES_OF_ONE: usize = 4;
const LARGE_BODIES: usize = 32;
/// How long a request waits for such a place, and between two looks. What waits was not read, and holds next to nothing.
const PLACE_PATIENCE: Duration = Duration::from_secs(5);
const PLACE_LOOK: Duration = Duration::from_millis(20);
/// An address that was told in no way that is known. It is nobody's (RFC 919), and near nowhere.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::BROADCAST);

/// A gateway's memory; copies are the same.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

struct Inner {
    pool: PoolLink,
    sessions: Sessions,
    feeds: Feeds,
    /// By the user's id.
    large_bodies: Places<String>,
    cookies: Cookies,
    is_tls: IsTls,
    /// Whether a proxy says where browsers are.
    is_proxied: bool,
    /// Shown to the pool, so that its limits count for the browsers and not for the gateway.
    gateway_key: Option<String>,
    csrf_key: [u8; 32],
    limiter: Limiter<IpAddr>,
    figures: Figures,
}

/// The names of the cookies. Browsers do not part cookies by ports, so that two gateways on one machine need two names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cookies {
    pub(crate) session: &'static str,
    pub(crate) refresh: &'static str,
}

impl Cookies {
    fn of(site: Site, is_tls: IsTls) -> Self {
        let (session, refresh) = match (site, is_tls) {
            (Site::Master | Site::Worker, IsTls::No) => ("hm_session", "hm_refresh"),
            (Site::Pool, IsTls::No) => ("hm_session_pool", "hm_refresh_pool"),
            (Site::Master | Site::Worker, IsTls::Yes) => ("__Host-hm_session", "__Secure-hm_refresh"),
            (Site::Pool, IsTls::Yes) => ("__Host-hm_session_pool", "__Secure-hm_refresh_pool"),
        };
        Self { session, refresh }
    }
}

impl App {
    pub(crate) fn new(target: Target, site: Site, way: &Way, gateway_key: Option<String>, figures: Figures) -> Self {
        let (is_tls, is_proxied) = match way {
            Way::Plain => (IsTls::No, false),
            Way::Tls(_) => (IsTls::Yes, false),
            Way::Proxy => (IsTls::Yes, true),
        };
        let csrf_key = match &gateway_key {
            // A restart then leaves open pages their word.
            Some(key) => Sha256::digest(format!("hivemind csrf key\0{key}")).into(),
            None => rand::random(),
        };
        Self(Arc::new(Inner {
            pool: PoolLink::new(target, gateway_key.clone()),
            sessions: Sessions::default(),
            feeds: Feeds::default(),
            large_bodies: Places::new(LARGE_BODIES_OF_ONE, LARGE_BODIES),
            cookies: Cookies::of(site, is_tls),
            is_tls,
            is_proxied,
            gateway_key,
            csrf_key,
            limiter: Limiter::per_minute(PER_MINUTE),
            figures,
        }))
    }

    pub(crate) fn pool(&self) -> &PoolLink {
        &self.0.pool
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    pub(crate) fn feeds(&self) -> &Feeds {
        &self.0.feeds
    }

    /// A place for a body that takes memory when it is read; waits for one for a moment.
    ///
    /// # Errors
    /// 429 where all of them stay taken, by whoever asks or together.
    pub(crate) async fn large_body(&self, user: &String) -> Result<Place<String>, Fault> {
        let deadline = Instant::now() + PLACE_PATIENCE;
        loop {
            let why = match self.0.large_bodies.take(user) {
                Ok(place) => return Ok(place),
                Err(why) if Instant::now() >= deadline => why,
                Err(_taken) => {
                    tokio::time::sleep(PLACE_LOOK).await;
                    continue;
                }
            };
            return Err(match why {
                NoPlace::OfOne => Fault::busy(format!(
                    "you hand in {LARGE_BODIES_OF_ONE} requests with tasks already; wait until one has ended"
                )),
                NoPlace::OfAll => Fault::busy("many tasks are being handed in; try again"),
            });
        }
    }

    pub(crate) fn cookies(&self) -> Cookies {
        self.0.cookies
    }

    pub(crate) fn is_tls(&self) -> IsTls {
        self.0.is_tls
    }

    pub(crate) fn figures(&self) -> &Figures {
        &self.0.figures
    }

    pub(crate) fn limiter(&self) -> &Limiter<IpAddr> {
        &self.0.limiter
    }

    /// Where a request comes from: behind a proxy what it added to `X-Forwarded-For`, which is the last there.
    pub(crate) fn address_of(&self, headers: &HeaderMap, extensions: &Extensions) -> IpAddr {
        let told = headers.get_all("x-forwarded-for").iter().next_back().filter(|_| self.0.is_proxied);
        let told = told.map(|list| last_address(list.as_bytes()).unwrap_or(UNKNOWN));
        let seen = || extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        told.or_else(seen).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).to_canonical()
    }

    /// The word that pages of a session repeat; it tells nothing about the session's cookie.
    pub(crate) fn csrf_of(&self, session: &Session) -> String {
        let mut hash = Sha256::new();
        hash.update(self.0.csrf_key);
        hash.update(session.id.as_bytes());
        hex::encode(hash.finalize())
    }

    /// A connection without a login that speaks for somebody at `address`.
    ///
    /// # Errors
    /// 503 where the pool does not answer.
    pub(crate) async fn stranger(&self, address: IpAddr) -> Result<Client, Fault> {
        let client = self.0.pool.anonymous().await?;
        match &self.0.gateway_key {
            Some(key) => Ok(client.for_browser(key, address)?),
            None => Ok(client),
        }
    }
}

/// The last address of a list, with or without a port; what stands before it may be anything.
fn last_address(list: &[u8]) -> Option<IpAddr> {
    let last = list.rsplit(|byte| *byte == b',').next()?;
    let last = std::str::from_utf8(last).ok()?.trim();
    let bare = last.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(last);
    bare.parse().ok().or_else(|| Some(last.parse::<SocketAddr>().ok()?.ip()))
}

#[cfg(test)]
mod tests {
    use super::last_address;

    #[test]
    fn the_last_address_counts_whatever_stands_before_it() {
        for (list, address) in [
            (&b"203.0.113.7"[..], Some("203.0.113.7")),
            (b"\xff, 203.0.113.7", Some("203.0.113.7")),
            (b"127.0.0.1,203.0.113.7:4444", Some("203.0.113.7")),
            (b"2001:db8::1", Some("2001:db8::1")),
            (b"x, [2001:db8::1]", Some("2001:db8::1")),
            (b"[2001:db8::1]:80", Some("2001:db8::1")),
            (b"203.0.113.7, \xff", None),
            (b"203.0.113.7,", None),
            (b"203.0.113.7, unknown", None),
            (b"", None),
        ] {
            assert_eq!(last_address(list), address.map(|text| text.parse().unwrap()), "{list:?}");
        }
    }
}
