import { describe, expect, it } from "vitest";
import { gridModel, layout, moveByKey, nextInState, positionAt } from "./grid";
import { Indices, parseRanges } from "./indices";

describe("indices", () => {
  it.each([["1-3,7", 4], ["5", 1], ["", 0], ["0-999999", 1_000_000]])("%s", (text, size) => expect(new Indices(text).size).toBe(size));
  it.each(["a", "3-1", "1-", "-1", "1,,2"])("refuses %j", (text) => expect(() => parseRanges(text)).toThrow(RangeError));
  it("go both ways", () => {
    const indices = new Indices("1-3,7,100-200");
    for (let at = 0; at < indices.size; at += 1) expect(indices.positionOf(indices.at(at) ?? -1)).toBe(at);
    expect(indices.at(3)).toBe(7);
    expect(indices.at(indices.size)).toBeUndefined();
    for (const none of [0, 4, 8, 99, 201]) expect(indices.positionOf(none)).toBe(-1);
  });
});

describe("a grid", () => {
  it("counts states, and takes what is missing or unknown for waiting", () => {
    const model = gridModel("1-6", "2319");
    expect(model.counts).toEqual({ waiting: 3, live: 1, completed: 1, failed: 1, cancelled: 0 });
    expect(Array.from(model.states)).toEqual([2, 3, 1, 0, 0, 0]);
  });
  it("leaves out states of elements that are not there", () => expect(gridModel("1-2", "222222").counts.completed).toBe(2));
  it.each([1, 400, 401, 4000, 30_000, 100_000, 1_000_000])("holds %d elements in the width, each under its own point", (count) => {
    const shape = layout(count, 1000);
    expect(shape.width).toBeLessThanOrEqual(1000);
    expect(shape.rows * shape.columns).toBeGreaterThanOrEqual(count);
    const pitch = shape.cell + shape.gap;
    for (const position of [0, Math.floor(count / 2), count - 1]) {
      expect(positionAt(shape, count, (position % shape.columns) * pitch + 1, Math.floor(position / shape.columns) * pitch + 1)).toBe(position);
    }
    expect(positionAt(shape, count, 5000, 0)).toBe(-1);
    expect(positionAt(shape, count, 0, shape.height + 10)).toBe(-1);
  });
  it("fits where there is no width at all", () => expect(layout(10, 0).columns).toBe(1));
  it.each([
    ["ArrowRight", 5, 6], ["ArrowLeft", 0, 0], ["ArrowDown", 5, 15], ["ArrowUp", 5, 0], ["Home", 50, 0], ["End", 5, 99], ["PageDown", 5, 99], ["PageUp", 99, 0],
  ])("%s at %d leads to %d", (key, from, to) => expect(moveByKey(key, from, 100, 10)).toBe(to));
  it("leaves other keys alone", () => expect(moveByKey("x", 5, 100, 10)).toBeNull());
  it("finds the next failed one, going round", () => {
    const { states } = gridModel("1-5", "23223");
    expect([nextInState(states, "failed", 0), nextInState(states, "failed", 1), nextInState(states, "failed", 4), nextInState(states, "live", 0)]).toEqual([1, 4, 1, -1]);
  });
});
