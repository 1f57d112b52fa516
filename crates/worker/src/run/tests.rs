//! The whole worker but the network: a pool made of two channels.

use super::*;
use crate::agent::Agent;
use crate::cache::{FIRST_WAIT, InputCache};
use crate::event::Machine;
use crate::folders::Folders;
use crate::job::Tools;
use crate::link::Line;
use crate::membership::{Membership, PoolFile};
use crate::shell::Parts;
use crate::spool::Spool;
use crate::status::Status;
use crate::transfer::Transfer;
use crate::usage::Monitor;
use hivemind_model::{AttemptRef, Bytes, ElementRef, MilliCores, NodeId, Resources, TaskId, TaskSpec};
use hivemind_pki::{Authority, NodeIdentity, NodeKey};
use hivemind_proto::worker::pool_event::Event as Say;
use hivemind_proto::worker::worker_event::Event as Heard;
use hivemind_proto::worker::{self as wire, WorkerMessage};
use hivemind_runtime::fake::{FakeConfig, FakeRuntime};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

const CAPACITY: Resources =
    Resources { cpu: MilliCores(1_000_000), memory: Bytes::from_gib(1000), disk: Bytes::from_gib(1000), gpus: 0 };

fn att(task: u64) -> AttemptRef {
    ElementRef::only(TaskId(task)).attempt(1)
}

/// A membership of no pool; nothing here connects.
fn membership(folders: &Folders) -> Arc<Membership> {
    let authority = Authority::open(&folders.scratch, crate::enroll::now()).unwrap();
    let key = NodeKey::generate().unwrap();
    let chain_pem = authority.sign_node(&key.csr_pem().unwrap(), NodeId(1), crate::enroll::now()).unwrap();
    let pool =
        PoolFile { server: "https://127.0.0.1:1".into(), node_id: NodeId(1), name: "n".into(), ca_hash: String::new() };
    let identity = NodeIdentity { chain_pem, key_pem: key.pem().to_owned() };
    Arc::new(Membership::store(folders, pool, authority.ca_pem().to_owned(), identity).unwrap())
}

struct Rig {
    link: mpsc::Sender<LinkEvent>,
    orders: mpsc::Sender<Order>,
    status: watch::Receiver<Status>,
    worker: tokio::task::JoinHandle<anyhow::Result<()>>,
}

fn rig(data: &Path, capacity: Resources) -> Rig {
    let (folders, lock) = Folders::lock(data).unwrap();
    let membership = membership(&folders);
    let folders = Arc::new(folders);
    let (signals, signals_in) = mpsc::unbounded_channel();
    let (spool, _) = Spool::open(&folders.root.join("spool.redb"), signals.clone()).unwrap();
    let tools = Tools {
        node: "machine".into(),
        runtime: Arc::new(FakeRuntime::new(FakeConfig::default())),
        cache: Arc::new(InputCache::open(&folders.cache, CAPACITY.disk, FIRST_WAIT).unwrap()),
        transfer: Arc::new(Transfer::new(membership)),
        folders,
        share: None,
    };
    let (status, status_out) = watch::channel(Status::default());
    let shell = Shell::new(Parts {
        agent: Agent::new(Machine { capacity }, Vec::new()),
        tools,
        offer: wire::NodeOffer::default(),
        monitor: Monitor::default(),
        diary: Arc::default(),
        renewal: None,
        captures: Vec::new(),
        signals,
        status,
        spool,
        socket: None,
        lock: Some(lock),
    });
    let (link, link_in) = mpsc::channel(INCOMING);
    let (orders, orders_in) = mpsc::channel(1);
    let worker = tokio::spawn(run(shell, Ears { link: link_in, signals: signals_in, orders: orders_in }));
    Rig { link, orders, status: status_out, worker }
}

impl Rig {
    /// Opens a link and welcomes the worker.
    async fn welcome(&self) -> mpsc::Receiver<WorkerMessage> {
        let (out, mut heard) = mpsc::channel(2);
        self.link.send(LinkEvent::Opened(Line { out, close: CancellationToken::new() })).await.unwrap();
        let hello = heard.recv().await.unwrap();
        assert!(matches!(hello.events[0].event, Some(Heard::Hello(_))));
        let welcome = wire::Welcome { lease_ms: 3_600_000, heartbeat_every_ms: 1_000_000, ..wire::Welcome::default() };
        self.say(vec![Say::Welcome(welcome)]).await;
        heard
    }

