use super::*;
use futures::StreamExt;
use http::HeaderValue;

fn hub(events: usize) -> Hub {
    Hub::new(Bounds { events, bytes: 4096, followers: 2 })
}

fn from(id: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::HeaderName::from_static("last-event-id"), HeaderValue::try_from(id).unwrap())])
}

/// All that comes to a follower of a hub that is closed.
async fn all(hub: &Hub, headers: &HeaderMap) -> String {
    let follower = hub.follow(headers).unwrap();
    hub.close();
    let parts: Vec<_> = follower.stream().collect().await;
    let text = String::from_utf8(parts.concat()).unwrap();
    text.replace(&hub.0.epoch, "E")
}

#[tokio::test]
async fn a_browser_that_comes_back_goes_on_where_it_was() {
    let hub = hub(10);
    for number in 1..=3 {
        hub.send("n", &number);
    }
    let came = all(&hub, &from(&format!("{}-1", hub.0.epoch))).await;
    assert_eq!(came, "retry: 2000\nid: E-1\n\nid: E-2\nevent: n\ndata: 2\n\nid: E-3\nevent: n\ndata: 3\n\n");
}

#[tokio::test]
async fn what_left_the_ring_is_told_as_a_reset() {
    let hub = hub(2);
    for number in 1..=5 {
        hub.send("n", &number);
    }
    let reset = "id: E-5\nevent: reset\ndata: {}\n\n";
    assert!(all(&hub, &from(&format!("{}-1", hub.0.epoch))).await.ends_with(reset));
    for unknown in ["other-1", "", "-", &format!("{}-99", hub.0.epoch)] {
        assert!(all(&hub, &from(unknown)).await.ends_with(reset), "{unknown}");
    }
    assert_eq!(all(&hub, &HeaderMap::new()).await, "retry: 2000\nid: E-5\n\n", "who is new has missed nothing");
    assert_eq!(hub.0.ring.lock().frames.len(), 2);
}

#[tokio::test]
async fn a_slow_follower_holds_nothing_and_is_reset() {
    let hub = hub(100);
    let follower = hub.follow(&HeaderMap::new()).unwrap().first("now", &"state").unwrap();
    for _ in 0..1000 {
        hub.send("n", &"x".repeat(100));
    }
    assert!(hub.0.ring.lock().bytes <= 4096);
    hub.close();
    let parts: Vec<_> = follower.stream().collect().await;
    assert!(parts[1].windows(10).any(|part| part == b"event: now"), "how things stood comes first");
    assert_eq!(parts[2], hub.reset_frame(1000));
    assert_eq!(parts.len(), 3);
}

#[tokio::test]
async fn places_are_bounded_and_given_back() {
    let hub = hub(1);
    let (one, _two) = (hub.follow(&HeaderMap::new()).unwrap(), hub.follow(&HeaderMap::new()).unwrap());
    assert_eq!(hub.follow(&HeaderMap::new()).unwrap_err().status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(hub.followers(), 2);
    drop(one);
    assert!(hub.follow(&HeaderMap::new()).is_ok());
}

#[tokio::test]
async fn an_event_larger_than_the_ring_is_a_reset() {
    let hub = hub(10);
    let follower = hub.follow(&HeaderMap::new()).unwrap();
    hub.send("n", &"x".repeat(5000));
    hub.close();
    let parts: Vec<_> = follower.stream().collect().await;
    assert_eq!(parts[1], hub.reset_frame(1));
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_shows_that_it_lives() {
    let hub = hub(10);
    let mut stream = Box::pin(hub.follow(&HeaderMap::new()).unwrap().stream());
    stream.next().await.unwrap();
    assert_eq!(stream.next().await.unwrap(), ": alive\n\n");
    hub.send("n", &1);
    assert!(stream.next().await.unwrap().starts_with(b"id: "));
}
