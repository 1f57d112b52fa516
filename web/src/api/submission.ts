/**
 * Keys that make a repeated submission harmless.
 *
 * One key belongs to one content: who sends the same again, because the answer was lost, sends the same key. Content and key are
 * kept in the tab before the request goes out and until it was answered, so that a reload or another page in between changes
 * nothing. A changed content is another submission, and so is the same content after a success.
 *
 * Invariant: no request is made here.
 */
import { useMemo, useState } from "react";
import { drop, keep, kept } from "../lib/kept";
import { Problem } from "./problem";

/** A random key of 128 bits, hexadecimal. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * How a content stands to what was sent under the same name and not answered. `none`: all was answered; `same`: this was sent,
 * and may have happened; `other`: something else was; `earlier`: something was, and there is no content yet.
 */
export type Standing = "none" | "same" | "other" | "earlier";

type Sent = { content: string; key: string };

/** Contents without an answer that are kept for one name; above it the oldest goes. */
const MOST = 8;

/** Whether what failed so may have happened all the same. */
export function isUnanswered(error: unknown): boolean {
  return !(error instanceof Problem) || error.status >= 500 || error.status === 408;
}

/** Whether the pool itself looked at the key and refused: with a key that it knows it would have told the first answer. */
function isRefusal(error: unknown): boolean {
  return error instanceof Problem && !isUnanswered(error) && ![401, 403, 425, 429].includes(error.status);
}

export class Submission {
  readonly #name: string;

  constructor(name: string, private readonly makeKey: () => string = newKey) {
    this.#name = `sent.${name}`;
  }

  #sent(): Sent[] {
    const all = kept(this.#name);
    if (!Array.isArray(all)) return [];
    return all.filter((one: Partial<Sent> | null): one is Sent => typeof one?.content === "string" && typeof one.key === "string");
  }

  #put(all: Sent[]) {
    if (all.length === 0) drop(this.#name);
    else keep(this.#name, all.slice(-MOST));
  }

  /** How `content` stands to what was not answered; null: there is none yet. */
  standing(content: unknown): Standing {
    const all = this.#sent();
    if (all.length === 0) return "none";
    if (content === null) return "earlier";
    const text = JSON.stringify(content);
    return all.some((one) => one.content === text) ? "same" : "other";
  }

  /** Forgets what was not answered: the same content again is a new submission. */
  forget() {
    drop(this.#name);
  }

  /** Sends with the key of the content. It is kept where it is not known whether this, or the same before, has happened. */
  async send<Answer>(content: unknown, send: (key: string) => Promise<Answer>): Promise<Answer> {
    const text = JSON.stringify(content);
    const before = this.#sent().find((one) => one.content === text);
    const key = before?.key ?? this.makeKey();
    if (!before) this.#put([...this.#sent(), { content: text, key }]);
    const answered = () => this.#put(this.#sent().filter((one) => one.key !== key));
    try {
      const answer = await send(key);
      answered();
      return answer;
    } catch (error) {
      if (isRefusal(error) || (!before && !isUnanswered(error))) answered();
      throw error;
    }
  }
}

/** The submissions of a form. `name` says which form it is, and what of: all that have it share their keys. */
export function useSubmission(name: string) {
  const submission = useMemo(() => new Submission(name), [name]);
  const [sending, setSending] = useState(0);
  const [, redraw] = useState(0);
  return useMemo(
    () => ({
      /** What is on its way has no standing yet. */
      standing: (content: unknown): Standing => (sending > 0 ? "none" : submission.standing(content)),
      forget: () => {
        submission.forget();
        redraw((before) => before + 1);
      },
      send: async <Answer,>(content: unknown, send: (key: string) => Promise<Answer>): Promise<Answer> => {
        setSending((before) => before + 1);
        try {
          return await submission.send(content, send);
        } finally {
          setSending((before) => before - 1);
        }
      },
    }),
    // What is drawn again reads what is kept anew.
    [submission, sending],
  );
}
