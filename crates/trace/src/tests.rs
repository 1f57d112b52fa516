//! Spans of a tracer that sends nowhere.

use super::*;
use opentelemetry::trace::{SpanContext, TracerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;

fn tracer() -> SdkTracer {
    SdkTracerProvider::builder().build().tracer("test")
}

fn context(span: &Context) -> SpanContext {
    span.span().span_context().clone()
}

#[tokio::test]
async fn what_is_off_does_nothing_and_says_nothing() {
    assert!(!is_on());
    let span = Span::begin(Kind::Server, None, || -> String { panic!("nobody asks for its name") });
    span.set("key", || -> i64 { panic!("nobody asks for its value") });
    span.fail("it did not go well");
    assert_eq!(span.around(async { traceparent() }).await, None);
    span.end();
}

#[test]
fn a_parent_that_is_one_is_gone_on_with() {
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let begun = begun(&tracer(), Kind::Server, Some(&format!("00-{trace}-{parent}-01")), "x".into());
    assert_eq!(context(&begun).trace_id().to_string(), trace);
    assert_ne!(context(&begun).span_id().to_string(), parent);
}

#[test]
fn what_is_no_parent_begins_a_trace_of_its_own() {
    let zero = format!("00-{}-{}-01", "0".repeat(32), "0".repeat(16));
    let endless = "00-".repeat(10_000);
    for told in ["", "x", "00-1-2-01", "\u{1F600}", &zero, &endless] {
        let begun = begun(&tracer(), Kind::Work, Some(told), "x".into());
        assert!(context(&begun).is_valid() && context(&begun).is_sampled(), "{told}");
    }
}
