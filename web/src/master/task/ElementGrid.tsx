import { type KeyboardEvent, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "react";
import { type ElementState, type GridModel, layout, type Layout, moveByKey, nextInState, positionAt, STATES } from "../../lib/grid";
import { onThemeChange, tokenColor } from "../../lib/theme";
import { count } from "../../lib/units";
import { Button } from "../../ui";

const TOKENS: Record<ElementState, string> = { waiting: "line", live: "run", completed: "done", failed: "bad", cancelled: "line-strong" };
const FILLS: Record<ElementState, string> = { waiting: "bg-line", live: "bg-run", completed: "bg-done", failed: "bg-bad", cancelled: "bg-line-strong" };

/** The three parts of a colour that the browser has resolved, such as `rgb(1, 2, 3)`. */
function parts(color: string): number[] {
  return (color.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number);
}

/** Many small cells: one pixel each in a small picture, which the browser then enlarges. */
function drawSmall(context: CanvasRenderingContext2D, model: GridModel, shape: Layout, colors: readonly string[]) {
  const small = document.createElement("canvas");
  small.width = shape.columns;
  small.height = shape.rows;
  const pen = small.getContext("2d");
  if (!pen) return;
  const image = pen.createImageData(shape.columns, shape.rows);
  const palette = colors.map(parts);
  for (let at = 0; at < model.states.length; at += 1) {
    const [red = 0, green = 0, blue = 0] = palette[model.states[at] ?? 0] ?? [];
    image.data[at * 4] = red;
    image.data[at * 4 + 1] = green;
    image.data[at * 4 + 2] = blue;
    image.data[at * 4 + 3] = 255;
  }
  pen.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, shape.columns * shape.cell, shape.rows * shape.cell);
}

/** One pass for each state, so that the pen changes its colour five times and not thirty thousand times. */
function draw(canvas: HTMLCanvasElement, model: GridModel, shape: Layout) {
  const scale = Math.min(window.devicePixelRatio || 1, 2);
  canvas.width = Math.max(1, Math.round(shape.width * scale));
  canvas.height = Math.max(1, Math.round(shape.height * scale));
  const context = canvas.getContext("2d");
  if (!context) return;
  context.scale(scale, scale);
  const colors = STATES.map((state) => tokenColor(TOKENS[state], canvas.parentElement ?? document.body));
  if (shape.gap === 0) {
    drawSmall(context, model, shape, colors);
    return;
  }
  const pitch = shape.cell + shape.gap;
  colors.forEach((color, number) => {
    context.fillStyle = color;
    for (let at = 0; at < model.states.length; at += 1) {
      if (model.states[at] === number) context.fillRect((at % shape.columns) * pitch, Math.floor(at / shape.columns) * pitch, shape.cell, shape.cell);
    }
  });
}

function useWidth(node: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const box = node.current;
    if (!box) return undefined;
    setWidth(box.clientWidth);
    const watcher = new ResizeObserver(() => setWidth(box.clientWidth));
    watcher.observe(box);
    return () => watcher.disconnect();
  }, [node]);
  return width;
}

type Props = { model: GridModel; chosen: number | null; onChoose: (index: number) => void };

/**
 * Every element as a cell. Arrow keys, Home, End, Page Up and Page Down move; Enter opens; `f` goes to the next failed one. What
 * the keys are at is said as an option of a list.
 */
export function ElementGrid({ model, chosen, onChoose }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(box);
  const id = useId();
  const size = model.indices.size;
  const shape = useMemo(() => layout(size, Math.max(1, width)), [size, width]);
  const [at, setAt] = useState(() => Math.max(0, chosen === null ? 0 : model.indices.positionOf(chosen)));
  const [hover, setHover] = useState<number | null>(null);

  useEffect(() => {
    const node = canvas.current;
    if (!node || width === 0) return undefined;
    const frame = requestAnimationFrame(() => draw(node, model, shape));
    const end = onThemeChange(() => draw(node, model, shape));
    return () => {
      cancelAnimationFrame(frame);
      end();
    };
  }, [model, shape, width]);

  const stateAt = (position: number): ElementState => STATES[model.states[position] ?? 0] ?? "waiting";
  const open = (position: number) => {
    const index = model.indices.at(position);
    if (index !== undefined) onChoose(index);
  };
  const press = (event: KeyboardEvent) => {
    if (event.key === "Enter" || event.key === " ") open(at);
    else {
      const to = event.key === "f" ? nextInState(model.states, "failed", at) : moveByKey(event.key, at, size, shape.columns);
      if (to === null || to < 0) return;
      setAt(to);
    }
    event.preventDefault();
    event.stopPropagation();
  };
  const pointed = hover ?? at;
  const pitch = shape.cell + shape.gap;
  const spot = (position: number, offset: number) => ({ left: (position % shape.columns) * pitch - offset, top: Math.floor(position / shape.columns) * pitch - offset, width: shape.cell + offset * 2, height: shape.cell + offset * 2 });
  const chosenAt = chosen === null ? -1 : model.indices.positionOf(chosen);
  return (
    <div className="flex flex-col gap-3">
      <ul className="text-ink-2 flex flex-wrap items-center gap-x-4 gap-y-1">
        {STATES.map((state) => (
          <li key={state} className="inline-flex items-center gap-1.5"><span aria-hidden className={`size-2.5 rounded-sm ${FILLS[state]}`} />{count(model.counts[state])} {state}</li>
        ))}
        {model.counts.failed > 0 ? <li><Button small onClick={() => { const to = nextInState(model.states, "failed", at); setAt(to); open(to); }}>Next failed</Button></li> : null}
        <li className="ml-auto">Element {model.indices.at(pointed) ?? "\u2013"}: {stateAt(pointed)}</li>
      </ul>
      <div
        ref={box}
        role="listbox"
        tabIndex={0}
        aria-label={`${count(size)} elements. Arrow keys move, Enter opens, f goes to the next failed one.`}
        aria-activedescendant={`${id}-at`}
        onKeyDown={press}
        className="group relative"
      >
        <canvas
          ref={canvas}
          aria-hidden
          style={{ width: shape.width, height: shape.height }}
          onPointerMove={(event) => {
            const position = positionAt(shape, size, event.nativeEvent.offsetX, event.nativeEvent.offsetY);
            setHover(position < 0 ? null : position);
          }}
          onPointerLeave={() => setHover(null)}
          onClick={(event) => {
            const position = positionAt(shape, size, event.nativeEvent.offsetX, event.nativeEvent.offsetY);
            if (position >= 0) {
              setAt(position);
              open(position);
            }
          }}
        />
        <span id={`${id}-at`} role="option" aria-selected={chosenAt === at} aria-posinset={at + 1} aria-setsize={size} className="outline-run pointer-events-none absolute rounded-[2px] group-focus-visible:outline-2" style={spot(at, 1)}>
          <span className="sr-only">Element {model.indices.at(at)}: {stateAt(at)}</span>
        </span>
        {chosenAt >= 0 ? <span aria-hidden className="outline-ink pointer-events-none absolute rounded-[2px] outline-2" style={spot(chosenAt, 1)} /> : null}
      </div>
    </div>
  );
}
