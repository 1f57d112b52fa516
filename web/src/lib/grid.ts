/**
 * The element grid: where each of up to a million elements stands, how they are laid out, where a key or a click leads.
 *
 * Invariant: nothing is drawn here.
 */
import { Indices } from "./indices";

/** States by their digit in the API's text. */
export const STATES = ["waiting", "live", "completed", "failed", "cancelled"] as const;
export type ElementState = (typeof STATES)[number];

export type GridModel = { indices: Indices; states: Uint8Array; counts: Record<ElementState, number> };

function digits(text: string): Uint8Array {
  const out = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) out[at] = text.charCodeAt(at) - 48;
  return out;
}

/** The grid of an answer; states that the answer lacks are waiting ones, unknown ones too. */
export function gridModel(indices: string, states: string): GridModel {
  const which = new Indices(indices);
  const told = digits(states);
  const all = new Uint8Array(which.size);
  all.set(told.subarray(0, which.size));
  const counts: Record<ElementState, number> = { waiting: 0, live: 0, completed: 0, failed: 0, cancelled: 0 };
  for (let at = 0; at < all.length; at += 1) {
    const state = STATES[all[at] ?? 0] ?? "waiting";
    if (!STATES[all[at] ?? 0]) all[at] = 0;
    counts[state] += 1;
  }
  return { indices: which, states: all, counts };
}

export type Layout = { columns: number; rows: number; cell: number; gap: number; width: number; height: number };

/** How `count` elements fill `width` pixels: the more there are, the smaller each is. */
export function layout(count: number, width: number): Layout {
  const [cell, gap] = count <= 400 ? [18, 3] : count <= 4000 ? [10, 2] : count <= 30_000 ? [5, 1] : count <= 300_000 ? [3, 0] : [2, 0];
  const pitch = cell + gap;
  const columns = Math.max(1, Math.floor((width + gap) / pitch));
  const rows = Math.ceil(count / columns);
  return { columns, rows, cell, gap, width: columns * pitch - gap, height: Math.max(0, rows * pitch - gap) };
}

/** Which position is under a point; -1: none. */
export function positionAt(shape: Layout, count: number, x: number, y: number): number {
  const pitch = shape.cell + shape.gap;
  const column = Math.floor(x / pitch);
  const row = Math.floor(y / pitch);
  if (x < 0 || y < 0 || column >= shape.columns) return -1;
  const position = row * shape.columns + column;
  return position < count ? position : -1;
}

/** Where a key leads from `position`; null: the key is none of the grid's. */
export function moveByKey(key: string, position: number, count: number, columns: number): number | null {
  const to = {
    ArrowRight: position + 1, ArrowLeft: position - 1, ArrowDown: position + columns, ArrowUp: position - columns,
    Home: 0, End: count - 1, PageDown: position + columns * 10, PageUp: position - columns * 10,
  }[key];
  return to === undefined ? null : Math.max(0, Math.min(count - 1, to));
}

/** The next position after `from` in `state`, going round; -1: there is none. */
export function nextInState(states: Uint8Array, state: ElementState, from: number): number {
  const wanted = STATES.indexOf(state);
  for (let step = 1; step <= states.length; step += 1) {
    const at = (from + step) % states.length;
    if (states[at] === wanted) return at;
  }
  return -1;
}
