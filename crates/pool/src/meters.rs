//! What the pool tells to whoever measures it, by the names that Prometheus knows.
//!
//! Every name of a metric of the pool is here. Moments are told where they happen; states, such as how many tasks are
//! open, by [`states`], which is called now and then by a pool that is measured. Where nobody measures, a call finds so
//! and returns.
//!
//! Invariant: the values of labels are from sets that no caller can make larger.

use crate::board::Counts;
use hivemind_model::{Millis, TaskState};
use hivemind_proto::v1::HealthResponse;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use std::time::Duration;

const COMMITS: &str = "hivemind_pool_commits_total";
const COMMIT_SECONDS: &str = "hivemind_pool_commit_seconds";
const BATCH: &str = "hivemind_pool_batch_commands";
const COMMANDS: &str = "hivemind_pool_commands_total";
const QUEUE: &str = "hivemind_pool_writer_queue_commands";
const TASKS: &str = "hivemind_pool_tasks";
const TASKS_ENDED: &str = "hivemind_pool_tasks_ended_total";
const ELEMENTS_DONE: &str = "hivemind_pool_elements_completed_total";
const WAITING: &str = "hivemind_pool_elements_waiting";
const OLDEST: &str = "hivemind_pool_oldest_waiting_seconds";
const ATTEMPTS: &str = "hivemind_pool_attempts";
const NODES: &str = "hivemind_pool_nodes";
const NODES_LOST: &str = "hivemind_pool_nodes_lost_total";
const NODES_JOINED: &str = "hivemind_pool_nodes_joined_total";
const MESSAGES: &str = "hivemind_pool_link_messages_total";
const HEARTBEATS: &str = "hivemind_pool_heartbeats_total";
const LOGINS_REFUSED: &str = "hivemind_pool_logins_refused_total";
const BLOB_BYTES: &str = "hivemind_pool_blob_received_bytes_total";
const DISK_FREE: &str = "hivemind_pool_disk_free_bytes";
const LATENCY: &str = "hivemind_pool_schedule_latency_seconds";
const RPCS: &str = "hivemind_pool_rpcs_total";
const RPC_SECONDS: &str = "hivemind_pool_rpc_seconds";
const TASKS_LOST: &str = "hivemind_pool_tasks_lost";
const IMBALANCE: &str = "hivemind_pool_ledger_imbalance_microcpt";
const BRAKE: &str = "hivemind_pool_brake_on";
const WATCHERS: &str = "hivemind_pool_watchers";

/// Says what each metric means; without effect where nobody measures.
pub(crate) fn describe() {
    describe_counter!(COMMITS, Unit::Count, "Batches that were made durable");
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "Time that the database took for a batch");
    describe_histogram!(BATCH, Unit::Count, "Commands in a batch");
    describe_counter!(COMMANDS, Unit::Count, "Commands that were answered");
    describe_gauge!(QUEUE, Unit::Count, "Commands that wait for the writer");
    describe_gauge!(TASKS, Unit::Count, "Open tasks by state");
    describe_counter!(TASKS_ENDED, Unit::Count, "Tasks that ended, by state");
    describe_counter!(ELEMENTS_DONE, Unit::Count, "Elements that completed");
    describe_gauge!(WAITING, Unit::Count, "Elements of open tasks that are neither handed out nor ended");
    describe_gauge!(OLDEST, Unit::Seconds, "Age of the oldest task of which an element waits");
    describe_gauge!(ATTEMPTS, Unit::Count, "Live attempts by state");
    describe_gauge!(NODES, Unit::Count, "Enrolled nodes by whether they are linked");
    describe_counter!(NODES_LOST, Unit::Count, "Nodes that were silent for too long");
    describe_counter!(NODES_JOINED, Unit::Count, "Nodes that came, or came back after they were lost");
    describe_counter!(MESSAGES, Unit::Count, "Messages on the links to workers, by direction");
    describe_counter!(HEARTBEATS, Unit::Count, "Heartbeats of nodes");
    describe_counter!(LOGINS_REFUSED, Unit::Count, "Logins that were refused");
    describe_counter!(BLOB_BYTES, Unit::Bytes, "Bytes of contents and outputs that came in");
    describe_gauge!(DISK_FREE, Unit::Bytes, "Free room on the disk with the pool's data");
    describe_histogram!(LATENCY, Unit::Seconds, "Time from submission to the first hand-out of an element");
    describe_counter!(RPCS, Unit::Count, "Calls by method and by the code of their answer");
    describe_histogram!(RPC_SECONDS, Unit::Seconds, "Time to the answer of a call, of streams to its beginning");
    describe_gauge!(TASKS_LOST, Unit::Count, "Open tasks in the database that the scheduler does not know");
    describe_gauge!(IMBALANCE, Unit::Count, "All balances less the supply, in millionths of a CPT");
    describe_gauge!(BRAKE, Unit::Count, "1 while the pool holds back because most nodes vanished at once");
    describe_gauge!(WATCHERS, Unit::Count, "Open WatchPool streams");
}

