/**
 * Money: micro-CPT as decimal strings, since a number of JavaScript loses units beyond 2^53.
 *
 * Invariant: no floating point here.
 */

const MICRO = 1_000_000n;
const AMOUNT = /^-?\d+$/;

/** The integer that a `*_micro` text stands for. Throws a `RangeError` for anything else. */
export function micro(text: string): bigint {
  if (!AMOUNT.test(text)) throw new RangeError(`not an amount of micro-CPT: ${text}`);
  return BigInt(text);
}

/** Groups the digits of a whole number in threes: `1234567` is `1,234,567`. */
export function grouped(digits: string): string {
  return digits.replace(/\B(?=(\d{3})+$)/g, ",");
}

/**
 * CPT without the unit, exact: at least two decimals, at most six, such as `1.25` or `0.000012`.
 * With `sign`, amounts above zero carry a plus.
 */
export function cpt(amount: bigint | string, options: { sign?: boolean } = {}): string {
  const value = typeof amount === "bigint" ? amount : micro(amount);
  const size = value < 0n ? -value : value;
  const decimals = (size % MICRO).toString().padStart(6, "0").replace(/0{1,4}$/, "");
  const before = value < 0n ? "\u2212" : options.sign === true && value > 0n ? "+" : "";
  return `${before}${grouped((size / MICRO).toString())}.${decimals}`;
}

/** As `cpt`, with the unit. */
export function cptUnit(amount: bigint | string, options: { sign?: boolean } = {}): string {
  return `${cpt(amount, options)} CPT`;
}

export type Parsed = { ok: true; micro: string } | { ok: false; why: string };

/**
 * Reads what a person typed as CPT (`1`, `1.25`, `1,000.5`) as micro-CPT.
 * Refuses signs, more than six decimals, more than twelve digits before the point, and zero.
 */
export function parseCpt(typed: string): Parsed {
  const text = typed.trim().replace(/\s*CPT$/i, "");
  if (text === "") return { ok: false, why: "Type an amount in CPT, such as 2.5." };
  const parts = /^(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d*))?$/.exec(text);
  if (!parts) return { ok: false, why: "An amount is digits with a point, such as 2.5." };
  const whole = (parts[1] ?? "").replaceAll(",", "");
  const decimals = parts[2] ?? "";
  if (decimals.length > 6) return { ok: false, why: "CPT have at most six decimals (1 micro-CPT)." };
  if (whole.length > 12) return { ok: false, why: "That is more CPT than can exist." };
  const value = BigInt(whole) * MICRO + BigInt(decimals.padEnd(6, "0"));
  if (value === 0n) return { ok: false, why: "The amount must be above zero." };
  return { ok: true, micro: value.toString() };
}

/** The sum of micro-CPT texts. */
export function sumMicro(amounts: Iterable<string>): bigint {
  let sum = 0n;
  for (const amount of amounts) sum += micro(amount);
  return sum;
}

/** CPT as a number, for the height of a line in a chart only. */
export function chartCpt(amount: string): number {
  return Number(micro(amount)) / 1e6;
}
