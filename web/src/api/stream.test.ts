import { afterEach, describe, expect, it, vi } from "vitest";
import { Problem, Unreachable } from "./problem";
import { Frames, listen } from "./stream";

describe("the text of a stream", () => {
  const text = "retry: 2000\nid: e-0\n\n: alive\n\nid: e-1\r\nevent: task\r\ndata: {\"a\":1}\r\n\r\nevent: log\ndata: one\ndata:two\n\ndata: x\n\n";
  it.each([1, 2, 7, 1000])("is events, cut after each %i characters", (size) => {
    const frames = new Frames();
    const found = [];
    for (let at = 0; at < text.length; at += size) found.push(...frames.take(text.slice(at, at + size)));
    expect(found).toEqual([[{ kind: "task", text: '{"a":1}' }, "e-1"], [{ kind: "log", text: "one\ntwo" }, "e-1"], [{ kind: "message", text: "x" }, "e-1"]]);
  });
  it("is bounded", () => {
    const frames = new Frames();
    const much = `data: ${"x".repeat(5 * 1024 * 1024)}\n`;
    expect(() => {
      for (let at = 0; at < 5; at += 1) frames.take(much);
    }).toThrow(Unreachable);
  });
});

describe("listening", () => {
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });
  const asked = (signal = new AbortController().signal) => ({ lastEventId: "e-9", signal, onOpen: vi.fn(), onFrame: vi.fn() });
  const streamOf = (text: string) => new Response(text, { headers: { "content-type": "text/event-stream" } });

  it("goes on after the event that is named, and tells each with its id", async () => {
    const fetch = vi.fn<(url: string, init: RequestInit) => Promise<Response>>();
    fetch.mockResolvedValue(streamOf("id: e-10\nevent: task\ndata: {}\n\n"));
    vi.stubGlobal("fetch", fetch);
    const given = asked();
    await listen("/events", given);
    const headers = fetch.mock.calls[0]?.[1].headers as Headers;
    expect([headers.get("last-event-id"), headers.get("accept")]).toEqual(["e-9", "text/event-stream"]);
    expect(given.onFrame).toHaveBeenCalledWith({ kind: "task", text: "{}" }, "e-10");
  });
  it("tells a refusal, and what is no stream", async () => {
    vi.stubGlobal("fetch", () => Promise.resolve(new Response('{"code":"E_NOT_FOUND"}', { status: 404 })));
    await expect(listen("/events", asked())).rejects.toThrow(Problem);
    vi.stubGlobal("fetch", () => Promise.resolve(new Response("<html>")));
    await expect(listen("/events", asked())).rejects.toThrow(Unreachable);
  });
  it("gives up a stream that says nothing for long", async () => {
    vi.useFakeTimers();
    vi.stubGlobal("fetch", (_: string, { signal }: RequestInit) =>
      Promise.resolve(new Response(new ReadableStream({ start: (out) => signal?.addEventListener("abort", () => out.error(new DOMException("stopped", "AbortError"))) }), { headers: { "content-type": "text/event-stream" } })));
    const failed = expect(listen("/events", asked())).rejects.toThrow(Unreachable);
    await vi.advanceTimersByTimeAsync(61_000);
    await failed;
  });
});
