/**
 * The hours of work: the intervals that a worker keeps, and the grid of a week in which people choose them.
 *
 * Start at {@link fromIntervals} and {@link toIntervals}. A week is 7 x 1440 minutes; an interval over midnight belongs
 * to the day on which it begins, and is written back as one that ends at midnight and one that begins there.
 *
 * Invariant: pure; what cannot be read is refused, never dropped.
 */

/** The days as a worker's preferences name them, the first of the week first. */
export const DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] as const;
/** One of them. */
export type Day = (typeof DAYS)[number];
/** The intervals of each day, such as `08:00-12:30`. None at all: always. */
export type Hours = Record<Day, string[]>;
/** Every minute of a week, true where work is allowed; 10,080 of them. */
export type Week = readonly boolean[];
/** How much of an hour is allowed. */
export type HourState = "on" | "off" | "part";

/** Most intervals of one day that a worker takes. */
export const MAX_INTERVALS = 12;
const DAY_MINUTES = 24 * 60;
const WEEK_MINUTES = 7 * DAY_MINUTES;

/** A text that is no interval. */
export class BadInterval extends Error {
  constructor(shown: string) {
    super(`“${shown}” is not a time from and until; write it such as 08:00-12:30, 22:00-06:00 or 00:00-24:00.`);
    this.name = "BadInterval";
  }
}

/** Hours without any interval: always. */
export function always(): Hours {
  return { monday: [], tuesday: [], wednesday: [], thursday: [], friday: [], saturday: [], sunday: [] };
}

/** True where there is any interval. */
export function isLimited(hours: Hours): boolean {
  return DAYS.some((day) => hours[day].length > 0);
}

/**
 * The first and last minute of an interval since midnight; the last is above 1440 where it ends on the next day.
 * @throws {BadInterval} for anything else.
 */
export function parseInterval(text: string): { from: number; until: number } {
  const parts = text.split("-");
  const [from, end] = [minutes(parts[0]), minutes(parts[1])];
  if (parts.length !== 2 || from === null || end === null) throw new BadInterval(text.slice(0, 40));
  const until = end === 0 ? DAY_MINUTES : end;
  if (from === DAY_MINUTES || from === until) throw new BadInterval(text.slice(0, 40));
  return { from, until: until > from ? until : until + DAY_MINUTES };
}

function minutes(text: string | undefined): number | null {
  const match = /^\s*(\d{1,2}):(\d{1,2})\s*$/.exec(text ?? "");
  if (match === null) return null;
  const [hour, minute] = [Number(match[1]), Number(match[2])];
  const all = hour * 60 + minute;
  return minute < 60 && all <= DAY_MINUTES ? all : null;
}

/**
 * The week of `hours`.
 * @throws {BadInterval} where one of them cannot be read.
 */
export function fromIntervals(hours: Hours): Week {
  const week = new Array<boolean>(WEEK_MINUTES).fill(false);
  DAYS.forEach((day, place) => {
    for (const text of hours[day]) {
      const { from, until } = parseInterval(text);
      for (let minute = from; minute < until; minute += 1) week[(place * DAY_MINUTES + minute) % WEEK_MINUTES] = true;
    }
  });
  return week;
}

/** The intervals of `week`, each within its day. */
export function toIntervals(week: Week): Hours {
  const hours = always();
  DAYS.forEach((day, place) => {
    let from: number | null = null;
    for (let minute = 0; minute <= DAY_MINUTES; minute += 1) {
      const isOn = minute < DAY_MINUTES && week[place * DAY_MINUTES + minute] === true;
      if (isOn && from === null) from = minute;
      if (!isOn && from !== null) {
        hours[day].push(`${clock(from)}-${clock(minute)}`);
        from = null;
      }
    }
  });
  return hours;
}

function clock(minute: number): string {
  return `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
}

/** How much of an hour of a day is allowed. */
export function hourState(week: Week, day: number, hour: number): HourState {
  const start = day * DAY_MINUTES + hour * 60;
  let on = 0;
  for (let minute = start; minute < start + 60; minute += 1) if (week[minute] === true) on += 1;
  return on === 60 ? "on" : on === 0 ? "off" : "part";
}

/** `week` with the hours of a rectangle of days and hours set; both ends belong to it. */
export function setHours(week: Week, from: GridPlace, to: GridPlace, isOn: boolean): Week {
  const next = [...week];
  const [firstDay, lastDay] = sorted(from.day, to.day);
  const [firstHour, lastHour] = sorted(from.hour, to.hour);
  for (let day = firstDay; day <= lastDay; day += 1) {
    next.fill(isOn, day * DAY_MINUTES + firstHour * 60, day * DAY_MINUTES + (lastHour + 1) * 60);
  }
  return next;
}

function sorted(a: number, b: number): [number, number] {
  return a <= b ? [a, b] : [b, a];
}

/** A cell of the grid. */
export interface GridPlace {
  day: number;
  hour: number;
}

/** Where one comes in the grid with a key; `null` for keys that do not walk. */
export function walkGrid(at: GridPlace, key: string): GridPlace | null {
  const clamp = (value: number, most: number) => Math.min(most, Math.max(0, value));
  switch (key) {
    case "ArrowLeft":
      return { ...at, hour: clamp(at.hour - 1, 23) };
    case "ArrowRight":
      return { ...at, hour: clamp(at.hour + 1, 23) };
    case "ArrowUp":
      return { ...at, day: clamp(at.day - 1, 6) };
    case "ArrowDown":
      return { ...at, day: clamp(at.day + 1, 6) };
    case "Home":
      return { ...at, hour: 0 };
    case "End":
      return { ...at, hour: 23 };
    case "PageUp":
      return { ...at, day: 0 };
    case "PageDown":
      return { ...at, day: 6 };
    default:
      return null;
  }
}

/** Hours of the week on which work is allowed, for a sentence. */
export function hoursPerWeek(week: Week): number {
  return week.filter(Boolean).length / 60;
}

/** Ready-made weeks. */
export const PRESETS: readonly { label: string; hours: Hours }[] = [
  { label: "Nights", hours: everyDay(["00:00-07:00", "22:00-24:00"], ["00:00-07:00", "22:00-24:00"]) },
  { label: "Nights and weekends", hours: everyDay(["00:00-07:00", "22:00-24:00"], ["00:00-24:00"]) },
  { label: "Outside office hours", hours: everyDay(["00:00-08:00", "18:00-24:00"], ["00:00-24:00"]) },
  { label: "All week", hours: everyDay(["00:00-24:00"], ["00:00-24:00"]) },
];

function everyDay(work: string[], weekend: string[]): Hours {
  const hours = always();
  for (const day of DAYS) hours[day] = day === "saturday" || day === "sunday" ? [...weekend] : [...work];
  return hours;
}

/** What keeps `hours` from being saved; `null` where nothing does. */
export function hoursFault(hours: Hours): string | null {
  for (const day of DAYS) {
    if (hours[day].length > MAX_INTERVALS) return `${capital(day)} has ${hours[day].length} intervals; ${MAX_INTERVALS} are allowed.`;
    for (const text of hours[day]) {
      try {
        parseInterval(text);
      } catch (error) {
        if (error instanceof BadInterval) return `${capital(day)}: ${error.message}`;
        throw error;
      }
    }
  }
  return null;
}

/** `word` with a capital first letter. */
export function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
