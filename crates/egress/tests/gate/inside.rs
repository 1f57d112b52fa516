//! A network with nothing but loopback, and what a test does in it.

use async_trait::async_trait;
use hivemind_egress::{Gate, Log, Loosened, NetworkLimits, Resolver, Rules};
use hivemind_model::{Egress, EgressPolicy};
use parking_lot::Mutex;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

pub(crate) const PROXY: &str = "127.64.0.1:3128";
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("what was waited for did not come")
}

/// As a container's: a process keeps it.
pub(crate) struct Network(Child);

impl Network {
    /// `None`, with a line, where this process may not make one and nobody requires it.
    pub(crate) fn new() -> Option<Self> {
        if let Some(why) = hivemind_egress::cannot_enter() {
            assert!(std::env::var("HIVEMIND_REQUIRE_ROOT").is_err(), "{why}");
            println!("skipped: {why}");
            return None;
        }
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up && echo up && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare: install util-linux");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("its output")).read_line(&mut line).expect("a line");
        assert_eq!(line, "up\n");
        Some(Self(child))
    }

    pub(crate) fn handle(&self) -> OwnedFd {
        std::fs::File::open(format!("/proc/{}/ns/net", self.0.id())).expect("its network").into()
    }

    /// Does `work` on a thread within it.
    pub(crate) fn within<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let network = self.handle();
        let thread = std::thread::spawn(move || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).expect("entered");
            work()
        });
        thread.join().expect("done")
    }

    pub(crate) fn try_connect(&self, address: &str) -> io::Result<TcpStream> {
        let address: SocketAddr = address.parse().expect("an address");
        let stream = self.within(move || std::net::TcpStream::connect_timeout(&address, DEADLINE))?;
        stream.set_nonblocking(true)?;
        TcpStream::from_std(stream)
    }

    pub(crate) fn connect(&self, address: &str) -> TcpStream {
        self.try_connect(address).expect(address)
    }

    /// Says `words` to the proxy and gives all that it answers.
    pub(crate) async fn says(&self, words: &[u8]) -> String {
        let mut stream = self.connect(PROXY);
        stream.write_all(words).await.expect("written");
        let mut answer = Vec::new();
        // A reset is an answer, too.
        let _ = soon(stream.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("ended");
    }
}

/// Names that lead where the test says: the first answer, the second, and then the last for ever.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<HashMap<String, Answers>>);

/// How often it was asked for, and what it is.
type Answers = (usize, Vec<Vec<IpAddr>>);

impl Names {
    pub(crate) fn put(&self, name: &str, answers: &[&[&str]]) {
        let answers = answers.iter().map(|one| one.iter().map(|text| text.parse().expect(text)).collect()).collect();
        self.0.lock().insert(name.into(), (0, answers));
    }

    pub(crate) fn lookups(&self, name: &str) -> usize {
        self.0.lock()[name].0
    }
}

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut names = self.0.lock();
        let (count, answers) = names.get_mut(name).ok_or_else(|| io::Error::other("no such name"))?;
        *count += 1;
        Ok(answers[(*count - 1).min(answers.len() - 1)].clone())
    }
}

/// A host: greets, and then says what it hears.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) visits: Arc<AtomicUsize>,
}

impl Host {
    pub(crate) async fn new(ip: &str) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let visits = Arc::new(AtomicUsize::new(0));
        let count = visits.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        Self { address, visits }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

/// An open gate, and what it has told.
pub(crate) struct Open {
    pub(crate) gate: Gate,
    pub(crate) names: Arc<Names>,
    pub(crate) lines: Arc<Mutex<Vec<String>>>,
    more: Arc<Notify>,
}

impl Open {
    pub(crate) async fn new(network: &Network, egress: &[String], reach: &[SocketAddr], limits: NetworkLimits) -> Self {
        let (lines, more, names) =
            (Arc::<Mutex<Vec<String>>>::default(), Arc::new(Notify::new()), Arc::<Names>::default());
        let (heard, signal) = (lines.clone(), more.clone());
        let log: Log = Arc::new(move |line: &str| {
            heard.lock().push(line.to_owned());
            signal.notify_waiters();
        });
        let rules = Rules {
            policy: EgressPolicy::Public,
            limits,
            loosened: Loosened { reach: reach.to_vec(), resolver: Some(names.clone()) },
        };
        let plan = Gate::plan(&Egress::parse(egress).expect("endpoints"));
        let gate = Gate::open(&plan, network.handle(), Arc::new(rules), log).await.expect("open");
        Self { gate, names, lines, more }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }

    /// Waits for a line with `words`.
    pub(crate) async fn told(&self, words: &str) {
        let waiting = async {
            loop {
                let more = self.more.notified();
                tokio::pin!(more);
                more.as_mut().enable();
                if self.lines.lock().iter().any(|line| line.contains(words)) {
                    return;
                }
                more.await;
            }
        };
        let told = tokio::time::timeout(DEADLINE, waiting).await;
        assert!(told.is_ok(), "`{words}` is not in {:?}", self.lines());
    }
}
