/** The operator of a pool: sees that it is well, drains a node, checks the books, lets a machine join. */
import { live } from "../harness/look";
import { enter, signIn } from "../harness/people";
import { expect, test } from "../harness/test";

test("health shows the promises, live", async ({ page, pool }) => {
  await signIn(page, pool.site, pool.operator);
  await live(page);
  const now = page.locator("dl[aria-label='The pool now']");
  await expect(now).toContainText("Tasks lost");
  await expect(now.locator("div").filter({ hasText: "Nodes online" }).first()).toContainText("1 of 1");
});

test("a node is drained and comes back", async ({ page, pool }) => {
  await enter(page, pool.site, pool.operator);
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Nodes" }).click();
  await page.getByRole("link", { name: "e2e-node" }).click();
  await page.getByRole("button", { name: "Drain" }).click();
  await page.getByRole("dialog").getByLabel("What runs may go on for").selectOption("60");
  await page.getByRole("dialog").getByRole("button", { name: "Drain" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("draining");
  await page.getByRole("button", { name: "Put back in service" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Put back in service" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("online");
});

test("the cells are reached by keyboard", async ({ page, pool }) => {
  await enter(page, pool.site, pool.operator);
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Topology" }).click();
  const cells = page.getByRole("listbox", { name: "Nodes by owner" });
  await cells.focus();
  await expect(cells.getByRole("option")).toContainText("e2e-node of operator");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/nodes\/e2e-node$/);
});

test("the books balance, and the journal gives them", async ({ page, pool }) => {
  await enter(page, pool.site, pool.operator);
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Ledger" }).click();
  await expect(page.getByText("The books balance")).toBeVisible();
  await page.getByRole("button", { name: "Replay the journal now" }).click();
  await expect(page.getByText("The journal gives the stored balances")).toBeVisible();
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Audit" }).click();
  await page.getByRole("button", { name: /^Entry \d+, show its sides/ }).first().click();
  await expect(page.getByRole("dialog")).toContainText("Together");
});

test("a join token is shown once, with its command", async ({ page, pool }) => {
  await enter(page, pool.site, pool.operator);
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Nodes" }).click();
  await page.getByRole("button", { name: "Add a machine" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Make a token" }).click();
  await expect(page.getByRole("dialog").getByRole("region", { name: "the command" })).toContainText("hivemind worker --join ");
  await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  await page.getByRole("button", { name: "Add a machine" }).click();
  await expect(page.getByRole("dialog").getByRole("region", { name: "the command" })).toHaveCount(0);
});
