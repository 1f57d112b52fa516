/**
 * Answers of a worker, for tests.
 *
 * Invariant: no page reads this.
 */
import { always } from "./hours";
import type { Preferences } from "./preferences";
import type { WorkerNow } from "./types";

/** The preferences of a worker that was never told any. */
export function somePreferences(): Preferences {
  return {
    machine: { mode: "start", until: null },
    gpu: { mode: "start", until: null, stop_percent: 30 },
    idle: { only: false, start_minutes: 15, resume_minutes: 5, stop_load: 0.5, background_load: 0.3, load_seconds: 120 },
    suspend: { minutes: 10 },
    battery: { when: "pause", least_percent: 50 },
    hours: always(),
    shares: { cpu_percent: 100, memory_percent: 90 },
    heat: { stop_celsius: null, resume_celsius: null },
    programs: { pause_while: [] },
    network: { egress: [], mbit_per_second: null, gib_per_day: null },
    images: { allow: [] },
    cache: { limit_gib: null },
  };
}

/** A worker that computes one task. */
export function someNow(change: Partial<WorkerNow["overview"]> = {}): WorkerNow {
  const running = [
    { attempt: "att_1.0.1", image: "demo/mandelbrot:1", since_unix_ms: 1_790_000_000_000, cpu_ms: 42_000, memory_bytes: 73_400_320, disk_bytes: 1_048_576, paused: false, progress_percent: 40 },
  ];
  return {
    sentence: "Computing 1 task",
    overview: {
      node: "node-1",
      linked: true,
      state: "open",
      sentence: "Takes work",
      gpu_state: "open",
      gpu_reason: "",
      mode: "start",
      mode_until_unix_ms: null,
      give_back_in_ms: null,
      draining: false,
      running,
      waiting: 0,
      undelivered: 0,
      last_error: null,
      preferences_fault: null,
      share_fault: null,
      ...change,
    },
    machine: {
      cpu_percent: 37.5,
      memory_percent: 41,
      disk_percent: 52,
      memory_used_bytes: 6_700_000_000,
      memory_bytes: 16_000_000_000,
      disk_used_bytes: 52_000_000_000,
      disk_bytes: 100_000_000_000,
      received_bytes_per_second: 12_000,
      sent_bytes_per_second: 3_000,
      load: 1.2,
      temperature_celsius: 54.2,
      gpus: [],
    },
    selftest_running: false,
    version: "0.6.0",
    server: "https://127.0.0.1:50051",
  };
}
