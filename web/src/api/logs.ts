/**
 * The live log of one element: `GET /tasks/{id}/logs/events`.
 *
 * Pieces are gathered and handed on once per animation frame, however fast they come. A piece that came already (after the
 * connection broke) is left out; a new attempt begins anew.
 *
 * Invariant: nothing is parsed but the envelope; the text stays text.
 */
import type { LogBuffer, LogStream } from "../lib/log";
import { address } from "./client";

export type LogState = "connecting" | "live" | "ended" | "lost";

type Piece = { attempt: number; stream: LogStream; offset: number; text: string };

function piece(data: string): Piece | null {
  try {
    const { attempt, stream, offset, text } = JSON.parse(data) as Record<string, unknown>;
    if (typeof attempt !== "number" || typeof offset !== "number" || typeof text !== "string") return null;
    return stream === "stdout" || stream === "stderr" ? { attempt, stream, offset, text } : null;
  } catch {
    return null;
  }
}

type Parts = {
  buffer: LogBuffer;
  /** The buffer has changed. */
  onChange: () => void;
  onState: (state: LogState) => void;
  makeSource?: (url: string) => EventSource;
  /** Calls back once, soon. */
  soon?: (run: () => void) => void;
};

const RETRY_MS = 2000;
/** More than this at once is of no use to a page: a longer log begins with its end. */
export const TAIL_BYTES = 8 * 1024 * 1024;

export class LogFollower {
  #source: EventSource | null = null;
  #timer: number | undefined;
  #attempt = 0;
  #next: Record<LogStream, number> = { stdout: 0, stderr: 0 };
  #pending: Piece[] = [];
  #asked = false;
  #stopped = false;
  /** The number of the attempt that is shown; 0: nothing came yet. */
  get attempt() {
    return this.#attempt;
  }

  constructor(
    private readonly url: string,
    private readonly parts: Parts,
  ) {}

  static of(task: string, element: number | null, parts: Parts): LogFollower {
    const path = `/tasks/${encodeURIComponent(task)}/logs/events`;
    return new LogFollower(address(path, { element, tail_bytes: TAIL_BYTES }), parts);
  }

  start() {
    const source = (this.parts.makeSource ?? ((url) => new EventSource(url)))(this.url);
    this.#source = source;
    source.onopen = () => this.parts.onState("live");
    source.addEventListener("log", (event) => this.#take(String((event as MessageEvent).data)));
    source.addEventListener("end", () => {
      source.close();
      this.#flush();
      this.parts.buffer.end();
      this.parts.onChange();
      this.parts.onState("ended");
    });
    source.addEventListener("lost", () => this.#again(source));
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) this.#again(source);
      else this.parts.onState("lost");
    };
  }

  #again(source: EventSource) {
    source.close();
    if (this.#stopped || source !== this.#source) return;
    this.parts.onState("lost");
    // A new connection tells the end of the log anew: what is here is replaced by its first piece.
    this.#attempt = 0;
    this.#timer = window.setTimeout(() => this.start(), RETRY_MS);
  }

  #take(data: string) {
    const one = piece(data);
    if (!one) return;
    this.#pending.push(one);
    if (this.#asked) return;
    this.#asked = true;
    (this.parts.soon ?? requestAnimationFrame)(() => this.#flush());
  }

  #flush() {
    this.#asked = false;
    if (this.#pending.length === 0 || this.#stopped) return;
    const { buffer } = this.parts;
    for (const one of this.#pending) {
      if (one.attempt !== this.#attempt) {
        if (one.attempt < this.#attempt) continue;
        buffer.clear();
        this.#attempt = one.attempt;
        this.#next = { stdout: 0, stderr: 0 };
      }
      // A piece that came before the connection broke.
      if (one.offset < this.#next[one.stream]) continue;
      buffer.append(one.stream, one.text);
      this.#next[one.stream] = one.offset + 1;
    }
    this.#pending = [];
    this.parts.onChange();
  }

  stop() {
    this.#stopped = true;
    window.clearTimeout(this.#timer);
    this.#source?.close();
  }
}
