import type { ReactNode } from "react";

const FILL = { run: "bg-run", ok: "bg-ok", bad: "bg-bad", wait: "bg-wait", accent: "bg-accent" } as const;

type Props = { name: string; part: number; children: ReactNode; tone?: keyof typeof FILL };

/** How much of something is used: its name, a bar, and the amounts in words. `part` is 0 to 1. */
export function Meter({ name, part, children, tone = "accent" }: Props) {
  const percent = Math.round(Math.min(1, Math.max(0, part)) * 100);
  return (
    <div className="flex min-w-0 flex-col gap-1">
      <div className="flex flex-wrap items-baseline justify-between gap-x-3">
        <span className="font-medium">{name}</span>
        <span className="text-ink-2">{children}</span>
      </div>
      <span role="meter" aria-label={name} aria-valuemin={0} aria-valuemax={100} aria-valuenow={percent} aria-valuetext={`${percent} %`} className="bg-sunken border-line block h-2.5 w-full overflow-hidden rounded-full border">
        <span className={`block h-full ${FILL[tone]}`} style={{ width: `${percent}%` }} />
      </span>
    </div>
  );
}
