import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { forgetKept, keepFor } from "../lib/kept";
import { onSession, rememberToken, renewOrEnd, request, upload } from "./client";
import { explainError, Problem, Unreachable } from "./problem";
import { Submission } from "./submission";

const answer = (status: number, body: unknown, headers: Record<string, string> = {}) => new Response(JSON.stringify(body), { status, headers });
const ME = { username: "ada", csrf_token: "fresh" };

describe("requests", () => {
  const fetch = vi.fn<(url: string, init: RequestInit) => Promise<Response>>();
  const ended = vi.fn();
  beforeEach(() => {
    fetch.mockReset();
    ended.mockReset();
    vi.stubGlobal("fetch", fetch);
    rememberToken("secret");
    onSession({ ended });
  });
  afterEach(() => vi.unstubAllGlobals());
  const headers = (call: number) => fetch.mock.calls[call]?.[1].headers as Headers;

  it("carry the CSRF token where something changes, and only there", async () => {
    fetch.mockImplementation(() => Promise.resolve(answer(200, {})));
    await request("/tasks");
    await request("/tasks", { method: "POST", body: { a: 1 }, idempotencyKey: "k" });
    expect(headers(0).get("x-csrf-token")).toBeNull();
    expect(headers(1).get("x-csrf-token")).toBe("secret");
    expect(headers(1).get("idempotency-key")).toBe("k");
    expect(fetch.mock.calls[1]?.[1].body).toBe('{"a":1}');
  });
  it("leave out empty parts of a query", async () => {
    fetch.mockResolvedValue(answer(200, {}));
    await request("/tasks", { query: { q: "", status: null, cursor: undefined, limit: 5, x: "a b&c" } });
    expect(fetch.mock.calls[0]?.[0]).toBe("/api/v1/tasks?limit=5&x=a+b%26c");
  });
  it("renew the session once for all that need it, and are repeated with the new token", async () => {
    let old = 2;
    fetch.mockImplementation((url) => Promise.resolve(url.endsWith("/auth/refresh") ? answer(200, ME) : old-- > 0 ? answer(401, { code: "E_UNAUTHENTICATED" }) : answer(200, { fine: true })));
    expect(await Promise.all([request("/a", { method: "POST" }), request("/b", { method: "POST" })])).toEqual([{ fine: true }, { fine: true }]);
    expect(fetch.mock.calls.filter(([url]) => url.endsWith("/auth/refresh"))).toHaveLength(1);
    expect(headers(4).get("x-csrf-token")).toBe("fresh");
    expect(ended).not.toHaveBeenCalled();
  });
  it("say so where the session has ended for good, and try no more", async () => {
    fetch.mockImplementation(() => Promise.resolve(answer(401, { code: "E_UNAUTHENTICATED", detail: "ended" })));
    await expect(request("/a")).rejects.toThrow(Problem);
    expect(ended).toHaveBeenCalledTimes(1);
    expect(fetch).toHaveBeenCalledTimes(2);
  });
  it("are repeated once with another word where the session is the same person's, and not for anybody else", async () => {
    const wrong = () => Promise.resolve(answer(403, { code: "E_CSRF" }));
    fetch.mockImplementationOnce(wrong).mockImplementation(() => Promise.resolve(answer(200, {})));
    onSession({ refused: () => { rememberToken("other"); return Promise.resolve(true); } });
    await request("/a", { method: "POST" });
    expect(headers(1).get("x-csrf-token")).toBe("other");
    fetch.mockReset().mockImplementation(wrong);
    onSession({ refused: () => Promise.resolve(false) });
    await expect(request("/a", { method: "POST" })).rejects.toMatchObject({ code: "E_CSRF" });
    expect(fetch).toHaveBeenCalledTimes(1);
  });
  it("say so where the server renews no sessions, as a worker's", async () => {
    fetch.mockImplementation((url) => Promise.resolve(answer(url.endsWith("/auth/refresh") ? 404 : 401, { code: "E_UNAUTHENTICATED" })));
    await expect(request("/a")).rejects.toMatchObject({ status: 401 });
    expect(ended).toHaveBeenCalledTimes(1);
  });
  it("do not take a pool that is away for an ended session", async () => {
    fetch.mockImplementation((url) => Promise.resolve(url.endsWith("/auth/refresh") ? answer(503, { code: "E_UNAVAILABLE" }) : answer(401, { code: "E_UNAUTHENTICATED" })));
    await expect(request("/a")).rejects.toMatchObject({ status: 503 });
    await expect(renewOrEnd()).rejects.toMatchObject({ status: 503 });
    expect(ended).not.toHaveBeenCalled();
  });
  it("of the live stream say so, too, where the session has ended for good", async () => {
    fetch.mockImplementation(() => Promise.resolve(answer(401, { code: "E_UNAUTHENTICATED" })));
    await expect(renewOrEnd()).rejects.toThrow(Problem);
    expect(ended).toHaveBeenCalledTimes(1);
  });
  it("do not take a wrong password for an ended session", async () => {
    fetch.mockResolvedValue(answer(401, { code: "E_UNAUTHENTICATED" }));
    await expect(request("/auth/login", { method: "POST", body: {} })).rejects.toThrow(Problem);
    expect(fetch).toHaveBeenCalledTimes(1);
  });
  it("tell a refusal with its code, field and wait", async () => {
    fetch.mockResolvedValue(answer(429, { code: "E_BUSY", title: "Busy", detail: "Too many", field: "image" }, { "retry-after": "7" }));
    const error = await request("/a").catch((caught: unknown) => caught);
    expect(error).toMatchObject({ status: 429, code: "E_BUSY", field: "image", retryAfterSeconds: 7 });
    expect(explainError(error)).toEqual({ why: "Too many", fix: "Try again in 7 s.", code: "E_BUSY" });
  });
  it("survive a refusal that is no JSON", async () => {
    fetch.mockResolvedValue(new Response("<html>", { status: 502 }));
    expect(await request("/a").catch((caught: unknown) => caught)).toMatchObject({ status: 502, title: "The server answered 502." });
  });
  it("tell a pool that does not answer apart", async () => {
    fetch.mockRejectedValue(new TypeError("failed"));
    await expect(request("/a")).rejects.toThrow(Unreachable);
  });
});

