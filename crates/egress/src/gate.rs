//! The gate of one attempt: its listening sockets, and who serves them.
//!
//! Start at [`Gate::open`].
//!
//! Invariant: when a gate is dropped, every socket of it closes.

use crate::bucket::Bucket;
use crate::dial::Way;
use crate::journal::{Journal, Log};
use crate::meter::Activity;
use crate::plan::{Door, Plan};
use crate::rules::{Rules, target};
use crate::{http, namespace, socks};
use hivemind_model::units::Bytes;
use hivemind_model::{Egress, Endpoint};
use parking_lot::Mutex;
use rustix::process::{Resource, getrlimit};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest wait for the first byte and the request of a program that has connected to the proxy.
const REQUEST_PATIENCE: Duration = Duration::from_secs(30);
/// Wait after a connection could not be taken, as where this process has too many files open.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Connections of all attempts in this process together: two files each, and half of the files that it may have open
/// are for everything else.
static ALL: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(1 << 20);
    let most = usize::try_from(files / 4).unwrap_or(usize::MAX);
    Arc::new(Semaphore::new(most.clamp(16, Semaphore::MAX_PERMITS)))
});

/// What an attempt has used of the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// From hosts to the task.
    pub received: Bytes,
    /// From the task to hosts.
    pub sent: Bytes,
}

/// The way out of one attempt's network, open until it is dropped.
#[derive(Debug)]
pub struct Gate {
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Shared {
    way: Way,
    room: Arc<Semaphore>,
    begun: Mutex<Bucket>,
}

impl Gate {
    /// What a container has to know before it exists so that its task can reach `egress`.
    #[must_use]
    pub fn plan(egress: &Egress) -> Plan {
        Plan::new(egress)
    }

