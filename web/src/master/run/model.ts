/**
 * The run box: what a person typed, checked, as a task; and the same in three other ways.
 *
 * Invariant: nothing is sent here.
 */
import { Problem } from "../../api/problem";
import type { InputFile, SubmitTask } from "../../api/types";
import { parseCpt } from "../../lib/money";
import { parseMebibytes, parseSeconds } from "../../lib/units";
import { shellQuote, splitWords } from "../../lib/words";

export type RunDraft = {
  name: string;
  image: string;
  command: string;
  cpus: string;
  memory: string;
  timeout: string;
  array: string;
  maxPrice: string;
};

export const EMPTY_RUN: RunDraft = { name: "", image: "", command: "", cpus: "1", memory: "512 MiB", timeout: "15 min", array: "", maxPrice: "" };

export type RunFaults = Partial<Record<keyof RunDraft, string>>;
export type Checked = { ok: true; task: SubmitTask } | { ok: false; faults: RunFaults };

/** Which part of the draft the pool means by the names of its fields. */
const FIELDS: Readonly<Record<string, keyof RunDraft>> = {
  task_name: "name", docker_image: "image", command: "command", argv: "command", required_cpu_cores: "cpus", required_memory: "memory",
  max_runtime: "timeout", array: "array", max_price_micro: "maxPrice",
};

/** What the pool refused, at the part of the draft that it is about; nothing where it is about none. */
export function refusedAt(error: unknown): RunFaults {
  const field = error instanceof Problem && error.field !== null ? FIELDS[error.field] : undefined;
  return field === undefined || !(error instanceof Problem) ? {} : { [field]: error.detail || error.title };
}

const ARRAY = /^\d+(-\d+)?(,\d+(-\d+)?)*$/;

/** The task of a draft, or what is wrong with each field. */
export function checkRun(draft: RunDraft, inputs: readonly InputFile[] = []): Checked {
  const faults: RunFaults = {};
  const image = draft.image.trim();
  if (image === "") faults.image = "Name an image, such as busybox or python:3.12.";
  else if (/\s/.test(image)) faults.image = "An image's name has no spaces; the command goes below.";
  const words = splitWords(draft.command);
  if (!words.ok) faults.command = words.why;
  const cpus = Number(draft.cpus);
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > 1024) faults.cpus = "A whole number of cores, 1 to 1024.";
  const memory = parseMebibytes(draft.memory);
  if (!memory.ok) faults.memory = memory.why;
  const timeout = parseSeconds(draft.timeout);
  if (!timeout.ok) faults.timeout = timeout.why;
  const array = draft.array.replaceAll(" ", "");
  if (array !== "" && !ARRAY.test(array)) faults.array = "Indices such as 1-100 or 1-10,20.";
  const price = draft.maxPrice.trim() === "" ? null : parseCpt(draft.maxPrice);
  if (price && !price.ok) faults.maxPrice = price.why;
  if (Object.keys(faults).length > 0 || !words.ok || !memory.ok || !timeout.ok) return { ok: false, faults };
  return {
    ok: true,
    task: {
      task_name: draft.name.trim(),
      docker_image: image,
      ...(words.words.length > 0 ? { argv: words.words } : {}),
      required_cpu_cores: cpus,
      required_memory: memory.mib,
      max_runtime: timeout.seconds,
      ...(array !== "" ? { array } : {}),
      ...(price?.ok ? { max_price_micro: price.micro } : {}),
      ...(inputs.length > 0 ? { inputs: [...inputs] } : {}),
    },
  };
}

function exactCpt(micro: string): string {
  const text = micro.padStart(7, "0");
  return `${text.slice(0, -6)}.${text.slice(-6)}`.replace(/\.?0+$/, "");
}

/** The task as a line for a terminal. Files are named as they lie in the folder where it is typed. */
export function asCli(task: SubmitTask): string {
  const words = ["hivemind", task.array ? "submit" : "run"];
  const option = (name: string, value: string | number | undefined) => value !== undefined && value !== "" && words.push(`--${name}`, String(value));
  if (task.array) words.push("--wait");
  option("name", task.task_name);
  option("cpus", task.required_cpu_cores);
  option("memory", task.required_memory === undefined ? undefined : `${task.required_memory}m`);
  option("timeout", task.max_runtime === undefined ? undefined : `${task.max_runtime}s`);
  option("array", task.array);
  option("max-price", task.max_price_micro === undefined ? undefined : exactCpt(task.max_price_micro));
  for (const input of task.inputs ?? []) option("input", `./${input.path}`);
  return shellQuote([...words, task.docker_image, ...(task.argv ?? [])]);
}

/** The task as a call of the API from a terminal, with an API key in `HIVEMIND_KEY`. */
export function asCurl(task: SubmitTask, origin: string): string {
  return [
    `curl --fail-with-body ${shellQuote([`${origin}/api/v1/tasks`])} \\`,
    `  -H "Authorization: Bearer $HIVEMIND_KEY" \\`,
    `  -H "Idempotency-Key: $(cat /proc/sys/kernel/random/uuid)" \\`,
    `  -H 'Content-Type: application/json' \\`,
    `  -d ${shellQuote([JSON.stringify(task)])}`,
  ].join("\n");
}

function pythonLiteral(value: unknown, indent = ""): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((item) => pythonLiteral(item, indent)).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const lines = Object.entries(value).map(([name, item]) => `${indent}    ${JSON.stringify(name)}: ${pythonLiteral(item, `${indent}    `)},`);
    return `{\n${lines.join("\n")}\n${indent}}`;
  }
  return value === true ? "True" : value === false ? "False" : String(value ?? "None");
}

/** The task from Python, with nothing but its standard library. */
export function asPython(task: SubmitTask, origin: string): string {
  return `import json, os, urllib.request, uuid

task = ${pythonLiteral(task)}
request = urllib.request.Request(
    ${JSON.stringify(`${origin}/api/v1/tasks`)},
    data=json.dumps(task).encode(),
    headers={
        "Authorization": "Bearer " + os.environ["HIVEMIND_KEY"],
        "Idempotency-Key": str(uuid.uuid4()),
        "Content-Type": "application/json",
    },
)
print(json.load(urllib.request.urlopen(request))["task_id"])`;
}
