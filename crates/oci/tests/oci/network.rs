//! Tasks with a network: what they reach, and what they do not.

use crate::rig::Rig;
use async_trait::async_trait;
use hivemind_egress::{Loosened, NetworkLimits, Resolver};
use hivemind_model::state::Outcome;
use hivemind_model::{Egress, EgressPolicy};
use hivemind_oci::OciConfig;
use hivemind_runtime::{Job, Runtime, Verdict};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A web server on this machine.
struct Web {
    address: SocketAddr,
    visits: Arc<AtomicUsize>,
}

impl Web {
    /// Gives `size` bytes to whoever comes.
    async fn new(size: usize) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let visits = Arc::new(AtomicUsize::new(0));
        let count = visits.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let body = "x".repeat(size);
                tokio::spawn(async move {
                    let (mut head, mut byte) = (Vec::new(), [0]);
                    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte).await, Ok(1)) {
                        head.push(byte[0]);
                    }
                    let answer =
                        format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n{body}");
                    // A visitor may leave early.
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { address, visits }
    }

    fn port(&self) -> u16 {
        self.address.port()
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

/// Names of the tests.
#[derive(Debug)]
struct Names(HashMap<&'static str, IpAddr>);

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = self.0.get(name).ok_or_else(|| io::Error::other("no such name"))?;
        Ok(vec![*found])
    }
}

/// Lets tasks reach every public address, and of this machine's own `web` alone.
fn public(config: OciConfig, web: &Web, names: &[(&'static str, &str)]) -> OciConfig {
    let names = names.iter().map(|(name, address)| (*name, address.parse().expect("an address"))).collect();
    let loosened = Loosened { reach: vec![web.address], resolver: Some(Arc::new(Names(names))) };
    OciConfig { egress: EgressPolicy::Public, loosened, ..config }
}

fn asking(job: Job, hosts: &[String]) -> Job {
    Job { egress: Egress::parse(hosts).expect("endpoints"), ..job }
}

#[tokio::test]
async fn what_was_asked_for_is_reached_by_its_name_and_through_the_proxy() {
    let web = Web::new(5).await;
    let names = [("files.test", "127.0.0.1"), ("a.wild.test", "127.0.0.1")];
    let Some(rig) = Rig::with("granted", |config| public(config, &web, &names)).await else { return };
    assert_eq!(rig.runtime.no_network(), None);
    let checks = rig.runtime.health().await;
    let shown = checks.iter().find(|check| check.name == "network of tasks").expect("a check");
    assert_eq!((shown.verdict, shown.detail.as_str()), (Verdict::Good, "tasks may reach: public"));
    let port = web.port();
    let script = format!(
        "b=/bin/busybox; $b wget -q -O- http://files.test:{port}/; echo; \
         $b wget -Y off -q -O- http://files.test:{port}/; echo; \
         $b wget -q -O- http://a.wild.test:{port}/; echo; \
         hostname; grep test /etc/hosts; cat /etc/resolv.conf; env | grep -c -i proxy; id -u; ls /sys/class/net; \
         for file in hosts resolv.conf; do echo more 2>/dev/null >> /etc/$file || echo read-only; done; \
         grep CapBnd /proc/self/status"
    );
    let hosts = [format!("files.test:{port}"), format!("*.wild.test:{port}")];
    let (finished, ear) = rig.run(asking(rig.script(&script), &hosts)).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 0 }, "{}", ear.err());
    let expected = "xxxxx\nxxxxx\nxxxxx\ntask\n127.64.1.1\tfiles.test\nnameserver 127.64.0.1\nsearch .\n8\n65534\nlo\n\
                    read-only\nread-only\nCapBnd:\t0000000000000000\n";
    assert_eq!(ear.out(), expected, "{}", ear.err());
    assert_eq!(web.visits(), 3);
    rig.down().await;
}

