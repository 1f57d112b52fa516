import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import type { ReactNode } from "react";
import { MemoryRouter } from "react-router";
import { afterEach, describe, expect, it, vi } from "vitest";
import { violations } from "../testing/axe";
import { Toasts } from "../ui";
import { someNow, somePreferences } from "./model/samples";
import { takeToken } from "./session";
import Now from "./Now";
import When from "./When";

type Answer = { status?: number; body: unknown };
const asked: { method: string; path: string; body: unknown }[] = [];

/** Answers requests from `answers`, by method and path; everything else is not found. */
function serve(answers: Record<string, Answer | ((body: unknown) => Answer)>) {
  asked.length = 0;
  vi.stubGlobal("fetch", (url: string, init: RequestInit = {}) => {
    const path = new URL(url, "http://here").pathname.replace("/api/v1", "");
    const body: unknown = typeof init.body === "string" ? JSON.parse(init.body) : null;
    asked.push({ method: init.method ?? "GET", path, body });
    const found = answers[`${init.method ?? "GET"} ${path}`] ?? { status: 404, body: { code: "E_NOT_FOUND", detail: path } };
    const { status = 200, body: told } = typeof found === "function" ? found(body) : found;
    return Promise.resolve(new Response(JSON.stringify(told), { status }));
  });
}

function show(page: ReactNode) {
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  return render(<QueryClientProvider client={client}><Toasts><MemoryRouter><main>{page}</main></MemoryRouter></Toasts></QueryClientProvider>);
}

// jsdom draws nothing.
vi.mock("../ui/LivePlot", () => ({ default: () => null }));

afterEach(() => vi.unstubAllGlobals());

describe("Now", () => {
  it("says what the machine does and pauses it", async () => {
    const user = userEvent.setup();
    serve({
      "GET /worker/now": { body: someNow() },
      "POST /worker/pause": { body: { ...someNow({ mode: "pause", state: "paused" }), sentence: "Paused: the owner paused it" } },
    });
    const { container } = show(<Now />);
    expect(await screen.findByText("Computing 1 task")).toBeTruthy();
    expect(await violations(container)).toEqual([]);
    await user.selectOptions(screen.getByLabelText("Finish or pause for"), "1 hour");
    await user.click(screen.getByRole("button", { name: "Pause" }));
    expect(await screen.findByText("Paused: the owner paused it")).toBeTruthy();
    expect(asked.find((one) => one.method === "POST")).toEqual({ method: "POST", path: "/worker/pause", body: { part: "machine", for_ms: 3_600_000 } });
  });

  it("shows the worker's refusal and stays as it was", async () => {
    const user = userEvent.setup();
    serve({ "GET /worker/now": { body: someNow() }, "POST /worker/finish": { status: 503, body: { code: "E_BUSY", detail: "the worker is busy; try again" } } });
    show(<Now />);
    await user.click(await screen.findByRole("button", { name: "Finish" }));
    expect((await screen.findByRole("alert")).textContent).toContain("E_BUSY");
    expect(screen.getByRole("button", { name: "Start" }).getAttribute("aria-pressed")).toBe("true");
  });

  it("renders what tasks are called as text", async () => {
    const [task] = someNow().overview.running;
    serve({ "GET /worker/now": { body: someNow({ running: [{ ...task, image: "<img src=x>" } as never] }) } });
    const { container } = show(<Now />);
    expect(await screen.findByText("<img src=x>")).toBeTruthy();
    expect(container.querySelector("img")).toBeNull();
  });
});

describe("When to run", () => {
  it("sends everything, and puts a refusal at its field", async () => {
    const user = userEvent.setup();
    serve({
      "GET /worker/preferences": { body: somePreferences() },
      "PUT /worker/preferences": { status: 400, body: { code: "E_INVALID", field: "suspend.minutes", detail: "the worker says no" } },
    });
    const { container } = show(<When />);
    const field = await screen.findByLabelText("Work that has to stop stands still for");
    expect(await violations(container)).toEqual([]);
    await user.clear(field);
    await user.type(field, "20");
    await user.click(screen.getByRole("button", { name: "Save" }));
    await waitFor(() => expect(field.getAttribute("aria-invalid")).toBe("true"));
    expect(asked.find((one) => one.method === "PUT")?.body).toEqual({ ...somePreferences(), suspend: { minutes: 20 } });
    expect((field as HTMLInputElement).value).toBe("20");
  });

  it("sends nothing that is out of bounds", async () => {
    const user = userEvent.setup();
    serve({ "GET /worker/preferences": { body: somePreferences() } });
    show(<When />);
    const field = await screen.findByLabelText("Work that has to stop stands still for");
    await user.clear(field);
    await user.type(field, "soon");
    await user.click(screen.getByRole("button", { name: "Save" }));
    expect(await screen.findByText(/Write a whole number from 0 to 1,440/)).toBeTruthy();
    expect(asked.some((one) => one.method === "PUT")).toBe(false);
  });
});

describe("the secret behind #", () => {
  it("is taken out of the address", () => {
    const replaced: unknown[] = [];
    const past = { state: null, replaceState: (...words: unknown[]) => void replaced.push(words[2]) } as unknown as History;
    const place = (hash: string) => ({ hash, pathname: "/when", search: "?x=1" }) as Location;
    expect(takeToken(place("#token=abc"), past)).toBe("abc");
    expect(takeToken(place("#run"), past)).toBeNull();
    expect(takeToken(place(""), past)).toBeNull();
    expect(replaced).toEqual(["/when?x=1"]);
  });
});
