/**
 * Every form at its limits: what is just right is taken, what is one too many is refused at its field, in words, by the page or by
 * the pool, and stays as it was typed. That no server fails over it is looked at in every test.
 */
import type { Locator } from "@playwright/test";
import { enter, join, ownersAddress, signUp, somebody } from "../harness/people";
import { expect, test } from "../harness/test";

/** A field, what is typed, and what is said of it; null: it is taken. */
type Case = [field: string, typed: string, said: RegExp | null];

/** What is said at a field, as assistive technology hears it. */
async function expectSaid(field: Locator, said: RegExp): Promise<void> {
  await expect(field).toHaveAttribute("aria-invalid", "true");
  await expect(field).toHaveAccessibleDescription(said);
}

test("an account", async ({ page, up }) => {
  const name = page.getByLabel("User name");
  const email = page.getByLabel("E-mail");
  const password = page.getByLabel("Password");
  const send = page.getByRole("button", { name: "Make the account" });
  await page.goto(`${up.master}/register`);
  await send.click();
  for (const [field, said] of [[name, /3 to 32/], [email, /you@example\.org/], [password, /At least 8/]] as const) await expectSaid(field, said);
  await name.fill("äöü");
  await email.fill(`${"ä".repeat(122)}@example.org`);
  await password.fill("ä".repeat(513));
  await send.click();
  await expectSaid(name, /3 to 32/);
  await expectSaid(password, /1,024 bytes/);
  // One letter more than fits is not taken.
  const most = somebody().username.padEnd(32, "x");
  await name.fill(`${most}x`);
  await expect(name).toHaveValue(most);
  await password.fill("ä".repeat(512));
  await send.click();
  await expectSaid(email, /254/);
  await expect(password).toHaveValue("ä".repeat(512));
  await email.fill(`${"x".repeat(242)}@example.org`);
  await send.click();
  await expect(page.getByRole("heading", { level: 1, name: `Hello, ${most}` })).toBeVisible();
});

test("a name that somebody has, and a password that is wrong", async ({ page, up, account, visitor }) => {
  await signUp(page, up.master, account);
  const other = await visitor();
  await other.goto(`${up.master}/register`);
  await other.getByLabel("User name").fill(account.username.toUpperCase());
  await other.getByLabel("E-mail").fill("somebody@example.org");
  await other.getByLabel("Password").fill("a sentence is easier");
  await other.getByRole("button", { name: "Make the account" }).click();
  await expectSaid(other.getByLabel("User name"), /taken|has this name|exists/);
  await other.goto(`${up.master}/login?next=/wallet`);
  await other.getByLabel("User name").fill(account.username);
  await other.getByLabel("Password").fill("a sentence is easier");
  await other.getByRole("button", { name: "Sign in" }).click();
  await expect(other.getByRole("alert")).toContainText("You are not signed in.");
  await other.getByLabel("Password").fill(account.password);
  await other.getByRole("button", { name: "Sign in" }).click();
  await expect(other.getByRole("heading", { level: 1, name: "Wallet" })).toBeVisible();
});

const RUN: Case[] = [
  ["Image", "", /Name an image/],
  ["Image", "two words", /no spaces/],
  ["Image", "ä".repeat(300), /512/],
  ["Image", "<script>", /of the form/],
  ["Image", "x".repeat(512), null],
  ["Image", "busybox", null],
  ["Command", "'open", /not closed/],
  ["Command", "x".repeat(65_536), /65536|65,536/],
  ["Command", "x".repeat(65_535), null],
  ["Command", "echo '\u{1F41D} \u202e <script>'", null],
  ["Processor", "0", /1 to 1024/],
  ["Processor", "1025", /1 to 1024/],
  ["Processor", "1.5", /whole number/],
  ["Processor", "1", null],
  ["Memory", "0", /smallest/],
  ["Memory", "much", /a number with/],
  ["Memory", "99999999 TiB", /./],
  ["Memory", "512 MiB", null],
  ["At most", "0 s", /shortest/],
  ["At most", "9999999999 d", /./],
  ["At most", "15 min", null],
  ["Elements", "1-", /Indices/],
  ["Elements", "9-1", /./],
  ["Elements", "1-99999999999", /./],
  ["Elements", "1-1000", null],
  ["Elements", "", null],
  ["Price cap", "0", /above zero/],
  ["Price cap", "0.0000001", /six decimals/],
  ["Price cap", "9999999999999", /more CPT than/],
  ["Price cap", "0.000001", null],
  ["Price cap", "", null],
  ["Name", "ä".repeat(101), /200/],
  ["Name", "ä".repeat(100), null],
];

