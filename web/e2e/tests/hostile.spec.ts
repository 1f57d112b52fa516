/** What must not work, and what must not be lost: foreign tasks, forged requests, ended sessions, a pool that goes away. */
import type { Page } from "@playwright/test";
import { live } from "../harness/look";
import { join, somebody } from "../harness/people";
import { expect, test } from "../harness/test";

/** The session's word, which the page's scripts repeat with every change. */
async function wordOf(page: Page, master: string): Promise<string> {
  const me = (await (await page.request.get(`${master}/api/v1/auth/me`)).json()) as { csrf_token: string };
  return me.csrf_token;
}

const image = (page: Page) => page.getByRole("textbox", { name: /^Image/ });
const ended = (page: Page) => page.getByRole("dialog", { name: "Your session has ended" });

test("somebody else's task is not there", async ({ page, up, account, visitor }) => {
  await join(page, up.master, account);
  await page.getByRole("button", { name: "Render the picture" }).click();
  const id = (await page.getByRole("link", { name: /^task_/ }).textContent()) ?? "";
  expect(id).toMatch(/^task_/);
  const stranger = await visitor();
  await join(stranger, up.master, somebody());
  for (const part of ["", "/files?element=0", "/logs?stream=stdout&element=0", "/timeline", "/entries"]) {
    const answer = await stranger.request.get(`${up.master}/api/v1/tasks/${id}${part}`);
    expect(answer.status(), part).toBe(404);
    // Only an id that never was tells as little.
    expect(((await answer.json()) as { code: string }).code).toBe("E_NOT_FOUND");
  }
  await stranger.goto(`${up.master}/tasks/${id}?tab=log&element=0`);
  await expect(stranger.getByText("There is no such task")).toBeVisible();
  await stranger.goto(`${up.master}/tasks`);
  await expect(stranger.getByText("No tasks yet")).toBeVisible();
  await page.goto(`${up.master}/tasks/${id}`);
  await expect(page.getByRole("heading", { level: 1, name: "render mandelbrot" })).toBeVisible();
});

test("a request without the session's word, or from another site, changes nothing", async ({ page, up, account }) => {
  await join(page, up.master, account);
  const key = { name: "x", scopes: ["account"], valid_seconds: 60 };
  const keys = `${up.master}/api/v1/auth/keys`;
  // From the page itself and with its cookies, but without the word that only its scripts know.
  const status = await page.evaluate(async (body) => {
    const answer = await fetch("/api/v1/auth/keys", { method: "POST", headers: { "content-type": "application/json" }, body });
    return answer.status;
  }, JSON.stringify(key));
  expect(status).toBe(403);
  const word = await wordOf(page, up.master);
  const wrong = await page.request.post(keys, { data: key, headers: { "x-csrf-token": word.replace(/./g, "0") } });
  expect(wrong.status()).toBe(403);
  // Even with it, not from a page of another site.
  const foreign = await page.request.post(keys, { data: key, headers: { "x-csrf-token": word, origin: "https://elsewhere.example" } });
  expect(foreign.status()).toBe(403);
  await page.goto(`${up.master}/settings`);
  await expect(page.getByText("No keys")).toBeVisible();
  // So much for what is refused: with the word it goes.
  expect((await page.request.post(keys, { data: key, headers: { "x-csrf-token": word } })).ok()).toBe(true);
});

test("an API key is shown once and ends at once", async ({ page, up, account, playwright }) => {
  await join(page, up.master, account);
  await page.goto(`${up.master}/settings`);
  await page.getByRole("button", { name: "Make a key" }).click();
  await page.getByRole("dialog").getByRole("textbox", { name: /^Name/ }).fill("<b>nightly</b>");
  await page.getByRole("dialog").getByRole("button", { name: "Make the key" }).click();
  const key = (await page.getByRole("dialog").getByRole("region", { name: "the key" }).textContent()) ?? "";
  expect(key).toMatch(/^hm_/);
  await page.getByRole("button", { name: "I have copied it" }).click();
  await expect(page.getByRole("table", { name: "API keys" })).toContainText("<b>nightly</b>");
  await expect(page.getByText(key)).toHaveCount(0);
  const program = await playwright.request.newContext({ extraHTTPHeaders: { authorization: `Bearer ${key}` } });
  expect((await program.get(`${up.master}/api/v1/tasks`)).status()).toBe(200);
  expect((await program.get(`${up.master}/api/v1/wallet`)).status()).toBe(403);
  await page.getByRole("button", { name: /^End the key/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "End the key" }).click();
  await expect(page.getByText("No keys")).toBeVisible();
  expect((await program.get(`${up.master}/api/v1/tasks`)).status()).toBe(401);
  await program.dispose();
});

