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

test("the reason of a ban, and what is looked for", async ({ page, pool }) => {
  await enter(page, pool.site, pool.operator, "/nodes");
  const find = page.getByLabel("Find");
  await find.fill("%_<script>'\"\\".padEnd(300, "ä"));
  await expect(page.getByText("No node fits")).toBeVisible();
  await find.fill("E2E-no");
  await page.getByLabel("State", { exact: true }).selectOption("banned");
  await expect(page.getByText("No node fits")).toBeVisible();
  await page.getByLabel("State", { exact: true }).selectOption("all");
  await page.getByRole("link", { name: "e2e-node" }).click();
  await page.getByRole("button", { name: "Ban", exact: true }).click();
  const dialog = page.getByRole("dialog");
  const reason = dialog.getByRole("textbox", { name: /^Reason/ });
  const ban = dialog.getByRole("button", { name: "Ban", exact: true });
  for (const [typed, said] of [["", /Write a reason/], [" \n ", /Write a reason/], ["ä".repeat(101), /202 bytes/]] as const) {
    await reason.fill(typed);
    await ban.click();
    await expect(reason).toHaveAttribute("aria-invalid", "true");
    await expect(reason).toHaveAccessibleDescription(said);
    await expect(reason).toHaveValue(typed);
  }
  // What would turn the words of others around is refused by the pool.
  await reason.fill("\u202e<b>");
  await ban.click();
  await expect(dialog.getByRole("alert")).toBeVisible();
  await expect(reason).toHaveValue("\u202e<b>");
  await dialog.getByRole("button", { name: "Not now" }).click();

  await enter(page, pool.site, pool.operator, "/audit");
  const user = page.getByLabel("Only of this user");
  for (const typed of ["nobody-of-that-name", "%_<script>'\"\\", "ä".repeat(32)]) {
    await user.fill(typed);
    await page.getByRole("button", { name: "Show", exact: true }).click();
    await expect(page.getByText("No entry fits").or(page.getByRole("alert"))).toBeVisible();
    await expect(user).toHaveValue(typed);
  }
  await user.fill("operator");
  await page.getByRole("button", { name: "Show", exact: true }).click();
  await expect(page.getByRole("button", { name: /^Entry \d+, show its sides/ }).first()).toBeVisible();
});

test("a pool that is killed under an operator's page: nothing typed is lost, and it is back by itself", async ({ page, pool }) => {
  const lost = page.getByText("No connection to the pool.");
  await enter(page, pool.site, pool.operator, "/nodes/e2e-node");
  await live(page);
  await page.getByRole("button", { name: "Ban", exact: true }).click();
  const dialog = page.getByRole("dialog");
  const reason = dialog.getByRole("textbox", { name: /^Reason/ });
  await reason.fill("typed before it went");
  await pool.server.kill();
  await expect(lost).toBeAttached();
  await dialog.getByRole("button", { name: "Ban", exact: true }).click();
  await expect(dialog.getByRole("alert")).toBeVisible();
  await expect(reason).toHaveValue("typed before it went");
  await dialog.getByRole("button", { name: "Not now" }).click();
  await pool.server.again();
  await expect(lost).toBeHidden();
  await live(page);
  // Its worker finds it again, too, and the page tells so.
  await expect(page.getByRole("heading", { level: 1 })).toContainText("online");
});
