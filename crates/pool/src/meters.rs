//! What the pool tells to whoever measures it, by the names that Prometheus knows.
//!
//! Every name of a metric of the pool is here. Nothing is measured until [`Meters::begin`] was given instruments; until
//! then a moment costs one look at whether it was. Moments are told where they happen, states, such as how many tasks are
//! open, by [`Meters::states`] just before they are read.
//!
//! Invariant: the values of labels are from sets that no caller can make larger.

use crate::board::Counts;
use hivemind_model::{Millis, TaskState};
use hivemind_proto::v1::HealthResponse;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

/// Where the pool gets what it measures with. Names are `hivemind_pool_<what>_<unit>`; counters end in `_total`,
/// histograms are of seconds.
pub trait Instruments: Send + Sync + 'static {
    /// A figure that goes up and down.
    fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&'static str, String)]) -> Gauge;
    /// A figure that only grows.
    fn counter(&self, name: &'static str, help: &'static str, labels: &[(&'static str, String)]) -> Counter;
    /// How long something takes.
    fn histogram(&self, name: &'static str, help: &'static str, labels: &[(&'static str, String)]) -> Histogram;
}

/// The recorder that the process has installed; where it has none, nothing is recorded.
#[derive(Debug, Clone, Copy, Default)]
pub struct InstalledRecorder;

static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

fn key(name: &'static str, labels: &[(&'static str, String)]) -> Key {
    let labels: Vec<Label> = labels.iter().map(|(name, value)| Label::new(*name, value.clone())).collect();
    Key::from_parts(name, labels)
}

impl Instruments for InstalledRecorder {
    fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&'static str, String)]) -> Gauge {
        metrics::with_recorder(|recorder| {
            recorder.describe_gauge(KeyName::from(name), None, help.into());
            recorder.register_gauge(&key(name, labels), &METADATA)
        })
    }

    fn counter(&self, name: &'static str, help: &'static str, labels: &[(&'static str, String)]) -> Counter {
        metrics::with_recorder(|recorder| {
            recorder.describe_counter(KeyName::from(name), None, help.into());
            recorder.register_counter(&key(name, labels), &METADATA)
        })
    }

    fn histogram(&self, name: &'static str, help: &'static str, labels: &[(&'static str, String)]) -> Histogram {
        metrics::with_recorder(|recorder| {
            recorder.describe_histogram(KeyName::from(name), None, help.into());
            recorder.register_histogram(&key(name, labels), &METADATA)
        })
    }
}

/// A method, and the code of its answer.
type Call = (&'static str, &'static str);
/// How often, and how long it took.
type Calls = HashMap<Call, (Counter, Histogram)>;

/// See the module.
#[derive(Default)]
pub(crate) struct Meters(OnceLock<Set>);

struct Set {
    instruments: Box<dyn Instruments>,
    commits: Counter,
    commit_seconds: Histogram,
    commands: Counter,
    latency: Histogram,
    elements: Counter,
    /// By state.
    ended: [(TaskState, Counter); 3],
    nodes_lost: Counter,
    nodes_joined: Counter,
    received: Counter,
    sent: Counter,
    heartbeats: Counter,
    logins_refused: Counter,
    blob_bytes: Counter,
    states: States,
    calls: RwLock<Calls>,
}

struct States {
    queue: Gauge,
    pending: Gauge,
    running: Gauge,
    waiting: Gauge,
    oldest: Gauge,
    assigned: Gauge,
    started: Gauge,
    online: Gauge,
    offline: Gauge,
    lost: Gauge,
    imbalance: Gauge,
    brake: Gauge,
    watchers: Gauge,
    disk_free: Gauge,
}

impl Set {
    fn of(instruments: Box<dyn Instruments>) -> Self {
        let plain = |name, help| instruments.counter(name, help, &[]);
        let seconds = |name, help| instruments.histogram(name, help, &[]);
        let messages = |direction: &str| {
            let labels = [("direction", direction.to_owned())];
            instruments.counter(
                "hivemind_pool_link_messages_total",
                "Messages on the links to workers, by direction.",
                &labels,
            )
        };
        let ended = [TaskState::Completed, TaskState::Failed, TaskState::Cancelled].map(|state| {
            let labels = [("state", state.as_str().to_owned())];
            (state, instruments.counter("hivemind_pool_tasks_ended_total", "Tasks that ended, by state.", &labels))
        });
        Self {
            commits: plain("hivemind_pool_commits_total", "Batches that were made durable."),
            commit_seconds: seconds("hivemind_pool_commit_seconds", "Time that the database took for a batch."),
            commands: plain("hivemind_pool_commands_total", "Commands of these batches."),
            latency: seconds(
                "hivemind_pool_schedule_latency_seconds",
                "Time from submission to the first hand-out of an element that waited for no other task.",
            ),
            elements: plain("hivemind_pool_elements_completed_total", "Elements that completed."),
            ended,
            nodes_lost: plain("hivemind_pool_nodes_lost_total", "Nodes that were silent for too long."),
            nodes_joined: plain("hivemind_pool_nodes_joined_total", "Nodes that came, or came back after a loss."),
            received: messages("received"),
            sent: messages("sent"),
            heartbeats: plain("hivemind_pool_heartbeats_total", "Heartbeats of nodes."),
            logins_refused: plain("hivemind_pool_logins_refused_total", "Logins that were refused."),
            blob_bytes: plain(
                "hivemind_pool_blob_received_bytes_total",
                "Bytes of contents and outputs that were stored.",
            ),
            states: States::of(instruments.as_ref()),
            calls: RwLock::default(),
            instruments,
        }
    }
}

impl States {
    fn of(instruments: &dyn Instruments) -> Self {
        let plain = |name, help| instruments.gauge(name, help, &[]);
        let of = |name, help, state: &str| instruments.gauge(name, help, &[("state", state.to_owned())]);
        let tasks = |state| of("hivemind_pool_tasks", "Open tasks, by state.", state);
        let attempts = |state| of("hivemind_pool_attempts", "Live attempts, by state.", state);
        let nodes = |state| of("hivemind_pool_nodes", "Enrolled nodes, by whether they are linked.", state);
        Self {
            queue: plain("hivemind_pool_writer_queue", "Commands that wait for the writer."),
            pending: tasks("pending"),
            running: tasks("running"),
            waiting: plain(
                "hivemind_pool_elements_waiting",
                "Elements of open tasks that are neither handed out nor ended.",
            ),
            oldest: plain("hivemind_pool_oldest_waiting_seconds", "Age of the oldest task of which an element waits."),
            assigned: attempts("assigned"),
            started: attempts("running"),
            online: nodes("online"),
            offline: nodes("offline"),
            lost: plain(
                "hivemind_pool_tasks_lost",
                "Open tasks in the database that the scheduler does not know; not 0 is a bug.",
            ),
            imbalance: plain(
                "hivemind_pool_ledger_imbalance_microcpt",
                "All balances less the supply, in millionths of a CPT; not 0 is damage.",
            ),
            brake: plain("hivemind_pool_brake_on", "1 while the pool holds back because most nodes vanished at once."),
            watchers: plain("hivemind_pool_watchers", "Open WatchPool calls."),
            disk_free: plain("hivemind_pool_disk_free_bytes", "Free room on the disk with the pool's data."),
        }
    }
}

impl Meters {
    /// Measures with these from now on; the first that are given stay.
    pub(crate) fn begin(&self, instruments: Box<dyn Instruments>) {
        self.0.get_or_init(|| Set::of(instruments));
    }

    /// True where anybody measures.
    pub(crate) fn are_read(&self) -> bool {
        self.0.get().is_some()
    }

    /// A batch with so many commands is durable.
    pub(crate) fn committed(&self, commands: usize, took: Duration) {
        let Some(set) = self.0.get() else { return };
        set.commits.increment(1);
        set.commands.increment(wide(commands));
        set.commit_seconds.record(took.as_secs_f64());
    }

    /// A node was silent for too long.
    pub(crate) fn node_lost(&self) {
        let Some(set) = self.0.get() else { return };
        set.nodes_lost.increment(1);
    }

    /// A node came.
    pub(crate) fn node_joined(&self) {
        let Some(set) = self.0.get() else { return };
        set.nodes_joined.increment(1);
    }

    /// A message came from a worker; `beats` of its events are heartbeats.
    pub(crate) fn message_in(&self, beats: usize) {
        let Some(set) = self.0.get() else { return };
        set.received.increment(1);
        set.heartbeats.increment(wide(beats));
    }

    /// A message goes to a worker.
    pub(crate) fn message_out(&self) {
        let Some(set) = self.0.get() else { return };
        set.sent.increment(1);
    }

    /// A login was refused.
    pub(crate) fn login_refused(&self) {
        let Some(set) = self.0.get() else { return };
        set.logins_refused.increment(1);
    }

    /// So long did elements wait that are handed out now.
    pub(crate) fn handed_out(&self, waits: &[Millis]) {
        let Some(set) = self.0.get() else { return };
        for wait in waits {
            set.latency.record(Duration::from_millis(wait.0).as_secs_f64());
        }
    }

    /// Tasks ended, and elements completed.
    pub(crate) fn ended(&self, tasks: &[TaskState], elements: u64) {
        let Some(set) = self.0.get() else { return };
        set.elements.increment(elements);
        for (state, counter) in &set.ended {
            counter.increment(wide(tasks.iter().filter(|ended| *ended == state).count()));
        }
    }

    /// A call was answered.
    pub(crate) fn called(&self, method: &'static str, code: &'static str, took: Duration) {
        let Some(set) = self.0.get() else { return };
        let tell = |(calls, seconds): &(Counter, Histogram)| {
            calls.increment(1);
            seconds.record(took.as_secs_f64());
        };
        if let Some(known) = set.calls.read().get(&(method, code)) {
            return tell(known);
        }
        let make = || {
            let of_method = ("method", method.to_owned());
            let both = [of_method.clone(), ("code", code.to_owned())];
            (
                set.instruments.counter(
                    "hivemind_pool_rpcs_total",
                    "Calls, by method and by code of their answer.",
                    &both,
                ),
                set.instruments.histogram(
                    "hivemind_pool_rpc_seconds",
                    "Time to the answer of a call, of a stream to its beginning, by method.",
                    &[of_method],
                ),
            )
        };
        tell(set.calls.write().entry((method, code)).or_insert_with(make));
    }

    /// How things stand.
    pub(crate) fn states(&self, health: &HealthResponse, now: &Standing) {
        let Some(Set { states, blob_bytes, .. }) = self.0.get() else { return };
        states.queue.set(now.queued as f64);
        states.watchers.set(now.watchers as f64);
        states.pending.set(health.tasks_pending as f64);
        states.running.set(health.tasks_running as f64);
        states.waiting.set(health.elements_waiting as f64);
        states.oldest.set(health.oldest_waiting_ms as f64 / 1000.0);
        states.assigned.set((now.counts.attempts - now.counts.attempts_running) as f64);
        states.started.set(now.counts.attempts_running as f64);
        states.online.set(health.nodes_online as f64);
        states.offline.set((health.nodes_total - health.nodes_online).max(0) as f64);
        states.lost.set(health.tasks_lost as f64);
        states.imbalance.set(health.ledger_imbalance_micro as f64);
        states.brake.set(f64::from(u8::from(health.brake_on)));
        if health.disk_free_bytes >= 0 {
            states.disk_free.set(health.disk_free_bytes as f64);
        }
        blob_bytes.absolute(now.blob_bytes);
    }
}

/// What [`Meters::states`] tells beside the health.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    /// What is open.
    pub(crate) counts: Counts,
    /// Commands that wait for the writer.
    pub(crate) queued: usize,
    /// Open watches.
    pub(crate) watchers: usize,
    /// Bytes of content that were stored since the start.
    pub(crate) blob_bytes: u64,
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
