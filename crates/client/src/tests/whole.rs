use super::pool::Pool;
use super::{client, soon, target};
use crate::Client;
use futures::StreamExt;
use hivemind_proto::v1::pool_event::Event;
use hivemind_proto::v1::*;
use tonic::Status;

fn told(event: Event) -> Result<PoolEvent, Status> {
    Ok(PoolEvent { event: Some(event) })
}

fn page(numbers: &[i64], next: &str) -> Result<ListJournalResponse, Status> {
    let entries = numbers.iter().map(|entry| JournalEntry { entry: *entry, ..JournalEntry::default() });
    Ok(ListJournalResponse { entries: entries.collect(), next_page_token: next.to_owned() })
}

#[tokio::test]
async fn what_changes_is_told_until_the_pool_stops() {
    let pool = Pool::start().await;
    let node = NodeSummary { node_id: "lab".into(), ..NodeSummary::default() };
    let newer = Ok(PoolEvent { event: None });
    let stops = Err(Status::unavailable("E_UNAVAILABLE: the pool is stopping; watch again when it runs"));
    let said = vec![told(Event::Begins(WatchBegins {})), newer, told(Event::Node(node.clone())), stops];
    pool.scripts.whole.watch.then(said);
    let mut events = soon(client(&pool).await.watch_pool()).await.expect("opened");
    assert_eq!(soon(events.next()).await.expect("more").expect("told"), Event::Begins(WatchBegins {}));
    assert_eq!(soon(events.next()).await.expect("more").expect("told"), Event::Node(node));
    let error = soon(events.next()).await.expect("more").expect_err("it stops");
    assert_eq!(error.code(), Some("E_UNAVAILABLE"), "{error}");
    assert!(soon(events.next()).await.is_none());
}

#[tokio::test]
async fn the_journal_is_read_page_by_page_past_empty_ones() {
    let pool = Pool::start().await;
    let journal = &pool.scripts.whole.journal;
    journal.then(vec![page(&[9, 8], "a")]).then(vec![page(&[], "b")]).then(vec![page(&[3, 2], "c")]);
    let filter = ListJournalRequest { kinds: vec!["tip".into()], ..ListJournalRequest::default() };
    let entries = client(&pool).await.journal_entries(filter, 3);
    let entries: Vec<_> = soon(entries.collect()).await;
    let numbers: Vec<i64> = entries.into_iter().map(|entry| entry.expect("read").entry).collect();
    assert_eq!(numbers, [9, 8, 3]);
    let asked: Vec<(String, i32)> =
        journal.asked().into_iter().map(|request| (request.page_token, request.page_size)).collect();
    assert_eq!(asked, [(String::new(), 3), ("a".into(), 3), ("b".into(), 3)]);
    assert!(journal.asked().iter().all(|request| request.kinds == ["tip"]));
}

#[tokio::test]
async fn figures_of_the_whole_pool_are_handed_on() {
    let pool = Pool::start().await;
    let (scripts, client) = (&pool.scripts.whole, client(&pool).await);
    let health = HealthResponse { nodes_online: 3, ..HealthResponse::default() };
    scripts.health.then(vec![Err(Status::unavailable("not yet"))]).then(vec![Ok(health.clone())]);
    assert_eq!(soon(client.health()).await.expect("asked again"), health);
    let queue = QueueResponse { elements: 7, ..QueueResponse::default() };
    scripts.queue.then(vec![Ok(queue.clone())]);
    assert_eq!(soon(client.queue()).await.expect("told"), queue);
    let nobody = soon(Client::connect(&target(&pool), None)).await.expect("connected");
    let counters = PublicCountersResponse { users: 2, ..PublicCountersResponse::default() };
    scripts.public.then(vec![Ok(counters)]);
    assert_eq!(soon(nobody.public_counters()).await.expect("told"), counters);
}
