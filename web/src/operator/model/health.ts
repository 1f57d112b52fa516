/**
 * Whether a pool is well, and what is wrong where it is not.
 *
 * Invariant: pure; no clock, no words from the network that are not shown as they are.
 */
import type { Health } from "./types";

/** How much something matters: `good` needs nobody, `warn` somebody soon, `bad` somebody now. */
export type Tone = "good" | "warn" | "bad";

/** One thing that an operator should look at. */
export interface Finding {
  tone: Exclude<Tone, "good">;
  title: string;
  detail: string;
  /** The page that shows more. */
  to: "/queue" | "/nodes" | "/ledger" | null;
}

/** The pool promises a place for what can be placed within a pass; above this it is slow. */
const SLOW_MS = 1_000;
const VERY_SLOW_MS = 10_000;
/** Waiting for so long is a long time. */
const LONG_WAIT_MS = 15 * 60_000;
const GIB = 2 ** 30;

/** How late placements are, of the 99th percentile in milliseconds. */
export function latencyTone(p99: number): Tone {
  if (p99 >= VERY_SLOW_MS) return "bad";
  return p99 >= SLOW_MS ? "warn" : "good";
}

/** How long the oldest waits, in milliseconds. */
export function waitTone(oldest: number): Tone {
  return oldest >= LONG_WAIT_MS ? "warn" : "good";
}

/** How many nodes went, against how many there are. */
export function churnTone(lost: number, total: number): Tone {
  // Owners turn their machines off; a few an hour are no news.
  if (lost * 20 < Math.max(total, 1)) return "good";
  return lost * 4 >= total ? "bad" : "warn";
}

/** The part of `total` that is used, 0 to 1; 0 where there is none. */
export function part(used: number, total: number): number {
  if (!(total > 0)) return 0;
  return Math.min(1, Math.max(0, used / total));
}

/** What is wrong, the worst first; empty where all is well. */
export function findings(health: Health): Finding[] {
  const bad: Finding[] = [];
  const warn: Finding[] = [];
  if (health.tasks_lost !== 0) {
    bad.push({
      tone: "bad",
      title: `${health.tasks_lost} ${plural(health.tasks_lost, "task", "tasks")} lost`,
      detail: "An accepted task is neither open nor ended. Keep the data folder and run the audit.",
      to: "/ledger",
    });
  }
  if (!isZero(health.ledger_imbalance_micro)) {
    bad.push({
      tone: "bad",
      title: "The ledger does not balance",
      detail: "Debits and credits differ. Stop taking tasks and run the audit: it names the first entry that cannot be true.",
      to: "/ledger",
    });
  }
  if (health.nodes_total > 0 && health.nodes_online === 0) {
    bad.push({ tone: "bad", title: "No node is online", detail: "Nothing runs until a worker connects again.", to: "/nodes" });
  }
  if (health.disk_free_bytes >= 0 && health.disk_free_bytes < GIB) {
    bad.push({
      tone: "bad",
      title: "The pool's disk is almost full",
      detail: "Less than 1 GiB is free. New tasks are refused when nothing is left; free some space or move the data folder.",
      to: null,
    });
  }
  if (health.brake_on) {
    warn.push({
      tone: "warn",
      title: "New work is held back",
      detail: "So many nodes vanished at once that the pool waits for them before it tries their work elsewhere.",
      to: "/nodes",
    });
  }
  if (latencyTone(health.schedule_latency_p99_ms) !== "good") {
    warn.push({
      tone: "warn",
      title: "Tasks are handed out late",
      detail: "Of the last five minutes, one in a hundred waited longer than a second from submission to hand-out.",
      to: "/queue",
    });
  }
  if (waitTone(health.oldest_waiting_ms) !== "good") {
    warn.push({
      tone: "warn",
      title: "A task has waited for long",
      detail: "The queue tells for what it waits.",
      to: "/queue",
    });
  }
  if (churnTone(health.nodes_lost_last_hour, health.nodes_total) !== "good") {
    warn.push({
      tone: "warn",
      title: `${health.nodes_lost_last_hour} ${plural(health.nodes_lost_last_hour, "node", "nodes")} lost in the last hour`,
      detail: "What ran there is tried elsewhere.",
      to: "/nodes",
    });
  }
  return [...bad, ...warn];
}

/** True of the decimal integer 0, however it is written. */
export function isZero(micro: string): boolean {
  return /^-?0+$/.test(micro);
}

function plural(count: number, one: string, many: string): string {
  return count === 1 ? one : many;
}
