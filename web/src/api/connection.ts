/**
 * One live stream that is always being kept, for all tabs of a browser together.
 *
 * Tabs of one name share it: the one that holds the lock of that name listens and tells the others, and when it goes the next one
 * goes on after the last event that it heard of. Browsers have six connections to a server, whatever the number of tabs. Where
 * a browser has no locks (they need TLS or the own machine) or no channel, each tab that is in front has a stream of its own.
 *
 * Invariant: without a session nothing is tried again.
 */
import { whileShown } from "../lib/shown";
import { keep } from "./keep";
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

/** `subscribe` and `status` fit `useSyncExternalStore`. */
export class Live {
  #stop: AbortController | null = null;
  #channel: ReturnType<Tabs["channel"]> | null = null;
  #leads = false;
  #lastId = "";
  #wasLost = false;
  #wake: (() => void) | null = null;
  /** There was no session to listen with: nobody tries again but by {@link Live.retry}. */
  #isOver = false;
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
    this.#isOver = false;
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
    else if (this.#channel && !this.#leads && !this.#isOver) this.#post({ say: "retry" });
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
  #keep(signal: AbortSignal): Promise<void> {
    return keep({
      listen: this.parts.listen,
      signal,
      lastEventId: () => this.#lastId,
      onOpen: () => this.#say("open", true),
      onFrame: ({ kind, text }, id) => {
        this.#lastId = id;
        if (this.#leads) this.#post({ say: "event", kind, text, id });
        this.#take(kind, text);
      },
      onWait: (wake) => {
        this.#wake = wake;
        if (wake) this.#say("lost", false);
      },
      onRefused: (problem) => {
        // There is nothing to listen to without a session; signing in starts it again.
        this.#isOver = problem.status === 401;
        if (this.#isOver) this.#say("lost", false);
        return this.#isOver;
      },
      isOver: () => this.#isOver,
    });
  }
}
