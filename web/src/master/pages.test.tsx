import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { violations } from "../testing/axe";
import { ARRAY, ARRAY_DETAIL, DETAIL, ME, TASK, WALLET } from "../testing/data";
import { type Answers, Refusal, stubPool, visit } from "../testing/page";
import { routes } from "./routes";

const page = (items: unknown[]) => ({ items, next_cursor: null });
const OPEN: Answers = {
  "GET /auth/me": ME,
  "GET /wallet": WALLET,
  "GET /wallet/statement": page([]),
  "GET /projects": page([]),
  "GET /tasks": page([TASK, ARRAY]),
  "GET /tasks/task_1": DETAIL,
  "GET /tasks/task_2": ARRAY_DETAIL,
  "GET /tasks/task_2/explain": { constraints: [], changes: [], reason: "it runs", advice: "", nodes_linked: 1, nodes_capable: 1, nodes_free: 0, place: null, node_reserved: false, faults: null, run: null },
  "GET /tasks/task_2/grid": { indices: "1-100", states: "2".repeat(40) + "3".repeat(2) + "1".repeat(8) + "0".repeat(50), next_index: null, total: 100, status: "running" },
  "GET /tasks/task_2/failures": { groups: [{ signature: "E_EXIT: <n>", error_message: "E_EXIT: 2", count: 2, example_elements: "41-42", exit_code: 2, last_line: "<b>boom</b>", last_line_element: 41 }], failed: 2, ungrouped: 0, cut: false },
  "GET /tasks/task_2/timeline": { bars: [{ node: "node-a", element: 1, attempt: 1, from_unix_ms: 1000, to_unix_ms: 2000, outcome: "completed", assigned_at_unix_ms: 900, preparing: false, comparing: false }], cut: false, now_unix_ms: 3000 },
  "GET /tasks/task_1/files": { files: [{ path: "output/<img src=x>.txt", size: 5, is_folder: false, is_executable: false }], cut: false, digest: "", size: 5 },
  "GET /tasks/task_1/file": "text",
  "GET /tasks/task_1/entries": { lines: [], cut: false },
};
const CLOSED: Answers = {
  "GET /auth/me": new Refusal(401, { code: "E_UNAUTHENTICATED" }),
  "POST /auth/refresh": new Refusal(401, { code: "E_UNAUTHENTICATED" }),
  "GET /public": { nodes_online: 2, cores_online: 4, tasks_completed: 12, elements_completed: 12, cpu_hours: 1, users: 2 },
  "GET /pool": { invitation_needed: true },
};

beforeEach(() => {
  sessionStorage.clear();
  HTMLCanvasElement.prototype.getContext = (() => null) as never;
});
afterEach(() => vi.unstubAllGlobals());

describe("pages have nothing that axe finds", () => {
  it.each([
    ["/home", "Hello, ada"], ["/tasks", "Tasks"], ["/tasks/task_1", TASK.task_name], ["/tasks/task_1?tab=outputs", TASK.task_name], ["/tasks/task_1?tab=log", TASK.task_name], ["/tasks/task_1?tab=price", TASK.task_name],
    ["/tasks/task_2", "sweep"], ["/tasks/task_2?tab=elements", "sweep"], ["/tasks/task_2?tab=failures", "sweep"], ["/tasks/task_2?tab=timeline", "sweep"], ["/wallet", "Wallet"],
  ])("%s", async (path, heading) => {
    stubPool(OPEN);
    const { container } = visit(routes, path);
    await screen.findByRole("heading", { level: 1, name: heading });
    await waitFor(() => expect(container.querySelector('[aria-label="Loading"]')).toBeNull());
    expect(await violations(container)).toEqual([]);
    expect(container.querySelector("script, b, img[src='x']")).toBeNull();
  });
  it.each([["/", /Idle machines/], ["/login", "Sign in"], ["/register", "Make an account"], ["/evidence", "Evidence"], ["/security", /Security/], ["/docs", "Docs"], ["/nothing", /no such page/]])("%s, signed out", async (path, heading) => {
    stubPool(CLOSED);
    const { container } = visit(routes, path);
    await screen.findByRole("heading", { level: 1, name: heading });
    expect(await violations(container)).toEqual([]);
  });
});

