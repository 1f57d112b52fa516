/**
 * What the pool tells its operators, as its REST face writes it: the fields of the gRPC messages under the same names.
 * Money (`*_micro`) is a string of a decimal integer, times (`*_unix_ms`) and all else are numbers.
 *
 * Invariant: types only; nothing here is read from the network.
 */

/** `GET /pool/health`, and the event `pool`. */
export interface Health {
  tasks_lost: number;
  ledger_imbalance_micro: string;
  schedule_latency_p50_ms: number;
  schedule_latency_p99_ms: number;
  oldest_waiting_ms: number;
  oldest_waiting_task: string;
  nodes_online: number;
  nodes_total: number;
  nodes_lost_last_hour: number;
  nodes_joined_last_hour: number;
  tasks_pending: number;
  tasks_running: number;
  elements_waiting: number;
  attempts_running: number;
  cpu_millicores_total: number;
  cpu_millicores_used: number;
  memory_mb_total: number;
  memory_mb_used: number;
  brake_on: boolean;
  started_at_unix_ms: number;
  version: string;
  commits_per_second: number;
  /** Of the disk with the pool's data; -1: it could not be asked. */
  disk_free_bytes: number;
  /** When lost tasks and the ledger were looked at; 0: not yet. */
  checked_at_unix_ms: number;
  attempts_assigned: number;
  /** Hand-outs behind the two latencies. */
  schedule_latency_count: number;
}

/** `GET /pool/queue`. */
export interface Queue {
  /** Most elements first. */
  groups: QueueGroup[];
  /** Youngest first. */
  ages: QueueAge[];
  elements: number;
  tasks: number;
  at_unix_ms: number;
}

/** Everything that waits for one reason. */
export interface QueueGroup {
  /** Such as `all_busy`; `reason` says it in a sentence. */
  kind: string;
  reason: string;
  tasks: number;
  elements: number;
  oldest_ms: number;
  example_task_id: string;
}

/** What has waited for so long; `age` such as "under 1 minute", youngest first. */
export interface QueueAge {
  age: string;
  elements: number;
}

/** One node, of `GET /nodes` and of the event `node`. */
export type { NodeSummary } from "../../api/types";

/** One sample of `GET /nodes/{name}/history`, oldest first. */
export interface NodeSample {
  at_unix_ms: number;
  cpu_usage: number;
  memory_usage: number;
  disk_usage: number;
  gpu_usage: number;
  received_bytes_per_second: number;
  sent_bytes_per_second: number;
  temperature_celsius: number;
  attempts: number;
}

/** `POST /nodes/join-tokens`. */
export interface JoinToken {
  join_token: string;
  expires_at_unix_ms: number;
}

/** `GET /pool/trial-balance`. */
export interface TrialBalance {
  lines: TrialLine[];
  supply_micro: string;
  expected_supply_micro: string;
  entries: number;
  last_hash: string;
  holds: HoldsByAge[];
}

/** The accounts of one kind together. */
export interface TrialLine {
  kind: string;
  accounts: number;
  balance_micro: string;
}

/** Holds of one age, youngest first. */
export interface HoldsByAge {
  age: string;
  holds: number;
  amount_micro: string;
}

/** `GET /pool/audit`. */
export interface Audit {
  balanced: boolean;
  finding: string;
  entries: number;
  accounts: number;
  supply_micro: string;
  held_micro: string;
  treasury_micro: string;
  bad_entry: number;
}

/** One entry of `GET /pool/journal`, newest first. */
export interface JournalEntry {
  entry: number;
  at_unix_ms: number;
  kind: string;
  note: string;
  hash: string;
  postings: Posting[];
  /** Where it is about a task; empty where not. */
  task_id: string;
  attempt_id: string;
}

/** One side of a journal entry. */
export interface Posting {
  account: string;
  holder: string;
  amount_micro: string;
  /** Of that account, afterwards. */
  balance_micro: string;
}
