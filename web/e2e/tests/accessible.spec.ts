/** Every page: no breach of WCAG 2.2 AA in light and dark, nothing beyond a phone's edge, and a picture of each. */
import type { Page } from "@playwright/test";
import { judge, settled } from "../harness/look";
import { enter, join, ownersAddress } from "../harness/people";
import { expect, LONGEST_RENDER_MS, test } from "../harness/test";

const OPEN = ["/", "/evidence", "/security", "/docs", "/login", "/register", "/no-such-page"];
const REQUESTER = ["/home", "/tasks", "/wallet", "/settings"];
const TABS = ["overview", "elements", "log", "outputs", "timeline", "failures", "price"];
const OPERATOR = ["/", "/topology", "/queue", "/nodes", "/nodes/e2e-node", "/ledger", "/audit"];
const OWNER = ["/", "/when", "/safety", "/earnings", "/standing"];

const called = (whose: string, path: string) => whose + (path === "/" ? "" : path.replaceAll("/", "-"));

/** Runs the program of the task at `rendered` with a word that it does not know, and opens the page of what became of it. */
async function failed(page: Page, master: string, rendered: string): Promise<void> {
  const told = await page.request.get(`${master}/api/v1${rendered}`);
  const { task } = (await told.json()) as { task: { docker_image: string } };
  await page.goto(`${master}/home`);
  await page.getByRole("textbox", { name: /^Image/ }).fill(task.docker_image);
  await page.getByRole("textbox", { name: "Command" }).fill("nonsense");
  await page.getByRole("textbox", { name: "Elements" }).fill("1-20");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await expect(page.getByText("20 of 20 elements have ended")).toBeVisible({ timeout: LONGEST_RENDER_MS });
}

test("pages that need no account", async ({ page, up }) => {
  for (const path of OPEN) {
    await page.goto(up.master + path);
    await settled(page);
    await judge(page, called("public", path));
  }
});

test("a requester's pages", async ({ page, up, account }) => {
  await join(page, up.master, account);
  await page.getByRole("button", { name: "Render the picture" }).click();
  const rendered = (await page.getByRole("link", { name: /^task_/ }).getAttribute("href")) ?? "";
  await expect(page.getByRole("img", { name: /12 of 12 tiles are here/ })).toBeVisible({ timeout: LONGEST_RENDER_MS });
  for (const path of REQUESTER) {
    await page.goto(up.master + path);
    await settled(page);
    await judge(page, called("requester", path));
  }
  for (const tab of TABS) {
    await page.goto(`${up.master}${rendered}?tab=${tab}&element=3`);
    await settled(page);
    await judge(page, `requester-task-${tab}`);
  }
  await failed(page, up.master, rendered);
  for (const tab of ["elements", "failures"]) {
    await page.getByRole("tab", { name: tab }).click();
    await settled(page);
    await judge(page, `requester-failed-${tab}`);
  }
  await page.goto(`${up.master}/settings`);
  await page.getByRole("button", { name: "Make a key" }).click();
  await expect(page.getByRole("dialog")).toBeVisible();
  await judge(page, "requester-settings-key");
});

test("an operator's pages", async ({ page, pool }) => {
  await enter(page, pool.site, pool.operator);
  for (const path of OPERATOR) {
    await page.goto(pool.site + path);
    await settled(page);
    await judge(page, called("pool", path));
  }
  await page.goto(`${pool.site}/nodes/e2e-node`);
  await page.getByRole("button", { name: "Drain" }).click();
  await expect(page.getByRole("dialog")).toBeVisible();
  await judge(page, "pool-nodes-drain");
});

test("an owner's pages", async ({ page, up }) => {
  const address = await ownersAddress(up.data);
  await page.goto(address);
  for (const path of OWNER) {
    await page.goto(new URL(address).origin + path);
    await settled(page);
    await judge(page, called("worker", path));
  }
});