    /// Opens the doors of `plan` in `network`, and serves them from this process's own network. `log` hears what
    /// is refused.
    ///
    /// # Errors
    /// Where this process may not enter `network`, there is no loopback interface in it, or something listens
    /// there already.
    pub async fn open(plan: &Plan, network: OwnedFd, rules: Arc<Rules>, log: Log) -> io::Result<Self> {
        let wanted = plan.doors.iter().map(|(address, _)| *address).collect();
        let opened = tokio::task::spawn_blocking(move || namespace::listen(network, wanted));
        let listeners = opened.await.map_err(io::Error::other)??;
        let limits = rules.limits;
        let shared = Arc::new(Shared {
            way: Way::new(plan.egress.clone(), rules, Journal::new(log)),
            room: Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS))),
            begun: Mutex::new(Bucket::new(limits.connections_per_second.into(), 16, Instant::now())),
        });
        let gate = Self { shared, stop: CancellationToken::new(), tasks: TaskTracker::new() };
        for (listener, (_, door)) in listeners.into_iter().zip(&plan.doors) {
            let listener = TcpListener::from_std(listener)?;
            let (shared, door, stop, tasks) =
                (gate.shared.clone(), door.clone(), gate.stop.clone(), gate.tasks.clone());
            gate.tasks
                .spawn(async move { stop.run_until_cancelled(attend(listener, door, shared, &stop, tasks)).await });
        }
        Ok(gate)
    }

    /// What has passed so far.
    #[must_use]
    pub fn used(&self) -> Used {
        let (received, sent) = self.shared.way.meter.used();
        Used { received: Bytes(received), sent: Bytes(sent) }
    }

    /// Closes everything, waits for it, and tells the log what had only been counted.
    pub async fn close(self) -> Used {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.shared.way.journal.finish();
        self.used()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Takes what knocks at one door.
async fn attend(listener: TcpListener, door: Door, shared: Arc<Shared>, stop: &CancellationToken, tasks: TaskTracker) {
    loop {
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) => {
                tracing::debug!(%error, "a connection of a task could not be taken");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let permits = shared.room().await;
        let (shared, door, stop) = (shared.clone(), door.clone(), stop.clone());
        tasks.spawn(async move {
            stop.run_until_cancelled(shared.serve(client, &door)).await;
            drop(permits);
        });
    }
}

impl Shared {
    /// Waits until one connection more may begin. The permits are its room.
    async fn room(&self) -> [Option<OwnedSemaphorePermit>; 2] {
        let most = self.way.rules.limits.connections;
        let own = self.permit(&self.room, || format!("{most} connections are open; more wait until one ends"));
        let own = own.await;
        let all =
            self.permit(&ALL, || "this machine's tasks have no more connections; one waits until another ends".into());
        let all = all.await;
        loop {
            let wait = self.begun.lock().wait(Instant::now());
            let Some(wait) = wait else { break };
            tokio::time::sleep(wait).await;
        }
        self.begun.lock().spend(1);
        [own, all]
    }

    /// A permit of `room`, and where one has to wait for it, a line about it. `None` cannot be: no room is closed.
    async fn permit(&self, room: &Arc<Semaphore>, wait: impl FnOnce() -> String) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = room.clone().try_acquire_owned() {
            return Some(permit);
        }
        self.way.journal.tell(&wait());
        room.clone().acquire_owned().await.ok()
    }

    /// One connection, from its beginning to its end.
    async fn serve(&self, client: TcpStream, door: &Door) {
        let limits = &self.way.rules.limits;
        let activity = Arc::new(Activity::new());
        let served = async {
            match door {
                Door::Host(endpoint) => self.straight(client, endpoint, &activity).await,
                Door::Proxy => self.proxied(client, &activity).await,
            }
        };
        // Looking up, connecting and asking have limits of their own, which are no silence.
        let idle = limits.idle.max(limits.connect + REQUEST_PATIENCE);
        tokio::select! {
            () = served => {}
            () = activity.ends(idle) => {
                self.way.journal.tell(&format!("closed a connection after {} s of silence", idle.as_secs()));
            }
        }
        if self.way.meter.has_just_ended() {
            let volume = limits.volume;
            self.way.journal.tell(&format!("the task has used its volume of {volume} bytes; everything is closed"));
        }
    }

    /// A connection to the address that stands for `endpoint`.
    async fn straight(&self, mut client: TcpStream, endpoint: &Endpoint, activity: &Arc<Activity>) {
        match self.way.reach(endpoint, activity).await {
            // How a connection ends is known to both of its ends.
            Ok(mut host) => drop(copy_bidirectional(&mut client, &mut host).await),
            // The reason is in the log; the program sees a connection that is reset, not one that ended well.
            Err(_) => drop(client.set_zero_linger()),
        }
    }

    /// A connection to the proxy, whichever protocol it speaks.
    async fn proxied(&self, client: TcpStream, activity: &Arc<Activity>) {
        let mut first = [0];
        match timeout(REQUEST_PATIENCE, client.peek(&mut first)).await {
            Ok(Ok(1)) if first[0] == socks::VERSION => {
                if let Err(error) = self.socks(client, activity).await {
                    tracing::debug!(%error, "a task's request through SOCKS broke off");
                }
            }
            Ok(Ok(1)) => http::serve(client, &self.way, activity).await,
            // It went away, or says nothing.
            Ok(Ok(_) | Err(_)) | Err(_) => {}
        }
    }

    async fn socks(&self, mut client: TcpStream, activity: &Arc<Activity>) -> io::Result<()> {
        let asked = timeout(REQUEST_PATIENCE, socks::asked(&mut client)).await??;
        let (host, port) = match asked {
            socks::Asked::Connect(host, port) => (host, port),
            socks::Asked::Other(why) => {
                self.way.journal.tell(&format!("refused a request to the SOCKS proxy ({why})"));
                return Ok(());
            }
        };
        let reached = match target(&host, port) {
            Ok(endpoint) => self.way.reach(&endpoint, activity).await,
            Err(refusal) => {
                self.way.refuse(&format!("{host}:{port}"), &refusal);
                Err(refusal)
            }
        };
        match reached {
            Ok(mut server) => {
                socks::reply(&mut client, socks::Reply::Done).await?;
                copy_bidirectional(&mut client, &mut server).await.map(drop)
            }
            Err(refusal) => socks::reply(&mut client, socks::Reply::of(&refusal)).await,
        }
    }
}