/// A batch with so many commands is durable.
pub(crate) fn committed(commands: usize, took: Duration) {
    counter!(COMMITS).increment(1);
    counter!(COMMANDS).increment(u64::try_from(commands).unwrap_or(u64::MAX));
    histogram!(COMMIT_SECONDS).record(took.as_secs_f64());
    histogram!(BATCH).record(commands as f64);
}

/// A node was silent for too long.
pub(crate) fn node_lost() {
    counter!(NODES_LOST).increment(1);
}

/// A node came.
pub(crate) fn node_joined() {
    counter!(NODES_JOINED).increment(1);
}

/// A message came from a worker; `beats` of its events are heartbeats.
pub(crate) fn message_in(beats: usize) {
    counter!(MESSAGES, "direction" => "received").increment(1);
    if beats > 0 {
        counter!(HEARTBEATS).increment(u64::try_from(beats).unwrap_or(u64::MAX));
    }
}

/// A message goes to a worker.
pub(crate) fn message_out() {
    counter!(MESSAGES, "direction" => "sent").increment(1);
}

/// A login was refused.
pub(crate) fn login_refused() {
    counter!(LOGINS_REFUSED).increment(1);
}

/// Bytes of content came in.
pub(crate) fn blob_bytes(count: usize) {
    counter!(BLOB_BYTES).increment(u64::try_from(count).unwrap_or(u64::MAX));
}

/// So long did elements wait that are handed out now.
pub(crate) fn handed_out(waits: &[Millis]) {
    let latency = histogram!(LATENCY);
    for wait in waits {
        latency.record(Duration::from_millis(wait.0).as_secs_f64());
    }
}

/// Tasks ended, and elements completed.
pub(crate) fn ended(tasks: &[TaskState], elements: u64) {
    for state in tasks {
        counter!(TASKS_ENDED, "state" => state.as_str()).increment(1);
    }
    if elements > 0 {
        counter!(ELEMENTS_DONE).increment(elements);
    }
}

/// A call was answered.
pub(crate) fn called(method: &'static str, code: &'static str, took: Duration) {
    counter!(RPCS, "method" => method, "code" => code).increment(1);
    histogram!(RPC_SECONDS, "method" => method).record(took.as_secs_f64());
}

/// How things stand.
pub(crate) fn states(health: &HealthResponse, counts: Counts, queued: usize, watchers: usize) {
    gauge!(QUEUE).set(queued as f64);
    gauge!(WATCHERS).set(watchers as f64);
    gauge!(TASKS, "state" => "pending").set(health.tasks_pending as f64);
    gauge!(TASKS, "state" => "running").set(health.tasks_running as f64);
    gauge!(WAITING).set(health.elements_waiting as f64);
    gauge!(OLDEST).set(health.oldest_waiting_ms as f64 / 1000.0);
    gauge!(ATTEMPTS, "state" => "assigned").set((counts.attempts - counts.attempts_running) as f64);
    gauge!(ATTEMPTS, "state" => "running").set(counts.attempts_running as f64);
    gauge!(NODES, "state" => "online").set(health.nodes_online as f64);
    gauge!(NODES, "state" => "offline").set((health.nodes_total - health.nodes_online).max(0) as f64);
    gauge!(TASKS_LOST).set(health.tasks_lost as f64);
    gauge!(IMBALANCE).set(health.ledger_imbalance_micro as f64);
    gauge!(BRAKE).set(f64::from(u8::from(health.brake_on)));
    if health.disk_free_bytes >= 0 {
        gauge!(DISK_FREE).set(health.disk_free_bytes as f64);
    }
}
