import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import type { ReactNode } from "react";
import { MemoryRouter, Route, Routes } from "react-router";
import { afterEach, describe, expect, it, vi } from "vitest";
import { SessionProvider } from "../api/session";
import { violations } from "../testing/axe";
import { Toasts } from "../ui";
import Audit from "./Audit";
import Ledger from "./Ledger";
import { aHealth, aNode } from "./model/samples";
import Nodes from "./Nodes";
import { healthQuery, nodesQuery, useLiveNodes } from "./queries";
import Health from "./Health";

const ME = { username: "operator", user_id: "u", role: "operator", level: "none", beta: false, vote: false, csrf_token: "c", token_expires_at_unix_ms: 0 };
const SUPPLY = "1000000000000000000";
const asked: { method: string; url: string; body: unknown }[] = [];

function serve(answers: Record<string, unknown>) {
  asked.length = 0;
  vi.stubGlobal("fetch", (url: string, init: RequestInit = {}) => {
    const at = new URL(url, "http://here");
    const path = at.pathname.replace("/api/v1", "");
    asked.push({ method: init.method ?? "GET", url: path + at.search, body: typeof init.body === "string" ? JSON.parse(init.body) : null });
    const all: Record<string, unknown> = { "GET /auth/me": ME, ...answers };
    const told = all[`${init.method ?? "GET"} ${path}`];
    return Promise.resolve(new Response(JSON.stringify(told ?? { code: "E_NOT_FOUND", detail: path }), { status: told === undefined ? 404 : 200 }));
  });
}

function show(page: ReactNode, client = new QueryClient({ defaultOptions: { queries: { retry: false, staleTime: Number.POSITIVE_INFINITY } } })) {
  const shown = render(
    <QueryClientProvider client={client}>
      <SessionProvider>
        <Toasts><MemoryRouter><main><Routes><Route path="*" element={page} /></Routes></main></MemoryRouter></Toasts>
      </SessionProvider>
    </QueryClientProvider>,
  );
  return { ...shown, client };
}

// jsdom draws nothing.
vi.mock("../ui/LivePlot", () => ({ default: () => null }));

afterEach(() => vi.unstubAllGlobals());

describe("Health", () => {
  it("says that all is well, and what is not, without a request for either", async () => {
    serve({ "GET /pool/health": aHealth() });
    const { container, client } = show(<Health />);
    expect(await screen.findByText("All is well")).toBeTruthy();
    expect(await violations(container)).toEqual([]);
    const before = asked.length;
    act(() => void client.setQueryData(healthQuery.queryKey, aHealth({ tasks_lost: 2 })));
    expect(await screen.findByText("2 tasks lost")).toBeTruthy();
    expect(screen.queryByText("All is well")).toBeNull();
    expect(asked).toHaveLength(before);
  });
});

function LiveNodes() {
  useLiveNodes();
  return <Nodes />;
}

describe("Nodes", () => {
  it("follows events of single nodes", async () => {
    serve({ "GET /nodes": { items: [aNode({ node_id: "n-1" }), aNode({ node_id: "n-2", owner: "<b>eve</b>" })], next_cursor: null } });
    const { container, client } = show(<LiveNodes />);
    expect(await screen.findByRole("link", { name: "n-1" })).toBeTruthy();
    expect(screen.getByText("<b>eve</b>")).toBeTruthy();
    expect(await violations(container)).toEqual([]);
    const before = asked.length;
    act(() => void client.setQueryData(["node", "n-1"], aNode({ node_id: "n-1", service: "banned" })));
    act(() => void client.setQueryData(["node", "n-3"], aNode({ node_id: "n-3" })));
    expect(await screen.findByRole("link", { name: "n-3" })).toBeTruthy();
    expect(screen.getByText("banned")).toBeTruthy();
    expect(client.getQueryData(nodesQuery.queryKey)).toHaveLength(3);
    expect(asked).toHaveLength(before);
  });

  it("asks all pages of the list, and finds in it", async () => {
    const user = userEvent.setup();
    serve({ "GET /nodes": { items: [aNode({ node_id: "n-1" }), aNode({ node_id: "n-2", labels: ["zone=lab"] })], next_cursor: null } });
    show(<Nodes />);
    await user.type(await screen.findByLabelText("Find"), "zone=lab");
    expect(screen.queryByRole("link", { name: "n-1" })).toBeNull();
    expect(screen.getByRole("link", { name: "n-2" })).toBeTruthy();
    expect(asked.find((one) => one.url.startsWith("/nodes"))?.url).toBe("/nodes?all=true&limit=1000");
  });
});

describe("Ledger", () => {
  const trial = (available: string) => ({
    lines: [{ kind: "treasury", accounts: 1, balance_micro: "999999999999999000" }, { kind: "available", accounts: 1, balance_micro: available }],
    supply_micro: SUPPLY, expected_supply_micro: SUPPLY, entries: 2, last_hash: "ab".repeat(32), holds: [],
  });

  it("adds up to the last micro-CPT", async () => {
    serve({ "GET /pool/trial-balance": trial("1000") });
    const { container } = show(<Ledger />);
    expect(await screen.findByText("The books balance")).toBeTruthy();
    expect(await violations(container)).toEqual([]);
  });

  it("says by how much they do not", async () => {
    serve({ "GET /pool/trial-balance": trial("999") });
    show(<Ledger />);
    expect(await screen.findByText("The books do not balance")).toBeTruthy();
    expect(screen.getByText(/−0\.000001/)).toBeTruthy();
  });
});

describe("Audit", () => {
  it("shows the sides of an entry, which sum to nothing", async () => {
    const user = userEvent.setup();
    const entry = {
      entry: 7, at_unix_ms: 1_790_000_000_000, kind: "hold", note: "<script>1</script>", hash: "cd".repeat(32), task_id: "task_1", attempt_id: "",
      postings: [{ account: "available", holder: "ada", amount_micro: "-5", balance_micro: "10" }, { account: "held", holder: "ada", amount_micro: "5", balance_micro: "5" }],
    };
    serve({ "GET /pool/journal": { items: [entry], next_cursor: null } });
    show(<Audit />);
    expect(await screen.findByText("<script>1</script>")).toBeTruthy();
    await user.click(screen.getByRole("button", { name: "Entry 7, show its sides" }));
    const dialog = screen.getByRole("dialog");
    expect(within(dialog).getByText(/^Together/).textContent).toContain("0.00 CPT");
    expect(within(dialog).getByText("task_1")).toBeTruthy();
  });
});
