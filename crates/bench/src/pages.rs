//! How late a page hears of what happens, while tasks come and go.
//!
//! A gateway before a pool, and one page's stream of events over HTTP, as a browser has it. The pool says when a task was accepted and
//! when it ended; the clock is the same machine's.

use crate::child::{self, Pool};
use crate::report::{Report, percentile};
use crate::{machine, noop};
use anyhow::{Context, ensure};
use futures::future::try_join_all;
use hivemind_client::Client;
use hivemind_client::v1::ListTasksRequest;
use hivemind_master::{Gateway, Site, Way};
use serde_json::Value;
use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::MissedTickBehavior;

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["page_event_lag_p50", "page_event_lag_p95"];

/// Tasks a second, handed in as so many small batches.
const RATE: u64 = 500;
const BATCH: u64 = 10;
const TASKS: u64 = 10_000;
const WORKERS: usize = 2;
const CORES: u32 = 64;
const PAGE: i32 = 1000;
const PATIENCE: Duration = Duration::from_secs(60);

/// When an event of a task came, and what it said, in milliseconds since 1970.
type Heard = HashMap<(String, String), i64>;

/// Measures [`FIGURES`].
///
/// # Errors
/// Where something does not run, or a page is not told of a task.
pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    report.begin(&format!("events of a page: {TASKS} tasks, {RATE} a second"));
    let dir = machine::scratch()?;
    let pool = Pool::start(&dir.path().join("pool")).await?;
    let client = pool.new_user("requester").await?;
    let workers = child::start_workers(&client, &dir.path().join("workers"), WORKERS, CORES).await?;
    let gateway = Gateway {
        listen: "127.0.0.1:0".parse()?,
        pool: pool.target().clone(),
        site: Site::Master,
        way: Way::Plain,
        names: Vec::new(),
        gateway_key: None,
        operate: None,
    };
    let gateway = gateway.start().await?;
    let token = pool.token_of("requester").await?;
    let address = format!("{}/api/v1/events", gateway.url());
    let page = reqwest::Client::builder().no_proxy().build()?.get(address).bearer_auth(token).send().await?;
    let page = page.error_for_status()?;
    let listening = tokio::spawn(listen(page));
    let begin = std::time::Instant::now();
    submit(&client).await?;
    let rate = TASKS as f64 / begin.elapsed().as_secs_f64();
    let heard = tokio::time::timeout(PATIENCE, listening).await.context("a page was not told of all ends")???;
    let mut lags = lags(&client, &heard).await?;
    gateway.stop().await;
    workers.stop().await?;
    pool.process.stop().await?;
    println!("  {rate:.0} tasks/s handed in; {} events", heard.len());
    report.add(FIGURES[0], percentile(&mut lags, 0.50), "ms", None);
    report.add(FIGURES[1], percentile(&mut lags, 0.95), "ms", None);
    Ok(())
}

async fn submit(client: &Client) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_millis(1000 * BATCH / RATE));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut answers = Vec::new();
    for _ in 0..TASKS / BATCH {
        ticks.tick().await;
        let client = client.clone();
        answers.push(tokio::spawn(async move {
            let requests = (0..BATCH).map(|_| noop::task()).collect();
            client.submit_many(requests).await.into_iter().try_for_each(|answer| answer.map(drop))
        }));
    }
    for answer in try_join_all(answers).await? {
        answer?;
    }
    Ok(())
}

/// Reads a page's stream until all tasks have ended.
async fn listen(mut page: reqwest::Response) -> anyhow::Result<Heard> {
    let (mut heard, mut text, mut ended) = (Heard::new(), String::new(), 0);
    while ended < TASKS {
        let piece = page.chunk().await?.context("the stream ended")?;
        let at = now_ms()?;
        text.push_str(std::str::from_utf8(&piece)?);
        while let Some(end) = text.find("\n\n") {
            let frame: String = text.drain(..end + 2).collect();
            let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            if field("event") != Some("task") {
                continue;
            }
            let data: Value = serde_json::from_str(field("data").unwrap_or_default())?;
            let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
            let (task, status) = (text("task_id"), text("status"));
            ended += u64::from(status == "completed" && !heard.contains_key(&(task.clone(), status.clone())));
            heard.entry((task, status)).or_insert(at);
        }
    }
    Ok(heard)
}

/// How late the page heard of each task's beginning and end, in milliseconds.
async fn lags(client: &Client, heard: &Heard) -> anyhow::Result<Vec<f64>> {
    let (mut lags, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListTasksRequest { page_size: PAGE, page_token, ..ListTasksRequest::default() };
        let answer = client.list(request).await?;
        for task in &answer.tasks {
            for (status, at) in [("pending", task.submitted_at_unix_ms), ("completed", task.ended_at_unix_ms)] {
                // A task that ends within the batch it came with is told as ended only.
                if let Some(came) = heard.get(&(task.task_id.clone(), status.to_owned())) {
                    lags.push((came - at).max(0) as f64);
                }
            }
        }
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            ensure!(lags.len() as u64 >= TASKS, "a page heard of {} beginnings and ends only", lags.len());
            return Ok(lags);
        }
    }
}

fn now_ms() -> anyhow::Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}
