import type { Balance, Me, TaskDetail, TaskSummary } from "../api/types";

export const ME: Me = { username: "ada", user_id: "user_1", role: "member", level: "none", beta: false, vote: false, csrf_token: "token", token_expires_at_unix_ms: 0 };
export const WALLET: Balance = { balance: 148, balance_micro: "148250310", held_micro: "12500000", promo_micro: "48250310", transferable_micro: "100000000", pending_micro: "0", vesting_micro: "0" };
export const TASK: TaskSummary = {
  task_id: "task_1", task_name: "<script>alert(1)</script>", docker_image: "busybox", argv: ["echo", "it's"], status: "completed", priority: 5, submitted_at_unix_ms: 1_000, ended_at_unix_ms: 2_000,
  price_cap_micro: "1250000", cost_micro: "310021", node: "node-a", attempts: 1, error_message: "", max_runtime_seconds: 900, required_memory_mb: 512, required_cpu_millicores: 1000, required_disk_mb: 1024,
  exit_code: 0, has_output: true, wall_ms: 84_210, waiting_reason: "", accrued_micro: "0", min_level: "", array: "", elements: null, after: [], verification: "", labels: [], network: [], kind: "container",
  reused_from: "", progress: 100,
};
export const ARRAY: TaskSummary = { ...TASK, task_id: "task_2", task_name: "sweep", status: "running", array: "1-100", elements: { total: 100, completed: 40, failed: 2, cancelled: 0, running: 8 }, progress: 42 };
export const DETAIL: TaskDetail = {
  status: "completed", result: "", error_message: "", progress: 100, task: TASK,
  attempts: [{
    attempt_id: "att_1", node: "node-a", state: "ended", assigned_at_unix_ms: 1, started_at_unix_ms: 2, ended_at_unix_ms: 3, outcome: "", exit_code: 0, cost_micro: "310021", wall_ms: 1000, cpu_ms: 900, peak_memory_bytes: 1e6,
    image_id: "", stdout_bytes: 5, stderr_bytes: 0, logs_cut: false, progress: 100, memory_bytes: 0, disk_bytes: 0, received_bytes: 0, sent_bytes: 0, suspended: false,
  }],
};
export const ARRAY_DETAIL: TaskDetail = { ...DETAIL, status: "running", task: ARRAY, attempts: [] };
