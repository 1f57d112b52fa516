//! Accepting connections: TCP, then TLS, bounded in number and time.
//!
//! The pool accepts by itself, because its certificate changes while it runs and every call must
//! know which node's certificate the connection showed. Start at [`accept`].
//!
//! Invariant: what comes out of here has finished its handshake.

use crate::server::{Peer, ShownNode};
use hivemind_model::network_of;
use parking_lot::Mutex;
use rustix::process::{Resource, getrlimit, setrlimit};
use rustls::ServerConfig;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

/// Handshakes at once.
const MAX_HANDSHAKES: usize = 512;
/// Handshakes at once from one network.
const MAX_HANDSHAKES_OF_ONE: usize = 64;
/// Connections at once.
const MAX_CONNECTIONS: usize = 65_536;
/// File descriptors for everything that is no connection: the database, contents on their way, output.
const OTHER_FILES: usize = 1024;
/// A handshake takes no longer.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Wait after a failed accept, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection with its peer.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    _place: Place,
}

/// Accepts connections and passes them on until `closing` fires.
pub(crate) async fn accept(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    ready: mpsc::Sender<Connection>,
    closing: CancellationToken,
) {
    let acceptor = TlsAcceptor::from(config);
    let door = Door::new(most_connections());
    loop {
        let next = async { (door.places.clone().acquire_owned().await, listener.accept().await) };
        let (place, accepted) = tokio::select! {
            () = closing.cancelled() => return,
            next = next => next,
        };
        // The semaphore is never closed.
        let Ok(place) = place else { return };
        match accepted {
            Ok((stream, address)) => {
                let Some(place) = door.enter(address, place) else {
                    tracing::debug!(%address, "its network has too many connections already");
                    continue;
                };
                let (door, acceptor, ready) = (door.clone(), acceptor.clone(), ready.clone());
                tokio::spawn(async move {
                    let shake = async {
                        let _turn = door.turn(&place).await?;
                        shake(acceptor, stream, address, place).await
                    };
                    match tokio::time::timeout(HANDSHAKE_TIMEOUT, shake).await {
                        // The server has stopped where it takes no connection.
                        Ok(Ok(connection)) => drop(ready.send(connection).await),
                        Ok(Err(error)) => tracing::debug!(%address, %error, "handshake failed"),
                        Err(_) => tracing::debug!(%address, "handshake took too long"),
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// As many connections as leave enough of the file descriptors for everything else, and never more than
/// half of few. The process is given all that it may have.
fn most_connections() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    if limit.current.is_some_and(|current| current < most) {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of open files could not be raised");
            limit = getrlimit(Resource::Nofile);
        }
    }
    let files = limit.current.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    (files - OTHER_FILES.min(files / 2)).clamp(1, MAX_CONNECTIONS)
}

/// Who may come in. Nobody is known yet, so what counts is where they come from: one network may
/// neither take all places nor keep the others from shaking hands.
struct Door {
    places: Arc<Semaphore>,
    handshakes: Semaphore,
    most_of_one: usize,
    networks: Mutex<HashMap<IpAddr, Network>>,
}

struct Network {
    connections: usize,
    handshakes: Arc<Semaphore>,
}

/// The place of one connection.
struct Place {
    door: Arc<Door>,
    network: IpAddr,
    _place: OwnedSemaphorePermit,
}

impl Door {
    fn new(connections: usize) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(connections)),
            handshakes: Semaphore::new(MAX_HANDSHAKES),
            most_of_one: (connections / 4).max(1),
            networks: Mutex::default(),
        })
    }

    /// The place of a connection from `address`; `None` where its network has enough of them.
    fn enter(self: &Arc<Self>, address: SocketAddr, place: OwnedSemaphorePermit) -> Option<Place> {
        let network = network_of(address.ip());
        let mut networks = self.networks.lock();
        let known = networks
            .entry(network)
            .or_insert_with(|| Network { connections: 0, handshakes: Arc::new(Semaphore::new(MAX_HANDSHAKES_OF_ONE)) });
        // This machine's own programs are no strangers.
        if known.connections >= self.most_of_one && !network.is_loopback() {
            return None;
        }
        known.connections += 1;
        Some(Place { door: self.clone(), network, _place: place })
    }

    /// Waits until the connection may shake hands: among those of its network first.
    async fn turn(&self, place: &Place) -> io::Result<(OwnedSemaphorePermit, SemaphorePermit<'_>)> {
        let own = self.networks.lock().get(&place.network).map(|network| network.handshakes.clone());
        let own = own.ok_or_else(|| io::Error::other("the connection has no place"))?;
        let own = own.acquire_owned().await.map_err(io::Error::other)?;
        Ok((own, self.handshakes.acquire().await.map_err(io::Error::other)?))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut networks = self.door.networks.lock();
        if let Some(network) = networks.get_mut(&self.network) {
            network.connections -= 1;
            if network.connections == 0 {
                networks.remove(&self.network);
            }
        }
    }
}

async fn shake(acceptor: TlsAcceptor, stream: TcpStream, address: SocketAddr, place: Place) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let shown = |leaf| Some(ShownNode { id: hivemind_pki::node_of(leaf)?, until: hivemind_pki::end_of(leaf)? });
    let peer = Peer { address, node: leaf.and_then(shown) };
    Ok(Connection { stream, peer, _place: place })
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_network_does_not_take_every_place() {
        let door = Door::new(8);
        let from = |address: &str| address.parse::<SocketAddr>().unwrap();
        let place = || door.places.clone().try_acquire_owned().unwrap();
        let held: Vec<_> = (0..4).filter_map(|_| door.enter(from("[2001:db8::1]:1"), place())).collect();
        assert_eq!(held.len(), 2);
        assert!(door.enter(from("[2001:db8::2]:1"), place()).is_none(), "the same network");
        assert!(door.enter(from("192.0.2.1:1"), place()).is_some());
        drop(held);
        assert!(door.networks.lock().is_empty() && door.places.available_permits() == 8);
    }
}
