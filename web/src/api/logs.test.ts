import { describe, expect, it, vi } from "vitest";
import { LogBuffer } from "../lib/log";
import { LogFollower, type LogState } from "./logs";

class FakeSource {
  readyState = 1;
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;
  readonly heard = new Map<string, (event: { data: string }) => void>();
  addEventListener(kind: string, hear: (event: { data: string }) => void) {
    this.heard.set(kind, hear);
  }
  close() {
    this.readyState = 2;
  }
  log(attempt: number, offset: number, text: string, stream = "stdout") {
    this.heard.get("log")?.({ data: JSON.stringify({ attempt, stream, offset, text }) });
  }
}

function follow() {
  const source = new FakeSource();
  const buffer = new LogBuffer();
  const frames: (() => void)[] = [];
  const states: LogState[] = [];
  const onChange = vi.fn();
  const follower = new LogFollower("/logs", { buffer, onChange, onState: (state) => states.push(state), makeSource: () => source as unknown as EventSource, soon: (run) => frames.push(run) });
  follower.start();
  const frame = () => frames.splice(0).forEach((run) => run());
  const texts = () => Array.from({ length: buffer.length }, (_, at) => buffer.at(at)?.text);
  return { source, buffer, frame, frames, states, onChange, follower, texts };
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
    source.heard.get("end")?.({ data: "{}" });
    expect(texts()).toEqual(["half"]);
    expect(states).toEqual(["ended"]);
    expect(source.readyState).toBe(2);
  });
  it.each(["", "{", "null", "7", '{"attempt":"1"}', '{"attempt":1,"stream":"x","offset":0,"text":"t"}'])("takes %j for nothing", (data) => {
    const { source, frames } = follow();
    source.heard.get("log")?.({ data });
    expect(frames.length).toBe(0);
  });
});
