//! Tasks with a network: what they reach, and what they do not.

use crate::rig::{IMAGE, Rig, make_image};
use async_trait::async_trait;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use hivemind_egress::{Loosened, NetworkLimits, Resolver};
use hivemind_model::state::Outcome;
use hivemind_model::{Egress, EgressPolicy};
use hivemind_runtime::docker::{DockerConfig, DockerRuntime, Reaped, reap};
use hivemind_runtime::{Job, Runtime};
use serde_json::json;
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
    async fn new(ip: &str, size: usize) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let visits = Arc::new(AtomicUsize::new(0));
        let count = visits.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let body = "x".repeat(size);
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    let mut byte = [0];
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
fn public(config: DockerConfig, web: &Web, names: &[(&'static str, &str)]) -> DockerConfig {
    let names = names.iter().map(|(name, address)| (*name, address.parse().expect("an address"))).collect();
    let loosened = Loosened { reach: vec![web.address], resolver: Some(Arc::new(Names(names))) };
    DockerConfig { egress: EgressPolicy::Public, loosened, ..config }
}

fn asking(job: Job, hosts: &[String]) -> Job {
    Job { egress: Egress::parse(hosts).expect("endpoints"), ..job }
}

#[tokio::test]
async fn what_was_asked_for_is_reached_by_its_name_and_through_the_proxy() {
    let web = Web::new("127.0.0.1", 5).await;
    let names = [("files.test", "127.0.0.1"), ("a.wild.test", "127.0.0.1")];
    let Some(rig) = Rig::with("granted", |config| public(config, &web, &names)).await else { return };
    assert_eq!(rig.runtime.no_network(), None);
    let checks = rig.runtime.health().await;
    assert!(checks.iter().any(|check| check.name == "network of tasks" && check.detail == "tasks may reach: public"));
    let port = web.port();
    let script = format!(
        "b=/bin/busybox; $b wget -q -O- http://files.test:{port}/; echo; \
         $b wget -Y off -q -O- http://files.test:{port}/; echo; \
         $b wget -q -O- http://a.wild.test:{port}/; echo; \
         $b hostname; $b grep test /etc/hosts; $b env | $b grep -c -i proxy; id -u; ls /sys/class/net; \
         touch /x 2>/dev/null || echo read-only; $b grep CapBnd /proc/self/status"
    );
    let hosts = [format!("files.test:{port}"), format!("*.wild.test:{port}")];
    let (finished, ear) = rig.run(asking(rig.script(&script), &hosts)).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 0 }, "{}", ear.err());
    let expected =
        "xxxxx\nxxxxx\nxxxxx\ntask\n127.64.1.1\tfiles.test\n8\n65534\nlo\nread-only\nCapBnd:\t0000000000000000\n";
    assert_eq!((ear.out().as_str(), ear.err().as_str()), (expected, ""));
    assert_eq!(web.visits(), 3);

    // An image that declares ports is no reason to fail, and a second task finds the holder's image here.
    let image = "hivemind-runtime-test:ports";
    make_image(&rig.docker, image, &["EXPOSE 80", "ENV http_proxy=http://elsewhere.test:1"]).await;
    let job = rig.script(&format!("/bin/busybox wget -q -O- http://files.test:{port}/"));
    let (_, ear) = rig.run(asking(Job { image: image.into(), ..job }, &hosts)).await;
    assert_eq!((ear.out().as_str(), ear.err().as_str()), ("xxxxx", ""));
    rig.down().await;
}

