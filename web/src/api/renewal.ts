/**
 * Renews the session before it ends, so that nothing of a page that is open breaks off.
 *
 * Invariant: one tab renews at a time, and no tab more often than once a minute.
 */
import { useEffect, useState } from "react";
import { renew, request } from "./client";
import type { Me } from "./types";

const SHORTEST_MS = 60_000;
const LONGEST_MS = 24 * 3_600_000;

/** How long to wait from `now` with renewing what ends at `expiresAt`; null: not at all. `random` is between 0 and 1. */
export function renewalWait(expiresAt: number, now: number, random: number): number | null {
  const left = expiresAt - now;
  // It has ended, or this machine's clock is wrong: the next request renews it where that is needed.
  if (!Number.isFinite(left) || left <= 0) return null;
  return Math.min(LONGEST_MS, Math.max(SHORTEST_MS, left * (0.75 + 0.05 * random)));
}

/** Runs `work` while no other tab does; where a browser knows no locks, at once. */
async function alone<T>(work: () => Promise<T>): Promise<T> {
  const locks = "locks" in navigator ? navigator.locks : null;
  return locks ? ((await locks.request("hivemind renewal", work)) as T) : work();
}

/** Renews a session that ends at `expiresAt`, unless another tab has done so. */
export function renewOnce(expiresAt: number): Promise<Me> {
  return alone(async () => {
    const me = await request<Me>("/auth/me");
    return me.token_expires_at_unix_ms > expiresAt ? me : renew();
  });
}

/** Keeps the session alive while the page is open; null: there is none. */
export function useRenewal(expiresAt: number | null, onRenewed: (me: Me) => unknown) {
  const [tries, setTries] = useState(0);
  useEffect(() => {
    const wait = expiresAt === null ? null : renewalWait(expiresAt, Date.now(), Math.random());
    if (wait === null || expiresAt === null) return undefined;
    let isGone = false;
    const timer = window.setTimeout(() => {
      renewOnce(expiresAt).then(
        (me) => {
          if (!isGone) onRenewed(me);
        },
        // The pool is away, or the session is at its end, which the client has told by then: a request will show it.
        () => {
          if (!isGone) setTries((before) => before + 1);
        },
      );
    }, wait);
    return () => {
      isGone = true;
      window.clearTimeout(timer);
    };
  }, [expiresAt, onRenewed, tries]);
}
