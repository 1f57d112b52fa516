/**
 * Requests to `/api/v1` of the server that this page came from.
 *
 * The session is a cookie that scripts cannot read; unsafe methods carry its CSRF token. A 401 renews the session once and
 * repeats the request. Start at [`request`].
 *
 * Invariant: nothing is stored, and no other origin is asked for anything.
 */
import { Problem, problemOf, Unreachable } from "./problem";
import type { Me } from "./types";

export const API = "/api/v1";

export type Query = Record<string, string | number | boolean | null | undefined>;

export type Options = {
  method?: "GET" | "POST" | "PUT" | "DELETE";
  query?: Query;
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is. */
  bytes?: Blob;
  /** For what creates or moves money: see `submission`. */
  idempotencyKey?: string;
  /** What is wanted; JSON where nothing is said. */
  accept?: string;
  /** Goes on after this event of a stream; empty: from its beginning. */
  lastEventId?: string;
  signal?: AbortSignal | undefined;
};

let csrf = "";
let renewal: Promise<Me> | null = null;

export type Hooks = {
  /** The session has ended and cannot be renewed. */
  ended: () => void;
  /** It was renewed. */
  renewed: (me: Me) => unknown;
  /** A change was refused for want of the session's word: finds out whose session it is now; false: not the one before. */
  refused: () => Promise<boolean>;
};

const NO_HOOKS: Hooks = { ended: () => undefined, renewed: () => undefined, refused: () => Promise.resolve(false) };
let hooks = NO_HOOKS;

/** Remembers the session's CSRF token for what follows; an empty text forgets it. */
export function rememberToken(token: string) {
  csrf = token;
}

/** What is called when something happens to the session. */
export function onSession(called: Partial<Hooks>) {
  hooks = { ...NO_HOOKS, ...called };
}

export function address(path: string, query: Query = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") params.set(name, String(value));
  }
  const text = params.toString();
  return API + path + (text ? `?${text}` : "");
}

async function once(path: string, { method = "GET", query, body, bytes, idempotencyKey, accept = "application/json", lastEventId, signal }: Options): Promise<Response> {
  const headers = new Headers({ accept });
  if (method !== "GET" && csrf) headers.set("x-csrf-token", csrf);
  if (body !== undefined) headers.set("content-type", "application/json");
  else if (bytes) headers.set("content-type", "application/octet-stream");
  if (idempotencyKey) headers.set("idempotency-key", idempotencyKey);
  if (lastEventId) headers.set("last-event-id", lastEventId);
  try {
    return await fetch(address(path, query), {
      method,
      headers,
      body: body !== undefined ? JSON.stringify(body) : (bytes ?? null),
      credentials: "same-origin",
      cache: "no-store",
      signal: signal ?? null,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable(error);
  }
}

/** Renews the session; requests that need it at the same time share one renewal. */
export function renew(): Promise<Me> {
  renewal ??= (async () => {
    try {
      const response = await once("/auth/refresh", { method: "POST" });
      if (!response.ok) throw await problemOf(response);
      const me = (await response.json()) as Me;
      rememberToken(me.csrf_token);
      hooks.renewed(me);
      return me;
    } finally {
      renewal = null;
    }
  })();
  return renewal;
}

/** Whether a refused renewal says that there is nothing to renew: the pool knows no session, or this server renews none. */
function saysEnded(error: unknown): boolean {
  return error instanceof Problem && (error.status === 401 || error.status === 404);
}

/** As `renew`, and where there is no session any more, the page is told. */
export async function renewOrEnd(): Promise<Me> {
  try {
    return await renew();
  } catch (error) {
    // A pool that is busy or away has not ended anything.
    if (saysEnded(error)) hooks.ended();
    throw error;
  }
}

/** A 401 of these says nothing of the session that a renewal could mend. */
const OPEN_PATHS = new Set(["/auth/login", "/auth/register", "/auth/refresh", "/auth/logout", "/public"]);

/** After a 401: renews the session; where there is none any more, the refusal itself is thrown. */
async function renewAfter(refused: Problem): Promise<void> {
  try {
    await renewOrEnd();
  } catch (error) {
    throw saysEnded(error) ? refused : error;
  }
}

/** Asks, and renews the session once where that is what it lacks. Throws `Problem` or `Unreachable`. */
export async function respond(path: string, options: Options = {}): Promise<Response> {
  let response = await once(path, options);
  if (response.status === 401 && !OPEN_PATHS.has(path)) {
    await renewAfter(await problemOf(response));
    response = await once(path, options);
  }
  if (response.status === 403 && (options.method ?? "GET") !== "GET") {
    const refused = await problemOf(response);
    // Another tab has signed in meanwhile. What this page was about to do is done for nobody but the person it was shown to.
    if (refused.code !== "E_CSRF" || !(await hooks.refused().catch(() => false))) throw refused;
    response = await once(path, options);
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

/** As `respond`, and reads the answer as JSON; an empty answer is null. */
export async function request<Answer>(path: string, options: Options = {}): Promise<Answer> {
  const response = await respond(path, options);
  const text = await response.text();
  return (text === "" ? null : JSON.parse(text)) as Answer;
}

type Upload = [path: string, bytes: Blob, onSent: (sent: number) => void, signal?: AbortSignal];

/** Sends bytes with progress, which `fetch` cannot tell. `onSent` gets bytes sent so far. Renews the session as `respond` does. */
export async function upload<Answer>(...what: Upload): Promise<Answer> {
  try {
    return await uploadOnce<Answer>(...what);
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) throw error;
    await renewAfter(error);
    return uploadOnce<Answer>(...what);
  }
}

function uploadOnce<Answer>(...[path, bytes, onSent, signal]: Upload): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    call.open("PUT", address(path));
    call.setRequestHeader("content-type", "application/octet-stream");
    if (csrf) call.setRequestHeader("x-csrf-token", csrf);
    call.upload.onprogress = (event) => onSent(event.loaded);
    call.onerror = () => reject(new Unreachable("the upload broke off"));
    call.onabort = () => reject(new DOMException("stopped", "AbortError"));
    call.onload = () => {
      const response = new Response(call.responseText, { status: call.status === 0 ? 503 : call.status });
      if (response.ok) resolve(JSON.parse(call.responseText) as Answer);
      else problemOf(response).then(reject, reject);
    };
    signal?.addEventListener("abort", () => call.abort(), { once: true });
    call.send(bytes);
  });
}
