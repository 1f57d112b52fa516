import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LogBuffer } from "../lib/log";
import { LogFollower, type LogState } from "./logs";
import { Problem, Unreachable } from "./problem";
import type { Asked } from "./stream";

/** A stream that says what a test has it say. */
class FakeStream {
  end: () => void = () => undefined;
  fail: (error: unknown) => void = () => undefined;
  constructor(readonly asked: Asked) {}
  say(kind: string, text: string, id = "") {
    this.asked.onFrame({ kind, text }, id);
  }
  log(attempt: number, offset: number, text: string, stream = "stdout") {
    this.say("log", JSON.stringify({ attempt, stream, offset, text }), `${attempt}-${offset + text.length}-0`);
  }
}

function follow() {
  const streams: FakeStream[] = [];
  const buffer = new LogBuffer();
  const frames: (() => void)[] = [];
  const states: LogState[] = [];
  const onChange = vi.fn();
  const onRefused = vi.fn();
  const listen = (asked: Asked) =>
    new Promise<void>((resolve, reject) => {
      const stream = new FakeStream(asked);
      Object.assign(stream, { end: resolve, fail: reject });
      asked.signal.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
      streams.push(stream);
    });
  const follower = new LogFollower({ buffer, onChange, onRefused, onState: (state) => states.push(state), listen, soon: (run) => frames.push(run) });
  follower.start();
  const frame = () => frames.splice(0).forEach((run) => run());
  const texts = () => Array.from({ length: buffer.length }, (_, at) => buffer.at(at)?.text);
  return { source: streams[0] as FakeStream, streams, buffer, frame, frames, states, onChange, onRefused, follower, texts };
}

describe("a live log", () => {
  it("changes the page once in a frame, however fast it is", () => {
    const { source, frame, frames, onChange, buffer } = follow();
    for (let at = 0; at < 10_000; at += 1) source.log(1, at * 10, `line ${at}\n`);
    expect(frames.length).toBe(1);
    expect(onChange).not.toHaveBeenCalled();
    frame();
    expect(onChange).toHaveBeenCalledTimes(1);
    expect(buffer.length).toBe(10_000);
  });
  it("leaves out what it has already", () => {
    const { source, frame, texts } = follow();
    source.log(1, 0, "a\n");
    source.log(1, 2, "b\n");
    source.log(1, 0, "a\n");
    source.log(1, 2, "b\n");
    source.log(1, 4, "c\n");
    frame();
    expect(texts()).toEqual(["a", "b", "c"]);
  });
  it("begins anew with a new attempt", () => {
    const { source, frame, texts, follower } = follow();
    source.log(1, 0, "old\n");
    frame();
    source.log(2, 0, "new\n");
    source.log(1, 4, "late\n");
    frame();
    expect(texts()).toEqual(["new"]);
    expect(follower.attempt).toBe(2);
  });
  it("ends with what has no line break", () => {
    const { source, texts, states } = follow();
    source.log(1, 0, "half");
    source.say("end", "{}");
    expect(texts()).toEqual(["half"]);
    expect(states).toEqual(["ended"]);
  });
  it.each(["", "{", "null", "7", '{"attempt":"1"}', '{"attempt":1,"stream":"x","offset":0,"text":"t"}'])("takes %j for nothing", (data) => {
    const { source, frames } = follow();
    source.say("log", data);
    expect(frames.length).toBe(0);
  });
});

describe("a log that breaks off", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    // Waits vary by a quarter; here they do not.
    vi.spyOn(Math, "random").mockReturnValue(0.5);
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });
  const gone = new Problem(404, "E_NOT_FOUND", "", "It was kept until yesterday.", null, null);

  it("keeps what is shown and goes on after it, ever later", async () => {
    const { streams, source, frame, texts, states } = follow();
    source.asked.onOpen();
    source.log(1, 0, "a\n");
    frame();
    source.say("lost", "{}", "1-2-0");
    source.end();
    const waits: number[] = [];
    for (let at = 1; at < 7; at += 1) {
      const before = Date.now();
      while (streams.length === at) await vi.advanceTimersByTimeAsync(500);
      waits.push(Math.round((Date.now() - before) / 1000));
      expect(streams[at]?.asked.lastEventId).toBe("1-2-0");
      streams[at]?.fail(new Unreachable("x"));
    }
    expect(waits).toEqual([2, 4, 8, 15, 15, 15]);
    expect(texts()).toEqual(["a"]);
    expect(states).toContain("lost");
    await vi.advanceTimersByTimeAsync(30_000);
    streams.at(-1)?.asked.onOpen();
    streams.at(-1)?.log(1, 2, "b\n");
    frame();
    expect(texts()).toEqual(["a", "b"]);
    expect(states.at(-1)).toBe("live");
  });
  it("goes on without a word where the server ended it with its login", async () => {
    const { streams, source, states } = follow();
    source.asked.onOpen();
    source.log(1, 0, "a\n");
    await vi.advanceTimersByTimeAsync(900_000);
    source.end();
    await vi.advanceTimersByTimeAsync(0);
    expect(streams[1]?.asked.lastEventId).toBe("1-2-0");
    expect(states).toEqual(["live"]);
  });
  it("is not asked for again where it is refused, and says why", async () => {
    const { streams, source, onRefused, states } = follow();
    source.fail(gone);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(streams).toHaveLength(1);
    expect(onRefused).toHaveBeenCalledWith(gone);
    expect(states).toEqual(["refused"]);
  });
  it("takes a refusal inside of the stream as well", async () => {
    const { streams, source, onRefused, frames, texts } = follow();
    source.log(1, 0, "a\n");
    source.say("refused", JSON.stringify({ status: 404, code: "E_NOT_FOUND", title: "Gone", detail: "It was kept until yesterday." }));
    source.end();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(streams).toHaveLength(1);
    expect(onRefused.mock.calls[0]?.[0]).toMatchObject({ status: 404, code: "E_NOT_FOUND", detail: "It was kept until yesterday." });
    expect([texts(), frames.length]).toEqual([["a"], 1]);
  });
  it("waits where the server asks for it, and takes that for no refusal", async () => {
    const { streams, source, onRefused } = follow();
    source.fail(new Problem(429, "E_BUSY", "", "", null, 9));
    await vi.advanceTimersByTimeAsync(8000);
    expect(streams).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(2000);
    expect(streams).toHaveLength(2);
    expect(onRefused).not.toHaveBeenCalled();
  });
  it("reads nothing while the page is hidden, and goes on where it was", async () => {
    const { streams, source, texts } = follow();
    const visible = vi.spyOn(document, "visibilityState", "get").mockReturnValue("hidden");
    source.log(1, 0, "a\n");
    document.dispatchEvent(new Event("visibilitychange"));
    expect(source.asked.signal.aborted).toBe(true);
    expect(texts()).toEqual(["a"]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(streams).toHaveLength(1);
    visible.mockReturnValue("visible");
    document.dispatchEvent(new Event("visibilitychange"));
    expect(streams[1]?.asked.lastEventId).toBe("1-2-0");
  });
});
