import { describe, expect, it } from "vitest";
import { levelPlace, LEVELS, multiplier } from "./levels";

const HOUR = 3_600_000;

describe("levels", () => {
  it("tells what is missing to the next", () => {
    const place = levelPlace("bronze", 300 * HOUR, 200 * HOUR);
    expect([place.level.name, place.next?.name, place.hoursLeft, place.part]).toEqual(["Bronze", "Silver", 200, 0.5]);
  });

  it("starts at nothing and ends at the highest", () => {
    expect(levelPlace("none", 0, 100 * HOUR).part).toBe(0);
    expect(levelPlace("diamond", 9000 * HOUR, 0)).toMatchObject({ next: null, part: 1, hoursLeft: 0 });
    expect(levelPlace("unheard-of", 0, 0).level).toBe(LEVELS[0]);
  });

  it("writes multipliers", () => {
    expect(LEVELS.map((level) => multiplier(level.multiplierTenths))).toEqual(["1.0×", "1.0×", "1.2×", "1.5×", "2.0×", "3.0×"]);
  });
});
