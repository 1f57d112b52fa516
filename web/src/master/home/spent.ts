/**
 * What a user paid for tasks in a time, from the statement.
 *
 * Invariant: only what left the requester's accounts counts; what the same person earns as an owner does not.
 */
import { queryOptions } from "@tanstack/react-query";
import { request } from "../../api/client";
import type { Page, StatementLine } from "../../api/types";
import { sumMicro } from "../../lib/money";

const ACCOUNTS = new Set(["available", "promo", "held"]);
const KINDS = new Set(["accrual", "return", "settlement"]);
const MOST_PAGES = 5;

/** Micro-CPT paid for tasks by these lines. */
export function spentIn(lines: readonly StatementLine[]): bigint {
  return -sumMicro(lines.filter((line) => KINDS.has(line.kind) && ACCOUNTS.has(line.account)).map((line) => line.amount_micro));
}

/** The beginning of the day that `nowMs` is in, in the zone of the machine. */
export function midnight(nowMs: number): number {
  const at = new Date(nowMs);
  at.setHours(0, 0, 0, 0);
  return at.getTime();
}

export type Spent = { micro: bigint; cut: boolean };

export const spentQuery = (from: number) =>
  queryOptions({
    queryKey: ["statement", "spent", from],
    queryFn: async ({ signal }): Promise<Spent> => {
      let micro = 0n;
      let cursor: string | null = null;
      for (let page = 0; page < MOST_PAGES; page += 1) {
        const answer: Page<StatementLine> = await request<Page<StatementLine>>("/wallet/statement", { query: { from, limit: 1000, cursor }, signal });
        micro += spentIn(answer.items.filter((line) => line.at_unix_ms >= from));
        cursor = answer.next_cursor;
        if (cursor === null || answer.items.some((line) => line.at_unix_ms < from)) return { micro, cut: false };
      }
      return { micro, cut: true };
    },
  });
