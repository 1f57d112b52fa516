// What the stand-in answers: see mock.mjs.
const NOW = Date.now();
const MINUTE = 60_000;

export const me = { username: "ada", user_id: "user_7", role: "member", level: "silver", beta: false, vote: true, csrf_token: "mock", token_expires_at_unix_ms: NOW + 900_000 };
export const counters = { nodes_online: 214, cores_online: 1872, tasks_completed: 1840233, elements_completed: 98140221, cpu_hours: 402117, users: 1290 };
export const pool = { version: "0.6.0", nodes_online: 214, tasks_pending: 31, tasks_running: 402, core_hour_micro: "1000000", gib_hour_micro: "100000", gpu_hour_micro: "10000000", started_at_unix_ms: NOW - 86_400_000 * 12, economy: "open", listens_outside: true, invitation_needed: false };
export const wallet = { success: true, balance_micro: "148250310", held_micro: "12500000", promo_micro: "48250310", transferable_micro: "100000000", pending_micro: "310000", vesting_micro: "0" };

const base = {
  task_id: "", task_name: "", docker_image: "busybox", argv: ["true"], status: "completed", priority: 5, submitted_at_unix_ms: NOW - 30 * MINUTE, ended_at_unix_ms: NOW - 25 * MINUTE,
  price_cap_micro: "1250000", cost_micro: "310021", node: "node-a", attempts: 1, error_message: "", max_runtime_seconds: 900, required_memory_mb: 512, required_cpu_millicores: 1000, required_disk_mb: 1024,
  exit_code: 0, has_output: true, wall_ms: 84_210, waiting_reason: "", accrued_micro: "0", min_level: "", array: "", elements: null, after: [], verification: "", labels: [], network: [], kind: "container", reused_from: "", progress: 100,
};

export const tasks = () => [
  { ...base, task_id: "task_1040", task_name: "train-fold-3", docker_image: "pytorch:2.9", argv: ["python", "train.py", "--fold", "3"], status: "pending", required_cpu_millicores: 64000, submitted_at_unix_ms: NOW - 4 * MINUTE, ended_at_unix_ms: 0, cost_micro: "0", node: "", attempts: 0, exit_code: null, has_output: false, wall_ms: 0, progress: 0, waiting_reason: "no node has 64 cores; the largest has 32" },
  { ...base, task_id: "task_1039", task_name: "sweep alpha", argv: ["python", "sweep.py"], status: "running", array: "1-100000", elements: { total: 100000, completed: 61240, failed: 318, cancelled: 0, running: 412 }, submitted_at_unix_ms: NOW - 52 * MINUTE, ended_at_unix_ms: 0, cost_micro: "18240112", accrued_micro: "91022", price_cap_micro: "62500000", progress: 61, exit_code: null, has_output: true },
  { ...base, task_id: "task_1038", task_name: "render mandelbrot", docker_image: "sha256:3fa1c2", argv: ["tile"], kind: "wasm", status: "running", array: "0-11", elements: { total: 12, completed: 4, failed: 0, cancelled: 0, running: 2 }, submitted_at_unix_ms: NOW - MINUTE, ended_at_unix_ms: 0, accrued_micro: "1021", cost_micro: "30021", progress: 41, exit_code: null },
  { ...base, task_id: "task_1037", task_name: "<script>alert(1)</script>", status: "failed", error_message: "E_EXIT: the command ended with exit code 2.", exit_code: 2, has_output: false },
  { ...base, task_id: "task_1036", task_name: "ocr-batch-17", docker_image: "ocrd/all:maximum", argv: ["ocr", "--lang", "de"] },
  { ...base, task_id: "task_1035", task_name: "ocr-batch-16", docker_image: "ocrd/all:maximum", argv: ["ocr", "--lang", "de"], wall_ms: 91_000, cost_micro: "350001" },
  { ...base, task_id: "task_1034", task_name: "fold-protein-long-name-that-does-not-end-before-the-column-does", status: "cancelled", has_output: false, exit_code: null },
  ...Array.from({ length: 18 }, (_, at) => ({ ...base, task_id: `task_${1033 - at}`, task_name: `nightly-${33 - at}`, submitted_at_unix_ms: NOW - (60 + at * 31) * MINUTE, ended_at_unix_ms: NOW - (50 + at * 31) * MINUTE, wall_ms: 60_000 + at * 3111, cost_micro: String(200_000 + at * 3217) })),
];