test("the run box", async ({ page, up, account }) => {
  await join(page, up.master, account);
  const field = (name: string) => page.getByRole("textbox", { name: new RegExp(`^${name}`) });
  const price = page.getByRole("status").filter({ hasText: /^At most/ });
  await field("Image").fill("busybox");
  for (const [name, typed, said] of RUN) {
    await test.step(`${name}: ${typed.slice(0, 30)} (${typed.length})`, async () => {
      await field(name).fill(typed);
      await page.getByRole("button", { name: "What would it cost?" }).click();
      if (said !== null) await expectSaid(field(name), said);
      else await expect(price).toBeVisible();
      await expect(field(name)).toHaveValue(typed);
    });
  }
});

test("money for somebody else", async ({ page, up, account }) => {
  await join(page, up.master, account);
  await page.goto(`${up.master}/wallet`);
  const to = page.getByPlaceholder("user name");
  const amount = page.getByRole("textbox", { name: "Amount" });
  const give = page.getByRole("button", { name: "Give", exact: true });
  await expect(page.getByText(/You can give away/)).toBeVisible();
  await give.click();
  await expectSaid(to, /Say who/);
  await to.fill("nobody-of-that-name");
  for (const [typed, said] of [["0", /above zero/], ["-1", /digits/], ["0.0000001", /six decimals/], ["1e3", /digits/], ["9999999999999", /more CPT than/], ["1000000", /more than you can give/]] as const) {
    await amount.fill(typed);
    await give.click();
    await expectSaid(amount, said);
    await expect(amount).toHaveValue(typed);
  }
});

test("a tip for a project", async ({ page, up, account, visitor }) => {
  const keeper = somebody();
  const made = await page.request.post(`${up.master}/api/v1/auth/register`, { data: { ...keeper, email: "keeper@example.org" } });
  const { csrf_token } = (await made.json()) as { csrf_token: string };
  const name = `${keeper.username}-project`;
  const registered = await page.request.post(`${up.master}/api/v1/projects`, { data: { name, repository: "https://example.org/b" }, headers: { "x-csrf-token": csrf_token } });
  expect(registered.status(), await registered.text()).toBe(201);
  const other = await visitor();
  await join(other, up.master, account);
  await other.goto(`${up.master}/wallet`);
  await other.getByRole("button", { name: `Tip ${name}` }).click();
  const form = other.getByRole("dialog");
  const amount = form.getByRole("textbox", { name: "Amount" });
  const message = form.getByRole("textbox", { name: "Message" });
  const tip = form.getByRole("button", { name: "Tip", exact: true });
  for (const [typed, said] of [["", /./], ["0", /above zero/], ["-1", /digits/], ["0.0000001", /six decimals/], ["9999999999999", /more CPT than/], ["1000000", /more than you can give/]] as const) {
    await amount.fill(typed);
    await tip.click();
    await expectSaid(amount, said);
    await expect(amount).toHaveValue(typed);
  }
  await message.fill("ä".repeat(141));
  await tip.click();
  await expectSaid(message, /280 bytes/);
  await message.fill("ä".repeat(140));
  await tip.click();
  await expect(message).not.toHaveAttribute("aria-invalid", "true");
  // What was typed is there when the form is opened again.
  await form.getByRole("button", { name: "Not now" }).click();
  await other.getByRole("button", { name: `Tip ${name}` }).click();
  await expect(message).toHaveValue("ä".repeat(140));
});

test("an API key", async ({ page, up, account }) => {
  await join(page, up.master, account);
  await page.goto(`${up.master}/settings`);
  await page.getByRole("button", { name: "Make a key" }).click();
  const dialog = page.getByRole("dialog");
  const name = dialog.getByRole("textbox", { name: /^Name/ });
  const make = dialog.getByRole("button", { name: "Make the key" });
  await make.click();
  await expectSaid(name, /Name it/);
  await name.fill("ä".repeat(101));
  await make.click();
  await expectSaid(name, /202 bytes/);
  await dialog.getByLabel("Read tasks").uncheck();
  await name.fill("ä".repeat(100));
  await make.click();
  await expect(dialog.getByText("Choose at least one")).toBeVisible();
  await dialog.getByLabel("Read tasks").check();
  await make.click();
  await expect(dialog.getByRole("region", { name: "the key" })).toContainText("hm_");
});

