import { type KeyboardEvent, type PointerEvent, useEffect, useId, useRef, useState } from "react";
import { cx } from "../ui";
import { capital, DAYS, hourState, setHours, walkGrid, type GridPlace, type Week } from "./model/hours";

type Props = { week: Week; onWeek: (week: Week) => void };

/** Below this a week does not fit beside each other: hours go down then. */
const NARROW = "(max-width: 800px)";
const HOURS = Array.from({ length: 24 }, (_, hour) => hour);

/**
 * A week of hours to paint: with the pointer, or with arrow keys, Space, and Shift with an arrow for many.
 * Each cell says its day, its hour and whether work is allowed then.
 */
export function HoursGrid({ week, onWeek }: Props) {
  const isNarrow = useNarrow();
  const help = useId();
  const grid = useRef<HTMLDivElement>(null);
  const [at, setAt] = useState<GridPlace>({ day: 0, hour: 8 });
  const [drag, setDrag] = useState<{ from: GridPlace; to: GridPlace; isOn: boolean } | null>(null);
  const touched = useRef(false);
  const shown = drag ? setHours(week, drag.from, drag.to, drag.isOn) : week;

  const toggle = (place: GridPlace) => onWeek(setHours(week, place, place, hourState(week, place.day, place.hour) !== "on"));
  const go = (place: GridPlace) => {
    setAt(place);
    grid.current?.querySelector<HTMLElement>(`[data-at="${place.day}-${place.hour}"]`)?.focus();
  };
  const press = (event: KeyboardEvent, place: GridPlace) => {
    if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      toggle(place);
      return;
    }
    const next = walkGrid(place, isNarrow ? turned(event.key) : event.key);
    if (next === null) return;
    event.preventDefault();
    if (event.shiftKey) onWeek(setHours(week, next, next, hourState(week, place.day, place.hour) === "on"));
    go(next);
  };
  const commit = () => {
    if (drag) onWeek(setHours(week, drag.from, drag.to, drag.isOn));
    setDrag(null);
  };
  const begin = (event: PointerEvent, place: GridPlace) => {
    // A finger that moves scrolls the page; one that taps chooses, by the click that follows.
    touched.current = event.pointerType === "touch";
    if (touched.current) return;
    event.preventDefault();
    if (event.currentTarget.hasPointerCapture(event.pointerId)) event.currentTarget.releasePointerCapture(event.pointerId);
    setDrag({ from: place, to: place, isOn: hourState(week, place.day, place.hour) !== "on" });
    go(place);
  };
  const cell = (place: GridPlace) => (
    <Cell
      key={`${place.day}-${place.hour}`}
      place={place}
      state={hourState(shown, place.day, place.hour)}
      isHere={place.day === at.day && place.hour === at.hour}
      onKey={press}
      onBegin={begin}
      onEnter={() => drag && setDrag({ ...drag, to: place })}
      onFocus={() => setAt(place)}
      onTap={() => touched.current && toggle(place)}
    />
  );
  const whole = (from: GridPlace, to: GridPlace, isOn: boolean) => onWeek(setHours(week, from, to, isOn));

  return (
    <div className="flex flex-col gap-2">
      <p id={help} className="text-ink-3 text-[0.93em]">
        Paint with the pointer, or walk with the arrow keys and press Space; Shift with an arrow paints on. Times are those of the clock on your wall.
      </p>
      <div ref={grid} role="grid" aria-label="Hours of the week on which work is allowed" aria-describedby={help} aria-multiselectable className="select-none" onPointerUp={commit} onPointerLeave={commit} onPointerCancel={commit}>
        {isNarrow ? (
          <>
            <div role="row" className="grid grid-cols-[3rem_repeat(7,minmax(1.75rem,1fr))] gap-px">
              <span role="columnheader"><span className="sr-only">Hour</span></span>
              {DAYS.map((day, place) => <DayHead key={day} day={place} week={week} short onWhole={whole} role="columnheader" />)}
            </div>
            {HOURS.map((hour) => (
              <div key={hour} role="row" className="grid grid-cols-[3rem_repeat(7,minmax(1.75rem,1fr))] gap-px">
                <span role="rowheader" className="text-ink-2 self-center text-[0.93em]">{clock(hour)}</span>
                {DAYS.map((_, day) => cell({ day, hour }))}
              </div>
            ))}
          </>
        ) : (
          <>
            <div role="row" className="grid grid-cols-[6.5rem_repeat(24,minmax(1.55rem,1fr))] gap-px">
              <span role="columnheader"><span className="sr-only">Day</span></span>
              {HOURS.map((hour) => <span key={hour} role="columnheader" className="text-ink-2 text-[0.86em]">{hour % 3 === 0 ? clock(hour) : <span className="sr-only">{clock(hour)}</span>}</span>)}
            </div>
            {DAYS.map((day, place) => (
              <div key={day} role="row" className="mt-px grid grid-cols-[6.5rem_repeat(24,minmax(1.55rem,1fr))] gap-px">
                <DayHead day={place} week={week} onWhole={whole} role="rowheader" />
                {HOURS.map((hour) => cell({ day: place, hour }))}
              </div>
            ))}
          </>
        )}
      </div>
      <ul className="text-ink-2 flex flex-wrap gap-x-4 gap-y-1 text-[0.93em]">
        <li className="flex items-center gap-1.5"><span aria-hidden className="bg-accent size-3.5 rounded-sm" /> work is allowed</li>
        <li className="flex items-center gap-1.5"><span aria-hidden className="half-hour border-line size-3.5 rounded-sm border" /> a part of the hour</li>
        <li className="flex items-center gap-1.5"><span aria-hidden className="bg-sunken border-line size-3.5 rounded-sm border" /> no work</li>
      </ul>
    </div>
  );
}

