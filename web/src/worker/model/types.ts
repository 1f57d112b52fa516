/**
 * What a worker's page server tells: `/api/v1/worker/...`. Amounts are micro-CPT as text; what is not known is null.
 *
 * Invariant: types only.
 */

/** `POST login` and `GET session`. */
export type WorkerSession = { csrf_token: string; expires_at_unix_ms: number };

/** An attempt that occupies the machine: not what it computes, nor for whom. */
export type Running = {
  attempt: string;
  image: string;
  since_unix_ms: number;
  cpu_ms: number;
  memory_bytes: number;
  disk_bytes: number;
  paused: boolean;
  progress_percent: number;
};

/** How things stand, as the control socket tells. */
export type Overview = {
  node: string;
  linked: boolean;
  /** open, finishing, paused */
  state: string;
  sentence: string;
  gpu_state: string;
  gpu_reason: string;
  /** start, finish, pause */
  mode: string;
  mode_until_unix_ms: number | null;
  give_back_in_ms: number | null;
  draining: boolean;
  running: Running[];
  waiting: number;
  undelivered: number;
  last_error: string | null;
  preferences_fault: string | null;
  share_fault: string | null;
};

/** A graphics processor. */
export type GpuNow = {
  name: string;
  busy_percent: number;
  memory_used_bytes: number;
  memory_bytes: number;
  temperature_celsius: number | null;
};

/** What the whole machine does, the owner's own work included. */
export type MachineNow = {
  cpu_percent: number;
  memory_percent: number;
  disk_percent: number;
  memory_used_bytes: number;
  memory_bytes: number;
  disk_used_bytes: number;
  disk_bytes: number;
  received_bytes_per_second: number;
  sent_bytes_per_second: number;
  load: number;
  temperature_celsius: number | null;
  gpus: GpuNow[];
};

/** `GET now`, and the event `now`. */
export type WorkerNow = {
  sentence: string;
  overview: Overview;
  machine: MachineNow;
  selftest_running: boolean;
  version: string;
  server: string;
};

/** One sample of `GET history`, oldest first; a temperature of 0 is unknown. */
export type Sample = {
  at_unix_ms: number;
  cpu_percent: number;
  memory_percent: number;
  gpu_percent: number;
  temperature_celsius: number;
  received_bytes_per_second: number;
  sent_bytes_per_second: number;
};

/** One promise of the runtime, attacked. */
export type Promised = { promise: string; title: string; required: boolean; verdict: string; detail: string; fix: string };

/** What an attack on this machine's isolation showed. */
export type Tested = { at_unix_ms: number; runtime: string; holds: boolean; promises: Promised[] };

/** `GET safety`. */
export type Safety = {
  runtime: string;
  isolation: string;
  network: { egress: string[]; mbit_per_second?: number | null; gib_per_day?: number | null };
  network_fault: string | null;
  images_allowed: string[];
  images_run: { image: string; attempts: number; last_unix_ms: number }[];
  selftest: { running: boolean; possible: boolean; last: Tested | null; fault: string | null };
};

/** The event `selftest`. */
export type SelfTestTold = {
  running: boolean;
  done: number;
  of: number;
  line: Promised | null;
  holds: boolean | null;
  fault: string | null;
};

/** `GET earnings`. */
export type Earnings = {
  level: string;
  runtime_ms: number;
  next_level_ms: number;
  trust: string;
  verified_results: number;
  wrong_results: number;
  quota_left: number;
  resting_until_unix_ms: number | null;
  service: string;
  service_reason: string;
  pending_micro: string;
  earned_today_micro: string;
  earned_total_micro: string;
  work_today_micro: string;
  work_total_micro: string;
  rewards: Reward[];
};

/** What the machine was rewarded for one period. */
export type Reward = {
  from_unix_ms: number;
  to_unix_ms: number;
  alive_ms: number;
  attempts_ended: number;
  attempts_completed: number;
  base_micro: string;
  performance_micro: string;
  stability_micro: string;
  quality_micro: string;
  level: string;
  multiplier_tenths: number;
  total_micro: string;
};
