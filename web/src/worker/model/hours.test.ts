import { describe, expect, it } from "vitest";
import {
  always,
  BadInterval,
  fromIntervals,
  hoursFault,
  hoursPerWeek,
  hourState,
  isLimited,
  parseInterval,
  PRESETS,
  setHours,
  toIntervals,
  walkGrid,
} from "./hours";

describe("intervals", () => {
  it.each([
    ["08:00-12:30", 480, 750],
    ["8:05 - 9:00", 485, 540],
    ["22:00-06:00", 1320, 1800],
    ["00:00-24:00", 0, 1440],
    ["22:00-0:00", 1320, 1440],
  ])("reads %s", (text, from, until) => {
    expect(parseInterval(text)).toEqual({ from, until });
  });

  it.each(["", "8-9", "08:00", "08:00-08:00", "24:00-25:00", "08:60-09:00", "24:01-1:00", "-1:00-2:00", "24:00-1:00", "+8:00-9:00", "8:00-9:00-10:00"])(
    "refuses “%s”",
    (text) => {
      expect(() => parseInterval(text)).toThrow(BadInterval);
    },
  );
});

describe("the week", () => {
  it("gives a night to the morning after it, also over the end of the week", () => {
    const week = fromIntervals({ ...always(), sunday: ["22:00-06:00"] });
    expect(hourState(week, 6, 22)).toBe("on");
    expect(hourState(week, 0, 5)).toBe("on");
    expect(hourState(week, 0, 6)).toBe("off");
    expect(toIntervals(week)).toEqual({ ...always(), sunday: ["22:00-24:00"], monday: ["00:00-06:00"] });
  });

  it("keeps minutes that no grid shows", () => {
    const hours = { ...always(), tuesday: ["08:15-09:45"] };
    const week = fromIntervals(hours);
    expect(hourState(week, 1, 8)).toBe("part");
    expect(toIntervals(week)).toEqual(hours);
    // Another day is painted: these minutes stay.
    expect(toIntervals(setHours(week, { day: 2, hour: 0 }, { day: 2, hour: 1 }, true)).tuesday).toEqual(["08:15-09:45"]);
  });

  it("paints a rectangle from either corner", () => {
    const week = setHours(fromIntervals(always()), { day: 3, hour: 9 }, { day: 1, hour: 8 }, true);
    expect(toIntervals(week)).toEqual({ ...always(), tuesday: ["08:00-10:00"], wednesday: ["08:00-10:00"], thursday: ["08:00-10:00"] });
    expect(hoursPerWeek(week)).toBe(6);
    expect(isLimited(toIntervals(setHours(week, { day: 0, hour: 0 }, { day: 6, hour: 23 }, false)))).toBe(false);
  });

  it("has ready-made weeks that read back", () => {
    for (const preset of PRESETS) {
      expect(hoursFault(preset.hours)).toBeNull();
      expect(toIntervals(fromIntervals(preset.hours))).toEqual(preset.hours);
    }
  });

  it("names the day of what is wrong", () => {
    expect(hoursFault({ ...always(), friday: ["noon"] })).toContain("Friday: “noon”");
    expect(hoursFault({ ...always(), friday: Array.from({ length: 13 }, (_, hour) => `${hour}:00-${hour}:30`) })).toContain("13 intervals");
  });
});

describe("walking the grid", () => {
  it("stays within it", () => {
    expect(walkGrid({ day: 0, hour: 0 }, "ArrowLeft")).toEqual({ day: 0, hour: 0 });
    expect(walkGrid({ day: 6, hour: 23 }, "ArrowDown")).toEqual({ day: 6, hour: 23 });
    expect(walkGrid({ day: 2, hour: 5 }, "End")).toEqual({ day: 2, hour: 23 });
    expect(walkGrid({ day: 2, hour: 5 }, "PageUp")).toEqual({ day: 0, hour: 5 });
    expect(walkGrid({ day: 2, hour: 5 }, "Tab")).toBeNull();
  });
});