it("the open pages tell no figure of their own: what they measure is in the paper", async () => {
  const counters = Object.values(CLOSED["GET /public"] as Record<string, number>).map(String);
  for (const [path, heading] of [["/", /Idle machines/], ["/login", "Sign in"], ["/security", /Security/]] as const) {
    stubPool(CLOSED);
    const { container, unmount } = visit(routes, path);
    await screen.findByRole("heading", { level: 1, name: heading });
    if (path === "/") await screen.findByText("machines online");
    // Not counted: examples of commands, the pool's own counters, the numbers of the three steps, and names such as Argon2id.
    for (const part of container.querySelectorAll("pre, code, dl, ol > li > span")) part.remove();
    const figures = (container.textContent ?? "").match(/(?<![\w.])\d[\d.,]*(?![\w])/g) ?? [];
    expect(figures.filter((figure) => !counters.includes(figure)), path).toEqual(["3."]);
    unmount();
  }
});

describe("tasks that are worth a look", () => {
  it("are shown once, though two lists tell them while they go from one to the other", async () => {
    const failing = { ...TASK, task_id: "task_9", task_name: "twice", status: "failed", ended_at_unix_ms: Date.now() - 1000, error_message: "E_EXIT: 1" };
    stubPool({ ...OPEN, "GET /tasks": page([failing]) });
    visit(routes, "/home");
    expect(await screen.findByRole("link", { name: "twice" })).toBeDefined();
    expect(screen.getAllByRole("link", { name: "twice" })).toHaveLength(1);
  });
});

it("the failures say what they leave out", async () => {
  stubPool({ ...OPEN, "GET /tasks/task_2/failures": { ...(OPEN["GET /tasks/task_2/failures"] as object), failed: 5, ungrouped: 3, cut: true } });
  visit(routes, "/tasks/task_2?tab=failures");
  const note = await screen.findByRole("note");
  expect(note.textContent).toContain("3 of 5 failed elements are in no group that is shown");
  expect(note.textContent).toContain("first 1,000,000 elements");
});

