/**
 * What a person typed to give CPT away, checked.
 *
 * Invariant: the pool has the last word; here is only what saves a wasted try.
 */
import { parseCpt } from "../../lib/money";

export type PayFaults = { to?: string; amount?: string; message?: string };
export type Pay = { ok: true; micro: string } | { ok: false; faults: PayFaults };

const MOST_MESSAGE = 280;

/** `transferable` is null while it is not known. */
export function checkPay(to: string, amount: string, transferable: string | null, message = ""): Pay {
  const faults: PayFaults = {};
  if (to.trim() === "") faults.to = "Say who gets it.";
  const parsed = parseCpt(amount);
  if (!parsed.ok) faults.amount = parsed.why;
  else if (transferable !== null && BigInt(parsed.micro) > BigInt(transferable)) faults.amount = "That is more than you can give away. Free credit is for tasks only.";
  if (new TextEncoder().encode(message).length > MOST_MESSAGE) faults.message = `At most ${MOST_MESSAGE} bytes.`;
  return parsed.ok && Object.keys(faults).length === 0 ? { ok: true, micro: parsed.micro } : { ok: false, faults };
}
