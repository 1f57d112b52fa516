/**
 * The live log of one element: `GET /tasks/{id}/logs/events`.
 *
 * Pieces are gathered and handed on once per animation frame, however fast they come. What broke off goes on after the last piece
 * that came, and a new attempt begins anew. A hidden page reads nothing and goes on there, too.
 *
 * Invariant: nothing is parsed but the envelope, the text stays text; and what was refused is not asked for again.
 */
import type { LogBuffer, LogStream } from "../lib/log";
import { whileShown } from "../lib/shown";
import { keep } from "./keep";
import { type Problem, problemOfText } from "./problem";
import { type Frame, listen, type Listen } from "./stream";

export type LogState = "connecting" | "live" | "ended" | "lost" | "refused";

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
  /** It will not come, and why. */
  onRefused: (problem: Problem) => void;
  listen: Listen;
  /** Calls back once, soon. */
  soon?: (run: () => void) => void;
};

/** More than this at once is of no use to a page: a longer log begins with its end. */
export const TAIL_BYTES = 8 * 1024 * 1024;

/** Whether asking again cannot help. */
function isRefusal({ status }: Problem): boolean {
  return status >= 400 && status < 500 && ![408, 425, 429].includes(status);
}

export class LogFollower {
  #stop: (() => void) | null = null;
  #lastId = "";
  #attempt = 0;
  #next: Record<LogStream, number> = { stdout: 0, stderr: 0 };
  #pending: Piece[] = [];
  #asked = false;
  /** It has ended or was refused: there is no more. */
  #over = false;
  /** The number of the attempt that is shown; 0: nothing came yet. */
  get attempt() {
    return this.#attempt;
  }

  constructor(private readonly parts: Parts) {}

  static of(task: string, element: number | null, parts: Omit<Parts, "listen">): LogFollower {
    const path = `/tasks/${encodeURIComponent(task)}/logs/events`;
    return new LogFollower({ ...parts, listen: (asked) => listen(path, { ...asked, query: { element, tail_bytes: TAIL_BYTES } }) });
  }

  start() {
    this.#stop ??= whileShown(() => {
      const shown = new AbortController();
      void this.#follow(shown.signal);
      return () => {
        // A hidden page is not drawn: what has come goes into the buffer now.
        this.#flush();
        shown.abort();
      };
    });
  }

  stop() {
    this.#over = true;
    this.#pending = [];
    this.#stop?.();
    this.#stop = null;
  }

  #follow(signal: AbortSignal): Promise<void> {
    return keep({
      listen: this.parts.listen,
      signal,
      lastEventId: () => this.#lastId,
      onOpen: () => this.parts.onState("live"),
      onFrame: (frame, id) => this.#hear(frame, id),
      onWait: (wake) => {
        if (wake) this.parts.onState("lost");
      },
      onRefused: (problem) => {
        if (isRefusal(problem)) this.#refuse(problem);
        return this.#over;
      },
      isOver: () => this.#over,
    });
  }

  #hear({ kind, text }: Frame, id: string) {
    this.#lastId = id;
    if (kind === "log") {
      this.#take(text);
    } else if (kind === "refused") {
      this.#flush();
      this.#refuse(problemOfText(text));
    } else if (kind === "end") {
      this.#flush();
      this.#over = true;
      this.parts.buffer.end();
      this.parts.onChange();
      this.parts.onState("ended");
    }
  }

  #refuse(problem: Problem) {
    this.#over = true;
    this.parts.onRefused(problem);
    this.parts.onState("refused");
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
    if (this.#pending.length === 0) return;
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
}
