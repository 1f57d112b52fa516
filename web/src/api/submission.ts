/**
 * Keys that make a repeated submission harmless.
 *
 * One key belongs to one content: who sends the same again, because the answer was lost, sends the same key. A changed content is
 * another submission, and so is the same content after a success.
 *
 * Invariant: no request is made here.
 */
import { useRef } from "react";
import { Problem } from "./problem";

/** A random key of 128 bits, hexadecimal. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Submission {
  #content = "";
  #key = "";

  constructor(private readonly makeKey: () => string = newKey) {}

  /** The key for `content`: the same as before where that was not answered. */
  keyFor(content: unknown): string {
    const text = JSON.stringify(content);
    if (text !== this.#content || this.#key === "") {
      this.#content = text;
      this.#key = this.makeKey();
    }
    return this.#key;
  }

  /** It was answered: the same content again is a new submission. */
  answered() {
    this.#key = "";
  }

  /** Sends with the right key. Only a lost answer, a busy or a failed server keeps the key. */
  async send<Answer>(content: unknown, send: (key: string) => Promise<Answer>): Promise<Answer> {
    try {
      const answer = await send(this.keyFor(content));
      this.answered();
      return answer;
    } catch (error) {
      if (error instanceof Problem && error.status < 500 && error.status !== 429 && error.status !== 401) this.answered();
      throw error;
    }
  }
}

/** One submission for the life of a form. */
export function useSubmission(): Submission {
  const held = useRef<Submission | null>(null);
  held.current ??= new Submission();
  return held.current;
}