const attempt = { attempt_id: "att_90211", node: "node-a", state: "running", assigned_at_unix_ms: NOW - 50_000, started_at_unix_ms: NOW - 48_000, ended_at_unix_ms: 0, outcome: "", exit_code: null, cost_micro: "0", wall_ms: 0, cpu_ms: 0, peak_memory_bytes: 0, image_id: "sha256:3fa1c2", stdout_bytes: 812, stderr_bytes: 0, logs_cut: false, progress: 41, memory_bytes: 81_200_000, disk_bytes: 1_200_000, received_bytes: 0, sent_bytes: 0, suspended: false };
export const attempts = [
  { ...attempt, attempt_id: "att_90102", node: "node-b", state: "ended", ended_at_unix_ms: NOW - 52_000, outcome: "E_NODE_LOST: the node stopped answering; this is not counted against the task.", wall_ms: 3100, cpu_ms: 2100, peak_memory_bytes: 60_000_000 },
  { ...attempt, state: "ended", ended_at_unix_ms: NOW - 1000, exit_code: 0, cost_micro: "310021", wall_ms: 47_000, cpu_ms: 45_210, peak_memory_bytes: 91_000_000 },
];
export function detail(id) {
  const task = tasks().find((one) => one.task_id === id) ?? (id === "task_1041" || id === "task_1042" ? { ...tasks()[2], task_id: id } : null);
  if (!task) return null;
  return { status: task.status, result: "", error_message: task.error_message, progress: task.progress, task, attempts: task.array || task.status === "pending" ? [] : attempts };
}
export const explain = (id) => ({
  task_id: id, status: "pending", reason: "No linked node has 64 cores.", advice: "Ask for 32 cores, or wait until a larger node joins.", nodes_linked: 214, nodes_capable: 0, nodes_free: 0,
  constraints: [
    { name: "cores", asked: "64 cores", asked_amount: 64000, nodes_too_small: 214, nodes_busy: 0, largest: "32 cores", largest_amount: 32000 },
    { name: "memory", asked: "512 MiB", asked_amount: 536870912, nodes_too_small: 0, nodes_busy: 12, largest: "", largest_amount: 0 },
    { name: "together", asked: "", asked_amount: 0, nodes_too_small: 214, nodes_busy: 0, largest: "", largest_amount: 0 },
  ],
  changes: [{ name: "cores", from: "64 cores", to: "32 cores", from_amount: 64000, to_amount: 32000 }],
  place: { requesters_before: 2, own_before: 0 }, node_reserved: false, faults: null, run: null, submitted_at_unix_ms: NOW - 4 * MINUTE, ended_at_unix_ms: 0, hold_expires_at_unix_ms: NOW + 86_400_000, price_cap_micro: "1250000", cost_micro: "0", balance_micro: "148250310", held_micro: "12500000",
});
export function grid() {
  const states = new Array(100_000);
  for (let at = 0; at < 100_000; at += 1) states[at] = at < 61_000 ? (at % 193 === 0 ? 3 : 2) : at < 61_412 ? 1 : at % 5000 < 4700 ? 0 : 4;
  return { indices: "1-100000", states: states.join(""), next_index: null, total: 100_000, status: "running" };
}
export const failures = { groups: [
  { signature: "E_EXIT: exit code # (ValueError: bad alpha #)", error_message: "E_EXIT: exit code 2 (ValueError: bad alpha 0.77)", count: 291, example_elements: "1,194,387,580,773,966,1159", exit_code: 2 },
  { signature: "E_OUT_OF_MEMORY: used more than # MiB", error_message: "E_OUT_OF_MEMORY: used more than 512 MiB", count: 27, example_elements: "2124,3861", exit_code: null },
] };
export function timeline() {
  const bars = [];
  for (let node = 0; node < 6; node += 1) for (let at = 0; at < 24; at += 1) {
    const from = NOW - 40 * MINUTE + at * 100_000 + node * 9000;
    bars.push({ node: `node-${"abcdef"[node]}`, element: node * 24 + at, attempt: 1, from_unix_ms: from, to_unix_ms: at === 23 ? 0 : from + 60_000 + ((node * 7 + at * 13) % 35) * 1000, outcome: at === 23 ? "running" : (node + at) % 11 === 0 ? "failed" : (node + at) % 17 === 0 ? "fault" : "completed" });
  }
  return { bars, cut: true, now_unix_ms: NOW };
}
export const elements = () => Array.from({ length: 100 }, (_, at) => ({ index: at + 1, status: at % 19 === 0 ? "failed" : "completed", attempts: 1, faults: 0, error_message: at % 19 === 0 ? "E_EXIT: exit code 2" : "", exit_code: at % 19 === 0 ? 2 : 0 }));
export const files = { files: [{ path: "output", size: 0, is_folder: true }, { path: "output/result.txt", size: 1822, is_folder: false }, { path: "output/tile-05.ppm", size: 307_215, is_folder: false }, { path: "output/weights.bin", size: 48_112_331, is_folder: false }], cut: false };
export const text = Array.from({ length: 40 }, (_, at) => `epoch ${at}\tloss ${(2 / (at + 1)).toFixed(4)}\n`).join("");
export const logLine = (line) => `2026-11-21T14:03:${String(line % 60).padStart(2, "0")}Z INFO step=${line} loss=${(3 / Math.sqrt(line)).toFixed(5)} <b>not bold</b>\n`;
export function ppm(tile) {
  const bytes = Buffer.alloc(320 * 320 * 3);
  for (let y = 0; y < 320; y += 1) for (let x = 0; x < 320; x += 1) { const at = (y * 320 + x) * 3; bytes[at] = (x + tile * 20) & 255; bytes[at + 1] = y & 255; bytes[at + 2] = 90; }
  return Buffer.concat([Buffer.from("P6\n320 320\n255\n"), bytes]);
}
const line = (entry, at, kind, account, amount, balance, extra = {}) => ({ entry, at_unix_ms: NOW - at * MINUTE, kind, account, holder: "ada", amount_micro: amount, balance_micro: balance, task_id: "", attempt_id: "", counterparty: "", note: "", ...extra });
export const statement = [
  line(9120, 2, "hold", "available", "-1250000", "148250310", { task_id: "task_1040", note: "set aside for train-fold-3" }),
  line(9120, 2, "hold", "held", "1250000", "12500000", { task_id: "task_1040", note: "set aside for train-fold-3" }),
  line(9101, 26, "settlement", "held", "-310021", "11250000", { task_id: "task_1036", counterparty: "olga", note: "ocr-batch-17" }),
  line(9101, 26, "release", "available", "939979", "149500310", { task_id: "task_1036", note: "not needed" }),
  line(9044, 90, "tip", "available", "-2500000", "148560331", { counterparty: "ffmpeg", note: "thank you" }),
  line(8990, 300, "transfer", "available", "40000000", "151060331", { counterparty: "grace", note: "from grace" }),
  line(8801, 600, "settlement", "available", "-4100000", "111060331", { task_id: "task_1021", counterparty: "olga", note: "" }),
  line(8700, 1400, "transfer", "available", "-34839669", "115160331", { counterparty: "linus", note: "" }),
  line(7001, 2800, "sign_up", "available", "150000000", "150000000", { note: "sign-up grant" }),
];
export const entries = statement.slice(2, 4).map((one) => ({ ...one, task_id: "task_1036" }));
export const projects = [{ project_id: "proj_1", name: "ffmpeg", repository: "https://example.org/ffmpeg", owner: "linus", state: "open", registered_at_unix_ms: NOW - 86_400_000 * 90, tips: 41, tipped_micro: "210500000" }, { project_id: "proj_2", name: "zlib", repository: "https://example.org/zlib", owner: "mark", state: "open", registered_at_unix_ms: NOW - 86_400_000 * 30, tips: 3, tipped_micro: "9000000" }];
export const tips = [{ number: 41, from: "ada", amount_micro: "2500000", message: "thank you", at_unix_ms: NOW - 90 * MINUTE }];
export const quote = { price_cap_micro: "1250000", expected_micro: "310000", expected_basis: "the last 12 tasks with this image", expected_wall_ms: 84_000, lines: [{ what: "cores", quantity: "1 core", per_hour_micro: "1000000", amount_micro: "1000000" }, { what: "memory", quantity: "512 MiB", per_hour_micro: "50000", amount_micro: "250000" }], balance_micro: "148250310", nodes_capable: 214, nodes_free: 61, waiting_reason: "" };
