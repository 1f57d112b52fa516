import { describe, expect, it } from "vitest";
import { somePreferences as defaults } from "./samples";
import { egressSentence, faultsOf, few, linesOf, type Preferences } from "./preferences";

describe("faultsOf", () => {
  it("takes the defaults", () => {
    expect(faultsOf(defaults())).toEqual({});
  });

  it.each<[string, (preferences: Preferences) => void]>([
    ["shares.cpu_percent", (p) => (p.shares.cpu_percent = 0)],
    ["shares.memory_percent", (p) => (p.shares.memory_percent = 101)],
    ["idle.start_minutes", (p) => (p.idle.start_minutes = 1441)],
    ["idle.resume_minutes", (p) => (p.idle.resume_minutes = 16)],
    ["idle.stop_load", (p) => (p.idle.stop_load = 1.5)],
    ["idle.background_load", (p) => (p.idle.background_load = 0.5)],
    ["idle.load_seconds", (p) => (p.idle.load_seconds = 0.5)],
    ["suspend.minutes", (p) => (p.suspend.minutes = -1)],
    ["battery.least_percent", (p) => (p.battery.least_percent = Number.NaN)],
    ["heat.stop_celsius", (p) => (p.heat.stop_celsius = 20)],
    ["heat.resume_celsius", (p) => (p.heat.resume_celsius = 60)],
    ["hours", (p) => p.hours.monday.push("never")],
    ["programs.pause_while", (p) => p.programs.pause_while.push("/usr/bin/steam")],
    ["network.egress", (p) => (p.network.egress = Array.from({ length: 17 }, (_, i) => `h${i}:1`))],
    ["network.gib_per_day", (p) => (p.network.gib_per_day = 0)],
    ["images.allow", (p) => p.images.allow.push(" x")],
    ["cache.limit_gib", (p) => (p.cache.limit_gib = 1_000_001)],
  ])("names %s", (field, spoil) => {
    const preferences = defaults();
    spoil(preferences);
    expect(Object.keys(faultsOf(preferences))).toEqual([field]);
  });
});

describe("words", () => {
  it("says what tasks reach", () => {
    expect(egressSentence([])).toContain("reach nothing");
    expect(egressSentence(["public"])).toContain("public addresses");
    expect(egressSentence(["data.example.net:443"])).toContain("1 place,");
  });

  it("reads lines and shortens lists", () => {
    expect(linesOf(" a \n\n b")).toEqual(["a", "b"]);
    expect(few(["a", "b", "c", "d", "e"])).toBe("a, b, c and 2 more");
  });
});
