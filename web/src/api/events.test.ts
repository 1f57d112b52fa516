import { QueryClient } from "@tanstack/react-query";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { applyEvent, Refresher } from "./events";

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
