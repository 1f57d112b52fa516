//! A server as roles make it, asked as strangers do: bytes over TCP.

#![allow(clippy::unwrap_used)]

use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use axum::{Json, Router};
use hivemind_http::events::{Bounds, Hub};
use hivemind_http::host::{self, Hosts};
use hivemind_http::operate::{Metrics, Operate};
use hivemind_http::pages::{self, Site};
use hivemind_http::serve::{Options, Server};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const DEADLINE: Duration = Duration::from_secs(60);

struct Running {
    address: SocketAddr,
    hub: Hub,
    end: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

async fn start(options: Options) -> Running {
    let hub = Hub::new(Bounds::default());
    let followed = hub.clone();
    let metrics = Metrics::new("test", "1.2.3").unwrap();
    metrics.counter("hivemind_test_things_total", "Things.", &[("kind", "a".to_owned())]).increment(2);
    metrics.histogram("hivemind_test_wait_seconds", "Waits.", &[]).record(0.2);
    let operate = Operate::new(metrics).ready(|| Err("the link is down".into())).routes();
    let api = Router::new()
        .route("/api/v1/echo", post(async |Json(body): Json<serde_json::Value>| Json(body)))
        .route("/api/v1/small", post(async |_: String| "").layer(DefaultBodyLimit::max(8)))
        .route("/api/v1/length", post(async |body: String| body.len().to_string()))
        .route("/api/v1/long", get(async || "x".repeat(1 << 20)))
        .route("/api/v1/panic", get(async || if true { panic!("secret") } else { "" }))
        .route(
            "/api/v1/events",
            get(async move |headers: HeaderMap| {
                followed.follow(&headers).map(|follower| follower.until(std::future::pending()))
            }),
        );
    let router = pages::with_pages(api.merge(operate), Site::Worker);
    let router = hivemind_http::finish(host::guard(router, Hosts::loopback()));
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), options).await.unwrap();
    let address = server.address();
    let (end, ended) = oneshot::channel::<()>();
    let server = tokio::spawn(server.run(router, async { drop(ended.await) }));
    Running { address, hub, end, server }
}

/// The whole answer to a request of these lines, lower case in its headers.
async fn ask(running: &Running, request: &str) -> String {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    // A server that has heard enough answers and closes, and what was not sent by then has nowhere to go.
    let _heard_enough = stream.write_all(request.replace('\n', "\r\n").as_bytes()).await.is_err();
    let mut answer = Vec::new();
    while let Ok(1..) = tokio::time::timeout(DEADLINE, stream.read_buf(&mut answer)).await.unwrap() {}
    String::from_utf8(answer).unwrap()
}

async fn asked(running: &Running, line: &str, more: &str) -> String {
    ask(running, &format!("{line} HTTP/1.1\nHost: localhost\nConnection: close\n{more}\n")).await
}

#[tokio::test]
async fn every_fault_is_a_problem() {
    let running = start(Options::default()).await;
    for (line, more, status, code) in [
        ("GET /api/v1/nothing", "", "404 ", "E_NOT_FOUND"),
        ("GET /api/v1/echo", "", "405 ", "E_METHOD"),
        ("DELETE /", "", "405 ", "E_METHOD"),
        ("POST /api/v1/echo", "Content-Type: text/plain\nContent-Length: 1\n\n1", "415 ", "E_MEDIA_TYPE"),
        ("POST /api/v1/echo", "Content-Type: application/json\nContent-Length: 1\n\n{", "400 ", "E_INVALID"),
        ("POST /api/v1/small", "Content-Length: 9\n\n123456789", "413 ", "E_TOO_LARGE"),
        ("GET /api/v1/panic", "", "500 ", "E_INTERNAL"),
        ("GET /readyz", "", "503 ", "the link is down"),
    ] {
        let answer = asked(&running, line, more).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{line}: {answer}");
        assert!(answer.contains("content-type: application/problem+json"), "{line}: {answer}");
        assert!(answer.contains(code) && !answer.contains("secret"), "{line}: {answer}");
    }
    assert!(asked(&running, "GET /api/v1/echo", "").await.contains("allow: POST"), "what it says of itself stays");
}

