/**
 * The books, in words and parts.
 *
 * Invariant: money stays an integer (`bigint`); floating numbers only say how wide a bar is.
 */
import type { TrialBalance } from "./types";

/** One line of the trial balance, for people. */
export interface BookLine {
  kind: string;
  title: string;
  means: string;
  accounts: number;
  balance: bigint;
  /** Of the supply, 0 to 1; only for the width of a bar. */
  part: number;
}

/** The trial balance, judged. */
export interface Books {
  lines: BookLine[];
  total: bigint;
  expected: bigint;
  /** What is missing or too much; zero where the books balance. */
  difference: bigint;
  balances: boolean;
}

const WORDS: Record<string, { title: string; means: string }> = {
  treasury: { title: "Treasury", means: "Not yet in anybody's hands." },
  available: { title: "Available", means: "What users can spend." },
  promo: { title: "Free credit", means: "Sign-up credit: for tasks, not for transfers." },
  held: { title: "Held", means: "Set aside for open tasks." },
  pending: { title: "Pending", means: "Accrued by attempts that still run." },
  owner: { title: "Owners", means: "Earned by machines; vesting." },
  reward: { title: "Rewards", means: "Paid for running; vesting." },
  project: { title: "Projects", means: "Tips that were not collected yet." },
};

/** A decimal integer from the network; `0n` where it is none. */
export function micro(text: string): bigint {
  return /^-?\d{1,30}$/.test(text) ? BigInt(text) : 0n;
}

/** Title and meaning of a kind of account. */
export function accountWords(kind: string): { title: string; means: string } {
  return WORDS[kind] ?? { title: kind, means: "" };
}

/** Judges a trial balance: every line, their sum, and the supply that there must be. */
export function judge(trial: TrialBalance): Books {
  const expected = micro(trial.expected_supply_micro);
  const lines = trial.lines.map((line) => {
    const balance = micro(line.balance_micro);
    const { title, means } = accountWords(line.kind);
    return { kind: line.kind, title, means, accounts: line.accounts, balance, part: partOf(balance, expected) };
  });
  const total = lines.reduce((sum, line) => sum + line.balance, 0n);
  const difference = total - expected;
  return { lines, total, expected, difference, balances: difference === 0n && micro(trial.supply_micro) === expected };
}

/** `part` of `whole`, 0 to 1, to six digits. */
export function partOf(part: bigint, whole: bigint): number {
  if (whole <= 0n || part <= 0n) return 0;
  const millionths = (part * 1_000_000n) / whole;
  return Math.min(1, Number(millionths) / 1_000_000);
}

/** What the postings of an entry sum to; zero in every true entry. */
export function sumOf(postings: readonly { amount_micro: string }[]): bigint {
  return postings.reduce((sum, posting) => sum + micro(posting.amount_micro), 0n);
}

/** How much an entry moved: the sum of what grew. */
export function moved(postings: readonly { amount_micro: string }[]): bigint {
  return postings.reduce((sum, posting) => {
    const amount = micro(posting.amount_micro);
    return amount > 0n ? sum + amount : sum;
  }, 0n);
}

/** Kinds of journal entries, as the pool writes them. */
export const ENTRY_KINDS = [
  "genesis",
  "sign_up",
  "transfer",
  "hold",
  "accrual",
  "return",
  "settlement",
  "release",
  "expiry",
  "reward",
  "vest",
  "tip",
  "collect",
] as const;

/** The first and last of a hash, for a narrow column. */
export function shortHash(hash: string): string {
  return hash.length > 16 ? `${hash.slice(0, 8)}…${hash.slice(-6)}` : hash;
}