#[tokio::test]
async fn nothing_else_is_reached_and_the_log_says_so() {
    let (web, trap) = (Web::new("127.0.0.1", 5).await, Web::new("0.0.0.0", 5).await);
    let names = [
        ("rebind.test", "127.0.0.1"),
        ("mapped.test", "::ffff:127.0.0.1"),
        ("nat.test", "64:ff9b::7f00:1"),
        ("cloud.test", "169.254.169.254"),
        ("bridge.test", "172.17.0.1"),
    ];
    let Some(rig) = Rig::with("refused", |config| public(config, &web, &names)).await else { return };
    let (port, other) = (web.port(), trap.port());
    let mut hosts: Vec<String> = names.iter().map(|(name, _)| format!("{name}:{other}")).collect();
    hosts.push(format!("169.254.169.254:{other}"));
    let targets = [
        "rebind.test",
        "mapped.test",
        "nat.test",
        "cloud.test",
        "bridge.test",
        "169.254.169.254",
        "other.test",
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "[::ffff:127.0.0.1]",
    ];
    // `no_proxy` would keep the spellings of this machine from being asked for at all.
    let script = format!(
        "unset no_proxy NO_PROXY; for host in {}; do \
         printf 'GET http://%s:{other}/ HTTP/1.1\\r\\n\\r\\n' \"$host\" | /bin/busybox nc -w 10 127.64.0.1 3128 | head -n 1; done; \
         for host in rebind.test cloud.test; do echo GET / | /bin/busybox nc -w 10 $host {other}; done; true",
        targets.join(" "),
    );
    let (finished, ear) = rig.run(asking(rig.script(&script), &hosts)).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 0 }, "{}", ear.err());
    let statuses: Vec<String> = ear.out().lines().map(|line| line.trim().chars().skip(9).take(3).collect()).collect();
    let expected = ["403", "403", "403", "403", "403", "403", "403", "403", "400", "400", "400", "400", "403"];
    assert_eq!(statuses, expected, "{}", ear.err());
    for line in [
        format!("refused rebind.test:{other} (127.0.0.1 is a loopback address)"),
        format!("refused mapped.test:{other} (::ffff:127.0.0.1 is a loopback address)"),
        format!("refused nat.test:{other} (64:ff9b::7f00:1 is a loopback address)"),
        format!("refused cloud.test:{other} (169.254.169.254 is a link-local address)"),
        format!("refused bridge.test:{other} (172.17.0.1 is a private address)"),
        format!("refused 169.254.169.254:{other} (169.254.169.254 is a link-local address)"),
        format!("refused other.test:{other} (the task did not ask for it)"),
        format!("refused 127.0.0.1:{other} (the task did not ask for it)"),
        format!("refused `http://2130706433:{other}/` (it is no name and no usual address)"),
        format!("refused `http://0x7f000001:{other}/` (it is no name and no usual address)"),
        format!("refused `http://0177.0.0.1:{other}/` (it is no name and no usual address)"),
        format!("refused `http://127.1:{other}/` (it is no name and no usual address)"),
        format!("refused [::ffff:127.0.0.1]:{other} (the task did not ask for it)"),
        format!("refused rebind.test:{other} (127.0.0.1 is a loopback address), 2 times"),
    ] {
        assert!(ear.err().contains(&format!("hivemind: network: {line}\n")), "{line} is not in {}", ear.err());
    }
    assert_eq!((web.visits(), trap.visits()), (0, 0));
    assert_ne!(port, other);
    rig.down().await;
}

