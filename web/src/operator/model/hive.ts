/**
 * Where the cells of the topology lie: hexagons, in blocks by owner, that flow like words.
 *
 * Start at {@link layOut}. Thousands of nodes are laid out in one pass over them, without the document.
 *
 * Invariant: pure; equal nodes and an equal width give an equal picture.
 */

/** What a cell needs to know of a node. */
export interface CellNode {
  node_id: string;
  owner: string;
}

/** One hexagon. */
export interface Cell {
  /** Place of its node in what was laid out. */
  index: number;
  /** Its middle, in CSS pixels. */
  x: number;
  y: number;
  /** Row and column in its block. */
  row: number;
  column: number;
  block: number;
}

/** The cells of one owner. */
export interface Block {
  owner: string;
  x: number;
  y: number;
  width: number;
  height: number;
  /** The first of its cells, and how many there are. */
  first: number;
  count: number;
  columns: number;
}

/** A laid-out picture. */
export interface Hive {
  width: number;
  height: number;
  /** From the middle of a hexagon to its corners. */
  radius: number;
  cells: Cell[];
  blocks: Block[];
}

/** Room for the owner's name above a block. */
export const LABEL_HEIGHT = 24;
const BLOCK_GAP = 20;
const LEAST_BLOCK_WIDTH = 120;

/** From the middle to a corner, for so many nodes. */
export function radiusFor(count: number): number {
  if (count <= 24) return 34;
  if (count <= 120) return 24;
  if (count <= 600) return 16;
  if (count <= 2500) return 11;
  return 7;
}

/**
 * Lays out `nodes` in `width` pixels, owners by name and their nodes by name.
 * `order` of the result tells which node is where: `cells[i].index` is a place in `nodes`.
 */
export function layOut(nodes: readonly CellNode[], width: number): Hive {
  const radius = radiusFor(nodes.length);
  const stepX = radius * Math.sqrt(3);
  const stepY = radius * 1.5;
  const cells: Cell[] = [];
  const blocks: Block[] = [];
  let x = 0;
  let y = 0;
  let rowHeight = 0;
  for (const [owner, indices] of byOwner(nodes)) {
    const fit = Math.max(1, Math.floor((width - stepX / 2) / stepX));
    const wanted = Math.ceil(Math.sqrt(indices.length * 1.8));
    const columns = Math.min(fit, Math.max(1, wanted));
    const rows = Math.ceil(indices.length / columns);
    const blockWidth = Math.max(LEAST_BLOCK_WIDTH, columns * stepX + (rows > 1 ? stepX / 2 : 0));
    const blockHeight = LABEL_HEIGHT + (rows - 1) * stepY + radius * 2;
    if (x > 0 && x + blockWidth > width) {
      x = 0;
      y += rowHeight + BLOCK_GAP;
      rowHeight = 0;
    }
    const block = blocks.length;
    blocks.push({ owner, x, y, width: blockWidth, height: blockHeight, first: cells.length, count: indices.length, columns });
    indices.forEach((index, place) => {
      const row = Math.floor(place / columns);
      const column = place % columns;
      cells.push({
        index,
        x: x + stepX / 2 + column * stepX + (row % 2 === 1 ? stepX / 2 : 0),
        y: y + LABEL_HEIGHT + radius + row * stepY,
        row,
        column,
        block,
      });
    });
    x += blockWidth + BLOCK_GAP;
    rowHeight = Math.max(rowHeight, blockHeight);
  }
  return { width, height: nodes.length === 0 ? 0 : y + rowHeight, radius, cells, blocks };
}

/** The cell at a point, as its place in `hive.cells`; `null` where there is none. */
export function cellAt(hive: Hive, x: number, y: number): number | null {
  for (const block of hive.blocks) {
    if (x < block.x || x > block.x + block.width || y < block.y || y > block.y + block.height) continue;
    let best: number | null = null;
    let least = hive.radius * hive.radius;
    for (let place = block.first; place < block.first + block.count; place += 1) {
      const cell = hive.cells[place];
      if (cell === undefined) continue;
      const distance = (cell.x - x) ** 2 + (cell.y - y) ** 2;
      if (distance <= least) {
        least = distance;
        best = place;
      }
    }
    return best;
  }
  return null;
}

/** The keys that walk over the cells. */
export const WALKING_KEYS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"] as const;
/** One of them. */
export type WalkingKey = (typeof WALKING_KEYS)[number];

/** True of a key that walks. */
export function isWalkingKey(key: string): key is WalkingKey {
  return (WALKING_KEYS as readonly string[]).includes(key);
}

/** Where one comes from `at` with `key`: a place in `hive.cells`. Page keys go to the block before or after. */
export function walk(hive: Hive, at: number, key: WalkingKey): number {
  const last = hive.cells.length - 1;
  if (last < 0) return 0;
  const here = Math.min(Math.max(at, 0), last);
  switch (key) {
    case "ArrowLeft":
      return Math.max(0, here - 1);
    case "ArrowRight":
      return Math.min(last, here + 1);
    case "Home":
      return 0;
    case "End":
      return last;
    case "ArrowUp":
      return nearest(hive, here, -1);
    case "ArrowDown":
      return nearest(hive, here, 1);
    case "PageUp":
      return neighbourBlock(hive, here, -1);
    case "PageDown":
      return neighbourBlock(hive, here, 1);
  }
}

/** The nearest cell that lies in that direction; `here` where there is none. */
function nearest(hive: Hive, here: number, direction: 1 | -1): number {
  const from = hive.cells[here];
  if (from === undefined) return here;
  let best = here;
  let least = Number.POSITIVE_INFINITY;
  hive.cells.forEach((cell, place) => {
    const down = (cell.y - from.y) * direction;
    if (down < hive.radius) return;
    // One row further costs more than a column aside.
    const cost = down * 3 + Math.abs(cell.x - from.x);
    if (cost < least) {
      least = cost;
      best = place;
    }
  });
  return best;
}

function neighbourBlock(hive: Hive, here: number, direction: 1 | -1): number {
  const block = hive.cells[here]?.block ?? 0;
  return hive.blocks[block + direction]?.first ?? here;
}

function byOwner(nodes: readonly CellNode[]): [string, number[]][] {
  const groups = new Map<string, number[]>();
  nodes.forEach((node, index) => {
    const group = groups.get(node.owner);
    if (group === undefined) groups.set(node.owner, [index]);
    else group.push(index);
  });
  const name = (index: number) => nodes[index]?.node_id ?? "";
  for (const group of groups.values()) group.sort((a, b) => compare(name(a), name(b)));
  return [...groups].sort(([a], [b]) => compare(a, b));
}

/** By code, with digits as numbers: `node-9` before `node-10`. */
function compare(a: string, b: string): number {
  return collator.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);
}

const collator = new Intl.Collator("en", { numeric: true });
