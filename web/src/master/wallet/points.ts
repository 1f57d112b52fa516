/**
 * The line of the wallet's chart: what could be spent over time, from the statement.
 *
 * Invariant: exact until the very end; only the height of a point is a floating-point number.
 */
import type { StatementLine } from "../../api/types";
import { chartCpt } from "../../lib/money";

export type Points = { times: number[]; spendable: (number | null)[]; held: (number | null)[] };

const SPENDABLE = new Set(["available", "promo"]);

/**
 * Points of `lines` (newest first, as the API tells them) up to the present, whose balances are known: walking back, each line is
 * taken off again.
 */
export function walletPoints(lines: readonly StatementLine[], now: { spendable: string; held: string }, nowMs: number): Points {
  let spendable = BigInt(now.spendable);
  let held = BigInt(now.held);
  const points = [{ at: nowMs, spendable, held }];
  let entry: number | null = null;
  for (const line of lines) {
    if (!SPENDABLE.has(line.account) && line.account !== "held") continue;
    // The state right after an entry: taken once, before the first of its lines is undone.
    if (line.entry !== entry) points.push({ at: line.at_unix_ms, spendable, held });
    entry = line.entry;
    if (line.account === "held") held -= BigInt(line.amount_micro);
    else spendable -= BigInt(line.amount_micro);
  }
  points.reverse();
  const times: number[] = [];
  const kept: typeof points = [];
  for (const point of points) {
    const second = Math.floor(point.at / 1000);
    // One point a second, the last one: the chart's times must ascend.
    if (times.at(-1) !== undefined && second <= (times.at(-1) ?? 0)) kept[kept.length - 1] = point;
    else {
      times.push(second);
      kept.push(point);
    }
  }
  return { times, spendable: kept.map((point) => chartCpt(point.spendable.toString())), held: kept.map((point) => chartCpt(point.held.toString())) };
}