describe("an upload", () => {
  const statuses: number[] = [];
  const tokens: (string | undefined)[] = [];
  class FakeCall {
    upload = {};
    status = 0;
    responseText = "";
    onload: (() => void) | null = null;
    #token: string | undefined;
    open() {
      return undefined;
    }
    setRequestHeader(name: string, value: string) {
      if (name === "x-csrf-token") this.#token = value;
    }
    send() {
      tokens.push(this.#token);
      this.status = statuses.shift() ?? 200;
      this.responseText = JSON.stringify(this.status === 200 ? { digest: "d" } : { code: "E_UNAUTHENTICATED" });
      this.onload?.();
    }
  }
  const ended = vi.fn();
  const refreshed = (status: number) => vi.stubGlobal("fetch", vi.fn(() => Promise.resolve(answer(status, status === 200 ? ME : { code: "E_UNAUTHENTICATED" }))));
  beforeEach(() => {
    statuses.length = tokens.length = 0;
    ended.mockReset();
    vi.stubGlobal("XMLHttpRequest", FakeCall);
    rememberToken("secret");
    onSession({ ended });
  });
  afterEach(() => vi.unstubAllGlobals());
  const send = () => upload<{ digest: string }>("/contents", new Blob(["x"]), () => undefined);

  it("renews the session once and goes again with the new token", async () => {
    statuses.push(401, 200);
    refreshed(200);
    expect(await send()).toEqual({ digest: "d" });
    expect(tokens).toEqual(["secret", "fresh"]);
    expect(ended).not.toHaveBeenCalled();
  });
  it("says so where the session has ended for good", async () => {
    statuses.push(401);
    refreshed(401);
    await expect(send()).rejects.toMatchObject({ status: 401 });
    expect(ended).toHaveBeenCalledTimes(1);
  });
});

describe("a submission", () => {
  beforeEach(() => forgetKept());
  let last = 0;
  const used: string[] = [];
  const submission = () => new Submission("transfer", () => `key${(last += 1)}`);
  const send = (error?: unknown) => (key: string) => {
    used.push(key);
    return error === undefined ? Promise.resolve("ok") : Promise.reject(error as Error);
  };
  const refused = (status: number) => new Problem(status, "", "", "", null, null);
  beforeEach(() => {
    last = 0;
    used.length = 0;
  });
  const lose = (content: unknown, error: unknown, of = submission()) => of.send(content, send(error)).catch(() => undefined);

  it("keeps its key while the answer is not known, and has another for another content", async () => {
    const one = submission();
    await lose({ a: 1 }, new Unreachable("x"), one);
    await lose({ a: 1 }, refused(503), one);
    await one.send({ a: 1 }, send());
    await one.send({ a: 1 }, send());
    await lose({ a: 2 }, refused(400), one);
    await one.send({ a: 2 }, send());
    expect(used).toEqual(["key1", "key1", "key1", "key2", "key3", "key4"]);
  });
  it("keeps its key over a reload, from before the request goes out", async () => {
    void submission().send({ a: 1 }, (key) => {
      used.push(key);
      return new Promise(() => undefined);
    });
    expect(submission().standing({ a: 1 })).toBe("same");
    await submission().send({ a: 1 }, send());
    expect(used).toEqual(["key1", "key1"]);
    expect(submission().standing({ a: 1 })).toBe("none");
  });
  it("tells a changed content from the same, and knows the first again", async () => {
    await lose({ a: 1 }, new Unreachable("x"));
    expect([submission().standing({ a: 2 }), submission().standing(null)]).toEqual(["other", "earlier"]);
    await lose({ a: 2 }, new Unreachable("x"));
    await lose({ a: 1 }, new Unreachable("x"));
    expect(used).toEqual(["key1", "key2", "key1"]);
  });
  it.each([401, 403, 429])("does not take a %i for an answer to what was lost before", async (status) => {
    await lose({ a: 1 }, new Unreachable("x"));
    await lose({ a: 1 }, refused(status));
    expect(submission().standing({ a: 1 })).toBe("same");
    await lose({ b: 1 }, refused(status));
    expect(submission().standing({ b: 1 })).toBe("other");
  });
  it("keeps few, and goes on where nothing can be stored", async () => {
    for (let at = 0; at < 20; at += 1) await lose({ at }, new Unreachable("x"));
    expect([submission().standing({ at: 0 }), submission().standing({ at: 19 })]).toEqual(["other", "same"]);
    const full = vi.spyOn(Storage.prototype, "setItem").mockImplementation(() => {
      throw new DOMException("full", "QuotaExceededError");
    });
    await lose({ late: 1 }, new Unreachable("x"));
    full.mockRestore();
    expect(submission().standing({ late: 1 })).toBe("same");
  });
  it("is nobody else's", async () => {
    keepFor("user_1");
    await lose({ a: 1 }, new Unreachable("x"));
    keepFor("user_2");
    expect(submission().standing({ a: 1 })).toBe("none");
    keepFor("user_1");
    expect(submission().standing({ a: 1 })).toBe("none");
  });
});
