/**
 * The levels of nodes: what each takes, and what it gives.
 *
 * Invariant: pure; the pool says which level a node has, here is only what the levels are.
 */

/** One level. */
export interface Level {
  id: string;
  name: string;
  /** Hours alive that it takes. */
  hours: number;
  /** Of rewards, in tenths. */
  multiplierTenths: number;
  gives: string;
}

const HOUR_MS = 3_600_000;

/** Every level, the lowest first. */
export const LEVELS: readonly Level[] = [
  { id: "none", name: "No level yet", hours: 0, multiplierTenths: 10, gives: "Work and its price." },
  { id: "bronze", name: "Bronze", hours: 100, multiplierTenths: 10, gives: "Tasks that ask for Bronze." },
  { id: "silver", name: "Silver", hours: 500, multiplierTenths: 12, gives: "Work is offered here first." },
  { id: "gold", name: "Gold", hours: 1000, multiplierTenths: 15, gives: "Advanced tasks." },
  { id: "platinum", name: "Platinum", hours: 2000, multiplierTenths: 20, gives: "Beta features." },
  { id: "diamond", name: "Diamond", hours: 5000, multiplierTenths: 30, gives: "A vote." },
];

/** Where a node stands between two levels. */
export interface LevelPlace {
  level: Level;
  next: Level | null;
  /** Hours to the next; 0 where there is none. */
  hoursLeft: number;
  /** From this level to the next, 0 to 1; 1 at the highest. */
  part: number;
}

/** Where a node of `level` stands that was alive for `runtimeMs` and needs `nextMs` more. */
export function levelPlace(level: string, runtimeMs: number, nextMs: number): LevelPlace {
  const at = Math.max(0, LEVELS.findIndex((one) => one.id === level));
  const own = LEVELS[at] as Level;
  const next = LEVELS[at + 1] ?? null;
  if (next === null) return { level: own, next: null, hoursLeft: 0, part: 1 };
  const span = (next.hours - own.hours) * HOUR_MS;
  const left = nextMs > 0 ? nextMs : Math.max(0, next.hours * HOUR_MS - runtimeMs);
  return { level: own, next, hoursLeft: left / HOUR_MS, part: Math.min(1, Math.max(0, 1 - left / span)) };
}

/** `1.5x` of 15. */
export function multiplier(tenths: number): string {
  return `${Math.floor(tenths / 10)}.${tenths % 10}×`;
}
