import { type KeyboardEvent, type PointerEvent, useEffect, useId, useMemo, useRef, useState } from "react";
import { useNow } from "../lib/now";
import { onThemeChange } from "../lib/theme";
import { readPalette, type Palette } from "./colors";
import { cellAt, isWalkingKey, layOut, walk, type Hive } from "./model/hive";
import { standing, usage, type Measure } from "./model/nodes";
import type { NodeSummary } from "./model/types";
import { paint } from "./paint";

type Props = {
  nodes: readonly NodeSummary[];
  measure: Measure;
  /** Name of the selected node. */
  selected: string | null;
  onSelect: (name: string) => void;
  /** Enter on a cell. */
  onOpen: (name: string) => void;
};

/** Of what a layout depends on: the names and owners, not what changes every second. */
function shapeOf(nodes: readonly NodeSummary[]): string {
  return nodes.map((node) => `${node.owner}\n${node.node_id}`).join("\n\n");
}

/** Every node as a cell, by owner. One canvas for the eye, one list box for keyboards and screen readers. */
export function HiveMap({ nodes, measure, selected, onSelect, onOpen }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(0);
  const [hovered, setHovered] = useState<number | null>(null);
  const [focused, setFocused] = useState(false);
  const palette = usePalette(box);
  const now = useNow();
  const shape = shapeOf(nodes);
  // `shape` stands for what `layOut` reads of the nodes.
  // eslint-disable-next-line react-hooks/exhaustive-deps
  const hive = useMemo(() => layOut(nodes, Math.max(1, width)), [shape, width]);
  const place = useMemo(() => (selected === null ? null : placeOf(hive, nodes, selected)), [hive, nodes, selected]);

  useEffect(() => {
    const node = box.current;
    if (!node) return undefined;
    const watcher = new ResizeObserver(() => setWidth(node.clientWidth));
    watcher.observe(node);
    return () => watcher.disconnect();
  }, []);

  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context || !palette || width === 0) return undefined;
    const frame = requestAnimationFrame(() => {
      size(context.canvas, hive);
      context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
      paint(context, palette, { hive, nodes, measure, now, selected: place, hovered, focused });
    });
    return () => cancelAnimationFrame(frame);
  }, [hive, nodes, measure, now, place, hovered, focused, palette, width]);

  const nameAt = (at: number | null) => (at === null ? undefined : nodes[hive.cells[at]?.index ?? -1]?.node_id);
  const pointed = (event: PointerEvent) => {
    const frame = event.currentTarget.getBoundingClientRect();
    return cellAt(hive, event.clientX - frame.left, event.clientY - frame.top);
  };
  const press = (event: KeyboardEvent) => {
    if ((event.key === "Enter" || event.key === " ") && selected !== null) {
      event.preventDefault();
      onOpen(selected);
      return;
    }
    if (!isWalkingKey(event.key)) return;
    event.preventDefault();
    const name = nameAt(place === null ? 0 : walk(hive, place, event.key));
    if (name !== undefined) onSelect(name);
  };

  return (
    <div ref={box} className="relative min-w-0">
      <List nodes={nodes} hive={hive} place={place} measure={measure} now={now} onKey={press} onFocus={setFocused} first={() => nameAt(0)} onSelect={onSelect}>
        <canvas
          ref={canvas}
          aria-hidden
          className="block"
          onPointerMove={(event) => setHovered(pointed(event))}
          onPointerLeave={() => setHovered(null)}
          onPointerDown={(event) => {
            const name = nameAt(pointed(event));
            if (name !== undefined) onSelect(name);
          }}
        />
      </List>
      {hovered === null ? null : <Tip hive={hive} at={hovered} text={describe(nodes[hive.cells[hovered]?.index ?? -1], measure, now)} />}
    </div>
  );
}

type ListProps = {
  nodes: readonly NodeSummary[];
  hive: Hive;
  place: number | null;
  measure: Measure;
  now: number;
  onKey: (event: KeyboardEvent) => void;
  onFocus: (has: boolean) => void;
  first: () => string | undefined;
  onSelect: (name: string) => void;
  children: React.ReactNode;
};

/** Only the selected cell is in the document: thousands of them would be no help to anybody. */
function List({ nodes, hive, place, measure, now, onKey, onFocus, first, onSelect, children }: ListProps) {
  const id = useId();
  const cell = place === null ? undefined : hive.cells[place];
  const focus = () => {
    onFocus(true);
    const name = first();
    if (place === null && name !== undefined) onSelect(name);
  };
  return (
    <div
      role="listbox"
      aria-label="Nodes by owner"
      aria-describedby={`${id}-keys`}
      aria-activedescendant={cell ? `${id}-cell` : undefined}
      tabIndex={0}
      onKeyDown={onKey}
      onFocus={focus}
      onBlur={() => onFocus(false)}
      className="rounded-md outline-offset-8"
    >
      {children}
      <span id={`${id}-keys`} className="sr-only">Arrow keys go from cell to cell, Page Up and Page Down from owner to owner, Enter opens the node.</span>
      <div id={`${id}-cell`} role="option" aria-selected={cell !== undefined} aria-posinset={(place ?? 0) + 1} aria-setsize={hive.cells.length} className="sr-only">
        {cell ? describe(nodes[cell.index], measure, now) : "No node is selected"}
      </div>
    </div>
  );
}

function Tip({ hive, at, text }: { hive: Hive; at: number; text: string }) {
  const cell = hive.cells[at];
  if (!cell) return null;
  const toLeft = cell.x > hive.width / 2;
  return (
    <div
      aria-hidden
      className="card bg-raised text-ink pointer-events-none absolute z-10 max-w-64 px-2 py-1 text-[0.93em] shadow-lg"
      style={{ top: cell.y + hive.radius + 6, ...(toLeft ? { right: Math.max(0, hive.width - cell.x - 20) } : { left: Math.max(0, cell.x - 20) }) }}
    >
      {text}
    </div>
  );
}

const MEASURED: Record<Measure, string> = { cpu: "processor", memory: "memory", reserved: "promised" };

function describe(node: NodeSummary | undefined, measure: Measure, now: number): string {
  if (!node) return "";
  const use = usage(node, measure);
  const used = use === null ? "use unknown" : `${Math.round(use * 100)} % ${MEASURED[measure]}`;
  return `${node.node_id} of ${node.owner}: ${standing(node, now)}, ${used}, ${node.active_attempts} running`;
}

function placeOf(hive: Hive, nodes: readonly NodeSummary[], name: string): number | null {
  const place = hive.cells.findIndex((cell) => nodes[cell.index]?.node_id === name);
  return place < 0 ? null : place;
}

/** The canvas in the device's own pixels. */
function size(canvas: HTMLCanvasElement, hive: Hive) {
  const [width, height] = [Math.round(hive.width * devicePixelRatio), Math.round(hive.height * devicePixelRatio)];
  if (canvas.width === width && canvas.height === height) return;
  canvas.width = width;
  canvas.height = height;
  canvas.style.width = `${hive.width}px`;
  canvas.style.height = `${hive.height}px`;
}

function usePalette(box: React.RefObject<HTMLElement | null>): Palette | null {
  const [palette, setPalette] = useState<Palette | null>(null);
  useEffect(() => {
    const node = box.current;
    if (!node) return undefined;
    const read = () => setPalette(readPalette(node));
    read();
    return onThemeChange(read);
  }, [box]);
  return palette;
}