describe("the run box", () => {
  const run = async () => {
    await userEvent.type(await screen.findByLabelText(/^Image/), "busybox");
    await userEvent.type(screen.getByLabelText("Command"), "echo 'a b'");
    await userEvent.click(screen.getByRole("button", { name: "Run" }));
  };
  it("says what is wrong at the field, and goes there", async () => {
    const { calls } = stubPool(OPEN);
    visit(routes, "/home");
    await userEvent.click(await screen.findByRole("button", { name: "Run" }));
    const image = screen.getByLabelText(/^Image/);
    expect(image.getAttribute("aria-invalid")).toBe("true");
    expect(document.activeElement).toBe(image);
    expect(calls.some((call) => call.method === "POST")).toBe(false);
  });
  it("keeps what was typed while the pool is away, and sends it again under the same key", async () => {
    let away = true;
    const { calls } = stubPool({ ...OPEN, "POST /tasks": () => (away ? new Refusal(503, { code: "E_UNAVAILABLE", detail: "The pool is restarting." }) : { task_id: "task_1", price_cap_micro: "1250000" }) });
    const { router } = visit(routes, "/home");
    await run();
    expect((await screen.findByText(/the task may have been taken already/)).closest("[role=alert]")?.textContent).toContain("The pool is restarting.");
    expect((screen.getByLabelText("Command") as HTMLInputElement).value).toBe("echo 'a b'");
    away = false;
    await userEvent.click(screen.getByRole("button", { name: "Run" }));
    await waitFor(() => expect(router.state.location.pathname).toBe("/tasks/task_1"));
    const sent = calls.filter((call) => call.method === "POST");
    expect(sent.map((call) => call.body)).toEqual([sent[0]?.body, sent[0]?.body]);
    expect(sent[0]?.body).toMatchObject({ docker_image: "busybox", argv: ["echo", "a b"], required_memory: 512, max_runtime: 900 });
    expect(sent[0]?.headers.get("idempotency-key")).toMatch(/^[0-9a-f]{32}$/);
    expect(sent[1]?.headers.get("idempotency-key")).toBe(sent[0]?.headers.get("idempotency-key"));
    expect(sent[0]?.headers.get("x-csrf-token")).toBe("token");
  });
  it("puts a refusal of the pool at its field, until that is changed", async () => {
    stubPool({ ...OPEN, "POST /tasks": new Refusal(422, { code: "E_INVALID", detail: "4 TiB is too much.", field: "required_memory" }) });
    visit(routes, "/home");
    await run();
    const memory = screen.getByLabelText("Memory");
    await waitFor(() => expect(memory.getAttribute("aria-invalid")).toBe("true"));
    expect(document.activeElement).toBe(memory);
    await userEvent.type(memory, "1");
    expect(memory.getAttribute("aria-invalid")).toBeNull();
  });
  it("asks for the password over the page where the session has ended, and nothing is lost", async () => {
    let live = true;
    const gone = new Refusal(401, { code: "E_UNAUTHENTICATED", detail: "ended" });
    stubPool({ ...OPEN, "POST /tasks": () => (live ? gone : { task_id: "task_1", price_cap_micro: "1" }), "POST /auth/refresh": gone, "POST /auth/login": () => { live = false; return ME; } });
    visit(routes, "/home");
    await run();
    const dialog = await screen.findByRole("dialog", { name: "Your session has ended" });
    await userEvent.type(within(dialog).getByLabelText("Password"), "correct horse");
    await userEvent.click(within(dialog).getByRole("button", { name: "Sign in" }));
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
    expect((screen.getByLabelText(/^Image/) as HTMLInputElement).value).toBe("busybox");
  });
});

describe("giving CPT away", () => {
  it("moves nothing twice, also after a lost answer and a reload, and says so", async () => {
    let away = true;
    const { calls } = stubPool({ ...OPEN, "POST /wallet/transfers": () => (away ? new Refusal(502, { code: "E_UNAVAILABLE", detail: "The answer was lost." }) : {}) });
    const give = async () => {
      await userEvent.click(screen.getByRole("button", { name: "Give" }));
      await userEvent.click(await screen.findByRole("button", { name: /^Give \d/ }));
    };
    const first = visit(routes, "/wallet");
    await userEvent.type(await screen.findByPlaceholderText("user name", {}, { timeout: 20_000 }), "dora");
    await userEvent.type(screen.getByLabelText("Amount"), "3");
    await give();
    await screen.findByText("No answer came: it may have moved already.");
    first.unmount();
    visit(routes, "/wallet");
    expect((await screen.findByPlaceholderText<HTMLInputElement>("user name", {}, { timeout: 20_000 })).value).toBe("dora");
    expect(screen.getByText(/The same again does nothing twice/)).toBeDefined();
    await userEvent.type(screen.getByLabelText("Amount"), "4");
    expect(screen.getByText(/counts on its own/)).toBeDefined();
    await userEvent.type(screen.getByLabelText("Amount"), "{Backspace}");
    away = false;
    await give();
    await waitFor(() => expect(screen.queryByText(/got no answer/)).toBeNull());
    const sent = calls.filter((call) => call.path === "/wallet/transfers");
    expect(sent).toHaveLength(2);
    expect(sent[1]?.headers.get("idempotency-key")).toBe(sent[0]?.headers.get("idempotency-key"));
  });
});