#[tokio::test]
async fn nothing_else_is_reached_and_the_log_says_so() {
    let (web, trap) = (Web::new(5).await, Web::new(5).await);
    let names = [("rebind.test", "127.0.0.1"), ("cloud.test", "169.254.169.254")];
    let Some(rig) = Rig::with("refused", |config| public(config, &web, &names)).await else { return };
    let other = trap.port();
    let mut hosts: Vec<String> = names.iter().map(|(name, _)| format!("{name}:{other}")).collect();
    hosts.push(format!("169.254.169.254:{other}"));
    let script = format!(
        "b=/bin/busybox; for host in rebind.test cloud.test 169.254.169.254 other.test 127.0.0.1; do \
         printf 'GET http://%s:{other}/ HTTP/1.1\\r\\n\\r\\n' \"$host\" | $b nc -w 10 127.64.0.1 3128 | head -n 1; done; \
         for at in 8.8.8.8 127.0.0.1 172.17.0.1; do echo | $b nc -w 3 $at {other} >/dev/null 2>&1 && echo reached $at; done; \
         $b ip route; ls /sys/class/net"
    );
    let (finished, ear) = rig.run(asking(rig.script(&script), &hosts)).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 0 }, "{}", ear.err());
    let out = ear.out();
    let said: Vec<&str> = out.lines().map(str::trim).collect();
    assert_eq!(said.len(), 6, "{said:?}");
    assert!(said[..5].iter().all(|line| line.starts_with("HTTP/1.1 403")) && said[5] == "lo", "{said:?}");
    for line in [
        format!("refused rebind.test:{other} (127.0.0.1 is a loopback address)"),
        format!("refused cloud.test:{other} (169.254.169.254 is a link-local address)"),
        format!("refused 169.254.169.254:{other} (169.254.169.254 is a link-local address)"),
        format!("refused other.test:{other} (the task did not ask for it)"),
        format!("refused 127.0.0.1:{other} (the task did not ask for it)"),
    ] {
        assert!(ear.err().contains(&format!("hivemind: network: {line}\n")), "{line} is not in {}", ear.err());
    }
    assert_eq!((web.visits(), trap.visits()), (0, 0));
    rig.down().await;
}

#[tokio::test]
async fn the_owner_s_word_and_volume_count() {
    let web = Web::new(1 << 20).await;
    let names = [("files.test", "127.0.0.1")];
    let hosts = [format!("files.test:{}", web.port())];
    let script = format!("/bin/busybox wget -q -O- http://files.test:{}/ | wc -c", web.port());
    let network = NetworkLimits { volume: 100_000, ..NetworkLimits::default() };
    let small = |config| OciConfig { network, ..public(config, &web, &names) };
    let Some(rig) = Rig::with("volume", small).await else { return };
    let (_, ear) = rig.run(asking(rig.script(&script), &hosts)).await;
    let came: usize = ear.out().trim().parse().expect("a number");
    assert!((50_000..120_000).contains(&came), "{came}");
    assert!(ear.err().contains("hivemind: network: the task has used its volume of 100000 bytes"), "{}", ear.err());
    rig.down().await;

    let visits = web.visits();
    let nothing = |config| OciConfig { egress: EgressPolicy::None, ..public(config, &web, &names) };
    let Some(rig) = Rig::with("owner", nothing).await else { return };
    let (_, ear) = rig.run(asking(rig.script(&script), &hosts)).await;
    assert_eq!((ear.out().as_str(), web.visits()), ("0\n", visits));
    assert!(ear.err().contains("(the owner of this machine does not allow it)"), "{}", ear.err());
    rig.down().await;
}

#[tokio::test]
async fn what_has_passed_is_told_while_it_runs() {
    let web = Web::new(5000).await;
    let Some(rig) = Rig::with("passed", |config| public(config, &web, &[("files.test", "127.0.0.1")])).await else {
        return;
    };
    let script = format!("/bin/busybox wget -q -O- http://files.test:{}/ | wc -c; sleep 600", web.port());
    let (running, ear, stop) = rig.start(asking(rig.script(&script), &[format!("files.test:{}", web.port())]));
    ear.until(|ear| ear.usages().iter().any(|usage| usage.received.0 >= 5000 && usage.sent.0 > 0)).await;
    stop.cancel();
    assert_eq!(running.await.expect("ended").outcome, Outcome::Cancelled);
    rig.down().await;
}
