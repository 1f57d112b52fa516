/**
 * What the live stream (`/api/v1/events`, or the worker page's own) tells, put into the caches that pages read from.
 *
 * [`applyEvent`] knows which cache an event touches; [`Refresher`] bounds how often a query is asked again, however many events
 * there are.
 *
 * Invariant: no polling; a query is asked again only because of an event, or because the connection came back.
 */
import type { QueryClient, QueryKey } from "@tanstack/react-query";
import type { Balance, Page, TaskDetail, TaskEvent, TaskSummary } from "./types";

/** Asks queries again because of events, each at most once in `everyMs`; the last event always counts. */
export class Refresher {
  readonly #waiting = new Map<string, number>();
  readonly #last = new Map<string, number>();

  constructor(
    private readonly client: Pick<QueryClient, "invalidateQueries">,
    private readonly everyMs = 700,
  ) {}

  ask(key: QueryKey) {
    const name = JSON.stringify(key);
    if (this.#waiting.has(name)) return;
    const since = Date.now() - (this.#last.get(name) ?? 0);
    const run = () => {
      this.#waiting.delete(name);
      this.#last.set(name, Date.now());
      if (this.#last.size > 500) this.#last.clear();
      void this.client.invalidateQueries({ queryKey: key });
    };
    this.#waiting.set(name, window.setTimeout(run, Math.max(0, this.everyMs - since)));
  }

  stop() {
    for (const timer of this.#waiting.values()) window.clearTimeout(timer);
    this.#waiting.clear();
  }
}

function record(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function taskEvent(data: Record<string, unknown>): TaskEvent | null {
  const { task_id, status, progress, note } = data;
  if (typeof task_id !== "string" || typeof status !== "string" || typeof progress !== "number") return null;
  return { task_id, status, progress, note: typeof note === "string" ? note : "" };
}

/** Whether the list under `key` has tasks of that status; one without a filter has all. */
function isIn(key: QueryKey, status: string): boolean {
  const filter = key[1];
  const wanted: unknown = typeof filter === "object" && filter !== null ? Reflect.get(filter, "status") : "";
  return typeof wanted !== "string" || wanted === "" || wanted.split(",").includes(status);
}

function applyTask(client: QueryClient, refresher: Refresher, event: TaskEvent) {
  const { task_id, status, progress } = event;
  for (const [key, page] of client.getQueriesData<Page<TaskSummary>>({ queryKey: ["tasks"] })) {
    if (!page || !Array.isArray(page.items) || !page.items.some((task) => task.task_id === task_id)) continue;
    const items = page.items.map((task) => (task.task_id === task_id ? { ...task, status, progress } : task));
    // A list of one status lets go of what is in another now: the list of that one tells it.
    client.setQueryData(key, { ...page, items: items.filter((task) => task.task_id !== task_id || isIn(key, status)) });
  }
  client.setQueryData<TaskDetail>(["task", task_id], (detail) =>
    detail ? { ...detail, status, progress, task: { ...detail.task, status, progress } } : detail,
  );
  client.setQueryData(["note", task_id], event.note);
  refresher.ask(["tasks"]);
  refresher.ask(["task", task_id]);
  // Work is what moves money.
  refresher.ask(["wallet"]);
  refresher.ask(["statement"]);
}

/** Puts one event where pages read it. An event of an unknown kind or shape changes nothing. */
export function applyEvent(client: QueryClient, refresher: Refresher, kind: string, text: string) {
  const data = record(text);
  if (!data) return;
  switch (kind) {
    case "task": {
      const event = taskEvent(data);
      if (event) applyTask(client, refresher, event);
      return;
    }
    case "wallet":
      client.setQueryData<Balance>(["wallet"], (before) => ({ ...before, ...data }) as Balance);
      refresher.ask(["statement"]);
      return;
    case "node": {
      const id = data["node_id"];
      if (typeof id === "string") client.setQueryData(["node", id], data);
      refresher.ask(["nodes"]);
      return;
    }
    case "pool":
      client.setQueryData(["pool", "health"], data);
      refresher.ask(["pool", "queue"]);
      return;
    case "now":
      client.setQueryData(["worker", "now"], data);
      return;
    case "selftest":
      client.setQueryData(["worker", "selftest"], data);
      return;
    case "reset":
      void client.invalidateQueries();
      return;
    default:
      return;
  }
}
