/**
 * Quantities for people: bytes, durations, cores, times, counts. Every text carries its unit.
 *
 * Invariant: no clock here; what is relative takes the present as an argument.
 */
import { grouped } from "./money";

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** `1536` is `1.5 KiB`. */
export function bytes(count: number): string {
  if (!Number.isFinite(count)) return "unknown";
  let value = Math.abs(count);
  let unit = 0;
  while (value >= 1024 && unit < BINARY.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${count < 0 ? "\u2212" : ""}${value.toFixed(digits).replace(/\.0$/, "")} ${BINARY[unit]}`;
}

/** MiB as the API tells memory and disk. */
export function mebibytes(count: number): string {
  return bytes(count * 1024 * 1024);
}

/** `1500` thousandths of a core are `1.5 cores`. */
export function cores(millicores: number): string {
  const value = millicores / 1000;
  const text = grouped(Math.trunc(value).toString()) + (value % 1 === 0 ? "" : value.toFixed(3).replace(/^-?\d+/, "").replace(/0+$/, ""));
  return `${text} ${value === 1 ? "core" : "cores"}`;
}

/** Milliseconds in the two largest units that matter: `340 ms`, `1.2 s`, `3 min 05 s`, `2 h 10 min`, `4 d 3 h`. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms) || ms < 0) return "unknown";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 10) return `${(Math.floor(seconds * 10) / 10).toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${two(whole % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${two(minutes % 60)} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** `12345` is `12,345`. */
export function count(value: number): string {
  return Number.isFinite(value) ? (value < 0 ? "\u2212" : "") + grouped(Math.abs(Math.round(value)).toString()) : "unknown";
}

/** `plural(1, "task")` is `1 task`, `plural(3, "task")` is `3 tasks`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

export function percent(value: number): string {
  return `${value < 10 && value % 1 !== 0 ? value.toFixed(1) : Math.round(value)} %`;
}

/** How long ago, or how soon: `just now`, `12 s ago`, `in 3 min`. */
export function timeAgo(atMs: number, nowMs: number): string {
  const apart = nowMs - atMs;
  const size = Math.abs(apart);
  if (size < 2000) return "just now";
  const text =
    size < 60_000 ? `${Math.floor(size / 1000)} s`
    : size < 3_600_000 ? `${Math.floor(size / 60_000)} min`
    : size < 48 * 3_600_000 ? `${Math.floor(size / 3_600_000)} h`
    : `${Math.floor(size / 86_400_000)} d`;
  return apart > 0 ? `${text} ago` : `in ${text}`;
}

function two(value: number): string {
  return value.toString().padStart(2, "0");
}

/** `2026-11-21 14:03:22` in the zone of the machine. */
export function moment(atMs: number): string {
  const at = new Date(atMs);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(atMs)}`;
}

/** `14:03:22` in the zone of the machine. */
export function clock(atMs: number): string {
  const at = new Date(atMs);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export type Size = { ok: true; mib: number } | { ok: false; why: string };

/** Reads `512`, `512 MiB`, `2g`, `1.5 GiB` as MiB; a bare number is MiB. */
export function parseMebibytes(typed: string): Size {
  const parts = /^(\d+(?:\.\d+)?)\s*(?:(m|mb|mib|g|gb|gib|t|tb|tib))?$/i.exec(typed.trim());
  if (!parts) return { ok: false, why: "A size is a number with MiB or GiB, such as 512 MiB or 2 GiB." };
  const unit = (parts[2] ?? "m").charAt(0).toLowerCase();
  const mib = Math.round(Number(parts[1]) * (unit === "g" ? 1024 : unit === "t" ? 1024 * 1024 : 1));
  return mib >= 1 ? { ok: true, mib } : { ok: false, why: "The smallest size is 1 MiB." };
}

export type Span = { ok: true; seconds: number } | { ok: false; why: string };

/** Reads `90`, `90 s`, `15 min`, `2h` as seconds; a bare number is seconds. */
export function parseSeconds(typed: string): Span {
  const parts = /^(\d+(?:\.\d+)?)\s*(s|sec|m|min|h|d)?$/i.exec(typed.trim());
  if (!parts) return { ok: false, why: "A time is a number with s, min, h or d, such as 15 min." };
  const unit = (parts[2] ?? "s").charAt(0).toLowerCase();
  const seconds = Math.round(Number(parts[1]) * (unit === "m" ? 60 : unit === "h" ? 3600 : unit === "d" ? 86_400 : 1));
  return seconds >= 1 ? { ok: true, seconds } : { ok: false, why: "The shortest time is 1 s." };
}
