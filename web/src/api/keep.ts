/**
 * A stream of events that is listened to again whenever it ends. Start at {@link keep}.
 *
 * Invariant: nothing is asked for faster than the waits below, and never again once it is over.
 */
import { Problem } from "./problem";
import type { Asked, Listen } from "./stream";

const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 15_000;
/** What a server asks for is waited for up to this. */
const LONGEST_ASKED_MS = 60_000;
/** A stream that ends sooner has not served anybody: the next one waits. */
const SHORTEST_MS = 2000;

type Parts = {
  listen: Listen;
  signal: AbortSignal;
  /** After which event it goes on. */
  lastEventId: () => string;
  onOpen: () => void;
  onFrame: Asked["onFrame"];
  /** It broke off, or the server has said that what it stands for is away: the next try comes after a wait, which `wake` ends. Null: the wait is over. */
  onWait: (wake: (() => void) | null) => void;
  /** What the server refused it for; true: asking again cannot help. */
  onRefused: (problem: Problem) => boolean;
  /** Nothing more will come. */
  isOver: () => boolean;
};

/** Listens until `signal`, or until it is over. */
export async function keep({ listen, signal, lastEventId, onOpen, onFrame, onWait, onRefused, isOver }: Parts): Promise<void> {
  let failures = 0;
  while (!signal.aborted && !isOver()) {
    let openedAt: number | null = null;
    let isLost = false;
    let askedMs = 0;
    const served = () => openedAt !== null && Date.now() - openedAt >= SHORTEST_MS;
    try {
      await listen({
        lastEventId: lastEventId(),
        signal,
        onOpen: () => {
          openedAt = Date.now();
          onOpen();
        },
        onFrame: (frame, id) => {
          if (signal.aborted) return;
          // The server is here, but what it stands for is not: the stream ends after this.
          isLost = frame.kind === "lost";
          onFrame(frame, id);
        },
      });
      // It ends with the login that opened it, which the page renews before: the next one goes on where it was.
      if (!isLost && served()) {
        failures = 0;
        continue;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem) {
        if (onRefused(error)) return;
        askedMs = (error.retryAfterSeconds ?? 0) * 1000;
      }
    }
    if (signal.aborted || isOver()) return;
    failures = served() ? 0 : failures + 1;
    const growing = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures, 10)) * (0.75 + Math.random() / 2);
    await pause(Math.min(LONGEST_ASKED_MS, Math.max(growing, askedMs)), signal, onWait);
  }
}

function pause(ms: number, signal: AbortSignal, onWait: Parts["onWait"]): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      window.clearTimeout(timer);
      signal.removeEventListener("abort", done);
      onWait(null);
      resolve();
    };
    const timer = window.setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
    onWait(done);
  });
}
