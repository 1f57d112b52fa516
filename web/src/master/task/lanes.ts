/**
 * Bars of a timeline, by machine, so that none covers another.
 *
 * Invariant: no clock here; what runs ends at the given present.
 */
import type { TimelineBar } from "../../api/types";

export type Lane = { node: string; bars: TimelineBar[] };
export type Placed = { lanes: Lane[]; from: number; to: number; hidden: number };

export const MOST_LANES = 120;

/** Lanes in the order of their machines' names. A bar goes to the first lane of its machine that is free by then. */
export function placeBars(bars: readonly TimelineBar[], nowMs: number): Placed {
  const end = (bar: TimelineBar) => bar.to_unix_ms || nowMs;
  const byNode = new Map<string, TimelineBar[][]>();
  const sorted = [...bars].sort((one, other) => one.from_unix_ms - other.from_unix_ms);
  for (const bar of sorted) {
    const lanes = byNode.get(bar.node) ?? [];
    byNode.set(bar.node, lanes);
    const free = lanes.find((lane) => {
      const last = lane.at(-1);
      return last === undefined || end(last) <= bar.from_unix_ms;
    });
    if (free) free.push(bar);
    else lanes.push([bar]);
  }
  const all = [...byNode].sort(([one], [other]) => one.localeCompare(other)).flatMap(([node, lanes]) => lanes.map((lane): Lane => ({ node, bars: lane })));
  const from = sorted[0]?.from_unix_ms ?? nowMs;
  const to = sorted.reduce((latest, bar) => Math.max(latest, end(bar)), from + 1);
  return { lanes: all.slice(0, MOST_LANES), from, to, hidden: Math.max(0, all.length - MOST_LANES) };
}