#[tokio::test]
async fn bodies_and_headers_have_bounds() {
    let running = start(Options::default()).await;
    let body = |bytes: usize| format!("Content-Length: {bytes}\n\n{}", "x".repeat(bytes));
    let most = 1 << 20;
    let largest = asked(&running, "POST /api/v1/length", &body(most)).await;
    assert!(largest.starts_with("HTTP/1.1 200 ") && largest.ends_with(&most.to_string()), "{largest}");
    let too_large = asked(&running, "POST /api/v1/length", &body(most + 1)).await;
    assert!(too_large.starts_with("HTTP/1.1 413 ") && too_large.contains("E_TOO_LARGE"), "{too_large}");
    let header = |bytes: usize| format!("X-Long: {}\n", "x".repeat(bytes));
    assert!(asked(&running, "GET /livez", &header(24 << 10)).await.starts_with("HTTP/1.1 200 "));
    for more in [header(64 << 10), "X-Many: x\n".repeat(10_000)] {
        let refused = asked(&running, "GET /livez", &more).await;
        assert!(refused.starts_with("HTTP/1.1 431 "), "{refused}");
    }
    assert!(asked(&running, "GET /livez", "").await.ends_with("alive\n"), "others are answered");
}

#[tokio::test]
async fn every_answer_makes_browsers_careful() {
    let running = start(Options::default()).await;
    for line in ["GET /", "GET /api/v1/nothing", "GET /livez", "GET /api/v1/panic"] {
        let answer = asked(&running, line, "").await;
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'",
            "x-content-type-options: nosniff",
            "cross-origin-opener-policy: same-origin",
            "referrer-policy: same-origin",
            "permissions-policy: ",
            "cache-control: no-",
        ] {
            assert!(answer.contains(header), "{line}: no {header} in {answer}");
        }
    }
}

#[tokio::test]
async fn a_stranger_name_is_not_answered() {
    let running = start(Options::default()).await;
    for host in ["evil.example", "localhost.evil.example:80", ""] {
        let answer = ask(&running, &format!("GET /livez HTTP/1.1\nHost: {host}\nConnection: close\n\n")).await;
        assert!(answer.starts_with("HTTP/1.1 421 ") && answer.contains("E_HOST"), "{host}: {answer}");
    }
    let two = "GET /livez HTTP/1.1\nHost: localhost\nHost: evil.example\nConnection: close\n\n";
    assert!(ask(&running, two).await.starts_with("HTTP/1.1 4"));
    assert!(asked(&running, "GET /livez", "").await.ends_with("alive\n"));
}

#[tokio::test]
async fn a_server_without_pages_says_how_to_build_them() {
    let running = start(Options::default()).await;
    let page = asked(&running, "GET /any/where", "").await;
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("content-type: text/html"), "{page}");
    assert_eq!(page.contains("make web"), !Site::Worker.is_built(), "{page}");
}

#[tokio::test]
async fn figures_have_names_kinds_and_help() {
    let running = start(Options::default()).await;
    let figures = asked(&running, "GET /metrics", "").await;
    for line in [
        "content-type: text/plain; version=0.0.4",
        "# HELP hivemind_test_things_total Things.",
        "# TYPE hivemind_test_things_total counter",
        "hivemind_test_things_total{kind=\"a\"} 2",
        "hivemind_test_wait_seconds_bucket{le=\"0.25\"} 1",
        "hivemind_build_info{role=\"test\",version=\"1.2.3\"} 1",
        "# TYPE process_resident_memory_bytes gauge",
    ] {
        assert!(figures.contains(line), "no {line} in {figures}");
    }
    assert!(!figures.contains("process_resident_memory_bytes 0\n"), "{figures}");
}

