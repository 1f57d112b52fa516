/** Every page: no breach of WCAG 2.2 AA in light and dark, nothing beyond a phone's edge, and a picture of it. */
import type { Page } from "@playwright/test";
import { breaches, expect, looking, ownersAddress, overhang, signIn, signUp, test } from "../harness/test";

const LOOKS = ["light", "dark", "phone"] as const;
const OPEN = ["/", "/evidence", "/security", "/docs", "/login", "/register", "/no-such-page"];
const REQUESTER = ["/home", "/tasks", "/wallet", "/settings"];
const OPERATOR = ["/", "/topology", "/queue", "/nodes", "/nodes/e2e-node", "/ledger", "/audit"];
const OWNER = ["/", "/when", "/safety", "/earnings", "/standing"];

/** Waits until a page has what it asked for. */
async function settled(page: Page): Promise<void> {
  await expect(page.locator("main h1").first()).toBeVisible();
  await expect(page.locator("main").getByRole("status", { name: /^Loading/ })).toHaveCount(0);
}

async function judge(page: Page, site: string, path: string, name: string, look: string) {
  await page.goto(site + path);
  await settled(page);
  await page.screenshot({ path: `shots/${name}${path === "/" ? "" : path.replaceAll("/", "-")}-${look}.png`, fullPage: true });
  expect.soft(await breaches(page), `${name}${path} in ${look}`).toEqual([]);
  expect.soft(await overhang(page), `pixels beyond the edge of ${name}${path} in ${look}`).toBe(0);
}

for (const look of LOOKS) {
  test(`pages that need no account, ${look}`, async ({ browser, context, up }) => {
    const own = await looking(browser, context, look);
    const page = await own.newPage();
    for (const path of OPEN) await judge(page, up.master, path, "public", look);
    await own.close();
  });

  test(`a requester's pages, ${look}`, async ({ browser, page, up, account }) => {
    test.setTimeout(240_000);
    await signUp(page, up.master, account);
    await page.getByRole("button", { name: "Render the picture" }).click();
    const task = await page.getByRole("link", { name: /^task_/ }).getAttribute("href");
    await expect(page.getByRole("img", { name: /12 of 12 tiles are here/ })).toBeVisible({ timeout: 90_000 });
    const own = await looking(browser, page.context(), look);
    const other = await own.newPage();
    for (const path of REQUESTER) await judge(other, up.master, path, "requester", look);
    for (const tab of ["overview", "elements", "log", "outputs", "timeline", "price"]) {
      await other.goto(`${up.master}${task}?tab=${tab}&element=3`);
      await settled(other);
      await other.screenshot({ path: `shots/requester-task-${tab}-${look}.png`, fullPage: true });
      expect.soft(await breaches(other), `task, ${tab}, in ${look}`).toEqual([]);
      expect.soft(await overhang(other), `pixels beyond the edge of task, ${tab}, in ${look}`).toBe(0);
    }
    await own.close();
  });

  test(`an operator's pages, ${look}`, async ({ browser, page, pool }) => {
    test.setTimeout(240_000);
    await signIn(page, pool.site, pool.operator);
    const own = await looking(browser, page.context(), look);
    const other = await own.newPage();
    for (const path of OPERATOR) await judge(other, pool.site, path, "pool", look);
    await own.close();
  });

  test(`an owner's pages, ${look}`, async ({ browser, page, up }) => {
    test.setTimeout(240_000);
    const address = await ownersAddress(up.data);
    await page.goto(address);
    await settled(page);
    const own = await looking(browser, page.context(), look);
    const other = await own.newPage();
    for (const path of OWNER) await judge(other, new URL(address).origin, path, "worker", look);
    await own.close();
  });
}
