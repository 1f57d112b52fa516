/**
 * What an API key may do, in words.
 *
 * Invariant: the names are the pool's; the pool decides what each of them allows.
 */

/** One scope. */
export type Scope = { id: string; name: string; means: string; isForOperators: boolean };

export const SCOPES: readonly Scope[] = [
  { id: "tasks:read", name: "Read tasks", means: "States, logs and outputs of your tasks.", isForOperators: false },
  { id: "tasks:write", name: "Run tasks", means: "Submit, cancel and retry. Spends your CPT.", isForOperators: false },
  { id: "wallet:read", name: "Read the wallet", means: "Balance, statement, rewards.", isForOperators: false },
  { id: "wallet:write", name: "Move CPT", means: "Transfers and tips. Spends your CPT.", isForOperators: false },
  { id: "nodes:read", name: "Read nodes", means: "Your machines and their history.", isForOperators: false },
  { id: "nodes:write", name: "Manage nodes", means: "Cordon and drain your machines, make join tokens.", isForOperators: false },
  { id: "account", name: "Manage the account", means: "Sessions and invitations; it sees and ends API keys, and makes none.", isForOperators: false },
  { id: "pool", name: "Read the pool", means: "Health, queue, books and journal.", isForOperators: true },
];

/** Those that somebody of that role can give. */
export function scopesFor(role: string): Scope[] {
  return SCOPES.filter((scope) => !scope.isForOperators || role === "operator");
}

/** How long a key may live. */
export const KEY_LIVES = [
  { value: "604800", text: "1 week" },
  { value: "2592000", text: "30 days" },
  { value: "7776000", text: "90 days" },
  { value: "31536000", text: "1 year" },
] as const;

export type KeyFaults = { name?: string; scopes?: string };

/** What is wrong with a key that is to be made; empty where nothing is. */
export function keyFaults(name: string, scopes: readonly string[]): KeyFaults {
  const faults: KeyFaults = {};
  const bytes = new TextEncoder().encode(name.trim()).length;
  if (bytes === 0) faults.name = "Name it, so that you know later what it is for.";
  else if (bytes > 200) faults.name = `The name has ${bytes} bytes; at most 200 are stored.`;
  if (scopes.length === 0) faults.scopes = "Choose at least one thing that it may do.";
  return faults;
}

/** What a browser says it is, short: `Firefox 140 on Linux`; the whole text where it is not understood. */
export function browserOf(about: string): string {
  const found = /(Edg|OPR|Firefox|Chrome|Version)\/(\d+)/.exec(about);
  if (!found) return about.trim() === "" ? "Unknown browser" : about.slice(0, 60);
  const name = { Edg: "Edge", OPR: "Opera", Firefox: "Firefox", Chrome: "Chrome", Version: "Safari" }[found[1] ?? ""] ?? "";
  const better = /(Edg|OPR)\/(\d+)/.exec(about);
  const shown = better ? `${better[1] === "Edg" ? "Edge" : "Opera"} ${better[2]}` : `${name} ${found[2]}`;
  const system = /(Windows|Android|iPhone|iPad|Mac OS X|Linux)/.exec(about)?.[1];
  return system ? `${shown} on ${system === "Mac OS X" ? "macOS" : system}` : shown;
}
