import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, render, screen, waitFor } from "@testing-library/react";
import { useState } from "react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { useDraft } from "../lib/draft";
import { forgetKept } from "../lib/kept";
import { ME } from "../testing/data";
import { Refusal, stubPool } from "../testing/page";
import { request } from "./client";
import { renewalWait } from "./renewal";
import { SessionProvider, useSession } from "./session";

const DORA = { ...ME, username: "dora", user_id: "user_2", csrf_token: "doras" };
const EMPTY = { to: "" };

/** The other tabs of this browser. */
class Others {
  static all: Others[] = [];
  static said: unknown[] = [];
  onmessage: ((event: MessageEvent) => void) | null = null;
  constructor(readonly name: string) {
    Others.all.push(this);
  }
  postMessage(data: unknown) {
    Others.said.push(data);
  }
  close() {
    Others.all = Others.all.filter((one) => one !== this);
  }
  static say(data: unknown) {
    for (const one of Others.all) one.onmessage?.(new MessageEvent("message", { data }));
  }
}

function Form() {
  const [draft, change] = useDraft("transfer", EMPTY);
  const [opened] = useState(() => new Date().getTime());
  return <><input aria-label="To" value={draft.to} onChange={(event) => change({ to: event.target.value })} /><output hidden>{opened}</output><button onClick={() => change({ to: "bob" })}>Fill</button></>;
}

function Page() {
  const { session, logout } = useSession();
  if (session.state !== "signed-in") return <p>{session.state}</p>;
  return <><h1>{session.me.username}{session.ended ? " (ended)" : ""}</h1><Form /><button onClick={() => void logout()}>Out</button></>;
}

let who: unknown = ME;
async function open(answers: Record<string, unknown> = {}) {
  const stubbed = stubPool({ "GET /auth/me": () => who, "POST /auth/refresh": new Refusal(401, {}), "POST /auth/logout": {}, ...answers });
  vi.stubGlobal("BroadcastChannel", Others);
  const client = new QueryClient();
  render(<QueryClientProvider client={client}><SessionProvider><Page /></SessionProvider></QueryClientProvider>);
  await screen.findByRole("heading", { name: "ada" });
  client.setQueryData(["wallet"], { balance_micro: "5" });
  act(() => screen.getByText("Fill").click());
  expect(Object.values({ ...sessionStorage }).join()).toContain("bob");
  return { ...stubbed, client };
}

function nothingOfAda(client: QueryClient) {
  expect(client.getQueryData(["wallet"])).toBeUndefined();
  expect(Object.values({ ...sessionStorage }).join()).not.toContain("bob");
}

const show = () => {
  act(() => void document.dispatchEvent(new Event("visibilitychange")));
};

beforeEach(() => {
  who = ME;
  forgetKept();
  Others.all = [];
  Others.said = [];
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("two people in one browser", () => {
  it.each([
    ["signs in in another tab", () => {
      act(() => Others.say({ say: "entered" }));
    }],
    ["is found when the page comes to the front", show],
    ["is found when a change is refused", () => act(async () => void (await request("/tasks", { method: "POST" }).catch(() => undefined)))],
  ])("somebody else %s: the page starts anew with nothing of the first", async (_, happen) => {
    const { client, calls } = await open({ "POST /tasks": new Refusal(403, { code: "E_CSRF" }) });
    who = DORA;
    await happen();
    await screen.findByRole("heading", { name: "dora" });
    expect((screen.getByLabelText("To") as HTMLInputElement).value).toBe("");
    nothingOfAda(client);
    expect(calls.filter((call) => call.method === "POST" && call.path === "/tasks").length).toBeLessThan(2);
  });
  it("the first signs out in another tab: nothing of them stays", async () => {
    const { client } = await open();
    act(() => Others.say({ say: "left", user_id: "user_9" }));
    expect(screen.getByRole("heading", { name: "ada" })).toBeDefined();
    act(() => Others.say({ say: "left", user_id: ME.user_id }));
    await screen.findByText("anonymous");
    nothingOfAda(client);
  });
  it("tells the other tabs of a sign-out", async () => {
    const { client } = await open();
    act(() => screen.getByText("Out").click());
    await screen.findByText("anonymous");
    expect(Others.said).toEqual([{ say: "left", user_id: ME.user_id }]);
    nothingOfAda(client);
  });
  it("keeps what was typed where the same person's session has only ended", async () => {
    await open();
    who = new Refusal(401, {});
    show();
    await screen.findByRole("heading", { name: "ada (ended)" });
    who = ME;
    act(() => Others.say({ say: "entered" }));
    await screen.findByRole("heading", { name: "ada" });
    expect((screen.getByLabelText("To") as HTMLInputElement).value).toBe("bob");
  });
});

describe("a session is renewed before it ends", () => {
  it("at four fifths of its life, once, and never without a pause", () => {
    expect(renewalWait(900_000, 0, 0)).toBe(675_000);
    expect(renewalWait(900_000, 0, 1)).toBe(720_000);
    expect(renewalWait(1000, 0, 0.5)).toBe(60_000);
    expect(renewalWait(0, 1000, 0.5)).toBeNull();
    expect(renewalWait(Number.MAX_VALUE, 0, 0.5)).toBe(86_400_000);
  });
  it("unless another tab has done so", async () => {
    vi.useFakeTimers({ shouldAdvanceTime: true });
    const start = Date.now();
    who = { ...ME, token_expires_at_unix_ms: start + 900_000 };
    const { calls } = await open({ "POST /auth/refresh": () => (who = { ...ME, token_expires_at_unix_ms: Date.now() + 900_000 }) });
    const renewals = () => calls.filter((call) => call.path === "/auth/refresh").length;
    await act(() => vi.advanceTimersByTimeAsync(600_000));
    expect(renewals()).toBe(0);
    await act(() => vi.advanceTimersByTimeAsync(125_000));
    await waitFor(() => expect(renewals()).toBe(1));
    who = { ...ME, token_expires_at_unix_ms: Date.now() + 1_800_000 };
    await act(() => vi.advanceTimersByTimeAsync(725_000));
    expect(renewals()).toBe(1);
  });
});
