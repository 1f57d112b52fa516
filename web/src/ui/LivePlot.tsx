import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { onThemeChange, tokenColor } from "../lib/theme";
import type { LiveChartProps } from "./LiveChart";
import type { Series } from "./series";

/** The live chart itself; only ever loaded by `LiveChart`. It is made once, and fed. */
export default function LivePlot({ data, lines, unit, height, top, windowSeconds }: LiveChartProps & { height: number }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const newest = useRef(data);
  newest.current = data;
  useEffect(() => {
    const node = box.current;
    if (!node) return undefined;
    const draw = () => {
      plot.current?.destroy();
      const size = { width: Math.max(1, node.clientWidth), height };
      plot.current = new uPlot({ ...size, ...options(node, lines, unit, top, windowSeconds) }, aligned(newest.current), node);
    };
    draw();
    const watcher = new ResizeObserver(() => plot.current?.setSize({ width: Math.max(1, node.clientWidth), height }));
    watcher.observe(node);
    const endTheme = onThemeChange(draw);
    return () => {
      watcher.disconnect();
      endTheme();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [lines, unit, height, top, windowSeconds]);
  useEffect(() => plot.current?.setData(aligned(data)), [data]);
  return <div ref={box} className="w-full overflow-hidden" />;
}

function aligned(data: Series): uPlot.AlignedData {
  return [data.times, ...data.lines] as uPlot.AlignedData;
}

type Rest = Omit<uPlot.Options, "width" | "height">;

function options(node: Element, lines: LiveChartProps["lines"], unit: string, top: number | undefined, span: number): Rest {
  const text = { stroke: tokenColor("ink-2", node), font: "12px system-ui", ticks: { show: false } };
  const grid = { stroke: tokenColor("line", node), width: 1 };
  return {
    cursor: { show: false },
    legend: { show: false },
    padding: [8, 18, 0, 0],
    scales: {
      x: { range: (_plot, _low, high) => [(high ?? 0) - span, high ?? 0] },
      y: { range: (_plot, _low, high) => [0, Math.max(top ?? 0, (Number.isFinite(high) ? high : 0) * 1.15, 1e-6)] },
    },
    axes: [
      { ...text, grid: { show: false }, size: 26, gap: 4, splits: (plot) => marksOf(plot, span), values: (plot, marks) => ago(plot, marks) },
      { ...text, grid, size: 58, space: 34, values: (_plot, marks) => marks.map((mark) => `${mark} ${unit}`) },
    ],
    series: [
      {},
      ...lines.map((line, place): uPlot.Series => {
        const color = tokenColor(line.token, node);
        const fill = place === 0 ? { fill: color.replace("rgb(", "rgba(").replace(")", ", 0.13)") } : {};
        return { label: line.name, stroke: color, width: 2, points: { show: false }, ...fill };
      }),
    ],
  };
}

/** Marks from now backwards; fewer where there is no room, and none at the left edge, where the scale stands. */
function marksOf(plot: uPlot, span: number): number[] {
  const end = plot.scales["x"]?.max ?? 0;
  const count = plot.width < 420 ? 2 : 5;
  return Array.from({ length: count }, (_, place) => end - (span * (count - 1 - place)) / count);
}

/** Times as how long ago they were. */
function ago(plot: uPlot, marks: number[]): string[] {
  const end = plot.scales["x"]?.max ?? 0;
  return marks.map((mark) => {
    const seconds = Math.round(end - mark);
    if (seconds <= 1) return "now";
    return seconds < 90 ? `−${seconds} s` : `−${Math.round(seconds / 60)} min`;
  });
}
