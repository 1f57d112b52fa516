//! Nodes that only live: they join, link up and say heartbeats, thousands in one process.
//!
//! Each has a join token, a certificate, a TLS connection and a link of its own, through the same client as a
//! worker; only the private key is one for all, which the pool cannot see. Start at [`run`].
//!
//! Invariant: a node whose link has ended does not link up again, so that none is missed.

use crate::child::stdin_ends;
use anyhow::{Context, bail, ensure};
use futures::StreamExt;
use futures::stream::{self, TryStreamExt};
use hivemind_client::{Client, NodeIdentity, Target, Trust};
use hivemind_model::command::NodeOffer;
use hivemind_model::{Bytes, MilliCores, Resources};
use hivemind_pki::NodeKey;
use hivemind_proto::convert::wire_offer;
use hivemind_proto::worker::worker_service_client::WorkerServiceClient;
use hivemind_proto::worker::{
    EnrollRequest, Heartbeat, Hello, PoolMessage, WorkerEvent, WorkerMessage, pool_event, worker_event,
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

/// Between two heartbeats of one node: what the pool's default policy asks for.
const EVERY: Duration = Duration::from_secs(1);
/// An answer that takes longer is late.
const PATIENCE: Duration = Duration::from_secs(5);
/// Nodes that join or link up at once.
const AT_ONCE: usize = 32;
/// One answer of so many gives a sample of its time.
const SAMPLED: u64 = 16;

/// What all nodes together heard.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Heard {
    /// Heartbeats that were answered, late or not.
    pub(crate) answered: u64,
    /// Those whose answer took more than 5 s, or has not come although as much time went by.
    pub(crate) late: u64,
    /// Links that ended.
    pub(crate) broken: usize,
    /// Nodes whose link is open and of whose heartbeats none is late.
    pub(crate) faultless: usize,
    /// From a heartbeat to its answer, of some.
    pub(crate) sampled_ms: Vec<f64>,
    /// Why one of the links ended.
    pub(crate) reason: Option<String>,
}

