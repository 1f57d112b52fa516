import { lazy, Suspense } from "react";
import type { Series } from "./series";
import { Skeleton } from "./States";

const LivePlot = lazy(() => import("./LivePlot"));

/** One line of a live chart. */
export type LiveLine = { name: string; token: "accent" | "run" | "ok" | "bad" | "wait" | "off" };

export type LiveChartProps = {
  /** What is shown, with its newest values: the text for those who do not see it. */
  summary: string;
  data: Series;
  lines: readonly LiveLine[];
  unit: string;
  height?: number;
  /** The scale is at least so high. */
  top?: number;
  /** So much of the past is shown. */
  windowSeconds: number;
};

const SWATCH = { accent: "bg-accent", run: "bg-run", ok: "bg-ok", bad: "bg-bad", wait: "bg-wait", off: "bg-off" } as const;

/** Lines that grow to the right while one looks. `lines` has to stay the same object. */
export function LiveChart(props: LiveChartProps) {
  const height = props.height ?? 150;
  const isEmpty = props.data.times.length < 2;
  return (
    <figure className="flex min-w-0 flex-col gap-1.5">
      <div role="img" aria-label={props.summary} className="relative" style={{ height }}>
        <Suspense fallback={<Skeleton lines={4} label="Loading the chart" />}>
          <LivePlot {...props} height={height} />
        </Suspense>
        {isEmpty ? <p className="text-ink-3 absolute inset-0 grid place-items-center">The line begins with the next update.</p> : null}
      </div>
      <figcaption className="text-ink-2 flex flex-wrap gap-x-4 gap-y-1 text-[0.93em]">
        {props.lines.map((line) => (
          <span key={line.name} className="inline-flex items-center gap-1.5">
            <span aria-hidden className={`h-0.5 w-3.5 rounded ${SWATCH[line.token]}`} />
            {line.name}
          </span>
        ))}
      </figcaption>
    </figure>
  );
}