describe("submitting again", () => {
  it("submits nothing twice, whether from the list or from the task's own page", async () => {
    let away = true;
    const FAILED = { ...TASK, task_name: "broken", status: "failed" };
    const { calls } = stubPool({
      ...OPEN, "GET /tasks": page([FAILED]), "GET /tasks/task_1": { ...DETAIL, status: "failed", task: FAILED },
      "POST /tasks/task_1/retry": () => (away ? new Refusal(502, { code: "E_UNAVAILABLE", detail: "The answer was lost." }) : { task_id: "task_2", price_cap_micro: "1" }),
    });
    const list = visit(routes, "/tasks");
    await userEvent.click(await screen.findByLabelText("Choose broken"));
    await userEvent.click(screen.getByText("Retry 1", { exact: false, selector: "button" }));
    await userEvent.click(await screen.findByText("Submit again", { selector: "button" }));
    await screen.findByText(/may have been submitted already; the same again submits nothing twice/);
    list.unmount();
    const { router } = visit(routes, "/tasks/task_1");
    await userEvent.click(await screen.findByText("Retry what failed", { selector: "button" }));
    expect(screen.getByText(/got no answer/).textContent).toContain("does nothing twice");
    away = false;
    await userEvent.click(screen.getByText("Submit again", { selector: "button" }));
    await waitFor(() => expect(router.state.location.pathname).toBe("/tasks/task_2"));
    const keys = calls.filter((call) => call.method === "POST").map((call) => call.headers.get("idempotency-key"));
    expect(keys).toEqual([keys[0], keys[0]]);
    expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
  });
});

describe("a log that is not to be had", () => {
  it("says why, and is asked for again only by hand", async () => {
    const { calls } = stubPool({ ...OPEN, "GET /tasks/task_1/logs/events": new Refusal(404, { code: "E_NOT_FOUND", detail: "It was kept until yesterday." }) });
    visit(routes, "/tasks/task_1?tab=log");
    expect((await screen.findByText("It was kept until yesterday.")).closest("[role=alert]")?.textContent).toContain("There is no log to show.");
    expect(screen.queryByText("connection lost, trying again")).toBeNull();
    const asked = () => calls.filter((call) => call.path.endsWith("/logs/events")).length;
    expect(asked()).toBe(1);
    await userEvent.click(screen.getByRole("button", { name: "Try again" }));
    await waitFor(() => expect(asked()).toBe(2));
  });
});

describe("making an account", () => {
  it("needs an invitation where the pool asks for one, and shows a refusal at its field", async () => {
    const { calls } = stubPool({ ...CLOSED, "POST /auth/register": new Refusal(409, { code: "E_NAME_TAKEN", detail: "Somebody has this name already.", field: "username" }) });
    visit(routes, "/register");
    const send = () => userEvent.click(screen.getByRole("button", { name: "Make the account" }));
    await userEvent.type(await screen.findByLabelText(/^User name/), "ada");
    await userEvent.type(screen.getByLabelText(/^E-mail/), "ada@example.org");
    await userEvent.type(screen.getByLabelText(/^Password/), "short");
    await screen.findByText("The code you got from the operator of this pool.");
    await send();
    expect(screen.getByText("At least 8 characters.")).toBeDefined();
    expect(screen.getByText(/with an invitation only/)).toBeDefined();
    expect(calls.some((call) => call.path === "/auth/register")).toBe(false);
    await userEvent.type(screen.getByLabelText(/^Password/), " no longer");
    await userEvent.type(screen.getByLabelText(/^Invitation/), "inv_1");
    await send();
    expect((await screen.findByText("Somebody has this name already.")).id).toBe(screen.getByLabelText(/^User name/).getAttribute("aria-describedby")?.split(" ").at(-1));
    expect(JSON.stringify(sessionStorage)).not.toContain("no longer");
  });
});

describe("the element grid", () => {
  it("goes by keyboard and opens what is chosen", async () => {
    stubPool({ ...OPEN, "GET /tasks/task_2/elements/41": { ...DETAIL, error_message: "E_EXIT: 2" } });
    const { router } = visit(routes, "/tasks/task_2?tab=elements");
    const grid = await screen.findByRole("listbox");
    grid.focus();
    await userEvent.keyboard("f");
    expect(within(grid).getByRole("option").textContent).toBe("Element 41: failed");
    await userEvent.keyboard("{Enter}");
    await waitFor(() => expect(router.state.location.search).toContain("element=41"));
    expect(await screen.findByRole("heading", { name: "Element 41" })).toBeDefined();
  });
});
