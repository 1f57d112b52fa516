import { QueryClientProvider } from "@tanstack/react-query";
import { render } from "@testing-library/react";
import { createMemoryRouter, RouterProvider, type RouteObject } from "react-router";
import { vi } from "vitest";
import { SessionProvider } from "../api/session";
import { makeQueryClient } from "../app/query";
import { Toasts } from "../ui";

export type Call = { method: string; path: string; query: URLSearchParams; body: unknown; headers: Headers };
export type Answers = Record<string, unknown | ((call: Call) => unknown)>;

/** An answer that is not a success. */
export class Refusal {
  constructor(
    readonly status: number,
    readonly body: Record<string, unknown>,
  ) {}
}

/** A stream on which nothing is ever said. */
function quiet(signal: AbortSignal | null | undefined): Promise<Response> {
  return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError"))));
}

/**
 * Answers requests from `answers`, by `METHOD /path`; what is not there is refused as missing. Returns every call.
 * `mockImplementation` of the returned function can make the pool go away.
 */
export function stubPool(answers: Answers) {
  const calls: Call[] = [];
  const pool = vi.fn(async (input: string, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(input, "http://pool");
    const call: Call = {
      method: init.method ?? "GET",
      path: url.pathname.replace("/api/v1", ""),
      query: url.searchParams,
      body: typeof init.body === "string" ? JSON.parse(init.body) : null,
      headers: new Headers(init.headers),
    };
    if (call.path.endsWith("/events") && !(`${call.method} ${call.path}` in answers)) return quiet(init.signal);
    calls.push(call);
    const found = answers[`${call.method} ${call.path}`];
    const body: unknown = typeof found === "function" ? await (found as (call: Call) => unknown)(call) : found;
    if (body === undefined) return new Response(JSON.stringify({ code: "E_NOT_FOUND", detail: `no ${call.path}` }), { status: 404 });
    if (body instanceof Refusal) return new Response(JSON.stringify(body.body), { status: body.status });
    return new Response(JSON.stringify(body), { status: 200 });
  });
  vi.stubGlobal("fetch", pool);
  vi.stubGlobal("ResizeObserver", class { observe() { return undefined; } disconnect() { return undefined; } });
  return { pool, calls };
}

/** Shows the routes at `path` as a visitor sees them. */
export function visit(routes: RouteObject[], path: string) {
  const router = createMemoryRouter(routes, { initialEntries: [path] });
  const shown = render(
    <QueryClientProvider client={makeQueryClient()}>
      <Toasts>
        <SessionProvider>
          <RouterProvider router={router} />
        </SessionProvider>
      </Toasts>
    </QueryClientProvider>,
  );
  return { ...shown, router };
}