type CellProps = {
  place: GridPlace;
  state: "on" | "off" | "part";
  isHere: boolean;
  onKey: (event: KeyboardEvent, place: GridPlace) => void;
  onBegin: (event: PointerEvent, place: GridPlace) => void;
  onEnter: () => void;
  onFocus: () => void;
  onTap: () => void;
};

const WORDS = { on: "work", off: "no work", part: "work in a part of it" } as const;

function Cell({ place, state, isHere, onKey, onBegin, onEnter, onFocus, onTap }: CellProps) {
  const name = `${capital(DAYS[place.day] ?? "")} ${clock(place.hour)} to ${clock(place.hour + 1)}: ${WORDS[state]}`;
  return (
    <div
      role="gridcell"
      aria-selected={state === "on"}
      aria-label={name}
      title={name}
      tabIndex={isHere ? 0 : -1}
      data-at={`${place.day}-${place.hour}`}
      onKeyDown={(event) => onKey(event, place)}
      onPointerDown={(event) => onBegin(event, place)}
      onPointerEnter={onEnter}
      onFocus={onFocus}
      onClick={onTap}
      className={cx(
        "min-h-6 cursor-pointer rounded-[3px] -outline-offset-2 md:min-h-7",
        state === "on" ? "bg-accent" : state === "part" ? "half-hour" : "bg-sunken hover:bg-off-soft",
        place.hour % 6 === 0 && "md:ml-0.5",
      )}
    />
  );
}

type HeadProps = { day: number; week: Week; short?: boolean; role: "rowheader" | "columnheader"; onWhole: (from: GridPlace, to: GridPlace, isOn: boolean) => void };

function DayHead({ day, week, short = false, role, onWhole }: HeadProps) {
  const name = capital(DAYS[day] ?? "");
  const isFull = HOURS.every((hour) => hourState(week, day, hour) === "on");
  return (
    <span role={role} className="min-w-0">
      <button
        type="button"
        title={isFull ? `Clear ${name}` : `All of ${name}`}
        aria-label={isFull ? `Clear ${name}` : `All of ${name}`}
        onClick={() => onWhole({ day, hour: 0 }, { day, hour: 23 }, !isFull)}
        className="hover:bg-hover min-h-6 w-full truncate rounded px-1 text-left"
      >
        {short ? name.slice(0, 2) : name}
      </button>
    </span>
  );
}

function clock(hour: number): string {
  return `${String(hour).padStart(2, "0")}:00`;
}

const TURNED: Record<string, string> = { ArrowLeft: "ArrowUp", ArrowRight: "ArrowDown", ArrowUp: "ArrowLeft", ArrowDown: "ArrowRight", Home: "PageUp", End: "PageDown", PageUp: "Home", PageDown: "End" };

/** The key that does in the turned grid what this one does. */
function turned(key: string): string {
  return TURNED[key] ?? key;
}

function useNarrow(): boolean {
  const [isNarrow, setNarrow] = useState(() => window.matchMedia(NARROW).matches);
  useEffect(() => {
    const query = window.matchMedia(NARROW);
    const look = () => setNarrow(query.matches);
    query.addEventListener("change", look);
    return () => query.removeEventListener("change", look);
  }, []);
  return isNarrow;
}
