/**
 * Streams of events (`text/event-stream`), read with `fetch`: unlike the browser's own reader it tells why an answer is none, and
 * goes on after the event that a page names. Start at [`listen`].
 *
 * Invariant: nothing is tried again here, and what is kept of a stream that says too much is bounded.
 */
import { address, type Query, respond } from "./client";
import { Unreachable } from "./problem";

export type Frame = { kind: string; text: string };

export type Asked = {
  query?: Query;
  /** The last event that came before; empty: none did. */
  lastEventId: string;
  signal: AbortSignal;
  onOpen: () => void;
  /** Called for each event, with the id by which one goes on after it. */
  onFrame: (frame: Frame, id: string) => void;
};

export type Listen = (asked: Asked) => Promise<void>;

/** The longest event that is read, in characters. */
const MOST_CHARACTERS = 16 * 1024 * 1024;
/** The server says at least every 15 seconds that it is there. */
const LONGEST_SILENCE_MS = 60_000;

/** Makes events of the text of a stream, wherever it was cut. */
export class Frames {
  #rest = "";
  #kind = "";
  #data: string[] = [];
  #size = 0;
  /** The id of what came last. */
  id = "";

  /** The events that are complete now, each with its id. Throws where one is longer than any that is sent. */
  take(text: string): [Frame, string][] {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    const found: [Frame, string][] = [];
    for (const line of lines) {
      const frame = this.#line(line.endsWith("\r") ? line.slice(0, -1) : line);
      if (frame) found.push([frame, this.id]);
    }
    if (this.#rest.length + this.#size > MOST_CHARACTERS) throw new Unreachable("an event is too long");
    return found;
  }

  #line(line: string): Frame | null {
    if (line === "") {
      const frame = this.#data.length === 0 ? null : { kind: this.#kind || "message", text: this.#data.join("\n") };
      this.#kind = "";
      this.#data = [];
      this.#size = 0;
      return frame;
    }
    const colon = line.indexOf(":");
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#kind = value;
    else if (name === "id") this.id = value;
    else if (name === "data") {
      this.#data.push(value);
      this.#size += value.length;
    }
    return null;
  }
}

/**
 * Reads the stream at `path` until the server ends it. Throws `Problem` where it is refused, `Unreachable` where it breaks off or
 * falls silent, and the abort of `signal`.
 */
export async function listen(path: string, { query, lastEventId, signal, onOpen, onFrame }: Asked): Promise<void> {
  const stop = new AbortController();
  const end = () => stop.abort();
  if (signal.aborted) end();
  signal.addEventListener("abort", end, { once: true });
  let silence: number | undefined;
  const heard = () => {
    window.clearTimeout(silence);
    silence = window.setTimeout(end, LONGEST_SILENCE_MS);
  };
  try {
    const response = await respond(path, { ...(query ? { query } : {}), accept: "text/event-stream", lastEventId, signal: stop.signal });
    const kind = response.headers.get("content-type") ?? "";
    if (!kind.startsWith("text/event-stream") || !response.body) throw new Unreachable(`${address(path)} is no stream but ${kind || "something"}`);
    onOpen();
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const frames = new Frames();
    heard();
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return;
      heard();
      for (const [frame, id] of frames.take(decoder.decode(value, { stream: true }))) onFrame(frame, id);
    }
  } catch (error) {
    if (signal.aborted || !(error instanceof TypeError || error instanceof DOMException)) throw error;
    throw new Unreachable(error);
  } finally {
    window.clearTimeout(silence);
    signal.removeEventListener("abort", end);
    // Also lets go of a stream that was given up in the middle.
    end();
  }
}
