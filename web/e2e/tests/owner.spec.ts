/** The owner of a machine: opens their page, pauses, starts, sets rules, and sees what is wrong with a rule. */
import { live } from "../harness/look";
import { ownersAddress } from "../harness/people";
import { expect, test } from "../harness/test";

test("the owner opens the page, pauses and starts", async ({ page, up }) => {
  await page.goto(await ownersAddress(up.data));
  await live(page);
  expect(page.url()).not.toContain("token");
  const machine = page.getByRole("group", { name: "This machine" });
  await machine.getByRole("button", { name: "Pause" }).click();
  await expect(page.getByRole("region", { name: "What this machine does" }).getByRole("status")).toContainText(/paused/i);
  await expect(machine.getByRole("button", { name: "Pause" })).toHaveAttribute("aria-pressed", "true");
  await page.reload();
  await expect(machine.getByRole("button", { name: "Pause" })).toHaveAttribute("aria-pressed", "true");
  await machine.getByRole("button", { name: "Start" }).click();
  await expect(machine.getByRole("button", { name: "Start" })).toHaveAttribute("aria-pressed", "true");
});

test("the emergency stop asks first, and pauses", async ({ page, up }) => {
  await page.goto(await ownersAddress(up.data));
  await page.getByRole("button", { name: "Stop everything now" }).click();
  const question = page.getByRole("dialog");
  await question.getByRole("button", { name: "Stop everything now" }).click();
  const machine = page.getByRole("group", { name: "This machine" });
  await expect(machine.getByRole("button", { name: "Pause" })).toHaveAttribute("aria-pressed", "true");
  await machine.getByRole("button", { name: "Start" }).click();
  await expect(machine.getByRole("button", { name: "Start" })).toHaveAttribute("aria-pressed", "true");
});

test("rules are kept, and a rule out of bounds is refused at its field", async ({ page, up }) => {
  await page.goto(await ownersAddress(up.data));
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "When to run" }).click();
  await page.getByLabel("Work that has to stop stands still for").fill("2000");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Write a whole number from 0 to 1,440.")).toBeVisible();
  await page.getByLabel("Work that has to stop stands still for").fill("20");
  await page.getByLabel("Work only in certain hours").check();
  // By keyboard: Monday at noon, and the hour after it.
  const noon = page.getByRole("gridcell", { name: /^Monday 12:00/ });
  const before = await noon.getAttribute("aria-selected");
  await noon.focus();
  await page.keyboard.press("Space");
  await page.keyboard.press("Shift+ArrowRight");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Not saved yet.")).toBeHidden();
  await page.reload();
  const changed = before === "true" ? "false" : "true";
  await expect(noon).toHaveAttribute("aria-selected", changed);
  await expect(page.getByRole("gridcell", { name: /^Monday 13:00/ })).toHaveAttribute("aria-selected", changed);
  await expect(page.getByLabel("Work that has to stop stands still for")).toHaveValue("20");
  await page.getByLabel("Work only in certain hours").uncheck();
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Not saved yet.")).toBeHidden();
});

test("another secret opens nothing", async ({ page, up }) => {
  const address = (await ownersAddress(up.data)).replace(/token=.*/, `token=${"0".repeat(64)}`);
  await page.goto(address);
  await expect(page.getByText("This address does not open the page.")).toBeVisible();
  await expect(page.getByRole("button", { name: "Pause" })).toHaveCount(0);
  expect(page.url()).not.toContain("token");
});