/// Another container on the daemon's bridge, this machine's addresses and the world: without the gate, no way there.
#[tokio::test]
async fn there_is_no_way_beside_the_gate() {
    let (web, trap) = (Web::new("127.0.0.1", 5).await, Web::new("0.0.0.0", 5).await);
    let Some(rig) = Rig::with("beside", |config| public(config, &web, &[])).await else { return };
    let other = format!("{}-neighbour", rig.instance);
    let request = ContainerCreateBody {
        image: Some(IMAGE.into()),
        cmd: Some(["/bin/busybox", "httpd", "-f", "-p", "80"].map(str::to_owned).to_vec()),
        host_config: Some(HostConfig { network_mode: Some("bridge".into()), ..HostConfig::default() }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::default().name(&other).build();
    rig.docker.create_container(Some(options), request).await.expect("made");
    let started = rig.docker.start_container(&other, None).await;
    let shown = rig.docker.inspect_container(&other, None).await.expect("inspected");
    let networks = shown.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let neighbour = networks.get("bridge").and_then(|bridge| bridge.ip_address.clone()).unwrap_or_default();

    // A task of the same machine that serves on its own loopback.
    let hosts = [format!("files.test:{}", web.port())];
    let serving = asking(rig.script("echo here; /bin/busybox httpd -f -p 127.0.0.1:7777"), &hosts);
    let (running, serving_ear, stop) = rig.start(serving);
    serving_ear.until(|ear| ear.out().contains("here")).await;

    let script = format!(
        "b=/bin/busybox; reach() {{ echo | $b nc -w 3 $1 $2 >/dev/null 2>&1 && echo reached $1; }}; reach 127.64.0.1 3128; \
         reach 172.17.0.1 {port}; reach {neighbour} 80; reach 8.8.8.8 53; reach 169.254.169.254 80; \
         reach 127.0.0.1 {port}; reach 127.0.0.1 7777; \
         $b nslookup example.org 8.8.8.8 2>&1; $b traceroute -w 1 -m 1 8.8.8.8 2>&1; \
         $b ping -c 1 -W 1 8.8.8.8 >/dev/null 2>&1 && echo ping; $b ping -c 1 -W 1 172.17.0.1 >/dev/null 2>&1 && echo ping; \
         $b nslookup example.org >/dev/null 2>&1 && echo named; \
         $b ip route; $b ip -6 route | $b grep -v 'dev lo'; ls /sys/class/net",
        port = trap.port()
    );
    let (finished, ear) = rig.run(asking(rig.script(&script), &hosts)).await;
    stop.cancel();
    running.await.expect("ended");
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    rig.docker.remove_container(&other, Some(options)).await.expect("removed");
    assert!(started.is_ok() && !neighbour.is_empty(), "{started:?}");
    assert_eq!(finished.outcome, Outcome::Exited { code: 0 }, "{}", ear.err());
    let expected = "reached 127.64.0.1\nnslookup: can't connect to remote host (8.8.8.8): Network is unreachable\n\
                    traceroute: socket: Operation not permitted\nlo\n";
    assert_eq!(ear.out(), expected, "{}", ear.err());
    assert_eq!((web.visits(), trap.visits()), (0, 0));
    rig.down().await;
}

#[tokio::test]
async fn the_owner_s_word_and_volume_count() {
    let web = Web::new("127.0.0.1", 1 << 20).await;
    let names = [("files.test", "127.0.0.1")];
    let hosts = [format!("files.test:{}", web.port())];
    let script = format!("/bin/busybox wget -q -O- http://files.test:{}/ | wc -c", web.port());
    let network = NetworkLimits { volume: 100_000, ..NetworkLimits::default() };
    let small = |config| DockerConfig { network, ..public(config, &web, &names) };
    let Some(rig) = Rig::with("volume", small).await else { return };
    let (_, ear) = rig.run(asking(rig.script(&script), &hosts)).await;
    let came: usize = ear.out().trim().parse().expect("a number");
    assert!((50_000..120_000).contains(&came), "{came}");
    assert!(ear.err().contains("hivemind: network: the task has used its volume of 100000 bytes"), "{}", ear.err());
    rig.down().await;

    let visits = web.visits();
    let nothing = |config| DockerConfig { egress: EgressPolicy::None, ..public(config, &web, &names) };
    let Some(rig) = Rig::with("owner", nothing).await else { return };
    let (_, ear) = rig.run(asking(rig.script(&script), &hosts)).await;
    assert_eq!((ear.out().as_str(), web.visits()), ("0\n", visits));
    assert!(ear.err().contains("(the owner of this machine does not allow it)"), "{}", ear.err());
    rig.down().await;
}

/// What the daemon shows: the job's own profile, within the holder's network.
#[tokio::test]
async fn the_profile_is_the_same_but_for_the_network() {
    let web = Web::new("127.0.0.1", 5).await;
    let Some(rig) = Rig::with("shown", |config| public(config, &web, &[])).await else { return };
    let job = asking(rig.job(&["sleep", "600"]), &["files.test:1".to_owned()]);
    let name = rig.container(job.attempt);
    let (running, ear, stop) = rig.start(job);
    ear.until(|ear| ear.starts() == 1).await;
    let holder = rig.docker.inspect_container(&format!("{name}-network"), None).await.expect("inspected");
    let shown =
        serde_json::to_value(rig.docker.inspect_container(&name, None).await.expect("inspected")).expect("json");
    for (pointer, value) in [
        ("/HostConfig/NetworkMode", json!(format!("container:{}", holder.id.clone().unwrap_or_default()))),
        ("/HostConfig/CapDrop", json!(["ALL"])),
        ("/HostConfig/SecurityOpt", json!(["no-new-privileges:true"])),
        ("/HostConfig/ReadonlyRootfs", json!(true)),
        ("/HostConfig/Privileged", json!(false)),
        ("/HostConfig/PidMode", json!("")),
        ("/HostConfig/IpcMode", json!("private")),
        ("/Config/User", json!("65534:65534")),
    ] {
        assert_eq!(shown.pointer(pointer), Some(&value), "{pointer}");
    }
    let holder = serde_json::to_value(holder).expect("json");
    assert_eq!(holder.pointer("/HostConfig/NetworkMode"), Some(&json!("none")));
    assert_eq!(holder.pointer("/State/Running"), Some(&json!(true)));
    let image = holder.pointer("/Image").and_then(serde_json::Value::as_str).unwrap_or_default();
    assert!(image.starts_with("sha256:"), "{image}");
    stop.cancel();
    assert_eq!(running.await.expect("ended").outcome, Outcome::Cancelled);
    rig.down().await;
}

#[tokio::test]
async fn a_killed_agent_leaves_no_holder() {
    let web = Web::new("127.0.0.1", 5).await;
    let Some(rig) = Rig::with("orphaned", |config| public(config, &web, &[])).await else { return };
    let hosts = ["files.test:1".to_owned()];
    let (running, ear, _stop) = rig.start(asking(rig.job(&["sleep", "600"]), &hosts));
    ear.until(|ear| ear.starts() == 1).await;
    assert_eq!(rig.leftovers().await.0, 2, "the job and its holder");
    // The agent's helper sees that the agent has gone.
    let reaped = reap(&rig.instance, rig.folder.path(), None, &b""[..]).await;
    assert_eq!(reaped, Ok(Reaped::Removed(2)));
    assert_eq!(rig.leftovers().await, (0, 0, 0));
    running.await.expect("ended");

    let (running, ear, _stop) = rig.start(asking(rig.job(&["sleep", "600"]), &hosts));
    ear.until(|ear| ear.starts() == 1).await;
    let config = DockerConfig { instance: rig.instance.clone(), ..DockerConfig::new("x", rig.folder.path()) };
    let next = DockerRuntime::connect(config).await.expect("connected");
    assert_eq!(next.sweep().await, Ok(2));
    assert_eq!(rig.leftovers().await, (0, 0, 0));
    running.await.expect("ended");
    rig.down().await;
}
