/**
 * An owner's preferences: what they hold, and what their worker would refuse.
 *
 * The bounds are those of the worker, which checks again and has the last word.
 *
 * Invariant: pure; a value that is not understood is kept as it came.
 */
import { hoursFault, type Hours } from "./hours";

/** What an owner chose by hand. */
export type Mode = "start" | "finish" | "pause";

/** Everything that an owner decides, as the worker writes it. */
export interface Preferences {
  machine: { mode: Mode; until: string | null };
  gpu: { mode: Mode; until: string | null; stop_percent: number };
  idle: {
    only: boolean;
    start_minutes: number;
    resume_minutes: number;
    stop_load: number;
    background_load: number;
    load_seconds: number;
  };
  suspend: { minutes: number };
  battery: { when: "pause" | "run"; least_percent: number };
  hours: Hours;
  shares: { cpu_percent: number; memory_percent: number };
  heat: { stop_celsius: number | null; resume_celsius: number | null };
  programs: { pause_while: string[] };
  network: { egress: string[]; mbit_per_second: number | null; gib_per_day: number | null };
  images: { allow: string[] };
  cache: { limit_gib: number | null };
}

/** What is wrong, by the name of the field as the worker writes it (`idle.start_minutes`). */
export type Faults = Partial<Record<string, string>>;

const MAX_PROGRAMS = 64;
const MAX_IMAGES = 256;
const MAX_PLACES = 16;
const MAX_NAME_BYTES = 256;

/** Everything that the worker would refuse; empty where it would take them. */
export function faultsOf(preferences: Preferences): Faults {
  const faults: Faults = {};
  const within = (field: string, value: number | null | undefined, least: number, most: number) => {
    if (value === null || value === undefined) return;
    if (!Number.isInteger(value) || value < least || value > most) {
      faults[field] = `Write a whole number from ${least.toLocaleString("en")} to ${most.toLocaleString("en")}.`;
    }
  };
  const { idle, battery, shares, heat, network, cache, gpu, suspend } = preferences;
  within("gpu.stop_percent", gpu.stop_percent, 1, 100);
  within("idle.start_minutes", idle.start_minutes, 1, 1440);
  within("idle.resume_minutes", idle.resume_minutes, 1, Math.max(1, idle.start_minutes));
  within("idle.load_seconds", idle.load_seconds, 0, 600);
  if (!(idle.stop_load >= 0.05 && idle.stop_load <= 1)) faults["idle.stop_load"] = "Write 5 to 100 %.";
  if (!(idle.background_load >= 0 && idle.background_load < idle.stop_load)) {
    faults["idle.background_load"] = "Has to be below the load at which work stops.";
  }
  within("suspend.minutes", suspend.minutes, 0, 1440);
  within("battery.least_percent", battery.least_percent, 0, 100);
  within("shares.cpu_percent", shares.cpu_percent, 1, 100);
  within("shares.memory_percent", shares.memory_percent, 1, 100);
  within("heat.stop_celsius", heat.stop_celsius, 40, 110);
  if (isSet(heat.resume_celsius) && !isSet(heat.stop_celsius)) {
    faults["heat.resume_celsius"] = "Means nothing without a temperature at which work stops.";
  } else {
    within("heat.resume_celsius", heat.resume_celsius, 30, (heat.stop_celsius ?? 111) - 1);
  }
  within("network.mbit_per_second", network.mbit_per_second, 1, 100_000);
  within("network.gib_per_day", network.gib_per_day, 1, 1_000_000);
  within("cache.limit_gib", cache.limit_gib, 1, 1_000_000);
  const hours = hoursFault(preferences.hours);
  if (hours !== null) faults["hours"] = hours;
  names(faults, "programs.pause_while", preferences.programs.pause_while, MAX_PROGRAMS);
  const path = preferences.programs.pause_while.find((name) => name.includes("/"));
  if (path !== undefined) faults["programs.pause_while"] = `Write “${path}” without its folder.`;
  names(faults, "images.allow", preferences.images.allow, MAX_IMAGES);
  names(faults, "network.egress", network.egress, MAX_PLACES);
  return faults;
}

function isSet(value: number | null | undefined): value is number {
  return value !== null && value !== undefined;
}

function names(faults: Faults, field: string, list: readonly string[], most: number) {
  if (list.length > most) {
    faults[field] = `There are ${list.length} lines; ${most} are allowed.`;
    return;
  }
  const isBad = (name: string) =>
    name === "" || name.trim() !== name || new TextEncoder().encode(name).length > MAX_NAME_BYTES || /\p{Cc}/u.test(name);
  const bad = list.find(isBad);
  if (bad !== undefined) faults[field] = `“${bad.slice(0, 40)}” is not a name of 1 to ${MAX_NAME_BYTES} bytes.`;
}

/** The lines of a text area, without blanks around them and without empty ones. */
export function linesOf(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** What tasks may reach, for people. */
export function egressSentence(egress: readonly string[]): string {
  if (egress.length === 0) return "Tasks reach nothing on the network.";
  if (egress.length === 1 && egress[0] === "public") {
    return "Tasks that ask for it reach public addresses. Your home network and this machine stay out of reach.";
  }
  return `Tasks that ask for it reach ${egress.length} ${egress.length === 1 ? "place" : "places"}, and nothing else.`;
}

/** A list for a sentence: `a, b and 3 more`. */
export function few(list: readonly string[], most = 3): string {
  if (list.length <= most) return list.join(", ");
  return `${list.slice(0, most).join(", ")} and ${list.length - most} more`;
}
