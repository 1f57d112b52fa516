import { describe, expect, it } from "vitest";
import { bytes, cores, count, duration, mebibytes, parseMebibytes, parseSeconds, plural, timeAgo } from "./units";
import { shellQuote, splitWords } from "./words";

describe("quantities carry their unit", () => {
  it.each([[0, "0 B"], [1023, "1023 B"], [1536, "1.5 KiB"], [1048576, "1 MiB"], [5e12, "4.5 TiB"]])("%d bytes", (value, text) => expect(bytes(value)).toBe(text));
  it("memory of the API is MiB", () => expect(mebibytes(2048)).toBe("2 GiB"));
  it.each([[1000, "1 core"], [1500, "1.5 cores"], [64000, "64 cores"], [250, "0.25 cores"]])("%d millicores", (value, text) => expect(cores(value)).toBe(text));
  it.each([[340, "340 ms"], [1250, "1.2 s"], [59_999, "59 s"], [185_000, "3 min 05 s"], [7_800_000, "2 h 10 min"], [273_600_000, "3 d 4 h"], [Number.NaN, "unknown"]])(
    "%d ms", (value, text) => expect(duration(value)).toBe(text));
  it("counts", () => {
    expect(count(1234567)).toBe("1,234,567");
    expect(plural(1, "task")).toBe("1 task");
    expect(plural(0, "task")).toBe("0 tasks");
  });
  it.each([[0, "just now"], [12_000, "12 s ago"], [-180_000, "in 3 min"], [7_200_000, "2 h ago"]])("%d ms apart", (apart, text) => expect(timeAgo(1e12 - apart, 1e12)).toBe(text));
});

describe("typed sizes and times", () => {
  it.each([["512", 512], ["2 GiB", 2048], ["1.5g", 1536], ["1t", 1048576]])("%s", (typed, mib) => expect(parseMebibytes(typed)).toEqual({ ok: true, mib }));
  it.each(["", "0", "-1", "1 KB", "many"])("refuses the size %j", (typed) => expect(parseMebibytes(typed).ok).toBe(false));
  it.each([["90", 90], ["15 min", 900], ["2h", 7200], ["1 d", 86400]])("%s", (typed, seconds) => expect(parseSeconds(typed)).toEqual({ ok: true, seconds }));
  it.each(["", "0 s", "soon"])("refuses the time %j", (typed) => expect(parseSeconds(typed).ok).toBe(false));
});

describe("words of a command", () => {
  it.each<[string, string[]]>([
    ["echo hello", ["echo", "hello"]],
    ["  sh -c 'echo $HOME; ls'  ", ["sh", "-c", "echo $HOME; ls"]],
    ['a"b c"d \\"x', ["ab cd", '"x']],
    ["''", [""]],
    ['"\\$x \\n"', ["$x \\n"]],
  ])("%s", (line, words) => expect(splitWords(line)).toEqual({ ok: true, words }));
  it.each(["'open", '"open', "end\\"])("refuses %j", (line) => expect(splitWords(line).ok).toBe(false));
  it("quotes so that the same words come back", () => {
    const words = ["sh", "-c", "it's $x \\ \"y\"", "", "<script>", "a\nb"];
    expect(splitWords(shellQuote(words))).toEqual({ ok: true, words });
  });
});