/// Joins `count` nodes of the owner of `token`, links them up, lets them live until standard input ends, and
/// prints what they heard since all were linked.
///
/// # Errors
/// Where a node cannot join or link up.
pub(crate) async fn run(server: String, ca: PathBuf, token: String, count: usize) -> anyhow::Result<()> {
    let ca = std::fs::read_to_string(&ca).with_context(|| format!("cannot read {}", ca.display()))?;
    let target = Target { server, trust: Trust::CaPem(ca), identity: None };
    let owner = Client::connect(&target, Some(token)).await?;
    let channel = hivemind_client::connect(&target).await?;
    let pool = WorkerServiceClient::new(channel);
    let key = NodeKey::generate()?;
    let (all, begin) = (CancellationToken::new(), Instant::now());
    let counted = Arc::new(OnceLock::new());
    let (owner, pool, key, target, all, counted) = (&owner, &pool, &key, &target, &all, &counted);
    let nodes: Vec<_> = stream::iter(0..count)
        .map(|number| async move {
            let name = format!("idle-{number}");
            let identity =
                join(owner, pool.clone(), key, &name).await.with_context(|| format!("{name} cannot join"))?;
            let target = Target { identity: Some(identity), ..target.clone() };
            let line = Line::open(&target, &name).await.with_context(|| format!("{name} gets no link"))?;
            // Spread evenly over the second.
            let first = begin + EVERY.mul_f64(number as f64 / count as f64);
            anyhow::Ok(tokio::spawn(line.live(first, counted.clone(), all.clone())))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    // Nobody else sets it.
    let _first = counted.set(Instant::now());
    println!("ready {}", nodes.len());
    stdin_ends().await;
    all.cancel();
    let mut heard = Heard::default();
    for node in nodes {
        heard.add(node.await?);
    }
    println!("{}", serde_json::to_string(&heard)?);
    Ok(())
}

impl Heard {
    fn add(&mut self, one: Self) {
        let Self { answered, late, broken, faultless, sampled_ms, reason } = one;
        self.answered += answered;
        self.late += late;
        self.broken += broken;
        self.faultless += faultless;
        self.sampled_ms.extend(sampled_ms);
        self.reason = self.reason.take().or(reason);
    }
}

fn offer(name: &str) -> hivemind_proto::worker::NodeOffer {
    let capacity =
        Resources { cpu: MilliCores::from_cores(2), memory: Bytes::from_gib(2), disk: Bytes::from_gib(2), gpus: 0 };
    let offer = NodeOffer {
        name: name.to_owned(),
        capacity,
        gpu_info: String::new(),
        labels: hivemind_model::Labels::default(),
        isolation: hivemind_model::Isolation::Basic,
        kinds: hivemind_model::Kinds::ALL,
        egress: hivemind_model::EgressPolicy::None,
    };
    wire_offer(&offer, "fake", env!("CARGO_PKG_VERSION"))
}

async fn join(
    owner: &Client,
    mut pool: WorkerServiceClient<tonic::transport::Channel>,
    key: &NodeKey,
    name: &str,
) -> anyhow::Result<NodeIdentity> {
    let join_token = owner.create_join_token(Duration::ZERO).await?.token;
    let request = EnrollRequest { join_token, csr_pem: key.csr_pem()?, offer: Some(offer(name)) };
    let answer = pool.enroll(request).await?.into_inner();
    Ok(NodeIdentity { chain_pem: answer.certificate_pem, key_pem: key.pem().to_owned() })
}

/// One node's end of its link.
struct Line {
    out: mpsc::Sender<WorkerMessage>,
    incoming: Streaming<PoolMessage>,
}

impl Line {
    /// Says Hello and waits for the Welcome.
    async fn open(target: &Target, name: &str) -> anyhow::Result<Self> {
        let channel = hivemind_client::connect(target).await?;
        let (out, outgoing) = mpsc::channel(2);
        out.send(message(worker_event::Event::Hello(Hello { offer: Some(offer(name)), holds: Vec::new() }))).await?;
        let answer = WorkerServiceClient::new(channel).link(ReceiverStream::new(outgoing)).await?;
        let mut incoming = answer.into_inner();
        let first = incoming.message().await?.context("the pool closed the link")?;
        let welcome = first.events.into_iter().next().and_then(|event| event.event);
        ensure!(
            matches!(&welcome, Some(pool_event::Event::Welcome(welcome)) if u128::from(welcome.heartbeat_every_ms) == EVERY.as_millis()),
            "the pool does not welcome with a heartbeat each second: {welcome:?}"
        );
        Ok(Self { out, incoming })
    }

    /// Says a heartbeat every second, until `all` are told to end.
    async fn live(mut self, first: Instant, counted: Arc<OnceLock<Instant>>, all: CancellationToken) -> Heard {
        let mut beats = Beats { begin: 0, unanswered: VecDeque::new(), heard: Heard::default() };
        if let Err(reason) = self.beat(&mut beats, first, &counted, &all).await {
            beats.heard.broken = 1;
            beats.heard.reason = Some(format!("{reason:#}"));
        }
        beats.end()
    }

    async fn beat(
        &mut self,
        beats: &mut Beats,
        first: Instant,
        counted: &OnceLock<Instant>,
        all: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval_at(first, EVERY);
        // Seconds that went by before the link was open are left out; none after that.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = all.cancelled() => return Ok(()),
                _ = ticks.tick() => {
                    let sequence = beats.say(counted.get().is_some());
                    let beat = Heartbeat { sequence, cpu_usage: 3.0, memory_usage: 40.0, disk_usage: 50.0, ..Heartbeat::default() };
                    self.out.send(message(worker_event::Event::Heartbeat(beat))).await.context("the link takes nothing more")?;
                }
                message = self.incoming.message() => {
                    for event in message?.context("the pool closed the link")?.events {
                        match event.event {
                            Some(pool_event::Event::Beat(answer)) => beats.answered(answer.sequence)?,
                            other => bail!("an idle node is told {other:?}"),
                        }
                    }
                }
            }
        }
    }
}

fn message(event: worker_event::Event) -> WorkerMessage {
    WorkerMessage { events: vec![WorkerEvent { event: Some(event) }] }
}

/// The heartbeats of one node.
struct Beats {
    /// Number of the oldest that is not answered.
    begin: u64,
    /// When those from there on were said, and whether they are counted.
    unanswered: VecDeque<(Instant, bool)>,
    heard: Heard,
}

impl Beats {
    fn say(&mut self, counted: bool) -> u64 {
        self.unanswered.push_back((Instant::now(), counted));
        self.begin + self.unanswered.len() as u64 - 1
    }

    fn answered(&mut self, sequence: u64) -> anyhow::Result<()> {
        let (said, counted) = self.unanswered.pop_front().context("a heartbeat that was not said is answered")?;
        ensure!(sequence == self.begin, "heartbeat {sequence} is answered before {}", self.begin);
        self.begin += 1;
        if counted {
            let took = said.elapsed();
            self.heard.answered += 1;
            self.heard.late += u64::from(took > PATIENCE);
            if sequence.is_multiple_of(SAMPLED) {
                self.heard.sampled_ms.push(took.as_secs_f64() * 1e3);
            }
        }
        Ok(())
    }

    fn end(mut self) -> Heard {
        let late = |(said, counted): &&(Instant, bool)| *counted && said.elapsed() > PATIENCE;
        self.heard.late += self.unanswered.iter().filter(late).count() as u64;
        self.heard.faultless = usize::from(self.heard.broken == 0 && self.heard.late == 0);
        self.heard
    }
}
