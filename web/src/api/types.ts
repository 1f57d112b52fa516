/**
 * What the API's JSON looks like: the messages of `crates/proto/proto/hivemind/v1` under the same names. Amounts that end in
 * `_micro` are texts of whole micro-CPT; other integers are numbers; what is not there is null.
 */

export type Micro = string;
export type Page<Item> = { items: Item[]; next_cursor: string | null };

export type Me = {
  username: string;
  user_id: string;
  role: string;
  level: string;
  beta: boolean;
  vote: boolean;
  csrf_token: string;
  token_expires_at_unix_ms: number;
};

export type ElementCounts = { total: number; completed: number; failed: number; cancelled: number; running: number };
export type Dependency = { task_id: string; when: string; each: boolean };

export type TaskSummary = {
  task_id: string;
  task_name: string;
  docker_image: string;
  argv: string[];
  status: string;
  priority: number;
  submitted_at_unix_ms: number;
  ended_at_unix_ms: number;
  price_cap_micro: Micro;
  cost_micro: Micro;
  node: string;
  attempts: number;
  error_message: string;
  max_runtime_seconds: number;
  required_memory_mb: number;
  required_cpu_millicores: number;
  required_disk_mb: number;
  exit_code: number | null;
  has_output: boolean;
  wall_ms: number;
  waiting_reason: string;
  accrued_micro: Micro;
  min_level: string;
  array: string;
  elements: ElementCounts | null;
  after: Dependency[];
  verification: string;
  labels: string[];
  network: string[];
  kind: string;
  reused_from: string;
  progress: number;
};

export type AttemptSummary = {
  attempt_id: string;
  node: string;
  state: string;
  assigned_at_unix_ms: number;
  started_at_unix_ms: number;
  ended_at_unix_ms: number;
  outcome: string;
  exit_code: number | null;
  cost_micro: Micro;
  wall_ms: number;
  cpu_ms: number;
  peak_memory_bytes: number;
  image_id: string;
  stdout_bytes: number;
  stderr_bytes: number;
  logs_cut: boolean;
  progress: number;
  memory_bytes: number;
  disk_bytes: number;
  received_bytes: number;
  sent_bytes: number;
  suspended: boolean;
};

export type TaskDetail = {
  status: string;
  result: string;
  error_message: string;
  progress: number;
  task: TaskSummary;
  attempts: AttemptSummary[];
};

export type InputFile = { path: string; digest: string };

export type SubmitTask = {
  task_name: string;
  docker_image: string;
  argv?: string[];
  inputs?: InputFile[];
  priority?: number;
  max_runtime?: number;
  required_memory?: number;
  required_cpu_cores?: number;
  required_disk_mb?: number;
  max_price_micro?: Micro;
  array?: string;
  retries?: number;
};

export type Submitted = { task_id: string; price_cap_micro: Micro };

export type PriceLine = { what: string; quantity: string; per_hour_micro: Micro; amount_micro: Micro };
export type Quote = {
  price_cap_micro: Micro;
  expected_micro: Micro;
  expected_basis: string;
  expected_wall_ms: number;
  lines: PriceLine[];
  balance_micro: Micro;
  nodes_capable: number;
  nodes_free: number;
  waiting_reason: string;
};

export type Constraint = {
  name: string;
  asked: string;
  asked_amount: number;
  nodes_too_small: number;
  nodes_busy: number;
  largest: string;
  largest_amount: number;
};
export type AskChange = { name: string; from: string; to: string; from_amount: number; to_amount: number };

export type Explain = {
  task_id: string;
  status: string;
  reason: string;
  advice: string;
  nodes_linked: number;
  nodes_capable: number;
  nodes_free: number;
  constraints: Constraint[];
  changes: AskChange[];
  place: { requesters_before: number; own_before: number } | null;
  node_reserved: boolean;
  faults: { count: number; most: number; not_before_unix_ms: number } | null;
  run: { node: string; link: string; attempt: number; assigned_at_unix_ms: number; started_at_unix_ms: number; note: string } | null;
  submitted_at_unix_ms: number;
  ended_at_unix_ms: number;
  hold_expires_at_unix_ms: number;
  price_cap_micro: Micro;
  cost_micro: Micro;
  balance_micro: Micro;
  held_micro: Micro;
};

export type ElementSummary = {
  index: number;
  status: string;
  attempts: number;
  faults: number;
  error_message: string;
  exit_code: number | null;
};

/** `indices` as array text, ascending; `states` one digit an element in that order, see `lib/grid`. */
export type Grid = { indices: string; states: string; next_index: number | null; total: number; status: string };

export type FailureGroup = { signature: string; error_message: string; count: number; example_elements: string; exit_code: number | null; last_line: string; last_line_element: number };
export type Failures = { groups: FailureGroup[]; failed: number; ungrouped: number; cut: boolean };

export type TimelineBar = {
  node: string;
  element: number;
  attempt: number;
  from_unix_ms: number;
  to_unix_ms: number;
  outcome: string;
  assigned_at_unix_ms: number;
  preparing: boolean;
  comparing: boolean;
};
export type Timeline = { bars: TimelineBar[]; cut: boolean; now_unix_ms: number };

export type OutputFile = { path: string; size: number; is_folder: boolean; is_executable: boolean };
export type OutputFiles = { files: OutputFile[]; cut: boolean; digest: string; size: number };

export type Balance = {
  balance_micro: Micro;
  held_micro: Micro;
  promo_micro: Micro;
  transferable_micro: Micro;
  pending_micro: Micro;
  vesting_micro: Micro;
};

export type StatementLine = {
  entry: number;
  at_unix_ms: number;
  kind: string;
  account: string;
  holder: string;
  amount_micro: Micro;
  balance_micro: Micro;
  task_id: string;
  attempt_id: string;
  counterparty: string;
  note: string;
};

export type Project = {
  project_id: string;
  name: string;
  repository: string;
  owner: string;
  state: string;
  registered_at_unix_ms: number;
  tips: number;
  tipped_micro: Micro;
};

export type PublicCounters = {
  nodes_online: number;
  cores_online: number;
  tasks_completed: number;
  elements_completed: number;
  cpu_hours: number;
  users: number;
};

export type PoolInfo = {
  version: string;
  nodes_online: number;
  tasks_pending: number;
  tasks_running: number;
  core_hour_micro: Micro;
  gib_hour_micro: Micro;
  gpu_hour_micro: Micro;
  started_at_unix_ms: number;
  economy: string;
  listens_outside: boolean;
  invitation_needed: boolean;
};

export type NodeSummary = {
  node_id: string;
  owner: string;
  state: string;
  cpu_millicores: number;
  memory_mb: number;
  disk_mb: number;
  gpus: number;
  gpu_info: string;
  active_attempts: number;
  seen_at_unix_ms: number;
  cpu_usage: number;
  memory_usage: number;
  disk_usage: number;
  gpu_usage: number;
  runtime: string;
  free_cpu_millicores: number;
  free_memory_mb: number;
  level: string;
  runtime_ms: number;
  next_level_ms: number;
  pending_micro: Micro;
  service: string;
  service_until_unix_ms: number;
  service_reason: string;
  labels: string[];
  isolation: string;
  trust: string;
  verified_results: number;
  wrong_results: number;
  quota_left: number;
  resting_until_unix_ms: number;
  kinds: string[];
  network: string[];
  available: string;
  available_reason: string;
  speed: number;
  speed_in_tasks: number;
  temperature_celsius: number;
};

/** One moment of the live stream of a task. */
export type TaskEvent = { task_id: string; status: string; progress: number; note: string };
