/**
 * Refusals and failures as pages show them: what the API says (problem+json), and what never reached it.
 *
 * Invariant: no text of an error is interpreted; decisions go by status and code.
 */

/** An answer that is not a success. `code` is stable (`E_...`); `field` names what was wrong in the request. */
export class Problem extends Error {
  override readonly name = "Problem";
  constructor(
    readonly status: number,
    readonly code: string,
    readonly title: string,
    readonly detail: string,
    readonly field: string | null,
    readonly retryAfterSeconds: number | null,
  ) {
    super(detail || title);
  }
}

/** The pool did not answer at all: whether a change was made is unknown. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
  constructor(cause: unknown) {
    super("The pool does not answer.", { cause });
  }
}

/** Reads an answer that is not a success, whatever its body. */
export async function problemOf(response: Response): Promise<Problem> {
  const body: unknown = await response.json().catch(() => null);
  return problemFrom(body, response.status, Number(response.headers.get("retry-after")));
}

/** Reads a problem as it is told inside of a stream; its status is its own. */
export function problemOfText(text: string): Problem {
  let body: unknown = null;
  try {
    body = JSON.parse(text);
  } catch {
    // It is a refusal all the same.
  }
  const status: unknown = typeof body === "object" && body !== null ? Reflect.get(body, "status") : null;
  return problemFrom(body, typeof status === "number" ? status : 400, 0);
}

function problemFrom(body: unknown, status: number, wait: number): Problem {
  const of = (name: string): string => {
    const value: unknown = typeof body === "object" && body !== null ? Reflect.get(body, name) : null;
    return typeof value === "string" ? value : "";
  };
  return new Problem(
    status,
    of("code"),
    of("title") || `The server answered ${status}.`,
    of("detail"),
    of("field") || null,
    Number.isFinite(wait) && wait > 0 ? wait : null,
  );
}

export type Explained = { why: string; fix: string; code: string };

/** Why it failed and what to do, for people. */
export function explainError(error: unknown): Explained {
  if (error instanceof Problem) return { why: error.detail || error.title, fix: fixFor(error), code: error.code };
  if (error instanceof Unreachable) {
    return { why: error.message, fix: "It may be restarting. What you typed is kept; try again in a moment.", code: "" };
  }
  return { why: error instanceof Error ? error.message : String(error), fix: "Reload the page. If it stays, tell the operator what it says here.", code: "" };
}

function fixFor(problem: Problem): string {
  switch (problem.status) {
    case 401: return "Sign in again.";
    case 403: return "Ask the operator of the pool, or sign in as somebody who may.";
    case 429: return `Try again in ${problem.retryAfterSeconds ?? 60} s.`;
    case 502:
    case 503:
    case 504: return "The pool is busy or restarting. Try again in a moment.";
    default: return "";
  }
}

/** What to write under the field `name` of a form. */
export function fieldError(error: unknown, name: string): string | null {
  return error instanceof Problem && error.field === name ? error.detail || error.title : null;
}