test("a session that is ended from elsewhere asks over the page, and nothing typed or chosen is lost", async ({ page, up, account, visitor }) => {
  await join(page, up.master, account);
  await image(page).fill("python:3.13");
  const elsewhere = await visitor();
  await elsewhere.goto(`${up.master}/login`);
  await elsewhere.getByLabel("User name").fill(account.username);
  await elsewhere.getByLabel("Password").fill(account.password);
  await elsewhere.getByRole("button", { name: "Sign in" }).click();
  await elsewhere.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Settings" }).click();
  await elsewhere.getByRole("button", { name: /^End the session/ }).click();
  await elsewhere.getByRole("dialog").getByRole("button", { name: "End it" }).click();
  await expect(elsewhere.getByText("The session has ended.", { exact: true })).toBeVisible();

  await page.getByRole("button", { name: "Files", exact: true }).setInputFiles({ name: "<b>data</b>.csv", mimeType: "text/csv", buffer: Buffer.from("1,2\n") });
  await ended(page).getByLabel("Password").fill("not the password");
  await ended(page).getByRole("button", { name: "Sign in" }).click();
  await expect(ended(page).getByRole("alert")).toBeVisible();
  await ended(page).getByLabel("Password").fill(account.password);
  await ended(page).getByRole("button", { name: "Sign in" }).click();
  await expect(ended(page)).toBeHidden();
  await expect(image(page)).toHaveValue("python:3.13");
  await page.getByRole("button", { name: "Send <b>data</b>.csv again" }).click();
  await page.getByRole("button", { name: "What would it cost?" }).click();
  await expect(page.getByRole("status").filter({ hasText: /^At most/ })).toBeVisible();
});

test("a session whose cookies are gone asks over the page, and goes on where it was", async ({ page, up, account }) => {
  await join(page, up.master, account);
  await image(page).fill("python:3.13");
  await page.context().clearCookies();
  await page.getByRole("button", { name: "What would it cost?" }).click();
  await ended(page).getByLabel("Password").fill(account.password);
  await ended(page).getByRole("button", { name: "Sign in" }).click();
  await expect(ended(page)).toBeHidden();
  await expect(image(page)).toHaveValue("python:3.13");
  await page.getByRole("button", { name: "What would it cost?" }).click();
  await expect(page.getByRole("status").filter({ hasText: /^At most/ })).toBeVisible();
  await live(page);
});

test("a pool that is killed under an open page: a banner, nothing lost, and it is back by itself", async ({ page, up, account }) => {
  const name = page.getByRole("textbox", { name: "Name", exact: true });
  const lost = page.getByText("No connection to the pool.");
  await join(page, up.master, account);
  await live(page);
  await image(page).fill("python:3.13");
  await page.getByRole("textbox", { name: "Command" }).fill("python -c 'print(42)'");
  await up.server.kill();
  await expect(lost).toBeVisible();
  await name.fill("typed while it was away");
  // What is sent meanwhile says why it does not go, and is still there.
  await page.getByRole("button", { name: "What would it cost?" }).click();
  await expect(page.getByRole("alert").filter({ hasText: "The pool does not answer." })).toBeVisible();
  await up.server.again();
  await expect(lost).toBeHidden();
  await live(page);
  await expect(page.getByRole("textbox", { name: "Command" })).toHaveValue("python -c 'print(42)'");
  await expect(name).toHaveValue("typed while it was away");
  // The session is still good, and what was typed can be sent.
  await page.getByRole("button", { name: "What would it cost?" }).click();
  await expect(page.getByRole("status").filter({ hasText: /^At most/ })).toBeVisible();
});
