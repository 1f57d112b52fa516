import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { moment } from "../lib/units";
import { onThemeChange, tokenColor } from "../lib/theme";
import type { ChartProps } from "./Chart";

/** The chart itself; only ever loaded by `Chart`. */
export default function Plot({ times, series, unit, height = 180, top }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const node = box.current;
    if (!node) return undefined;
    let plot: uPlot | undefined;
    const draw = () => {
      plot?.destroy();
      plot = new uPlot(options(node, { series, unit, height, top, width: node.clientWidth }), [[...times], ...series.map((line) => [...line.values])], node);
    };
    draw();
    const watcher = new ResizeObserver(() => plot?.setSize({ width: node.clientWidth, height }));
    watcher.observe(node);
    const endTheme = onThemeChange(draw);
    return () => {
      watcher.disconnect();
      endTheme();
      plot?.destroy();
    };
  }, [times, series, unit, height, top]);
  return <div ref={box} className="w-full overflow-hidden" />;
}

/** Days where marks are days apart, and at midnight; else the time of day. */
function label(atMs: number, stepSeconds: number): string {
  const text = moment(atMs);
  const midnight = text.endsWith("00:00:00");
  return stepSeconds >= 86_400 || midnight ? text.slice(5, 10) : stepSeconds < 60 ? text.slice(11) : text.slice(11, 16);
}

type Shape = Pick<ChartProps, "series" | "unit"> & { height: number; width: number; top: number | undefined };

function options(node: Element, { series, unit, height, width, top }: Shape): uPlot.Options {
  const axis = { stroke: tokenColor("ink-2", node), grid: { stroke: tokenColor("line", node), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  const stepped = uPlot.paths.stepped?.({ align: 1 });
  return {
    width,
    height,
    cursor: { y: false },
    legend: { live: true },
    scales: { y: { range: (_plot, _low, high) => [0, Math.max(top ?? 0, (Number.isFinite(high) ? high : 0) * 1.08, 1e-6)] } },
    axes: [{ ...axis, values: (_plot, marks, _axis, _space, step) => marks.map((mark) => label(mark * 1000, step)) }, { ...axis, size: 64, values: (_plot, marks) => marks.map((mark) => `${mark} ${unit}`) }],
    series: [
      { label: "Time", value: (_plot, seconds) => (seconds === null ? "\u2013" : moment(seconds * 1000)) },
      ...series.map((line): uPlot.Series => {
        const color = tokenColor(line.token, node);
        return {
          label: line.name,
          stroke: color,
          width: 2,
          points: { show: false },
          value: (_plot, value) => (value === null ? "\u2013" : `${value} ${unit}`),
          ...(line.fill ? { fill: color.replace("rgb(", "rgba(").replace(")", ", 0.14)") } : {}),
          ...(line.stepped && stepped ? { paths: stepped } : {}),
        };
      }),
    ],
  };
}
