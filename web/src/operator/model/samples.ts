/**
 * Answers of a pool that is well, for tests.
 *
 * Invariant: no page reads this.
 */
import type { Health, NodeSummary } from "./types";

/** A pool that is well. */
export function aHealth(change: Partial<Health> = {}): Health {
  return {
    tasks_lost: 0,
    ledger_imbalance_micro: "0",
    schedule_latency_p50_ms: 2,
    schedule_latency_p99_ms: 11,
    oldest_waiting_ms: 0,
    oldest_waiting_task: "",
    nodes_online: 3,
    nodes_total: 4,
    nodes_lost_last_hour: 0,
    nodes_joined_last_hour: 1,
    tasks_pending: 0,
    tasks_running: 2,
    elements_waiting: 0,
    attempts_running: 2,
    cpu_millicores_total: 32_000,
    cpu_millicores_used: 12_000,
    memory_mb_total: 65_536,
    memory_mb_used: 16_384,
    brake_on: false,
    started_at_unix_ms: 1_790_000_000_000,
    version: "0.6.0",
    commits_per_second: 41.5,
    disk_free_bytes: 90 * 2 ** 30,
    checked_at_unix_ms: 1_790_000_000_000,
    attempts_assigned: 0,
    schedule_latency_count: 120,
    ...change,
  };
}

/** A node that takes work. */
export function aNode(change: Partial<NodeSummary> = {}): NodeSummary {
  return {
    node_id: "node-1",
    owner: "ada",
    state: "online",
    cpu_millicores: 8000,
    memory_mb: 16_384,
    disk_mb: 102_400,
    gpus: 0,
    gpu_info: "",
    active_attempts: 1,
    seen_at_unix_ms: 1_790_000_000_000,
    cpu_usage: 25,
    memory_usage: 40,
    disk_usage: 10,
    gpu_usage: 0,
    runtime: "docker",
    free_cpu_millicores: 6000,
    free_memory_mb: 8192,
    level: "bronze",
    runtime_ms: 432_000_000,
    next_level_ms: 1_368_000_000,
    pending_micro: "0",
    service: "in service",
    service_until_unix_ms: 0,
    service_reason: "",
    labels: [],
    isolation: "rootless",
    trust: "trusted",
    verified_results: 120,
    wrong_results: 0,
    quota_left: 0,
    resting_until_unix_ms: 0,
    kinds: ["container"],
    network: [],
    available: "open",
    available_reason: "",
    speed: 1.04,
    speed_in_tasks: 1.01,
    temperature_celsius: 51,
    ...change,
  };
}
