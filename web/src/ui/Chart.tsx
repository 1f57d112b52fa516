import { lazy, Suspense } from "react";
import { Skeleton } from "./States";

const Plot = lazy(() => import("./Plot"));

export type Series = {
  name: string;
  token: "accent" | "run" | "ok" | "bad" | "wait" | "off";
  values: readonly (number | null)[];
  fill?: boolean;
  /** Holds its value until the next point, as balances do. */
  stepped?: boolean;
};

export type ChartProps = {
  /** What is shown, in a sentence: the text in the chart's place for those who do not see it. */
  summary: string;
  /** Unix seconds, ascending; one for each value. */
  times: readonly number[];
  series: readonly Series[];
  unit: string;
  height?: number;
  /** At least so high is the scale. */
  top?: number;
};

/** Lines over time. The library comes when the first chart is shown; the numbers are in a table below, too. */
export function Chart(props: ChartProps) {
  return (
    <figure className="flex min-w-0 flex-col gap-1">
      <div role="img" aria-label={props.summary}>
        <Suspense fallback={<div style={{ height: props.height ?? 180 }}><Skeleton lines={4} label="Loading the chart" /></div>}>
          <Plot {...props} />
        </Suspense>
      </div>
      <figcaption className="text-ink-3 text-[0.93em]">{props.summary}</figcaption>
    </figure>
  );
}