test("an invitation", async ({ page, up }) => {
  await enter(page, up.master, up.operator, "/settings");
  const uses = page.getByRole("textbox", { name: "For so many accounts" });
  const make = page.getByRole("button", { name: "Make a code" });
  for (const typed of ["0", "1001", "-1", "1e3", "1.5", "x"]) {
    await uses.fill(typed);
    await make.click();
    await expectSaid(uses, /1 to 1000/);
    await expect(uses).toHaveValue(typed);
  }
  await uses.fill("1000");
  await make.click();
  await expect(page.getByRole("region", { name: "the invitation" })).toBeVisible();
});

test("what is looked for, and an element that is not there", async ({ page, up, account }) => {
  await join(page, up.master, account);
  await page.getByRole("button", { name: "Render the picture" }).click();
  const link = page.getByRole("link", { name: /^task_/ });
  const task = (await link.getAttribute("href")) ?? "";
  await page.goto(`${up.master}/tasks`);
  const search = page.getByLabel("Search by name or image");
  await search.fill("%_<script>'\"\\".padEnd(200, "ä"));
  // 200 letters are 389 bytes: said, not broken.
  await expect(page.getByText("No task is like that").or(page.getByRole("alert"))).toBeVisible();
  await search.fill("RENDER man");
  await expect(page.getByRole("link", { name: "render mandelbrot" })).toBeVisible();
  await page.goto(`${up.master}${task}?tab=outputs`);
  const element = page.getByRole("textbox", { name: "Element" });
  await element.fill("three");
  await element.press("Enter");
  await expectSaid(element, /such as 0/);
  for (const beyond of ["12", "9999999999"]) {
    await element.fill(beyond);
    await element.press("Enter");
    await expect(page.getByRole("alert")).toContainText("The outputs could not be listed.");
  }
  await page.goto(`${up.master}${task}?tab=nonsense&element=-1`);
  await expect(page.getByRole("tab", { name: "Overview" })).toHaveAttribute("aria-selected", "true");
  await page.goto(`${up.master}/tasks/${encodeURIComponent("../../auth/me")}`);
  await expect(page.getByRole("heading", { name: /There is no such|could not be read|no such page/ }).or(page.getByText("There is no such task")).or(page.getByRole("alert")).first()).toBeVisible();
});

const RULES: Case[] = [
  ["Take work after", "0", /from 1 to 1,440/],
  ["Take work after", "1441", /from 1 to 1,440/],
  ["Take work after", "1440", null],
  ["Work that has to stop stands still for", "1441", /from 0 to 1,440/],
  ["Work that has to stop stands still for", "1e2", /from 0 to 1,440/],
  ["Work that has to stop stands still for", "1440", null],
  ["Stop at", "39", /from 40 to 110/],
  ["Stop at", "111", /from 40 to 110/],
  ["Stop at", "110", null],
  ["Go on at", "110", /from 30 to 109/],
  ["Go on at", "109", null],
  ["Disk for kept inputs and images", "1000001", /from 1 to 1,000,000/],
  ["Disk for kept inputs and images", "1000000", null],
  ["Stand still while one of these runs", "/usr/bin/steam", /without its folder/],
  ["Stand still while one of these runs", "x".repeat(257), /1 to 256 bytes/],
  ["Stand still while one of these runs", "<b>no-such-program", null],
  ["Images that may run", "x\n".repeat(257), /257 lines; 256/],
];

test("the rules of a machine", async ({ page, up }) => {
  await page.goto(await ownersAddress(up.data));
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "When to run" }).click();
  const rules = page.getByRole("form", { name: "Preferences" });
  const save = rules.getByRole("button", { name: "Save" });
  const field = (name: string) => rules.getByRole("textbox", { name, exact: true });
  await rules.getByLabel("Work only when nobody uses this machine").check();
  const fill = async (name: string, typed: string) => {
    await field(name).fill(typed);
    await save.click();
  };
  for (const [name, typed, said] of RULES) {
    await test.step(`${name}: ${typed.slice(0, 30)}`, async () => {
      await fill(name, typed);
      if (said !== null) await expectSaid(field(name), said);
      else await expect(save).toBeHidden();
    });
  }
  await page.reload();
  await expect(field("Stop at")).toHaveValue("110");
  await expect(field("Go on at")).toHaveValue("109");
  // As they were, for the tests that come after.
  await rules.getByLabel("Work only when nobody uses this machine").uncheck();
  for (const name of ["Go on at", "Stop at", "Disk for kept inputs and images", "Stand still while one of these runs", "Images that may run"]) await field(name).fill("");
  await save.click();
  await expect(save).toBeHidden();
});
