//! The pool as a whole, for operators and for everybody.
//!
//! Invariant: nothing here decides; every field is the pool's.

use super::Micro;
use crate::wire::told;

told! {
    /// How the pool is.
    PoolHealth <= HealthResponse {
        /// Tasks that are open in the database and that the scheduler does not know, in two looks in a row. 0, or it is a bug.
        tasks_lost: i64,
        /// All stored balances together, minus the supply, in micro-CPT. 0, or the books are damaged.
        ledger_imbalance_micro: Micro,
        /// From submission to hand-out, of first attempts of the last five minutes that waited for no other task; at most 19 % above the truth. 0: nothing was handed out.
        schedule_latency_p50_ms: i64,
        /// Schedule latency p99 ms.
        schedule_latency_p99_ms: i64,
        /// Since the submission of the oldest task of which an element waits; 0: nothing waits.
        oldest_waiting_ms: i64,
        /// Empty: nothing waits.
        oldest_waiting_task: String,
        /// Linked.
        nodes_online: i64,
        /// Enrolled.
        nodes_total: i64,
        /// How often a node was silent for too long.
        nodes_lost_last_hour: i64,
        /// How often a node came, for the first time or back after it was lost.
        nodes_joined_last_hour: i64,
        /// Open, and nothing of it runs or ended.
        tasks_pending: i64,
        /// Open, and something of it does.
        tasks_running: i64,
        /// Of open tasks: not ended, and not handed out; those that wait for other tasks, too.
        elements_waiting: i64,
        /// Whose command runs.
        attempts_running: i64,
        /// Of linked nodes, as the next three.
        cpu_millicores_total: i64,
        /// Promised to attempts.
        cpu_millicores_used: i64,
        /// MiB.
        memory_mb_total: i64,
        /// MiB, promised to attempts.
        memory_mb_used: i64,
        /// So many nodes vanished at once that the pool holds back.
        brake_on: bool,
        /// Started at unix ms.
        started_at_unix_ms: i64,
        /// Version.
        version: String,
        /// Mean of the last minute.
        commits_per_second: f64,
        /// Of the disk with the pool's data; -1: it could not be asked.
        disk_free_bytes: i64,
        /// When tasks_lost and ledger_imbalance_micro were looked at; 0: not yet.
        checked_at_unix_ms: i64,
        /// Handed out, and their commands do not run yet.
        attempts_assigned: i64,
        /// Hand-outs behind the two latencies.
        schedule_latency_count: i64,
    }
}

told! {
    /// What waits for one reason.
    QueueGroup <= QueueGroup {
        /// Next, all_busy, no_node, too_big, no_labels, no_kind, no_network, isolation_too_low, trust_too_low, level_too_low, blocked (waits for another task), other (asked for something that few others ask for; not looked at one by one).
        kind: String,
        /// A sentence.
        reason: String,
        /// Tasks.
        tasks: i64,
        /// Elements.
        elements: i64,
        /// Since the submission of the oldest of these tasks.
        oldest_ms: i64,
        /// The oldest.
        example_task_id: String,
    }
}

told! {
    /// What waits for so long.
    QueueAge <= QueueAge {
        /// Such as "under 1 minute".
        age: String,
        /// Elements.
        elements: i64,
    }
}

told! {
    /// What waits, by the reason why it does and by age.
    Queue <= QueueResponse {
        /// Most elements first.
        groups: Vec<QueueGroup>,
        /// Youngest first; all of them, also where nothing is of that age.
        ages: Vec<QueueAge>,
        /// All that wait.
        elements: i64,
        /// That have waiting elements.
        tasks: i64,
        /// When it was looked at.
        at_unix_ms: i64,
    }
}

told! {
    /// One side of a journal entry.
    JournalPosting <= JournalPosting {
        /// Treasury, available, promo, held, pending, owner, reward, project.
        account: String,
        /// Name of the user or the project; empty: the treasury.
        holder: String,
        /// Above zero: the account grew.
        amount_micro: Micro,
        /// Of that account, afterwards.
        balance_micro: Micro,
    }
}

told! {
    /// An entry of the journal.
    JournalEntry <= JournalEntry {
        /// Number, from 1 without gaps.
        entry: i64,
        /// At unix ms.
        at_unix_ms: i64,
        /// As in ListJournalRequest.
        kind: String,
        /// What happened, for people.
        note: String,
        /// Hexadecimal, over the entry and the hash of the entry before.
        hash: String,
        /// Sum to zero, but for genesis.
        postings: Vec<JournalPosting>,
        /// Where it is about a task.
        task_id: String,
        /// Where it is about an attempt.
        attempt_id: String,
    }
}

told! {
    /// What everybody may know of the pool.
    PublicCounters <= PublicCountersResponse {
        /// Nodes online.
        nodes_online: i64,
        /// Of those nodes, whole.
        cores_online: i64,
        /// In the pool's life, as the next two.
        tasks_completed: i64,
        /// A plain task is one element.
        elements_completed: i64,
        /// Processor time of ended attempts, whole hours.
        cpu_hours: i64,
        /// Users.
        users: i64,
        /// After a start the past is counted in the background; until that ends the three are too small.
        counting: bool,
    }
}
