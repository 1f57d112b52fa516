/**
 * Paints the topology.
 *
 * Invariant: only what is handed in is painted; nothing is kept.
 */
import { type Palette, stepOf } from "./colors";
import type { Cell, Hive } from "./model/hive";
import { standing, usage, type Measure, type Standing } from "./model/nodes";
import type { NodeSummary } from "./model/types";

/** What a picture shows besides the nodes. */
export type Picture = {
  hive: Hive;
  nodes: readonly NodeSummary[];
  measure: Measure;
  now: number;
  /** Places in `hive.cells`. */
  selected: number | null;
  hovered: number | null;
  focused: boolean;
};

/** Paints all of it, in CSS pixels. */
export function paint(context: CanvasRenderingContext2D, palette: Palette, picture: Picture) {
  const { hive, nodes } = picture;
  context.clearRect(0, 0, hive.width, hive.height);
  context.textBaseline = "top";
  context.textAlign = "left";
  for (const block of hive.blocks) {
    context.font = "600 13px system-ui";
    context.fillStyle = palette.ink;
    const name = fit(context, block.owner || "nobody", block.width - 34);
    context.fillText(name, block.x + 1, block.y + 2);
    const width = context.measureText(name).width;
    context.font = "12px system-ui";
    context.fillStyle = palette.faint;
    context.fillText(String(block.count), block.x + width + 8, block.y + 3);
  }
  for (const cell of hive.cells) {
    const node = nodes[cell.index];
    if (node) paintCell(context, palette, picture, cell, node);
  }
  outline(context, picture.hovered, picture, palette.faint, 1.5);
  outline(context, picture.selected, picture, palette.ink, picture.focused ? 3.5 : 2.5);
}

function paintCell(context: CanvasRenderingContext2D, palette: Palette, picture: Picture, cell: Cell, node: NodeSummary) {
  const { hive, measure, now } = picture;
  const stands = standing(node, now);
  const use = usage(node, measure);
  const inner = hive.radius - Math.max(1, hive.radius * 0.06);
  path(context, cell, inner);
  if (use === null) {
    context.setLineDash([3, 3]);
    context.strokeStyle = stands === "banned" ? palette.bad : palette.line;
    context.lineWidth = 1.25;
    context.stroke();
    context.setLineDash([]);
  } else {
    context.fillStyle = palette.steps[stepOf(use)] ?? palette.surface;
    context.fill();
    context.strokeStyle = palette.line;
    context.lineWidth = 0.75;
    context.stroke();
  }
  mark(context, palette, cell, inner, stands, use);
}

/** What is not simply online shows a shape, too: colours alone say nothing to many. */
function mark(context: CanvasRenderingContext2D, palette: Palette, cell: Cell, inner: number, stands: Standing, use: number | null) {
  const size = inner * 0.42;
  context.lineWidth = Math.max(1.25, inner * 0.09);
  switch (stands) {
    case "banned":
      context.strokeStyle = palette.bad;
      line(context, cell.x - size, cell.y - size, cell.x + size, cell.y + size);
      line(context, cell.x + size, cell.y - size, cell.x - size, cell.y + size);
      return;
    case "silent":
    case "resting":
      path(context, cell, inner - context.lineWidth / 2);
      context.strokeStyle = palette.wait;
      context.lineWidth *= 1.6;
      context.stroke();
      return;
    case "cordoned":
    case "draining":
      path(context, cell, inner);
      context.save();
      context.clip();
      context.strokeStyle = palette.wait;
      for (let at = -inner * 2; at < inner * 2; at += Math.max(4, inner * 0.4)) line(context, cell.x + at, cell.y + inner, cell.x + at + inner * 2, cell.y - inner);
      context.restore();
      return;
    case "paused":
    case "finishing":
      context.strokeStyle = use === null ? palette.faint : (palette.onSteps[stepOf(use)] ?? palette.ink);
      line(context, cell.x - size / 2, cell.y - size, cell.x - size / 2, cell.y + size);
      if (stands === "paused") line(context, cell.x + size / 2, cell.y - size, cell.x + size / 2, cell.y + size);
      return;
    case "online":
      if (use !== null && inner >= 21) {
        context.font = `600 ${Math.round(inner * 0.42)}px system-ui`;
        context.fillStyle = palette.onSteps[stepOf(use)] ?? palette.ink;
        context.textAlign = "center";
        context.textBaseline = "middle";
        context.fillText(String(Math.round(use * 100)), cell.x, cell.y + 1);
        context.textAlign = "left";
        context.textBaseline = "top";
      }
      return;
    case "offline":
      return;
  }
}

function outline(context: CanvasRenderingContext2D, place: number | null, { hive }: Picture, color: string, width: number) {
  const cell = place === null ? undefined : hive.cells[place];
  if (!cell) return;
  path(context, cell, hive.radius);
  context.strokeStyle = color;
  context.lineWidth = width;
  context.stroke();
}

function path(context: CanvasRenderingContext2D, cell: Cell, radius: number) {
  context.beginPath();
  for (let corner = 0; corner < 6; corner += 1) {
    const angle = Math.PI / 6 + (corner * Math.PI) / 3;
    context.lineTo(cell.x + radius * Math.cos(angle), cell.y + radius * Math.sin(angle));
  }
  context.closePath();
}

function line(context: CanvasRenderingContext2D, x1: number, y1: number, x2: number, y2: number) {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}

function fit(context: CanvasRenderingContext2D, text: string, width: number): string {
  if (context.measureText(text).width <= width) return text;
  let short = text;
  while (short.length > 1 && context.measureText(`${short}…`).width > width) short = short.slice(0, -1);
  return `${short}…`;
}
