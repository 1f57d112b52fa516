/** From the first page to a rendered picture and what it cost, and from a run box to a live log. */
import { existsSync } from "node:fs";
import { hivemind } from "../harness/servers";
import { expect, signInCli, signUp, test } from "../harness/test";

/** One static executable with a shell, which is packed into an image. */
const SHELL = ["/bin/busybox", "/usr/bin/busybox"].find((path) => existsSync(path));

test("from the first page to the rendered picture, in clicks", async ({ page, up, account }) => {
  await page.goto(up.master);
  await page.getByRole("link", { name: "Make an account" }).first().click();
  await page.getByLabel("User name").fill(account.username);
  await page.getByLabel("E-mail").fill(`${account.username}@example.org`);
  await page.getByLabel("Password").fill(account.password);
  await page.getByRole("button", { name: "Make the account" }).click();
  await expect(page.getByRole("heading", { level: 1, name: `Hello, ${account.username}` })).toBeVisible();
  const balance = page.getByRole("link", { name: /^Available/ });
  await expect(balance).toContainText("150.00");

  await page.getByRole("button", { name: "Render the picture" }).click();
  await expect(page.getByRole("img", { name: /12 of 12 tiles are here/ })).toBeVisible({ timeout: 90_000 });
  // The balance follows without a reload.
  await expect(balance).not.toContainText("150.00");

  await page.getByRole("link", { name: /^task_/ }).click();
  await expect(page.getByText("12 of 12 elements have ended")).toBeVisible();
  await page.getByRole("tab", { name: "Outputs" }).click();
  await page.getByRole("textbox", { name: "Element" }).fill("3");
  await page.getByRole("textbox", { name: "Element" }).press("Enter");
  await expect(page.getByRole("img", { name: /\.ppm$/ })).toBeVisible();

  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Wallet" }).click();
  await expect(page.getByRole("table").filter({ hasText: "settlement" }).first()).toBeVisible();
});

test("a task of the run box is followed line by line, and its files are looked at", async ({ page, up, account, folder }) => {
  test.skip(SHELL === undefined, "there is no busybox on this machine to pack into an image");
  await signUp(page, up.master, account);
  const cli = await signInCli(folder, up.server, up.data, account);
  const image = (await hivemind(...cli, "--quiet", "image", "push", SHELL ?? "")).trim();

  // It goes on until somebody says stop: the page must show the first lines while it runs.
  await page.getByRole("textbox", { name: /^Image/ }).fill(image);
  await page.getByRole("textbox", { name: "Command" }).fill(`sh -c 'mkdir -p output; echo "<img src=x onerror=alert(1)>" > output/a.txt; for i in 1 2 3 4 5 6 7 8 9 10; do echo "line $i <script>alert(1)</script>"; sleep 1; done'`);
  await page.getByRole("textbox", { name: "Name", exact: true }).fill("<script>alert(1)</script>");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await expect(page).toHaveURL(/\/tasks\/task_/);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("<script>alert(1)</script>");

  await page.getByRole("tab", { name: "Log" }).click();
  const log = page.getByRole("region", { name: "Lines of the log" });
  await expect(log).toContainText("line 1 <script>alert(1)</script>", { timeout: 60_000 });
  await expect(log).toContainText("line 10 <script>alert(1)</script>", { timeout: 60_000 });

  await expect(page.getByRole("main")).toContainText("completed");
  await page.getByRole("tab", { name: "Outputs" }).click();
  await expect(page.getByRole("region", { name: /Contents of/ })).toContainText("<img src=x onerror=alert(1)>");
  expect(await page.locator("main script, main img[src=x]").count()).toBe(0);
});
