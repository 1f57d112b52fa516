/**
 * The colours of the topology's cells, as a canvas takes them.
 *
 * Invariant: the only place that reads design tokens for the topology.
 */
import { tokenColor } from "../lib/theme";

type Rgb = readonly [number, number, number];

/** What is painted with. `steps` go from idle to full. */
export type Palette = {
  steps: readonly string[];
  /** What is written on each step. */
  onSteps: readonly string[];
  ink: string;
  faint: string;
  line: string;
  wait: string;
  bad: string;
  surface: string;
};

/** So many steps of use are told apart. */
export const STEPS = 5;

/** The tokens as they are now, of light or dark. */
export function readPalette(inside: Element): Palette {
  const of = (token: string) => tokenColor(token, inside);
  const [low, high] = [parse(of("sunken")), parse(of("accent"))];
  const mixed = Array.from({ length: STEPS }, (_, step) => mix(low, high, 0.12 + (0.88 * step) / (STEPS - 1)));
  return {
    steps: mixed.map(text),
    onSteps: mixed.map((color) => (luminance(color) > 0.22 ? "#1b1a17" : "#f4f3f0")),
    ink: of("ink"),
    faint: of("ink-3"),
    line: of("line-strong"),
    wait: of("wait"),
    bad: of("bad"),
    surface: of("surface"),
  };
}

/** The step of a use of 0 to 1. */
export function stepOf(use: number): number {
  return Math.min(STEPS - 1, Math.max(0, Math.floor(use * STEPS)));
}

function parse(color: string): Rgb {
  const [r = 0, g = 0, b = 0] = (color.match(/[\d.]+/g) ?? []).map(Number);
  return [r, g, b];
}

function mix(a: Rgb, b: Rgb, part: number): Rgb {
  const at = (place: 0 | 1 | 2) => Math.round(a[place] + (b[place] - a[place]) * part);
  return [at(0), at(1), at(2)];
}

function text([r, g, b]: Rgb): string {
  return `rgb(${r}, ${g}, ${b})`;
}

/** WCAG's relative luminance, 0 to 1. */
function luminance(color: Rgb): number {
  const [r, g, b] = color.map((value) => {
    const part = value / 255;
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * (r ?? 0) + 0.7152 * (g ?? 0) + 0.0722 * (b ?? 0);
}
