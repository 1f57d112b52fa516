import { count as grouped } from "../lib/units";

export type StatePart = { name: string; count: number; tone: "ok" | "run" | "wait" | "bad" | "off" };

const FILL = { ok: "bg-done", run: "bg-run", wait: "bg-line", bad: "bg-bad", off: "bg-line-strong" } as const;

/** How many stand where, as one bar with its numbers in words. */
export function StateBar({ parts, label, legend = false }: { parts: readonly StatePart[]; label: string; legend?: boolean }) {
  const total = parts.reduce((sum, part) => sum + part.count, 0);
  const there = parts.filter((part) => part.count > 0);
  const words = there.map((part) => `${grouped(part.count)} ${part.name}`).join(", ") || "none";
  return (
    <div className="flex min-w-0 flex-col gap-1.5">
      <div role="img" aria-label={`${label}: ${words}`} title={words} className="bg-sunken flex h-2 w-full gap-px overflow-hidden rounded-full">
        {there.map((part) => (
          <span key={part.name} className={FILL[part.tone]} style={{ width: `${(part.count / total) * 100}%`, minWidth: 2 }} />
        ))}
      </div>
      {legend ? (
        <ul className="text-ink-2 flex flex-wrap gap-x-4 gap-y-1">
          {there.map((part) => (
            <li key={part.name} className="inline-flex items-center gap-1.5">
              <span aria-hidden className={`size-2 rounded-sm ${FILL[part.tone]}`} />
              {grouped(part.count)} {part.name}
            </li>
          ))}
        </ul>
      ) : null}
    </div>
  );
}
