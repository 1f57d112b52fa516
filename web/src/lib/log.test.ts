import { describe, expect, it } from "vitest";
import { LogBuffer, LONGEST_LINE, plain } from "./log";

const texts = (log: LogBuffer) => Array.from({ length: log.length }, (_, at) => log.at(at)?.text);

describe("lines", () => {
  it("come whole, wherever the pieces were cut, each stream on its own", () => {
    const log = new LogBuffer();
    log.append("stdout", "one\ntw");
    log.append("stderr", "bad\n");
    log.append("stdout", "o\nthree");
    expect(texts(log)).toEqual(["one", "bad", "two"]);
    expect(log.at(1)?.stream).toBe("stderr");
    log.end();
    expect(texts(log)).toEqual(["one", "bad", "two", "three"]);
  });
  it("are let go from the front, and counted", () => {
    const log = new LogBuffer(100);
    for (let at = 1; at <= 100_000; at += 1) log.append("stdout", `line ${at}\n`);
    expect(log.length).toBe(100);
    expect(log.dropped).toBe(99_900);
    expect(log.at(0)).toEqual({ number: 99_901, stream: "stdout", text: "line 99901" });
    expect(log.at(99)?.text).toBe("line 100000");
    expect(log.at(100)).toBeUndefined();
  });
  it("are bounded in characters, too", () => {
    const log = new LogBuffer(1000, 1000);
    for (let at = 0; at < 50; at += 1) log.append("stdout", `${"x".repeat(100)}\n`);
    expect(log.length).toBe(10);
  });
  it("that never end are cut", () => {
    const log = new LogBuffer();
    for (let at = 0; at < 10; at += 1) log.append("stdout", "y".repeat(LONGEST_LINE));
    expect(log.length).toBeGreaterThan(0);
    expect(log.at(0)?.text.length).toBeLessThan(LONGEST_LINE + 40);
  });
  it("are found in any case, the last ones where there are too many", () => {
    const log = new LogBuffer();
    log.append("stdout", "Error a\nfine\nERROR b\n");
    expect(log.find("error")).toEqual([0, 2]);
    expect(log.find("error", 1)).toEqual([2]);
    expect(log.find("")).toEqual([]);
  });
  it("begin anew after clear", () => {
    const log = new LogBuffer();
    log.append("stdout", "a\nb");
    log.clear();
    log.append("stdout", "c\n");
    expect(texts(log)).toEqual(["c"]);
    expect(log.at(0)?.number).toBe(1);
  });
});

describe("a line as it is shown", () => {
  it.each([
    ["\u001b[31mred\u001b[0m", "red"],
    ["\u001b]0;title\u0007text", "text"],
    ["10 %\r50 %\r100 %", "100 %"],
    ["windows\r", "windows"],
    ["bell\u0007 null\u0000", "bell null"],
    ["abc\u202edcba", "abcdcba"],
    ["<script>alert(1)</script>", "<script>alert(1)</script>"],
  ])("%j", (line, shown) => expect(plain(line)).toBe(shown));
});
