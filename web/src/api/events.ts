/**
 * The live stream: what `/api/v1/events` (or the worker page's own) tells, put into the caches that pages read from.
 *
 * [`Live`] keeps the connection; [`applyEvent`] knows which cache an event touches; [`Refresher`] bounds how often a query is
 * asked again, however many events there are.
 *
 * Invariant: no polling; a query is asked again only because of an event, or because the connection has begun or came back.
 */
import type { QueryClient, QueryKey } from "@tanstack/react-query";
import type { Balance, Page, TaskDetail, TaskEvent, TaskSummary } from "./types";
import { Problem } from "./problem";

export type LiveState = "connecting" | "open" | "lost";
export type LiveStatus = { state: LiveState; lastAtMs: number | null };

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
    case "reset":
      void client.invalidateQueries();
      return;
    default:
      return;
  }
}

export const EVENT_KINDS = ["task", "wallet", "node", "pool", "now", "reset"] as const;

type Parts = {
  url: string;
  onEvent: (kind: string, text: string) => void;
  /** The stream is open, for the first time or again: what was asked before may be old, as nothing told of changes until now. */
  onOpen: () => void;
  /** Tries to renew the session; throws `Problem` where that cannot help. */
  renew: () => Promise<unknown>;
  makeSource?: (url: string) => EventSource;
};

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 15_000;

/** One connection that is always being kept. `subscribe` and `status` fit `useSyncExternalStore`. */
export class Live {
  #source: EventSource | null = null;
  #timer: number | undefined;
  #failures = 0;
  #isBehind = true;
  #status: LiveStatus = { state: "connecting", lastAtMs: null };
  readonly #listeners = new Set<() => void>();

  constructor(private readonly parts: Parts) {}

  readonly subscribe = (listener: () => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  readonly status = () => this.#status;

  #say(state: LiveState, heard: boolean) {
    const lastAtMs = heard ? Date.now() : this.#status.lastAtMs;
    if (state === this.#status.state && lastAtMs === this.#status.lastAtMs) return;
    this.#status = { state, lastAtMs };
    for (const listener of this.#listeners) listener();
  }

  start() {
    this.stop();
    const make = this.parts.makeSource ?? ((url: string) => new EventSource(url));
    const source = make(this.parts.url);
    this.#source = source;
    source.onopen = () => {
      this.#failures = 0;
      this.#say("open", true);
      if (this.#isBehind) this.parts.onOpen();
      this.#isBehind = false;
    };
    source.onerror = () => this.#lost(source);
    // The server is here, but what it stands for is not: the stream ends after this, and the browser comes back by itself.
    source.addEventListener("lost", () => {
      this.#isBehind = true;
      this.#say("lost", false);
    });
    for (const kind of EVENT_KINDS) {
      source.addEventListener(kind, (event) => {
        this.#say("open", true);
        this.parts.onEvent(kind, String((event as MessageEvent).data));
      });
    }
  }

  /** The browser tries again by itself after a broken connection, and gives up after an answer that is not a stream. */
  #lost(source: EventSource) {
    if (source !== this.#source) return;
    this.#isBehind = true;
    this.#say("lost", false);
    if (source.readyState !== EventSource.CLOSED) return;
    this.#failures += 1;
    const wait = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#failures, 10)) * (0.75 + Math.random() / 2);
    this.#timer = window.setTimeout(() => void this.#again(), wait);
  }

  async #again() {
    try {
      await this.parts.renew();
    } catch (error) {
      // Without a session there is nothing to listen to; signing in starts it again.
      if (error instanceof Problem && error.status === 401) return;
    }
    if (this.#source) this.start();
  }

  /** Tries now instead of after the wait. */
  retry() {
    if (this.#status.state === "lost") this.start();
  }

  stop() {
    this.#isBehind = true;
    window.clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }
}
