//! The gate as a task meets it: from a network of its own that has nothing but loopback.
//!
//! Start at [`inside::Network`] and [`inside::Open`]. Needs root; without, the tests print a line and pass, unless
//! `HIVEMIND_REQUIRE_ROOT` is set.

mod inside;

use hivemind_egress::{NetworkLimits, Used};
use hivemind_model::units::Bytes;
use inside::{Host, Network, Open, PROXY, soon};
use std::net::UdpSocket;
use std::process::Command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn echoes(stream: &mut TcpStream, words: &[u8]) {
    stream.write_all(words).await.expect("written");
    let mut heard = vec![0; words.len()];
    soon(stream.read_exact(&mut heard)).await.expect("read");
    assert_eq!(heard, words);
}

fn endpoints(port: u16, hosts: &[&str]) -> Vec<String> {
    hosts.iter().map(|host| format!("{host}:{port}")).collect()
}

#[tokio::test]
async fn the_host_is_reached_in_every_way_and_counted() {
    let Some(network) = Network::new() else { return };
    let host = Host::new("127.0.0.1").await;
    let port = host.port();
    let egress = endpoints(port, &["files.test", "*.wild.test", "127.0.0.1"]);
    let open = Open::new(&network, &egress, &[host.address], NetworkLimits::default()).await;
    open.names.put("files.test", &[&["127.0.0.1"]]);
    open.names.put("a.b.wild.test", &[&["::ffff:127.0.0.1"]]);

    echoes(&mut network.connect(&format!("127.64.1.1:{port}")), b"straight").await;
    for target in ["files.test", "FILES.test", "a.b.wild.test", "127.0.0.1"] {
        let mut stream = network.connect(PROXY);
        let request = format!("CONNECT {target}:{port} HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = [0; 12];
        soon(stream.read_exact(&mut answer)).await.expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 200", "{target}");
        let mut byte = [0];
        let mut head = answer.to_vec();
        while !head.ends_with(b"\r\n\r\n") {
            soon(stream.read_exact(&mut byte)).await.expect("the rest of it");
            head.push(byte[0]);
        }
        echoes(&mut stream, b"through the tunnel").await;

        let mut stream = network.connect(PROXY);
        let name = target.as_bytes();
        let request = [&[5, 1, 0, 5, 1, 0, 3, name.len() as u8], name, &port.to_be_bytes()].concat();
        stream.write_all(&request).await.expect("written");
        let mut answer = [0; 12];
        soon(stream.read_exact(&mut answer)).await.expect("an answer");
        assert_eq!(answer[..4], [5, 0, 5, 0], "{target}");
        echoes(&mut stream, b"through SOCKS").await;
    }
    let bytes = Bytes(8 + 4 * (18 + 13));
    assert_eq!(open.gate.used(), Used { received: bytes, sent: bytes });
    assert_eq!((open.lines(), host.visits()), (Vec::new(), 9));
}

#[tokio::test]
async fn nothing_else_is_reached_and_all_of_it_is_in_the_log() {
    let Some(network) = Network::new() else { return };
    let (host, trap) = (Host::new("127.0.0.1").await, Host::new("0.0.0.0").await);
    let (port, other) = (host.port(), trap.port());
    let names = [
        ("loop.test", "127.0.0.1", "a loopback address"),
        ("six.test", "::1", "a loopback address"),
        ("mapped.test", "::ffff:127.0.0.1", "a loopback address"),
        ("nat.test", "64:ff9b::7f00:1", "a loopback address"),
        ("tunnel.test", "2002:7f00:1::1", "a loopback address"),
        ("cloud.test", "169.254.169.254", "a link-local address"),
        ("bridge.test", "172.17.0.1", "a private address"),
        ("zero.test", "0.0.0.0", "an address of this machine itself"),
    ];
    let mut egress = endpoints(other, &names.map(|(name, ..)| name));
    egress.extend(endpoints(other, &["both.test", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "none.test"]));
    egress.push(format!("files.test:{port}"));
    let open = Open::new(&network, &egress, &[host.address], NetworkLimits::default()).await;
    for (name, address, _) in names {
        open.names.put(name, &[&[address]]);
    }
    open.names.put("both.test", &[&["93.184.215.14", "127.0.0.1"]]);

    for (name, _, is) in names {
        let answer = network.says(format!("CONNECT {name}:{other} HTTP/1.1\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains(is), "{name}: {answer}");
        open.told(&format!("hivemind: network: refused {name}:{other} (")).await;
    }
    for (target, status, why) in [
        (format!("both.test:{other}"), 403, "127.0.0.1 is a loopback address"),
        (format!("169.254.169.254:{other}"), 403, "169.254.169.254 is a link-local address"),
        (format!("[::1]:{other}"), 403, "::1 is a loopback address"),
        (format!("[::ffff:127.0.0.1]:{other}"), 403, "::ffff:127.0.0.1 is a loopback address"),
        (format!("files.test:{other}"), 403, "the task did not ask for it"),
        (format!("loop.test:{port}"), 403, "the task did not ask for it"),
        (format!("127.0.0.1:{port}"), 403, "the task did not ask for it"),
        (format!("127.0.0.1:{other}"), 403, "the task did not ask for it"),
        (format!("2130706433:{other}"), 400, "no name and no usual address"),
        (format!("0x7f000001:{other}"), 400, "no name and no usual address"),
        (format!("0177.0.0.1:{other}"), 400, "no name and no usual address"),
        (format!("127.1:{other}"), 400, "no name and no usual address"),
        (format!("files.test.:{port}"), 400, "it is to be written as files.test"),
        (format!("*.test:{port}"), 400, ""),
        (format!("user@files.test:{port}"), 400, ""),
        ("files.test".to_owned(), 400, "it names no port"),
        (format!("none.test:{other}"), 502, "its name leads nowhere: no such name"),
    ] {
        let answer = network.says(format!("CONNECT {target} HTTP/1.1\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(why), "{target}: {answer}");
        if !why.is_empty() {
            open.told(why).await;
        }
    }
    for request in [
        &[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 0, 80][..],
        &[5, 1, 0, 5, 1, 0, 3, 10, b'2', b'1', b'3', b'0', b'7', b'0', b'6', b'4', b'3', b'3', 0, 80],
        &[5, 1, 0, 5, 3, 0, 1, 8, 8, 8, 8, 0, 53],
    ] {
        let answer = network.says(request).await;
        assert!(matches!(answer.as_bytes()[3], 2 | 7), "{answer:?}");
    }
    open.told("refused 127.0.0.1:80 (the task did not ask for it)").await;
    open.told("refused `2130706433:80`").await;
    open.told("refused a request to the SOCKS proxy").await;
    let mut straight = network.connect(&format!("127.64.1.1:{other}"));
    let mut nothing = Vec::new();
    assert!(soon(straight.read_to_end(&mut nothing)).await.is_err(), "it is reset");
    assert_eq!((host.visits(), trap.visits()), (0, 0));
    assert_eq!(open.gate.used(), Used::default());
}

/// A name that is public when it is looked at and this machine when it is reached: there is no second look.
#[tokio::test]
async fn a_name_that_changes_is_looked_up_once_for_each_connection() {
    let Some(network) = Network::new() else { return };
    let (host, trap) = (Host::new("127.0.0.1").await, Host::new("127.0.0.2").await);
    let port = host.port();
    let egress = endpoints(port, &["rebind.test"]);
    let open = Open::new(&network, &egress, &[host.address], NetworkLimits::default()).await;
    open.names.put("rebind.test", &[&["127.0.0.1"], &["127.0.0.2"], &["127.0.0.1", "127.0.0.2"]]);
    let door = format!("127.64.1.1:{port}");
    let mut first = network.connect(&door);
    echoes(&mut first, b"the address that was checked").await;
    assert_eq!(open.names.lookups("rebind.test"), 1);
    for round in 2..4 {
        let mut stream = network.connect(&door);
        assert!(soon(stream.read_to_end(&mut Vec::new())).await.is_err());
        assert_eq!(open.names.lookups("rebind.test"), round);
    }
    echoes(&mut first, b"still the same").await;
    let lines = open.lines.clone();
    soon(open.gate.close()).await;
    let refused = format!("hivemind: network: refused rebind.test:{port} (127.0.0.2 is a loopback address)");
    assert_eq!(*lines.lock(), [refused.clone(), format!("{refused}, 2 times")]);
    assert_eq!((host.visits(), trap.visits()), (1, 0));
}

/// Public by its number, and this machine's all the same.
#[tokio::test]
async fn this_machine_s_own_public_address_is_not_reached() {
    const OWN: &str = "25.25.25.25";
    const NEIGHBOUR: &str = "25.25.25.99";
    struct Added;
    impl Drop for Added {
        fn drop(&mut self) {
            ip("del");
        }
    }
    fn ip(verb: &str) {
        let done = Command::new("ip").args(["address", verb, &format!("{OWN}/24"), "dev", "lo"]).status();
        assert!(done.is_ok_and(|status| status.success()) || std::thread::panicking(), "ip address {verb}");
    }
    let Some(network) = Network::new() else { return };
    ip("add");
    let _added = Added;
    let trap = Host::new(OWN).await;
    let port = trap.port();
    let egress = endpoints(port, &["own.test", OWN, NEIGHBOUR]);
    let open = Open::new(&network, &egress, &[], NetworkLimits::default()).await;
    open.names.put("own.test", &[&[OWN]]);
    for host in ["own.test", OWN] {
        let answer = network.says(format!("CONNECT {host}:{port} HTTP/1.1\r\n\r\n").as_bytes()).await;
        assert!(answer.contains("25.25.25.25 is an address of this machine"), "{answer}");
    }
    let answer = network.says(format!("CONNECT {NEIGHBOUR}:{port} HTTP/1.1\r\n\r\n").as_bytes()).await;
    assert!(answer.contains("25.25.25.99 is an address in this machine's own network"), "{answer}");
    assert_eq!(trap.visits(), 0);
}

/// Hears one request, which ends in `end`, gives `answer`, and tells what it heard, in lower case.
async fn hear(listener: &TcpListener, end: &[u8], answer: &[u8]) -> String {
    let (mut stream, _) = soon(listener.accept()).await.expect("a visit");
    let mut heard = Vec::new();
    while !heard.ends_with(end) {
        let mut piece = [0; 1024];
        let length = soon(stream.read(&mut piece)).await.expect("read");
        assert!(length > 0, "{}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&piece[..length]);
    }
    stream.write_all(answer).await.expect("written");
    String::from_utf8(heard).expect("text").to_ascii_lowercase()
}

#[tokio::test]
async fn a_plain_request_goes_where_its_line_says_without_what_is_the_proxy_s() {
    let Some(network) = Network::new() else { return };
    let web = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = web.local_addr().expect("bound");
    let port = address.port();
    let open = Open::new(&network, &endpoints(port, &["web.test"]), &[address], NetworkLimits::default()).await;
    open.names.put("web.test", &[&["127.0.0.1"]]);
    let request = format!(
        "POST http://web.test:{port}/path?q=1 HTTP/1.1\r\nHost: evil.test\r\nConnection: keep-alive, X-Secret\r\n\
         X-Secret: 1\r\nProxy-Authorization: Basic x\r\nTE: trailers\r\nUpgrade: h2c\r\nX-Kept: yes\r\n\
         Content-Length: 5\r\n\r\nbody!GET http://evil.test/ HTTP/1.1\r\n\r\n"
    );
    let answer =
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\nContent-Length: 5\r\n\r\nhello";
    let (heard, answer) = tokio::join!(hear(&web, b"body!", answer), network.says(request.as_bytes()));
    let answer = answer.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200 ok\r\n") && answer.ends_with("\r\n\r\nhello"), "{answer}");
    assert!(answer.contains("connection: close") && answer.contains("x-end: 2"), "{answer}");
    assert!(!answer.contains("x-hop") && !answer.contains("keep-alive"), "{answer}");
    assert!(heard.starts_with("post /path?q=1 http/1.1\r\n"), "{heard}");
    for line in [format!("host: web.test:{port}"), "connection: close".into(), "x-kept: yes".into()] {
        assert!(heard.contains(&format!("\r\n{line}\r\n")), "{line} is not in {heard}");
    }
    for word in ["evil", "x-secret", "proxy-", "te:", "upgrade"] {
        assert!(!heard.contains(word), "{word} is in {heard}");
    }

    // A length that is told in two ways is told on in one.
    let request = format!(
        "POST http://web.test:{port}/ HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nbody!\r\n0\r\n\r\n"
    );
    let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
    let (heard, answer) = tokio::join!(hear(&web, b"0\r\n\r\n", answer), network.says(request.as_bytes()));
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert!(heard.contains("transfer-encoding: chunked") && !heard.contains("content-length"), "{heard}");
}

#[tokio::test]
async fn what_is_no_request_goes_nowhere() {
    let Some(network) = Network::new() else { return };
    let host = Host::new("127.0.0.1").await;
    let port = host.port();
    let open = Open::new(&network, &endpoints(port, &["files.test"]), &[host.address], NetworkLimits::default()).await;
    open.names.put("files.test", &[&["127.0.0.1"]]);
    let head = format!("http://files.test:{port}/ HTTP/1.1\r\nHost: files.test\r\n");
    for request in [
        format!("POST {head}Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"),
        format!("POST {head}Content-Length: +5\r\n\r\nabcde"),
        format!("POST {head}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        format!("GET {head}X: {}\r\n\r\n", "x".repeat(64 << 10)),
        format!("GET {head}{}\r\n", "X: 1\r\n".repeat(200)),
        format!("GET {head}X : 1\r\n\r\n"),
        format!("GET https://files.test:{port}/ HTTP/1.1\r\n\r\n"),
        "GET / HTTP/1.1\r\nHost: files.test\r\n\r\n".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
    ] {
        let answer = network.says(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 4") || answer.is_empty(), "{request:.80}: {answer}");
    }
    assert_eq!(host.visits(), 0);
}

#[tokio::test]
async fn connections_and_volume_have_a_limit() {
    let Some(network) = Network::new() else { return };
    let host = Host::new("127.0.0.1").await;
    let port = host.port();
    let limits = NetworkLimits { connections: 2, volume: 100_000, ..NetworkLimits::default() };
    let open = Open::new(&network, &endpoints(port, &["files.test"]), &[host.address], limits).await;
    open.names.put("files.test", &[&["127.0.0.1"]]);
    let door = format!("127.64.1.1:{port}");
    let mut streams = [network.connect(&door), network.connect(&door), network.connect(&door)];
    let (first, rest) = streams.split_at_mut(1);
    echoes(&mut first[0], b"one").await;
    echoes(&mut rest[0], b"two").await;
    open.told("2 connections are open; more wait until one ends").await;
    assert_eq!(host.visits(), 2);
    rest[0].shutdown().await.expect("ended");
    assert_eq!(soon(rest[0].read(&mut [0])).await.expect("ended"), 0);
    echoes(&mut rest[1], b"three").await;
    assert_eq!(host.visits(), 3);

    let (mut from, mut to) = rest[1].split();
    let pushed = async { while to.write_all(&[0; 1024]).await.is_ok() {} };
    let pulled = async { while from.read(&mut [0; 4096]).await.is_ok_and(|length| length > 0) {} };
    soon(async { tokio::join!(pushed, pulled) }).await;
    open.told("the task has used its volume of 100000 bytes").await;
    let used = open.gate.used();
    let all = used.received.0 + used.sent.0;
    assert!((100_000..100_000 + 4 * (16 << 10)).contains(&all), "{all}");
    let refused = network.says(format!("CONNECT files.test:{port} HTTP/1.1\r\n\r\n").as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 403") && refused.contains("used its volume"), "{refused}");
}

#[tokio::test]
async fn a_closed_gate_leaves_nothing_open() {
    let Some(network) = Network::new() else { return };
    let host = Host::new("127.0.0.1").await;
    let port = host.port();
    let open = Open::new(&network, &endpoints(port, &["files.test"]), &[host.address], NetworkLimits::default()).await;
    open.names.put("files.test", &[&["127.0.0.1"]]);
    let door = format!("127.64.1.1:{port}");
    let mut stream = network.connect(&door);
    echoes(&mut stream, b"open").await;
    let used = soon(open.gate.close()).await;
    assert_eq!(used, Used { received: Bytes(4), sent: Bytes(4) });
    assert!(!matches!(soon(stream.read(&mut [0])).await, Ok(1..)));
    assert!(network.try_connect(&door).is_err() && network.try_connect(PROXY).is_err());
}

#[tokio::test]
async fn there_is_no_other_way_out() {
    let Some(network) = Network::new() else { return };
    let open = Open::new(&network, &["files.test:1".to_owned()], &[], NetworkLimits::default()).await;
    for address in ["8.8.8.8:53", "169.254.169.254:80", "172.17.0.1:80", "[2001:4860:4860::8888]:53"] {
        assert!(network.try_connect(address).is_err(), "{address}");
        let target = address.to_owned();
        let sent = network.within(move || {
            let any = if target.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
            UdpSocket::bind(any)?.send_to(b"x", target)
        });
        assert!(sent.is_err(), "{address} by UDP");
    }
    drop(open);
}
