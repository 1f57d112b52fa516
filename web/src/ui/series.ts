/**
 * What is drawn of a machine's last minutes.
 *
 * Invariant: bounded: the oldest point makes room for the newest.
 */

/** Times in seconds, and for each line its values; `null` where nothing is known. The form that charts take. */
export interface Series {
  times: number[];
  lines: (number | null)[][];
}

/** Nothing yet, of so many lines. */
export function emptySeries(lines: number): Series {
  return { times: [], lines: Array.from({ length: lines }, () => []) };
}

/**
 * `series` and one point more, at most `most` of them. A point that is not later than the last takes its place;
 * after a gap of more than `gapSeconds` a point without values breaks the lines.
 */
export function push(series: Series, atUnixMs: number, values: readonly (number | null)[], most: number, gapSeconds = 10): Series {
  const at = atUnixMs / 1000;
  let times = [...series.times];
  let lines = series.lines.map((line) => [...line]);
  const last = times.at(-1);
  if (last !== undefined && at <= last) {
    times.pop();
    for (const line of lines) line.pop();
  } else if (last !== undefined && at - last > gapSeconds) {
    times.push(last + gapSeconds / 2);
    for (const line of lines) line.push(null);
  }
  times.push(last !== undefined && at < last ? last : at);
  lines.forEach((line, place) => line.push(values[place] ?? null));
  if (times.length > most) {
    times = times.slice(-most);
    lines = lines.map((line) => line.slice(-most));
  }
  return { times, lines };
}