    async fn say(&self, events: Vec<Say>) {
        let events = events.into_iter().map(|event| wire::PoolEvent { event: Some(event) }).collect();
        self.link.send(LinkEvent::Received(wire::PoolMessage { events })).await.unwrap();
    }
}

fn assign(task: u64, command: &str) -> Say {
    let spec = TaskSpec {
        name: "n".into(),
        image: "i".into(),
        command: vec![command.into()],
        priority: 5,
        max_runtime: hivemind_model::Millis(1000),
        resources: Resources { cpu: MilliCores(100), memory: Bytes(1), disk: Bytes(0), gpus: 0 },
        ..TaskSpec::default()
    };
    Say::Assign(wire::Assign { attempt: Some(att(task).into()), spec: Some((&spec).into()), env: vec![] })
}

/// Keeps a thousand tasks under way until all have ended; each ends once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_small_tasks_flow_through() {
    const TASKS: u64 = 20_000;
    const UNDER_WAY: u64 = 1000;
    let data = tempfile::tempdir().unwrap();
    let rig = rig(data.path(), CAPACITY);
    let mut heard = rig.welcome().await;
    rig.say((0..UNDER_WAY).map(|task| assign(task, "true")).collect()).await;
    let mut next = UNDER_WAY;
    let mut ended = HashSet::new();
    while ended.len() < TASKS as usize {
        let mut answers = Vec::new();
        for event in heard.recv().await.unwrap().events {
            if let Some(Heard::Finished(finished)) = event.event {
                let attempt = finished.attempt.unwrap();
                assert!(ended.insert(attempt.task), "{} ended twice", attempt.task);
                answers.push(Say::FinishedAck(wire::FinishedAck { attempt: Some(attempt), refusal: String::new() }));
                if next < TASKS {
                    answers.push(assign(next, "true"));
                    next += 1;
                }
            }
        }
        rig.say(answers).await;
    }
    rig.status.clone().wait_for(|status| status.attempts == 0).await.unwrap();
    rig.orders.send(Order::Stop).await.unwrap();
    rig.worker.await.unwrap().unwrap();
}

/// One place and many attempts: they run one after another, in the order of the hand-out.
#[tokio::test]
async fn a_backlog_is_worked_off_in_order() {
    const TASKS: u64 = 500;
    let data = tempfile::tempdir().unwrap();
    let one = Resources { cpu: MilliCores(100), ..CAPACITY };
    let rig = rig(data.path(), one);
    let mut heard = rig.welcome().await;
    // Later numbers first, so that the order is not that of the ids.
    let order: Vec<u64> = (0..TASKS).rev().collect();
    rig.say(order.iter().map(|task| assign(*task, "true")).collect()).await;
    let mut started = Vec::new();
    let mut ended = HashSet::new();
    while ended.len() < order.len() {
        let mut answers = Vec::new();
        for event in heard.recv().await.unwrap().events {
            match event.event {
                Some(Heard::Started(start)) => started.push(start.attempt.unwrap().task),
                Some(Heard::Finished(finished)) => {
                    let attempt = finished.attempt.unwrap();
                    assert!(ended.insert(attempt.task), "{} ended twice", attempt.task);
                    let refusal = String::new();
                    answers.push(Say::FinishedAck(wire::FinishedAck { attempt: Some(attempt), refusal }));
                }
                _other => {}
            }
        }
        assert!(rig.status.borrow().jobs <= 1);
        rig.say(answers).await;
    }
    assert_eq!(started, order);
    rig.status.clone().wait_for(|status| (status.attempts, status.backlog) == (0, 0)).await.unwrap();
}

/// A transport that takes nothing holds up neither the end of a lost link nor the next one.
#[tokio::test]
async fn a_full_transport_is_waited_for_and_a_lost_one_is_left() {
    let data = tempfile::tempdir().unwrap();
    let rig = rig(data.path(), CAPACITY);
    let heard = rig.welcome().await;
    for task in 0..50 {
        rig.say(vec![assign(task, "true")]).await;
    }
    rig.status.clone().wait_for(|status| status.attempts == 50 && status.jobs == 0).await.unwrap();
    drop(heard);
    rig.link.send(LinkEvent::Lost("test".into())).await.unwrap();
    let mut heard = rig.welcome().await;
    let mut ended = HashSet::new();
    while ended.len() < 50 {
        for event in heard.recv().await.unwrap().events {
            if let Some(Heard::Finished(finished)) = event.event {
                ended.insert(finished.attempt.unwrap().task);
            }
        }
    }
}
