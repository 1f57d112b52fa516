import { QueryClient } from "@tanstack/react-query";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { applyEvent, Live, Refresher } from "./events";
import { Problem } from "./problem";

const task = (id: string, status: string) => ({ task_id: id, status, progress: 0, task_name: id });

describe("events in the caches", () => {
  const setup = () => {
    const client = new QueryClient();
    const refresher = { ask: vi.fn(), stop: vi.fn() } as unknown as Refresher & { ask: ReturnType<typeof vi.fn> };
    return { client, refresher };
  };
  it("a task's state goes into every list and its own page at once, and the rest is asked for", () => {
    const { client, refresher } = setup();
    client.setQueryData(["tasks", { status: "" }], { items: [task("task_1", "pending"), task("task_2", "pending")], next_cursor: null });
    client.setQueryData(["task", "task_1"], { status: "pending", progress: 0, task: task("task_1", "pending"), attempts: [] });
    applyEvent(client, refresher, "task", JSON.stringify({ task_id: "task_1", status: "running", progress: 40, note: "pulling" }));
    expect(client.getQueryData(["tasks", { status: "" }])).toMatchObject({ items: [{ status: "running", progress: 40 }, { status: "pending" }] });
    expect(client.getQueryData(["task", "task_1"])).toMatchObject({ status: "running", progress: 40, task: { status: "running" } });
    expect(client.getQueryData(["note", "task_1"])).toBe("pulling");
    expect(refresher.ask.mock.calls).toEqual([[["tasks"]], [["task", "task_1"]], [["wallet"]], [["statement"]]]);
  });
  it("a list of one status lets go of a task that is in another", () => {
    const { client, refresher } = setup();
    const names = () => ["pending", "failed", ""].map((status) => client.getQueryData<{ items: { task_id: string }[] }>(["tasks", { status }])?.items.map((one) => one.task_id));
    client.setQueryData(["tasks", { status: "pending" }], { items: [task("task_1", "pending"), task("task_2", "pending")], next_cursor: null });
    client.setQueryData(["tasks", { status: "failed" }], { items: [task("task_1", "failed")], next_cursor: null });
    client.setQueryData(["tasks", { status: "" }], { items: [task("task_1", "pending"), task("task_2", "pending")], next_cursor: null });
    applyEvent(client, refresher, "task", JSON.stringify({ task_id: "task_1", status: "failed", progress: 0, note: "" }));
    expect(names()).toEqual([["task_2"], ["task_1"], ["task_1", "task_2"]]);
  });
  it("a balance is taken as it is", () => {
    const { client, refresher } = setup();
    applyEvent(client, refresher, "wallet", '{"balance_micro":"5","held_micro":"0"}');
    expect(client.getQueryData(["wallet"])).toEqual({ balance_micro: "5", held_micro: "0" });
    expect(refresher.ask).toHaveBeenCalledWith(["statement"]);
  });
  it("a reset asks everything again", () => {
    const { client, refresher } = setup();
    const asked = vi.spyOn(client, "invalidateQueries").mockResolvedValue();
    applyEvent(client, refresher, "reset", "{}");
    expect(asked).toHaveBeenCalledWith();
  });
  it.each([["task", "not json"], ["task", "[]"], ["task", '{"task_id":7}'], ["task", "null"], ["unknown", "{}"], ["node", '{"node_id":1}']])("%s %s changes no cache", (kind, text) => {
    const { client, refresher } = setup();
    client.setQueryData(["tasks", {}], { items: [task("task_1", "pending")], next_cursor: null });
    applyEvent(client, refresher, kind, text);
    expect(client.getQueryData(["tasks", {}])).toMatchObject({ items: [{ status: "pending" }] });
  });
});

