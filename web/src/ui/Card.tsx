import { type ReactNode, useId } from "react";
import { cx } from "./class";

type Props = { title: ReactNode; aside?: ReactNode; children: ReactNode; className?: string; flush?: boolean };

/** A part of a page with its heading. `flush`: the content reaches the edges, as tables do. */
export function Card({ title, aside, children, className, flush = false }: Props) {
  const id = useId();
  return (
    <section aria-labelledby={id} className={cx("card min-w-0", className)}>
      <div className="flex min-h-11 flex-wrap items-center justify-between gap-2 px-4 pt-2.5 pb-1.5">
        <h2 id={id} className="font-semibold">{title}</h2>
        {aside}
      </div>
      <div className={flush ? "min-w-0" : "min-w-0 px-4 pt-1 pb-4"}>{children}</div>
    </section>
  );
}

/** One number with its name; the number is what the eye finds first. */
export function Figure({ name, children, note, tone }: { name: string; children: ReactNode; note?: ReactNode; tone?: "ok" | "bad" | "wait" }) {
  const color = tone === "ok" ? "text-ok" : tone === "bad" ? "text-bad" : tone === "wait" ? "text-wait" : "";
  return (
    <div className="flex min-w-0 flex-col">
      <dt className="text-ink-2">{name}</dt>
      <dd className={cx("text-xl leading-snug font-semibold", color)}>{children}</dd>
      {note ? <dd className="text-ink-3 text-[0.93em]">{note}</dd> : null}
    </div>
  );
}

/** Names and values under each other. */
export function Facts({ facts }: { facts: readonly (readonly [string, ReactNode] | null)[] }) {
  return (
    <dl className="grid grid-cols-[minmax(7rem,auto)_1fr] gap-x-4 gap-y-1.5">
      {facts.map((fact) => fact && (
        <div key={fact[0]} className="contents">
          <dt className="text-ink-2">{fact[0]}</dt>
          <dd className="min-w-0">{fact[1]}</dd>
        </div>
      ))}
    </dl>
  );
}
