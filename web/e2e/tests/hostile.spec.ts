/** What must not work, and what must not be lost: foreign tasks, forged requests, ended sessions, a pool that goes away. */
import { expect, live, signUp, test } from "../harness/test";

test("somebody else's task is not there", async ({ browser, page, up, account }) => {
  await signUp(page, up.master, account);
  await page.getByRole("button", { name: "Render the picture" }).click();
  const link = page.getByRole("link", { name: /^task_/ });
  const id = await link.textContent();
  const stranger = await browser.newPage();
  await signUp(stranger, up.master, { username: `${account.username}-x`, password: account.password });
  await stranger.goto(`${up.master}/tasks/${id}`);
  await expect(stranger.getByText("There is no such task")).toBeVisible();
  await stranger.close();
});

test("a request without the session's word changes nothing", async ({ page, up, account }) => {
  await signUp(page, up.master, account);
  // The page's own cookies, but not the word that only its scripts know.
  const status = await page.evaluate(async () => {
    const answer = await fetch("/api/v1/auth/keys", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ name: "x", scopes: ["account"], valid_seconds: 60 }) });
    return answer.status;
  });
  expect(status).toBe(403);
  const foreign = await page.request.post(`${up.master}/api/v1/auth/logout`, { headers: { origin: "https://elsewhere.example" }, failOnStatusCode: false });
  expect(foreign.status()).toBe(403);
  await page.goto(`${up.master}/settings`);
  await expect(page.getByText("No keys")).toBeVisible();
});

test("an API key is shown once and ends at once", async ({ page, up, account, playwright }) => {
  await signUp(page, up.master, account);
  await page.goto(`${up.master}/settings`);
  await page.getByRole("button", { name: "Make a key" }).click();
  await page.getByRole("dialog").getByRole("textbox", { name: /^Name/ }).fill("<b>nightly</b>");
  await page.getByRole("dialog").getByRole("button", { name: "Make the key" }).click();
  const key = (await page.getByRole("dialog").getByRole("region", { name: "the key" }).textContent()) ?? "";
  expect(key).toMatch(/^hm_/);
  await page.getByRole("button", { name: "I have copied it" }).click();
  await expect(page.getByRole("table", { name: "API keys" })).toContainText("<b>nightly</b>");
  const program = await playwright.request.newContext({ extraHTTPHeaders: { authorization: `Bearer ${key}` } });
  expect((await program.get(`${up.master}/api/v1/tasks`)).status()).toBe(200);
  expect((await program.get(`${up.master}/api/v1/wallet`, { failOnStatusCode: false })).status()).toBe(403);
  await page.getByRole("button", { name: /^End the key/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "End the key" }).click();
  await expect(page.getByText("No keys")).toBeVisible();
  expect((await program.get(`${up.master}/api/v1/tasks`, { failOnStatusCode: false })).status()).toBe(401);
  await program.dispose();
});

test("a session that ends in mid-page asks over the page, and nothing typed is lost", async ({ page, up, account }) => {
  await signUp(page, up.master, account);
  await page.getByRole("textbox", { name: /^Image/ }).fill("python:3.13");
  await page.context().clearCookies();
  await page.getByRole("button", { name: "What would it cost?" }).click();
  const dialog = page.getByRole("dialog", { name: "Your session has ended" });
  await dialog.getByLabel("Password").fill(account.password);
  await dialog.getByRole("button", { name: "Sign in" }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByRole("textbox", { name: /^Image/ })).toHaveValue("python:3.13");
});

test("a pool that is killed under an open page: a banner, nothing lost, and it is back by itself", async ({ page, up, account }) => {
  test.setTimeout(240_000);
  await signUp(page, up.master, account);
  await live(page);
  await page.getByRole("textbox", { name: /^Image/ }).fill("python:3.13");
  await page.getByRole("textbox", { name: "Command" }).fill("python -c 'print(42)'");
  await up.server.kill();
  await expect(page.getByText("No connection to the pool.")).toBeVisible();
  await page.getByRole("textbox", { name: "Name", exact: true }).fill("typed while it was away");
  await up.server.again();
  await expect(page.getByText("No connection to the pool.")).toBeHidden({ timeout: 90_000 });
  await live(page);
  await expect(page.getByRole("textbox", { name: "Command" })).toHaveValue("python -c 'print(42)'");
  await expect(page.getByRole("textbox", { name: "Name", exact: true })).toHaveValue("typed while it was away");
  // The session is still good: what needs one is answered.
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Wallet" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Wallet" })).toBeVisible();
});
