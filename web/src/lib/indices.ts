/**
 * Indices of elements as the API writes them: `1-1000,2000`. Kept as ranges, so that a million cost nothing.
 *
 * Invariant: ranges are ascending and apart.
 */

export type Range = readonly [first: number, last: number];

/** Ranges of an array text. Throws a `RangeError` where it is not one. */
export function parseRanges(text: string): Range[] {
  if (text.trim() === "") return [];
  const ranges = text.split(",").map((part): Range => {
    const found = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part);
    if (!found) throw new RangeError(`not a range of indices: ${part}`);
    const first = Number(found[1]);
    const last = found[2] === undefined ? first : Number(found[2]);
    if (last < first) throw new RangeError(`a range that ends before it begins: ${part}`);
    return [first, last];
  });
  return ranges;
}

export class Indices {
  readonly #ranges: readonly Range[];
  readonly #before: number[] = [];
  readonly size: number;

  constructor(text: string) {
    this.#ranges = parseRanges(text);
    let size = 0;
    for (const [first, last] of this.#ranges) {
      this.#before.push(size);
      size += last - first + 1;
    }
    this.size = size;
  }

  /** The index of the element at `position`, from 0; undefined beyond the end. */
  at(position: number): number | undefined {
    if (position < 0 || position >= this.size) return undefined;
    const range = this.#find((before) => before <= position);
    return (this.#ranges[range]?.[0] ?? 0) + position - (this.#before[range] ?? 0);
  }

  /** The position of the element `index`; -1 where it is none. */
  positionOf(index: number): number {
    const range = this.#find((_before, [first]) => first <= index);
    const found = this.#ranges[range];
    return found && index >= found[0] && index <= found[1] ? (this.#before[range] ?? 0) + index - found[0] : -1;
  }

  /** The last range that `holds`, by halving. */
  #find(holds: (before: number, range: Range) => boolean): number {
    let low = 0;
    let high = this.#ranges.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      const range = this.#ranges[middle];
      if (range && holds(this.#before[middle] ?? 0, range)) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
