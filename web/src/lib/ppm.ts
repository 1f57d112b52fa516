/**
 * Portable pixmaps (P6), the simplest picture there is: what the demo's tiles are.
 *
 * Invariant: a picture that is not whole, or larger than the bound, is refused, never half shown.
 */

export type Pixels = { width: number; height: number; rgba: Uint8ClampedArray<ArrayBuffer> };

const MOST_PIXELS = 64 * 1024 * 1024;

/** The pixels of a P6 file of 8 bits; null where it is not one. */
export function decodePpm(bytes: Uint8Array): Pixels | null {
  const head = new TextDecoder("latin1").decode(bytes.subarray(0, 512));
  const found = /^P6(?:\s+|#[^\n]*\n)+(\d{1,6})\s+(\d{1,6})\s+255\s/.exec(head);
  if (!found) return null;
  const width = Number(found[1]);
  const height = Number(found[2]);
  const count = width * height;
  const data = bytes.subarray(found[0].length);
  if (count === 0 || count > MOST_PIXELS || data.length < count * 3) return null;
  const rgba = new Uint8ClampedArray(count * 4);
  for (let from = 0, to = 0; to < rgba.length; from += 3, to += 4) {
    rgba[to] = data[from] ?? 0;
    rgba[to + 1] = data[from + 1] ?? 0;
    rgba[to + 2] = data[from + 2] ?? 0;
    rgba[to + 3] = 255;
  }
  return { width, height, rgba };
}
