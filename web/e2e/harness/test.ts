/**
 * What tests begin with: the servers, an account, a browser whose pages are watched for what they never should do.
 *
 * Start at [`test`].
 *
 * Invariant: one `up` and one pool for the whole run; each test has an account and a browser profile of its own.
 */
import { expect, test as base, type BrowserContext, type Page } from "@playwright/test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeImage, removeImage } from "./docker";
import { type Account, somebody } from "./people";
import { hivemind, Server, steadyAddress } from "./servers";

const LOOPBACK = "127.0.0.1:0";
/** Twelve tiles take seconds; on a machine that does much else, minutes. */
export const LONGEST_RENDER_MS = 480_000;
const OFFER = ["--cpus", "2", "--memory", "1g", "--disk", "2g", "--selftest", "never"];

/** `hivemind up`: the pages of requesters and of the machine's owner. */
export type Up = { server: Server; master: string; data: string; operator: Account };
/** `hivemind pool` with a worker: the pages of operators. */
export type Pool = { server: Server; worker: Server; site: string; operator: Account };

type Shared = { folder: string; up: Up; pool: Pool; image: string | null };
type Own = { account: Account; faults: string[]; visitor: () => Promise<Page> };

/**
 * Notes what a page should never do, whatever is tested: an uncaught error, something that its policy had to stop, a dialog of a script,
 * a request to another host, a fault inside of a server.
 */
function watch(context: BrowserContext, faults: string[]): void {
  context.on("weberror", (found) => faults.push(`uncaught: ${String(found.error())}`));
  context.on("console", (message) => {
    if (/content security policy/i.test(message.text())) faults.push(message.text());
  });
  context.on("dialog", (dialog) => {
    // Leaving a page with something unsaved asks; nothing else does.
    if (dialog.type() !== "beforeunload") faults.push(`a script said ${dialog.message()}`);
    void dialog.accept();
  });
  context.on("request", (asked) => {
    const { protocol, hostname } = new URL(asked.url());
    if (protocol.startsWith("http") && hostname !== "127.0.0.1") faults.push(`asked another host: ${asked.url()}`);
  });
  context.on("response", (answer) => {
    if (answer.status() === 500) faults.push(`500 for ${answer.request().method()} ${answer.url()}`);
  });
}

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
      const [grpc, web] = [await steadyAddress(), await steadyAddress()];
      const server = await Server.start(data, ["up", "--listen", grpc, "--web", web, "--worker-web", LOOPBACK, "--name", "e2e-up", ...OFFER]);
      await provide({ server, data, master: server.url("web"), operator: await operatorOf(data) });
      await server.stop();
    },
    { scope: "worker", timeout: 600_000 },
  ],
  pool: [
    async ({ folder }, provide) => {
      const data = join(folder, "pool");
      const server = await Server.start(data, ["pool", "--listen", await steadyAddress(), "--web", await steadyAddress()]);
      const operator = await operatorOf(data);
      const token = await joinToken(folder, server, operator);
      const worker = await Server.start(join(folder, "node"), ["worker", "--web", LOOPBACK, "--name", "e2e-node", ...OFFER], { HIVEMIND_JOIN: token });
      await provide({ server, worker, operator, site: server.url("web") });
      await worker.stop();
      await server.stop();
    },
    { scope: "worker", timeout: 600_000 },
  ],
  image: [
    async ({ folder }, provide) => {
      const image = await makeImage(folder);
      await provide(image);
      if (image !== null) await removeImage(image);
    },
    { scope: "worker", timeout: 600_000 },
  ],
  // eslint-disable-next-line no-empty-pattern
  account: async ({}, provide) => {
    await provide(somebody());
  },
  faults: [
    async ({ context }, provide) => {
      const faults: string[] = [];
      watch(context, faults);
      await provide(faults);
      expect(faults, "what no page should do").toEqual([]);
    },
    { auto: true },
  ],
  // A page in a browser profile of its own, for somebody else.
  visitor: async ({ browser, faults }, provide) => {
    const profiles: BrowserContext[] = [];
    await provide(async () => {
      const profile = await browser.newContext();
      watch(profile, faults);
      profiles.push(profile);
      return profile.newPage();
    });
    for (const profile of profiles) await profile.close();
  },
});

export { expect };

/** The operator of the pool whose data folder that is. */
async function operatorOf(data: string): Promise<Account> {
  return { username: "operator", password: (await readFile(join(data, "operator.password"), "utf8")).trim() };
}

/** Makes a token with which a machine joins, as the operator. */
async function joinToken(folder: string, server: Server, { username, password }: Account): Promise<string> {
  const file = join(folder, `${username}.password`);
  await writeFile(file, password, { mode: 0o600 });
  const cli = ["--data", join(folder, `home-${username}`), "--server", server.url("grpc"), "--ca", join(folder, "pool", "ca.pem")];
  await hivemind(...cli, "--quiet", "login", username, "--password-file", file);
  return (await hivemind(...cli, "--quiet", "nodes", "join-token")).trim();
}
