import type { ReactNode } from "react";
import { cx } from "./class";

const TONES = { ok: "bg-ok", wait: "bg-wait", bad: "bg-bad", off: "bg-off", none: "hidden" } as const;
const WORDS = { ok: "Good", wait: "Needs a look", bad: "Needs action", off: "Unknown", none: "" } as const;

export type TileTone = keyof typeof TONES;

type Props = { name: string; children: ReactNode; note?: ReactNode; tone?: TileTone; className?: string };

/** One number in a frame of its own, with its name above, what it means below, and how it stands as a mark and a word. */
export function Tile({ name, children, note, tone = "none", className }: Props) {
  return (
    <div className={cx("card flex min-w-0 flex-col gap-0.5 px-4 py-3", tone === "bad" && "border-bad", tone === "wait" && "border-wait", className)}>
      <dt className="text-ink-2 flex items-center justify-between gap-2">
        {name}
        {tone === "none" ? null : (
          <span className="inline-flex items-center">
            <span aria-hidden className={cx("size-2 rounded-full", TONES[tone])} title={WORDS[tone]} />
            <span className="sr-only">{WORDS[tone]}</span>
          </span>
        )}
      </dt>
      <dd className={cx("text-2xl leading-tight font-semibold tracking-tight", tone === "bad" && "text-bad")}>{children}</dd>
      {note ? <dd className="text-ink-3 text-[0.93em]">{note}</dd> : null}
    </div>
  );
}

/** Tiles beside each other: four in a row, or with `narrow` as many as fit. */
export function Tiles({ children, label, narrow = false }: { children: ReactNode; label: string; narrow?: boolean }) {
  return (
    <dl aria-label={label} className={cx("grid gap-3", narrow ? "grid-cols-[repeat(auto-fit,minmax(min(100%,10.5rem),1fr))]" : "grid-cols-[repeat(auto-fit,minmax(min(100%,17rem),1fr))]")}>
      {children}
    </dl>
  );
}
