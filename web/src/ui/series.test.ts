import { describe, expect, it } from "vitest";
import { emptySeries, push } from "./series";

describe("series", () => {
  it("keeps the newest", () => {
    let series = emptySeries(2);
    for (let second = 0; second < 10; second += 1) series = push(series, second * 1000, [second, null], 4);
    expect(series).toEqual({ times: [6, 7, 8, 9], lines: [[6, 7, 8, 9], [null, null, null, null]] });
  });

  it("breaks its lines where nothing was heard", () => {
    const series = push(push(emptySeries(1), 1000, [1], 10), 61_000, [2], 10);
    expect(series).toEqual({ times: [1, 6, 61], lines: [[1, null, 2]] });
  });

  it("takes a second point of one moment for the first, and never goes back", () => {
    const once = push(push(emptySeries(1), 5000, [1], 10), 5000, [2], 10);
    expect(once).toEqual({ times: [5], lines: [[2]] });
    expect(push(once, 4000, [3], 10)).toEqual({ times: [5], lines: [[3]] });
  });
});
