import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Live, type Tabs } from "./connection";
import { Problem, Unreachable } from "./problem";
import type { Asked } from "./stream";

type Stream = { asked: Asked; end: () => void; fail: (error: unknown) => void };
let streams: Stream[] = [];
const newest = () => streams.at(-1) as Stream;
const say = (kind: string, text = "{}", id = "") => newest().asked.onFrame({ kind, text }, id);

function listen(asked: Asked): Promise<void> {
  return new Promise((resolve, reject) => {
    asked.signal.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    streams.push({ asked, end: resolve, fail: reject });
  });
}

/** Tabs of one browser: locks that go round, channels that tell all others. */
function browser(): Tabs {
  const queue: (() => void)[] = [];
  let isHeld = false;
  const next = () => {
    isHeld = false;
    queue.shift()?.();
  };
  type Channel = ReturnType<Tabs["channel"]>;
  const channels = new Set<Channel>();
  return {
    locks: {
      request: (_, { signal }, held) =>
        new Promise((resolve, reject) => {
          const run = () => {
            if (signal.aborted) {
              next();
              return;
            }
            isHeld = true;
            void held().then(() => {
              next();
              resolve(undefined);
            });
          };
          signal.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
          if (isHeld) queue.push(run);
          else run();
        }),
    },
    channel: () => {
      const one: Channel = {
        onmessage: null,
        close: () => void channels.delete(one),
        postMessage: (data: unknown) => {
          for (const other of channels) if (other !== one) other.onmessage?.call(other as BroadcastChannel, new MessageEvent("message", { data }));
        },
      };
      channels.add(one);
      return one;
    },
  };
}

let lives: Live[] = [];
function tab(tabs: Tabs | null = null) {
  const given = { name: "n", listen, onEvent: vi.fn(), onBack: vi.fn(), tabs };
  const live = new Live(given);
  lives.push(live);
  live.start();
  return { live, ...given };
}

beforeEach(() => {
  vi.useFakeTimers();
  streams = [];
  lives = [];
});
afterEach(() => {
  for (const live of lives) live.stop();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe("the connection", () => {
  it("says when it is lost and with what it was up to date, and asks everything again when it is back", async () => {
    const { live, onEvent, onBack } = tab();
    newest().asked.onOpen();
    say("wallet", "{}", "e-1");
    expect(onEvent).toHaveBeenCalledWith("wallet", "{}");
    const last = live.status().lastAtMs;
    await vi.advanceTimersByTimeAsync(5000);
    newest().fail(new Unreachable("x"));
    await vi.advanceTimersByTimeAsync(0);
    expect(live.status()).toEqual({ state: "lost", lastAtMs: last });
    await vi.advanceTimersByTimeAsync(2000);
    expect(newest().asked.lastEventId).toBe("e-1");
    newest().asked.onOpen();
    expect(onBack).toHaveBeenCalledTimes(1);
    expect(live.status().state).toBe("open");
  });
  it("goes on without a word where the server ended it with its login", async () => {
    const { live, onBack } = tab();
    newest().asked.onOpen();
    say("task", "{}", "e-7");
    await vi.advanceTimersByTimeAsync(900_000);
    const told = vi.fn();
    live.subscribe(told);
    newest().end();
    await vi.advanceTimersByTimeAsync(0);
    expect(streams).toHaveLength(2);
    expect(newest().asked.lastEventId).toBe("e-7");
    expect([live.status().state, told.mock.calls.length, onBack.mock.calls.length]).toEqual(["open", 0, 0]);
  });
  it("tries ever later, also where each stream ends at once", async () => {
    tab();
    for (let at = 0; at < 20; at += 1) {
      newest().asked.onOpen();
      newest().end();
      await vi.advanceTimersByTimeAsync(1000);
    }
    expect(streams.length).toBeLessThan(22);
    for (let at = 0; at < 12; at += 1) {
      newest().fail(new Unreachable("x"));
      await vi.advanceTimersByTimeAsync(20_000);
    }
    const before = streams.length;
    newest().fail(new Unreachable("x"));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(streams.length).toBe(before);
  });
  it("does not go on without a session, nor after it was stopped", async () => {
    tab();
    newest().fail(new Problem(401, "E_UNAUTHENTICATED", "", "", null, null));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(streams).toHaveLength(1);
    const { live } = tab();
    newest().fail(new Unreachable("x"));
    live.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(streams).toHaveLength(2);
  });
  it("follows what the server says of the pool", () => {
    const { live } = tab();
    newest().asked.onOpen();
    say("lost");
    expect(live.status().state).toBe("lost");
  });
});

describe("many tabs", () => {
  it("share one stream, and the next goes on where the first was", async () => {
    const tabs = browser();
    const all = Array.from({ length: 8 }, () => tab(tabs));
    expect(streams).toHaveLength(1);
    newest().asked.onOpen();
    say("task", '{"a":1}', "e-3");
    for (const { onEvent, live } of all) {
      expect(onEvent.mock.calls).toEqual([["task", '{"a":1}']]);
      expect(live.status().state).toBe("open");
    }
    all[0]?.live.stop();
    await vi.advanceTimersByTimeAsync(0);
    expect(streams).toHaveLength(2);
    expect(newest().asked.lastEventId).toBe("e-3");
    newest().asked.onOpen();
    say("wallet", "{}", "e-4");
    expect(all[0]?.onEvent).toHaveBeenCalledTimes(1);
    for (const { onEvent } of all.slice(1)) expect(onEvent).toHaveBeenCalledTimes(2);
  });
  it("tell a new one how things stand, and all of them of a loss", async () => {
    const tabs = browser();
    const first = tab(tabs);
    newest().asked.onOpen();
    const late = tab(tabs);
    expect(late.live.status().state).toBe("open");
    newest().fail(new Unreachable("x"));
    await vi.advanceTimersByTimeAsync(0);
    expect([first.live.status().state, late.live.status().state]).toEqual(["lost", "lost"]);
    late.live.retry();
    await vi.advanceTimersByTimeAsync(0);
    expect(streams).toHaveLength(2);
    newest().asked.onOpen();
    expect([first.onBack.mock.calls.length, late.onBack.mock.calls.length]).toEqual([1, 1]);
  });
  it("have a stream each only while they are in front, where the browser knows no locks", async () => {
    const { live } = tab();
    newest().asked.onOpen();
    say("task", "{}", "e-5");
    const visible = vi.spyOn(document, "visibilityState", "get").mockReturnValue("hidden");
    document.dispatchEvent(new Event("visibilitychange"));
    expect(newest().asked.signal.aborted).toBe(true);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(streams).toHaveLength(1);
    expect(live.status().state).toBe("open");
    visible.mockReturnValue("visible");
    document.dispatchEvent(new Event("visibilitychange"));
    expect(newest().asked.lastEventId).toBe("e-5");
  });
});
