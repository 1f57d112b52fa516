/**
 * What a task writes, as lines, in bounded memory.
 *
 * Lines beyond the bound are let go from the front and counted. What is not shown as text (escape sequences, other
 * control characters) is taken out, so that a log is only ever text.
 *
 * Invariant: nothing here knows where the text comes from or how it is shown.
 */

export type LogStream = "stdout" | "stderr";
export type LogLine = { number: number; stream: LogStream; text: string };

export const MOST_LINES = 50_000;
export const MOST_CHARACTERS = 16 * 1024 * 1024;
/** A longer line is cut; a program that never ends its line must not fill the memory. */
export const LONGEST_LINE = 4_000;

// eslint-disable-next-line no-control-regex
const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;
// eslint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** A line as it is shown. What a carriage return overwrote is gone, as on a terminal. */
export function plain(line: string): string {
  const text = line.replace(ESCAPES, "").replace(/\r+$/, "");
  const last = text.slice(text.lastIndexOf("\r") + 1).replace(CONTROLS, "");
  return last.length > LONGEST_LINE ? `${last.slice(0, LONGEST_LINE)}\u2026 (${last.length - LONGEST_LINE} more characters)` : last;
}

export class LogBuffer {
  #lines: LogLine[] = [];
  #start = 0;
  #characters = 0;
  #number = 0;
  readonly #open: Record<LogStream, string> = { stdout: "", stderr: "" };
  /** Lines let go from the front. */
  dropped = 0;

  constructor(
    private readonly mostLines = MOST_LINES,
    private readonly mostCharacters = MOST_CHARACTERS,
  ) {}

  get length(): number {
    return this.#lines.length - this.#start;
  }

  /** The line at `position`, from 0. */
  at(position: number): LogLine | undefined {
    return this.#lines[this.#start + position];
  }

  /** Adds what a stream wrote, wherever it was cut. */
  append(stream: LogStream, text: string) {
    const parts = (this.#open[stream] + text).split("\n");
    const open = parts.pop() ?? "";
    for (const part of parts) this.#push(stream, part);
    if (open.length > LONGEST_LINE * 4) {
      this.#push(stream, open);
      this.#open[stream] = "";
    } else this.#open[stream] = open;
    this.#bound();
  }

  /** The streams have ended: what has no line break yet is a line, too. */
  end() {
    for (const stream of ["stdout", "stderr"] as const) {
      if (this.#open[stream] !== "") this.#push(stream, this.#open[stream]);
      this.#open[stream] = "";
    }
    this.#bound();
  }

  clear() {
    this.#lines = [];
    this.#start = 0;
    this.#characters = 0;
    this.#number = 0;
    this.dropped = 0;
    this.#open.stdout = "";
    this.#open.stderr = "";
  }

  /** Positions of the lines that hold `words`, in any case; at most `most`, the last ones. */
  find(words: string, most = 10_000): number[] {
    const wanted = words.toLowerCase();
    const found: number[] = [];
    if (wanted === "") return found;
    for (let at = this.length - 1; at >= 0 && found.length < most; at -= 1) {
      if (this.at(at)?.text.toLowerCase().includes(wanted)) found.push(at);
    }
    return found.reverse();
  }

  #push(stream: LogStream, line: string) {
    const text = plain(line);
    this.#number += 1;
    this.#lines.push({ number: this.#number, stream, text });
    this.#characters += text.length;
  }

  #bound() {
    while (this.length > this.mostLines || (this.#characters > this.mostCharacters && this.length > 1)) {
      this.#characters -= this.#lines[this.#start]?.text.length ?? 0;
      this.#start += 1;
      this.dropped += 1;
    }
    // Room is given back in bulk: each line is moved once in a while, not at every new one.
    if (this.#start > this.mostLines) {
      this.#lines = this.#lines.slice(this.#start);
      this.#start = 0;
    }
  }
}
