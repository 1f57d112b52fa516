/** Percent done, 0 to 100. */
export function Progress({ percent, label, tone = "run" }: { percent: number; label: string; tone?: "run" | "ok" | "bad" | "wait" }) {
  const value = Math.max(0, Math.min(100, Math.round(percent)));
  const fill = { run: "bg-run", ok: "bg-ok", bad: "bg-bad", wait: "bg-wait" }[tone];
  return (
    <span role="progressbar" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={value} className="bg-sunken block h-1.5 w-full overflow-hidden rounded-full">
      <span className={`block h-full rounded-full ${fill}`} style={{ width: `${value}%` }} />
    </span>
  );
}
