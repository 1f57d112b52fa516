import { describe, expect, it } from "vitest";
import { cellAt, layOut, walk, type CellNode } from "./hive";

function nodes(...owners: [string, number][]): CellNode[] {
  return owners.flatMap(([owner, count]) => Array.from({ length: count }, (_, i) => ({ owner, node_id: `${owner}-${i + 1}` })));
}

describe("layOut", () => {
  it("puts every node into one cell, within the width, without overlap", () => {
    const all = nodes(["bea", 70], ["adi", 5], ["cy", 1]);
    const hive = layOut(all, 640);
    expect(hive.cells.map((cell) => cell.index).sort((a, b) => a - b)).toEqual(all.map((_, i) => i));
    expect(hive.blocks.map((block) => block.owner)).toEqual(["adi", "bea", "cy"]);
    const touching = hive.radius * Math.sqrt(3) - 0.001;
    for (const a of hive.cells) {
      expect(a.x).toBeGreaterThanOrEqual(0);
      expect(a.x).toBeLessThanOrEqual(640);
      for (const b of hive.cells) if (a !== b) expect(Math.hypot(a.x - b.x, a.y - b.y)).toBeGreaterThanOrEqual(touching);
    }
  });

  it("orders nodes of an owner by their numbers", () => {
    const all = nodes(["adi", 11]);
    expect(layOut(all, 640).cells.map((cell) => all[cell.index]?.node_id)).toEqual(all.map((node) => node.node_id));
  });

  it("takes thousands, and none", () => {
    expect(layOut(nodes(["adi", 5000], ["bea", 3]), 1200).cells).toHaveLength(5003);
    expect(layOut([], 300)).toMatchObject({ height: 0, cells: [], blocks: [] });
    expect(layOut(nodes(["adi", 3]), 10).cells).toHaveLength(3);
  });
});

describe("finding and walking", () => {
  const hive = layOut(nodes(["adi", 12], ["bea", 4]), 700);

  it("finds each cell at its middle and none outside", () => {
    hive.cells.forEach((cell, place) => expect(cellAt(hive, cell.x, cell.y)).toBe(place));
    expect(cellAt(hive, 699, hive.height)).toBeNull();
    expect(cellAt(hive, 5, 5)).toBeNull();
  });

  it("reaches every cell with the right arrow, and comes back", () => {
    let at = 0;
    for (let step = 0; step < 40; step += 1) at = walk(hive, at, "ArrowRight");
    expect(at).toBe(15);
    for (let step = 0; step < 40; step += 1) at = walk(hive, at, "ArrowLeft");
    expect(at).toBe(0);
  });

  it("goes down a row and up again, and to the next owner", () => {
    const down = walk(hive, 0, "ArrowDown");
    expect(hive.cells[down]).toMatchObject({ row: 1, block: 0 });
    expect(hive.cells[walk(hive, down, "ArrowUp")]?.row).toBe(0);
    expect(walk(hive, 3, "PageDown")).toBe(12);
    expect(walk(hive, 12, "PageUp")).toBe(0);
    expect(walk(hive, 12, "PageDown")).toBe(12);
    expect([walk(hive, 5, "Home"), walk(hive, 5, "End")]).toEqual([0, 15]);
  });
});
