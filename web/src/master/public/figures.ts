/**
 * The table of figures of docs/EVIDENCE.md, as data: the page and the paper cannot differ.
 *
 * Invariant: no figure is written here.
 */

export type FigureRow = { names: string[]; value: string; peer: string; ratio: string; load: string };
export type Evidence = { about: string; figures: FigureRow[] };

const bare = (text: string) => text.replace(/`|\*\*/g, "").replace(/\[([^\]]+)\]\([^)]+\)/g, "$1").trim();

/** The first table of the paper and the paragraph before it. */
export function readEvidence(markdown: string): Evidence {
  const lines = markdown.split("\n");
  const start = lines.findIndex((line) => /^\|\s*Figure\s*\|/.test(line));
  if (start === -1) return { about: "", figures: [] };
  const figures: FigureRow[] = [];
  for (let at = start + 2; lines[at]?.startsWith("|"); at += 1) {
    const [name = "", value = "", peer = "", ratio = "", load = ""] = (lines[at] ?? "").split("|").slice(1, -1);
    figures.push({ names: Array.from(name.matchAll(/`([^`]+)`/g), (found) => found[1] ?? ""), value: bare(value), peer: bare(peer), ratio: bare(ratio), load: bare(load) });
  }
  let from = start - 1;
  while (from > 0 && lines[from]?.trim() === "") from -= 1;
  let first = from;
  while (first > 0 && lines[first - 1]?.trim() !== "") first -= 1;
  return { about: bare(lines.slice(first, from + 1).join(" ")), figures };
}

const WORDS: Record<string, string> = {
  noop_throughput: "Separate tasks that do nothing, through the whole pool",
  pool_cpu_per_task: "Processor time of the pool for one task",
  idle_latency_p50: "From submitting to done on an idle pool, median",
  idle_latency_p99: "From submitting to done on an idle pool, 99 of 100",
  docker_overhead_sequential: "A container through HiveMind against bare Docker, one at a time",
  docker_overhead_4: "The same, four at a time",
  recovery_seconds: "Until work goes on after the pool was killed",
  ledger_transfers: "Durable transfers of money",
  noop_array_throughput: "Elements of an array that do nothing, through the whole pool",
  pool_cpu_per_element: "Processor time of the pool for one element",
  queued_element_bytes: "Memory for one waiting element",
  million_submit_seconds: "Until an array of a million elements is accepted",
  placement_us: "To place one element on 10,000 machines",
  heartbeat_nodes: "Machines that one pool keeps in touch with",
  heartbeat_pool_cores: "What that costs the pool",
  builtin_container_ms: "A container of our own runtime",
  wasm_task_ms: "A WebAssembly task",
  warm_element_throughput: "Elements that share a container, on one machine",
  blob_throughput: "Taking in files",
  agent_idle_rss: "Memory of an idle worker",
  page_event_lag_p95: "Until an open page hears of a change, at 500 tasks a second, 95 of 100",
};

/** What a figure is, in plain words; its name where there are none yet. */
export function figureWords(name: string): string {
  return WORDS[name] ?? name.replaceAll("_", " ");
}
