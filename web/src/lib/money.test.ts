import { describe, expect, it } from "vitest";
import { cpt, cptUnit, micro, parseCpt, sumMicro } from "./money";

describe("amounts", () => {
  it.each([
    ["0", "0.00 CPT"],
    ["1250000", "1.25 CPT"],
    ["12", "0.000012 CPT"],
    ["1234567000000", "1,234,567.00 CPT"],
    ["-1500000", "\u22121.50 CPT"],
    ["9007199254740993", "9,007,199,254.740993 CPT"],
    ["9223372036854775807", "9,223,372,036,854.775807 CPT"],
  ])("%s micro-CPT is %s", (text, shown) => expect(cptUnit(text)).toBe(shown));

  it("carries a plus only where asked and above zero", () => {
    expect(cpt("10", { sign: true })).toBe("+0.00001");
    expect(cpt("0", { sign: true })).toBe("0.00");
  });
  it.each(["", "1.5", "1e3", "abc", "0x10", " 1"])("refuses %j", (text) => expect(() => micro(text)).toThrow(RangeError));
  it("adds beyond 2^53 exactly", () => expect(sumMicro(["9007199254740993", "1"])).toBe(9007199254740994n));
});

describe("what people type", () => {
  it.each([
    ["1", "1000000"],
    ["1.25", "1250000"],
    ["0.000001", "1"],
    ["1,000.5 CPT", "1000500000"],
    ["2.", "2000000"],
  ])("%s", (typed, expected) => expect(parseCpt(typed)).toEqual({ ok: true, micro: expected }));
  it.each(["", "-1", "0", "0.0000001", "1.2.3", "1e5", "9999999999999", "1,00"])("refuses %j", (typed) => expect(parseCpt(typed).ok).toBe(false));
});
