/**
 * What tests begin with: the servers, an account, a browser that reports what a page did wrong.
 *
 * Invariant: one `up` and one pool for the whole run; each test has an account and a browser profile of its own.
 */
import { AxeBuilder } from "@axe-core/playwright";
import { expect, test as base, type Browser, type BrowserContext, type Page } from "@playwright/test";
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { authority, hivemind, Server } from "./servers";

const LOOPBACK = "127.0.0.1:0";
const OFFER = ["--cpus", "2", "--memory", "1g", "--disk", "2g", "--selftest", "never"];

/** `hivemind up`: the pages of requesters and of the machine's owner. */
export type Up = { server: Server; master: string; data: string };
/** `hivemind pool` with a worker: the pages of operators. */
export type Pool = { server: Server; worker: Server; site: string; operator: Account };
/** Somebody who can sign in. */
export type Account = { username: string; password: string };

type Shared = { folder: string; up: Up; pool: Pool };
type Own = { account: Account; faults: string[] };

const at = (known: Record<string, string>, name: string) => (known[name] === undefined ? LOOPBACK : authority(known[name]));

export const test = base.extend<Own, Shared>({
  folder: [
    // Playwright reads what a fixture needs from its first argument; these need nothing.
    // eslint-disable-next-line no-empty-pattern
    async ({}, provide) => {
      const folder = await mkdtemp(join(tmpdir(), "hivemind-e2e-"));
      await provide(folder);
      await rm(folder, { recursive: true, force: true });
    },
    { scope: "worker" },
  ],
  up: [
    async ({ folder }, provide) => {
      const data = join(folder, "up");
      const server = await Server.start(data, (known) => ["up", "--listen", at(known, "grpc"), "--web", at(known, "web"), "--worker-web", LOOPBACK, "--name", "e2e-up", ...OFFER]);
      await provide({ server, data, master: server.url("web") });
      await server.stop();
    },
    { scope: "worker", timeout: 180_000 },
  ],
  pool: [
    async ({ folder }, provide) => {
      const data = join(folder, "pool");
      const server = await Server.start(data, (known) => ["pool", "--listen", at(known, "grpc"), "--web", at(known, "web")]);
      const operator = { username: "operator", password: (await readFile(join(data, "operator.password"), "utf8")).trim() };
      const token = await joinToken(folder, server, operator);
      const worker = await Server.start(join(folder, "node"), () => ["worker", "--web", LOOPBACK, "--name", "e2e-node", ...OFFER], { HIVEMIND_JOIN: token });
      await provide({ server, worker, operator, site: server.url("web") });
      await worker.stop();
      await server.stop();
    },
    { scope: "worker", timeout: 180_000 },
  ],
  // eslint-disable-next-line no-empty-pattern
  account: async ({}, provide) => {
    await provide({ username: `e2e-${randomBytes(5).toString("hex")}`, password: randomBytes(12).toString("hex") });
  },
  // What a page reports to its console and never should: uncaught errors, and what the content policy had to stop.
  faults: [
    async ({ page }, provide) => {
      const faults: string[] = [];
      page.on("pageerror", (error) => faults.push(String(error)));
      page.on("console", (message) => {
        if (/content security policy/i.test(message.text())) faults.push(message.text());
      });
      await provide(faults);
      expect(faults, "uncaught errors and breaches of the content policy").toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };

async function joinToken(folder: string, server: Server, operator: Account): Promise<string> {
  const cli = await signInCli(folder, server, join(folder, "pool"), operator);
  return (await hivemind(...cli, "--quiet", "nodes", "join-token")).trim();
}

/** Signs in on the command line; gives the arguments with which further commands are that user's. */
export async function signInCli(folder: string, server: Server, poolData: string, { username, password }: Account): Promise<string[]> {
  const file = join(folder, `${username}.password`);
  await writeFile(file, password, { mode: 0o600 });
  const cli = ["--data", join(folder, `home-${username}`), "--server", server.url("grpc"), "--ca", join(poolData, "ca.pem")];
  await hivemind(...cli, "--quiet", "login", username, "--password-file", file);
  return cli;
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

/** Waits until a page shows live data. */
export async function live(page: Page): Promise<void> {
  await expect(page.getByRole("banner").getByText("Live", { exact: true })).toBeAttached();
}

const STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

/** Breaches of WCAG 2.2 AA that axe-core finds on the page as it is. */
export async function breaches(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).withTags(STANDARDS).analyze();
  return violations.map((rule) => `${rule.id}: ${rule.nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`);
}

/** How many pixels a page is wider than its window. */
export function overhang(page: Page): Promise<number> {
  return page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth));
}

/** A browser profile that looks as `look`, with the login of `context`. */
export async function looking(browser: Browser, context: BrowserContext, look: "light" | "dark" | "phone"): Promise<BrowserContext> {
  return browser.newContext({
    storageState: await context.storageState(),
    colorScheme: look === "dark" ? "dark" : "light",
    viewport: look === "phone" ? { width: 375, height: 812 } : { width: 1360, height: 900 },
  });
}
