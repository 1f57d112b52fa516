/**
 * One live stream that is always being kept, for all tabs of a browser together.
 *
 * Tabs of one name share it: the one that holds the lock of that name listens and tells the others, and when it goes the next one
 * goes on after the last event that it heard of. Browsers have six connections to a server, whatever the number of tabs. Where
 * a browser has no locks (they need TLS or the own machine) or no channel, each tab that is in front has a stream of its own.
 *
 * Invariant: without a session nothing is tried again, and with one never faster than the waits below.
 */
import { whileShown } from "../lib/shown";
import { Problem } from "./problem";
import type { Listen } from "./stream";

export type LiveState = "connecting" | "open" | "lost";
export type LiveStatus = { state: LiveState; lastAtMs: number | null };

/** What tabs of a browser know each other by. */
export type Tabs = {
  locks: { request: (name: string, options: { signal: AbortSignal }, held: () => Promise<void>) => Promise<unknown> };
  channel: (name: string) => Pick<BroadcastChannel, "postMessage" | "close" | "onmessage">;
};

/** Null where this browser, or a page without TLS, lacks something of it. */
export function tabsOfBrowser(): Tabs | null {
  if (typeof BroadcastChannel === "undefined" || !("locks" in navigator)) return null;
  return { locks: navigator.locks, channel: (name) => new BroadcastChannel(name) };
}

type Parts = {
  /** Tabs that show the same to the same person have the same name. */
  name: string;
  listen: Listen;
  onEvent: (kind: string, text: string) => void;
  /** The stream is back after it was lost: what is shown may be old. */
  onBack: () => void;
  tabs: Tabs | null;
};

type Said =
  | { say: "event"; kind: string; text: string; id: string }
  | { say: "status"; state: LiveState; id: string }
  | { say: "ask" }
  | { say: "retry" };

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 15_000;
/** A stream that ends sooner has not served anybody: the next one waits. */
const SHORTEST_MS = 2000;

/** `subscribe` and `status` fit `useSyncExternalStore`. */
export class Live {
  #stop: AbortController | null = null;
  #channel: ReturnType<Tabs["channel"]> | null = null;
  #leads = false;
  #lastId = "";
  #wasLost = false;
  #wake: (() => void) | null = null;
  #status: LiveStatus = { state: "connecting", lastAtMs: null };
  readonly #listeners = new Set<() => void>();

  constructor(private readonly parts: Parts) {}

  readonly subscribe = (listener: () => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  readonly status = () => this.#status;

  start() {
    this.stop();
    const stop = new AbortController();
    this.#stop = stop;
    const { tabs, name } = this.parts;
    if (!tabs) {
      this.#alone(stop.signal);
      return;
    }
    this.#channel = tabs.channel(name);
    this.#channel.onmessage = (event: MessageEvent) => this.#hear(event.data as Said);
    this.#post({ say: "ask" });
    const lead = async () => {
      this.#leads = true;
      try {
        await this.#keep(stop.signal);
      } finally {
        if (this.#stop === stop) this.#leads = false;
      }
    };
    tabs.locks.request(name, { signal: stop.signal }, lead).catch(() => {
      // No lock is given here, such as in a sandbox: this tab listens for itself.
      if (!stop.signal.aborted) this.#alone(stop.signal);
    });
  }

  /** Ends it for this tab; another tab goes on. */
  stop() {
    this.#stop?.abort();
    this.#stop = null;
    this.#leads = false;
    this.#channel?.close();
    this.#channel = null;
    // What happens until the next start is not heard.
    if (this.#status.state !== "connecting") this.#wasLost = true;
  }

  /** Tries now instead of after the wait. */
  retry() {
    if (this.#status.state !== "lost") return;
    if (this.#wake) this.#wake();
    else if (this.#channel && !this.#leads) this.#post({ say: "retry" });
    else this.start();
  }

  #alone(signal: AbortSignal) {
    const end = whileShown(() => {
      const shown = new AbortController();
      void this.#keep(shown.signal);
      return () => shown.abort();
    });
    signal.addEventListener("abort", end, { once: true });
  }

  #say(state: LiveState, heard: boolean) {
    const lastAtMs = heard ? Date.now() : this.#status.lastAtMs;
    if (this.#leads && state !== this.#status.state) this.#post({ say: "status", state, id: this.#lastId });
    if (state !== this.#status.state || lastAtMs !== this.#status.lastAtMs) {
      this.#status = { state, lastAtMs };
      for (const listener of this.#listeners) listener();
    }
    if (state === "lost") this.#wasLost = true;
    if (state === "open" && this.#wasLost) {
      this.#wasLost = false;
      this.parts.onBack();
    }
  }

  #post(said: Said) {
    this.#channel?.postMessage(said);
  }

  /** What another tab says. */
  #hear(said: Said) {
    switch (said.say) {
      case "event":
        this.#lastId = said.id;
        this.#take(said.kind, said.text);
        return;
      case "status":
        this.#lastId = said.id;
        this.#say(said.state, said.state === "open");
        return;
      case "ask":
        if (this.#leads) this.#post({ say: "status", state: this.#status.state, id: this.#lastId });
        return;
      case "retry":
        if (this.#leads) this.retry();
        return;
    }
  }

  #take(kind: string, text: string) {
    // The server is here, but what it stands for is not: the stream ends after this.
    if (kind === "lost") {
      this.#say("lost", false);
      return;
    }
    this.#say("open", true);
    this.parts.onEvent(kind, text);
  }

  /** Listens until `signal`, or until there is no session. */
  async #keep(signal: AbortSignal) {
    let failures = 0;
    while (!signal.aborted) {
      let openedAt: number | null = null;
      let wait: number | null = null;
      let told = "";
      try {
        await this.parts.listen({
          lastEventId: this.#lastId,
          signal,
          onOpen: () => {
            openedAt = Date.now();
            this.#say("open", true);
          },
          onFrame: ({ kind, text }, id) => {
            if (signal.aborted) return;
            this.#lastId = id;
            told = kind;
            if (this.#leads) this.#post({ say: "event", kind, text, id });
            this.#take(kind, text);
          },
        });
        // It ends with the login that opened it, which the page renews before: the next one goes on where it was.
        if (openedAt !== null && told !== "lost" && Date.now() - openedAt >= SHORTEST_MS) {
          failures = 0;
          continue;
        }
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Problem && error.status === 401) {
          // There is nothing to listen to; signing in starts it again.
          this.#say("lost", false);
          return;
        }
        if (error instanceof Problem) wait = error.retryAfterSeconds;
      }
      if (signal.aborted) return;
      failures = openedAt === null ? failures + 1 : 1;
      this.#say("lost", false);
      const growing = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures, 10)) * (0.75 + Math.random() / 2);
      await this.#pause(Math.min(60_000, Math.max(growing, (wait ?? 0) * 1000)), signal);
    }
  }

  #pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        window.clearTimeout(timer);
        signal.removeEventListener("abort", done);
        if (this.#wake === done) this.#wake = null;
        resolve();
      };
      const timer = window.setTimeout(done, ms);
      this.#wake = done;
      signal.addEventListener("abort", done, { once: true });
    });
  }
}