#[tokio::test]
async fn events_come_as_they_happen_and_end_with_the_server() {
    let running = start(Options::default()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut got = String::new();
    let mut until = async |wanted: &str| {
        while !got.contains(wanted) {
            let mut part = [0; 1024];
            let read = tokio::time::timeout(DEADLINE, stream.read(&mut part)).await.unwrap().unwrap();
            assert!(read > 0, "it ended before {wanted}: {got}");
            got.push_str(std::str::from_utf8(&part[..read]).unwrap());
        }
    };
    until("retry: 2000").await;
    running.hub.send("now", &"a\nb");
    until("event: now\ndata: \"a\\nb\"\n\n").await;
    running.end.send(()).unwrap();
    running.hub.close();
    tokio::time::timeout(DEADLINE, running.server).await.unwrap().unwrap();
    assert_eq!(running.hub.followers(), 0);
}

#[tokio::test]
async fn a_silent_peer_gives_its_place_to_the_next() {
    let options = Options { connections: 1, patience: Duration::from_millis(50), ..Options::default() };
    let running = start(options).await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    silent.write_all(b"GET /livez HT").await.unwrap();
    assert!(asked(&running, "GET /livez", "").await.contains("alive"), "the silent one was left");
}

#[tokio::test]
async fn an_end_does_not_wait_for_those_who_never_end() {
    let options = Options { last_words: Duration::from_millis(1), ..Options::default() };
    let running = start(options).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    stream.read_u8().await.unwrap();
    running.end.send(()).unwrap();
    tokio::time::timeout(DEADLINE, running.server).await.unwrap().unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn a_connection_that_only_lives_is_left() {
    let running = start(Options { idle: Duration::from_millis(100), ..Options::default() }).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    // The preface of HTTP/2 and empty settings: nothing is asked for.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut heard = Vec::new();
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut heard)).await.unwrap().unwrap();
    assert!(!heard.is_empty(), "its settings came");
    // Who waits for events is not left for it.
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut told = String::new();
    let mut piece = [0; 512];
    for event in ["first", "second"] {
        let mut quiet = 0;
        while !told.contains(event) {
            match tokio::time::timeout(Duration::from_millis(150), stream.read(&mut piece)).await {
                Ok(read) => {
                    let read = read.unwrap();
                    assert!(read > 0, "it was left: {told}");
                    told.push_str(&String::from_utf8_lossy(&piece[..read]));
                }
                // Longer than a connection may be idle.
                Err(_quiet) => {
                    quiet += 1;
                    assert!(quiet < 400, "{told}");
                    running.hub.send(event, &"x");
                }
            }
        }
    }
}

/// A connection over HTTP/2, and what ends with it.
async fn second_generation(running: &Running) -> (SendRequest<Empty<&'static [u8]>>, JoinHandle<()>) {
    let stream = TokioIo::new(TcpStream::connect(running.address).await.unwrap());
    // Far less room than the longest answer takes.
    let mut builder = http2::Builder::new(TokioExecutor::new());
    let (send, connection) = builder.initial_stream_window_size(16 << 10).handshake(stream).await.unwrap();
    // How it ends is not the question.
    (send, tokio::spawn(async { drop(connection.await) }))
}

fn request(path: &str, fields: usize) -> Request<Empty<&'static [u8]>> {
    let mut request = Request::get(format!("http://localhost{path}")).body(Empty::new()).unwrap();
    for _ in 0..fields {
        request.headers_mut().append("a", "".parse().unwrap());
    }
    request
}

#[tokio::test]
async fn short_headers_are_counted() {
    let running = start(Options::default()).await;
    let (mut send, _connection) = second_generation(&running).await;
    for (fields, status) in [(90, StatusCode::OK), (200, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)] {
        let answer = tokio::time::timeout(DEADLINE, send.send_request(request("/livez", fields))).await.unwrap();
        assert_eq!(answer.unwrap().status(), status, "{fields}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_given_up() {
    let running = start(Options { idle: Duration::from_millis(200), ..Options::default() }).await;
    let (mut send, connection) = second_generation(&running).await;
    let answer = send.send_request(request("/api/v1/long", 0)).await.unwrap();
    // Its beginning has come, there is no room for the rest, and nothing of it is read.
    tokio::time::timeout(DEADLINE, connection).await.unwrap().unwrap();
    assert!(answer.into_body().collect().await.is_err(), "it was not whole");

    let (mut send, _connection) = second_generation(&running).await;
    let answer = send.send_request(request("/api/v1/long", 0)).await.unwrap();
    let whole = tokio::time::timeout(DEADLINE, answer.into_body().collect()).await.unwrap().unwrap().to_bytes();
    assert_eq!(whole.len(), 1 << 20);
}
