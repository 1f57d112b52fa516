/**
 * Who uses the pages: accounts, and the ways in.
 *
 * Start at [`join`]: an account of a test's own, and its home page. The forms for it have tests of their own, which go through
 * [`signUp`] and [`signIn`].
 *
 * Invariant: no account is used by two tests, but for the operator, whom a pool has one of.
 */
import { expect, type Page } from "@playwright/test";
import { randomBytes } from "node:crypto";
import { hivemind } from "./servers";

/** Somebody who can sign in. */
export type Account = { username: string; password: string };

/** Somebody whom no server knows yet. */
export function somebody(): Account {
  return { username: `e2e-${randomBytes(5).toString("hex")}`, password: randomBytes(12).toString("hex") };
}

/** Makes an account without its form, signs the browser of `page` in, and opens the first page behind that. */
export async function join(page: Page, master: string, { username, password }: Account): Promise<void> {
  const made = await page.request.post(`${master}/api/v1/auth/register`, { data: { username, password, email: `${username}@example.org` } });
  expect(made.status(), await made.text()).toBe(201);
  await page.goto(`${master}/home`);
  await expect(page.getByRole("heading", { level: 1, name: `Hello, ${username}` })).toBeVisible();
}

/** Makes an account in the page. */
export async function signUp(page: Page, master: string, { username, password }: Account): Promise<void> {
  await page.goto(`${master}/register`);
  await page.getByLabel("User name").fill(username);
  await page.getByLabel("E-mail").fill(`${username}@example.org`);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Make the account" }).click();
  await expect(page.getByRole("heading", { level: 1, name: `Hello, ${username}` })).toBeVisible();
}

/** Signs the browser of `page` in without the form, and opens `path`. */
export async function enter(page: Page, site: string, { username, password }: Account, path = "/"): Promise<void> {
  const entered = await page.request.post(`${site}/api/v1/auth/login`, { data: { username, password } });
  expect(entered.status(), await entered.text()).toBe(200);
  await page.goto(site + path);
  await expect(page.getByRole("navigation", { name: "Main" })).toBeVisible();
}

/** Signs in where a server shows nothing to strangers. */
export async function signIn(page: Page, site: string, { username, password }: Account): Promise<void> {
  await page.goto(site);
  await page.getByLabel("User name").fill(username);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("navigation", { name: "Main" })).toBeVisible();
}

/** The address that opens the page of the owner of the machine with the data folder `data`. */
export async function ownersAddress(data: string): Promise<string> {
  const said = await hivemind("--data", data, "--json", "worker", "status");
  const found = /http:\/\/[^"\s]+#token=[0-9a-f]+/.exec(said);
  if (!found) throw new Error(`the worker's status has no address of its page: ${said}`);
  return found[0];
}