describe("asking again", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("is bounded, however many events there are, and the last one counts", () => {
    const invalidateQueries = vi.fn(() => Promise.resolve());
    const refresher = new Refresher({ invalidateQueries }, 700);
    for (let at = 0; at < 1000; at += 1) {
      refresher.ask(["tasks"]);
      vi.advanceTimersByTime(2);
    }
    vi.advanceTimersByTime(1000);
    expect(invalidateQueries.mock.calls.length).toBeLessThanOrEqual(5);
    const before = invalidateQueries.mock.calls.length;
    refresher.ask(["tasks"]);
    vi.advanceTimersByTime(1000);
    expect(invalidateQueries.mock.calls.length).toBe(before + 1);
  });
});

class FakeSource {
  static all: FakeSource[] = [];
  readyState: number = EventSource0.OPEN;
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;
  readonly heard = new Map<string, (event: { data: string }) => void>();
  constructor(readonly url: string) {
    FakeSource.all.push(this);
  }
  addEventListener(kind: string, hear: (event: { data: string }) => void) {
    this.heard.set(kind, hear);
  }
  close() {
    this.readyState = EventSource0.CLOSED;
  }
  fail(readyState: number) {
    this.readyState = readyState;
    this.onerror?.();
  }
}
const EventSource0 = { CONNECTING: 0, OPEN: 1, CLOSED: 2 };

describe("the connection", () => {
  const parts = (renew: () => Promise<unknown> = () => Promise.resolve()) => ({
    url: "/api/v1/events", onEvent: vi.fn(), onOpen: vi.fn(), renew: vi.fn(renew), makeSource: (url: string) => new FakeSource(url) as unknown as EventSource,
  });
  const newest = () => FakeSource.all.at(-1) as FakeSource;
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal("EventSource", EventSource0);
    FakeSource.all = [];
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it("says when it is lost and with what it was up to date, and asks everything again when it is there and when it is back", () => {
    const given = parts();
    const live = new Live(given);
    const told = vi.fn();
    live.subscribe(told);
    live.start();
    expect(given.onOpen).not.toHaveBeenCalled();
    newest().onopen?.();
    expect(live.status().state).toBe("open");
    // What was asked before it was there may have changed untold.
    expect(given.onOpen).toHaveBeenCalledTimes(1);
    newest().heard.get("wallet")?.({ data: "{}" });
    expect(given.onEvent).toHaveBeenCalledWith("wallet", "{}");
    const last = live.status().lastAtMs;
    vi.advanceTimersByTime(5000);
    newest().fail(EventSource0.CONNECTING);
    expect(live.status()).toEqual({ state: "lost", lastAtMs: last });
    newest().onopen?.();
    expect(given.onOpen).toHaveBeenCalledTimes(2);
    expect(FakeSource.all.length).toBe(1);
  });
  it("begins anew where the browser gave up, ever later, after renewing the session", async () => {
    const given = parts();
    const live = new Live(given);
    live.start();
    newest().fail(EventSource0.CLOSED);
    await vi.advanceTimersByTimeAsync(2000);
    expect(given.renew).toHaveBeenCalledTimes(1);
    expect(FakeSource.all.length).toBe(2);
    newest().fail(EventSource0.CLOSED);
    await vi.advanceTimersByTimeAsync(1000);
    expect(FakeSource.all.length).toBe(2);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(FakeSource.all.length).toBe(3);
    live.stop();
  });
  it("does not go on without a session", async () => {
    const live = new Live(parts(() => Promise.reject(new Problem(401, "E_UNAUTHENTICATED", "", "", null, null))));
    live.start();
    newest().fail(EventSource0.CLOSED);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSource.all.length).toBe(1);
  });
  it("does not come back after it was stopped", async () => {
    const live = new Live(parts());
    live.start();
    newest().fail(EventSource0.CLOSED);
    live.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSource.all.length).toBe(1);
  });
  it("follows what the server says of the pool", () => {
    const live = new Live(parts());
    live.start();
    newest().onopen?.();
    newest().heard.get("lost")?.({ data: "{}" });
    expect(live.status().state).toBe("lost");
  });
});
