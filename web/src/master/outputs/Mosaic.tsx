import { useQueries } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { respond } from "../../api/client";
import type { GridModel } from "../../lib/grid";
import { decodePpm, type Pixels } from "../../lib/ppm";

const COLUMNS = 4;
const ROWS = 3;
const SIDE = 320;
const COMPLETED = 2;
const LARGEST_TILE = 2 * 1024 * 1024;

async function tile(id: string, element: number, signal: AbortSignal): Promise<Pixels | null> {
  const path = `tile-${element.toString().padStart(2, "0")}.ppm`;
  const answer = await respond(`/tasks/${encodeURIComponent(id)}/file`, { query: { element, path }, signal });
  const bytes = await answer.arrayBuffer();
  return bytes.byteLength > LARGEST_TILE ? null : decodePpm(new Uint8Array(bytes));
}

/** The demo's picture, put together from the tiles that are done; each is fetched once. */
export function Mosaic({ id, model }: { id: string; model: GridModel | null }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const done = Array.from({ length: COLUMNS * ROWS }, (_, at) => model?.states[model.indices.positionOf(at)] === COMPLETED);
  const tiles = useQueries({
    queries: done.map((ready, element) => ({
      // Not below the task's own key: a tile that is done never changes.
      queryKey: ["tile", id, element],
      queryFn: ({ signal }: { signal: AbortSignal }) => tile(id, element, signal),
      enabled: ready,
    })),
    combine: (results) => ({ pixels: results.map((result) => result.data ?? null), count: results.filter((result) => result.data).length }),
  });
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context) return;
    tiles.pixels.forEach((pixels, at) => {
      if (pixels) context.putImageData(new ImageData(pixels.rgba, pixels.width, pixels.height), (at % COLUMNS) * SIDE, Math.floor(at / COLUMNS) * SIDE);
    });
  }, [tiles]);
  return (
    <div role="img" aria-label={`A spiral of the Mandelbrot set; ${tiles.count} of ${COLUMNS * ROWS} tiles are here`}>
      <canvas ref={canvas} aria-hidden width={COLUMNS * SIDE} height={ROWS * SIDE} className="bg-sunken border-line aspect-[4/3] w-full rounded-md border" />
    </div>
  );
}
