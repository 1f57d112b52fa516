/** From the first page to a rendered picture and what it cost; and a container, from the run box to its files. */
import type { Page } from "@playwright/test";
import { readFile } from "node:fs/promises";
import { containersOf } from "../harness/docker";
import { join } from "../harness/people";
import { expect, LONGEST_RENDER_MS, test } from "../harness/test";

const SCRIPT = "<script>alert(1)</script>";
const PICTURE = "<img src=x onerror=alert(1)>";

const goTo = (page: Page, name: string) => page.getByRole("navigation", { name: "Main" }).getByRole("link", { name }).click();
/** The balance beside the user's name. */
const available = (page: Page) => page.getByRole("link", { name: /^Available/ });

/** How many different colours a drawn picture has. */
function colours(page: Page, picture: RegExp): Promise<number> {
  return page.getByRole("img", { name: picture }).locator("canvas").evaluate((node) => {
    const canvas = node as HTMLCanvasElement;
    const data = canvas.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height).data;
    return data ? new Set(new Uint32Array(data.buffer)).size : 0;
  });
}

test("from the first page to the rendered picture in clicks, nothing typed in a terminal", async ({ page, up, account }) => {
  const began = Date.now();
  await page.goto(up.master);
  await page.getByRole("link", { name: "Make an account" }).first().click();
  await page.getByLabel("User name").fill(account.username);
  await page.getByLabel("E-mail").fill(`${account.username}@example.org`);
  await page.getByLabel("Password").fill(account.password);
  await page.getByRole("button", { name: "Make the account" }).click();
  await expect(page.getByRole("heading", { level: 1, name: `Hello, ${account.username}` })).toBeVisible();
  await expect(available(page)).toContainText("150.00");

  await page.getByRole("button", { name: "Render the picture" }).click();
  await expect(page.getByRole("img", { name: /12 of 12 tiles are here/ })).toBeVisible({ timeout: LONGEST_RENDER_MS });
  // Newcomers are promised two minutes; how long it takes is told, and judged where nothing else runs.
  process.stdout.write(`     from the first page to the picture: ${((Date.now() - began) / 1000).toFixed(1)} s\n`);
  expect(await colours(page, /tiles are here/)).toBeGreaterThan(100);
  // The balance follows without a reload.
  await expect(available(page)).not.toContainText("150.00");

  await page.getByRole("link", { name: /^task_/ }).click();
  await expect(page.getByText("12 of 12 elements have ended")).toBeVisible();
  await page.getByRole("tab", { name: "Log" }).click();
  await page.getByRole("textbox", { name: "Element" }).fill("3");
  await page.getByRole("textbox", { name: "Element" }).press("Enter");
  await expect(page.getByRole("region", { name: "Lines of the log" })).toContainText("tile 3: 320 x 320 pixels");
  await page.getByRole("tab", { name: "Outputs" }).click();
  await expect(page.getByRole("img", { name: "tile-03.ppm" })).toBeVisible();
  expect(await colours(page, /^tile-03\.ppm$/)).toBeGreaterThan(10);

  await goTo(page, "Wallet");
  await expect(page.getByRole("table", { name: /^statement/ })).toContainText("settlement");
});

async function run(page: Page, image: string, command: string): Promise<void> {
  await page.getByRole("textbox", { name: /^Image/ }).fill(image);
  await page.getByRole("textbox", { name: "Command" }).fill(command);
  await page.getByRole("textbox", { name: "Name", exact: true }).fill(SCRIPT);
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await expect(page).toHaveURL(/\/tasks\/task_/);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(SCRIPT);
}

test("a container: its log while it runs, its end at a click, its files, and what it cost", async ({ page, up, account, image }) => {
  test.skip(image === null, "no Docker engine answers");
  const shell = image ?? "";
  const log = page.getByRole("region", { name: "Lines of the log" });
  const state = page.locator("main header");
  await join(page, up.master, account);

  // It goes on until somebody stops it: what the page shows of it, it shows while it runs.
  await run(page, shell, `sh -c 'echo "one ${SCRIPT}"; echo "two ${PICTURE}" >&2; sleep 3600'`);
  await page.getByRole("tab", { name: "Log" }).click();
  await expect(log).toContainText(`one ${SCRIPT}`);
  await expect(log).toContainText(`two ${PICTURE}`);
  await expect(state).toContainText("running");
  expect(await containersOf(shell)).toBe(1);
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel the task" }).click();
  await expect(state).toContainText("cancelled");

  await goTo(page, "Home");
  await run(page, shell, `sh -c 'mkdir -p output; echo "inside ${PICTURE}" > "output/${PICTURE}.txt"; echo three'`);
  await expect(state).toContainText("completed");
  await page.getByRole("tab", { name: "Outputs" }).click();
  await expect(page.getByRole("region", { name: `Contents of ${PICTURE}.txt` })).toHaveText(`inside ${PICTURE}`);
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: /^Download / }).click();
  expect(await readFile(await (await download).path(), "utf8")).toBe(`inside ${PICTURE}\n`);
  await page.getByRole("tab", { name: "Log" }).click();
  await expect(log).toContainText("three");
  await page.getByRole("tab", { name: "Price" }).click();
  await expect(page.getByRole("table", { name: /^journal entries/ })).toContainText("settlement");
  // Nothing that the task said has become a part of the page; that no script ran is looked at in every test.
  await expect(page.locator("main script, main img[src=x]")).toHaveCount(0);

  await goTo(page, "Wallet");
  await expect(page.getByRole("table", { name: /^statement/ })).toContainText("settlement");
  await expect(page.getByRole("table", { name: /^statement/ })).toContainText("hold");
});
