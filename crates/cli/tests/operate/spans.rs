//! Spans that leave a server, and servers whose collector does not answer.

use crate::collector::{Collector, text};
use crate::server::{Browser, Server, eventually, hivemind};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};
use std::net::TcpListener;

const PASSWORD: &str = "correct horse battery";
const EMAIL: &str = "needle-of-the-email@example.org";
const QUERY: &str = "needle-of-the-query";
const COMMAND: &str = "needle-of-the-command";
const FORGED: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "50");

/// Signs up, asks something and runs a task, all through the gateway; the task's id.
fn uses(browser: &mut Browser) -> String {
    browser.more.push(format!("traceparent: 00-{FORGED}-00f067aa0ba902b7-01"));
    let who = json!({"username": "ann", "password": PASSWORD, "email": EMAIL});
    let answer = browser.post("/api/v1/auth/register", &who);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(browser.get(&format!("/api/v1/tasks?q={QUERY}")).status, 200);
    assert_eq!(browser.get("/api/v1/no/such/address").status, 404);
    let answer = browser.post("/api/v1/tasks", &json!({"docker_image": "bb:1", "argv": ["echo", COMMAND]}));
    assert_eq!(answer.status, 201, "{answer:?}");
    let task = answer.json()["task_id"].as_str().unwrap().to_owned();
    eventually("the task completes", || {
        let status = browser.get(&format!("/api/v1/tasks/{task}")).json();
        (status["status"] == "completed").then_some(())
    });
    task
}

fn named<'a>(spans: &'a [Span], name: &str) -> Option<&'a Span> {
    spans.iter().find(|span| span.name == name)
}

#[test]
fn a_request_is_followed_from_the_browser_to_the_pool_and_no_secret_goes_along() {
    let (data, collector) = (tempfile::tempdir().unwrap(), Collector::start());
    let up = Server::up(
        data.path(),
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-word=let%20me%20in"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test"),
            SOON,
        ],
    );
    let mut browser = Browser::of(&up.at("web"));
    let task = uses(&mut browser);
    eventually("spans of all three come", || {
        let spans = collector.spans();
        let names = ["POST /api/v1/tasks", "TaskService/SubmitTask", "attempt"];
        names.iter().all(|name| named(&spans, name).is_some()).then_some(())
    });
    let (ended, talk) = up.stop();
    assert!(ended.success(), "{ended}: {talk}");
    let spans = collector.spans();

    let asked = named(&spans, "POST /api/v1/tasks").unwrap();
    let of = |key: &str| text(&asked.attributes, key);
    assert_eq!(of("http.route").as_deref(), Some("/api/v1/tasks"));
    assert_eq!(of("http.response.status_code").as_deref(), Some("201"));
    assert!(asked.parent_span_id.is_empty(), "a browser does not say of which span it is part");
    let called = named(&spans, "TaskService/SubmitTask").unwrap();
    assert_eq!((&called.trace_id, &called.parent_span_id), (&asked.trace_id, &asked.span_id));
    assert_eq!(text(&called.attributes, "rpc.grpc.status_code").as_deref(), Some("0"));
    let attempt = named(&spans, "attempt").unwrap();
    let of = |key: &str| text(&attempt.attributes, key).unwrap_or_default();
    assert_eq!((of("hivemind.task"), of("hivemind.node")), (task.clone(), "here".to_owned()));
    assert_eq!((of("hivemind.outcome"), of("hivemind.runtime")), ("completed".to_owned(), "fake".to_owned()));
    assert_eq!((of("hivemind.element"), of("hivemind.attempt")), ("0".to_owned(), "1".to_owned()));
    assert!(named(&spans, "GET /api/v1/tasks/{id}").is_some() && named(&spans, "GET unmatched").is_some());

    assert_eq!(collector.sender("service.name").as_deref(), Some("hivemind-up"));
    assert_eq!(collector.sender("service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(collector.sender("deployment.environment").as_deref(), Some("test"));
    assert!(collector.words().iter().all(|word| word == "let me in") && !collector.words().is_empty());
    let trace = |span: &Span| span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(spans.iter().all(|span| trace(span) != FORGED), "a browser's word is in the pool's spans");
    no_secret_is_in(&format!("{:?}", collector.batches()), &browser);
}

fn no_secret_is_in(all: &str, browser: &Browser) {
    let secrets = browser.cookies.values().chain([&browser.csrf]).map(String::as_str);
    let fixed = [PASSWORD, EMAIL, QUERY, COMMAND, "no/such/address", "let me in"];
    for secret in secrets.chain(fixed).filter(|secret| !secret.is_empty()) {
        assert!(!all.contains(secret), "`{secret}` is in what left");
    }
    assert!(browser.cookies.len() > 1 && !browser.csrf.is_empty(), "there were secrets to look for");
}

#[test]
fn nothing_leaves_where_nobody_asked_for_it() {
    let collector = Collector::start();
    for variables in [
        vec![SOON],
        vec![SOON, ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.url), ("OTEL_SDK_DISABLED", "true")],
        vec![SOON, ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.url), ("OTEL_TRACES_EXPORTER", "none")],
    ] {
        let data = tempfile::tempdir().unwrap();
        let up = Server::up(data.path(), &variables);
        uses(&mut Browser::of(&up.at("web")));
        // What was kept back would leave at the end.
        let (ended, talk) = up.stop();
        assert!(ended.success(), "{ended}: {talk}");
        assert!(!talk.contains("spans are exported"), "{talk}");
        assert_eq!(collector.batches(), [], "{variables:?}");
    }
}

/// A server that exports to `collector` serves and ends, and says once that nobody takes its spans.
fn serves_without(collector: &str) {
    let data = tempfile::tempdir().unwrap();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "200"),
        // Small, so that it overflows.
        ("OTEL_BSP_MAX_QUEUE_SIZE", "8"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4"),
        SOON,
    ];
    let up = Server::up(data.path(), &variables);
    let mut browser = Browser::of(&up.at("web"));
    uses(&mut browser);
    let complaint = "the collector does not take spans";
    eventually("it says that the collector is away", || up.talk().contains(complaint).then_some(()));
    for _ in 0..100 {
        assert_eq!(browser.get("/api/v1/auth/me").status, 200);
    }
    let (ended, talk) = up.stop();
    assert!(ended.success(), "{ended}: {talk}");
    assert_eq!(talk.matches(complaint).count(), 1, "{talk}");
}

#[test]
fn a_collector_that_never_answers_holds_nobody_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    serves_without(&format!("http://{}", silent.local_addr().unwrap()));
}

#[test]
fn a_collector_that_is_not_there_holds_nobody_up() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    serves_without(&format!("http://{closed}"));
}

#[test]
fn an_export_that_there_is_not_is_refused_at_the_start() {
    let data = tempfile::tempdir().unwrap();
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "no/such/file.pem"),
        ("OTEL_TRACES_SAMPLER", "often"),
    ] {
        let mut command = hivemind(data.path());
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:1").env(name, value);
        let said = command.args(["--json", "pool", "--listen", "127.0.0.1:0", "--web", "off"]).output().unwrap();
        let told = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said.status.code(), Some(2), "{name}: {told}");
        let told: Value =
            serde_json::from_str(told.lines().last().unwrap()).unwrap_or_else(|why| panic!("{why}: {told}"));
        assert!(told["message"].as_str().unwrap().contains(name), "{told}");
        assert!(!told["fix"].as_str().unwrap().is_empty(), "{told}");
    }
}
