/**
 * How fast the pages are, as a browser has them: figures for docs/EVIDENCE.md, printed and judged by nobody.
 *
 * A `hivemind up` and one account. Run with `npm run measure`.
 *
 * Invariant: no figure fails a run; what fails is only what does not work.
 */
import { expect, test as base, type Page } from "@playwright/test";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hivemind, Server } from "../harness/servers";
import { makeImage, removeImage } from "../harness/docker";
import { type Account } from "../harness/people";

const ELEMENTS = 100_000;
const OPENINGS = 7;
const LINES = 100_000;
const LINES_PER_SECOND = 10_000;

type Grid = { site: string; cli: string[]; account: Account; image: string | null };

const test = base.extend<object, { grid: Grid }>({
  grid: [
    // eslint-disable-next-line no-empty-pattern
    async ({}, provide) => {
      const folder = await mkdtemp(join(tmpdir(), "hivemind-measures-"));
      const data = join(folder, "up");
      const server = await Server.start(data, ["up", "--listen", "127.0.0.1:0", "--web", "127.0.0.1:0", "--worker-web", "off", "--selftest", "never", "--cpus", "2", "--memory", "1g", "--disk", "2g"]);
      const account = { username: "measurer", password: randomBytes(12).toString("hex") };
      const file = join(folder, "password");
      await writeFile(file, account.password, { mode: 0o600 });
      const cli = ["--data", join(folder, "home"), "--server", server.url("grpc"), "--ca", join(data, "ca.pem")];
      await hivemind(...cli, "--quiet", "register", account.username, "--email", "measurer@example.org", "--password-file", file);
      const image = await makeImage(folder);
      await provide({ site: server.url("web"), cli, account, image });
      if (image !== null) await removeImage(image);
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
    { scope: "worker", timeout: 180_000 },
  ],
});

const ms = (samples: number[], share: number) => samples.sort((a, b) => a - b)[Math.min(samples.length - 1, Math.ceil(samples.length * share) - 1)] ?? NaN;
const tell = (name: string, samples: number[]) => process.stdout.write(`${name}: p50 ${ms(samples, 0.5).toFixed(0)} ms, p95 ${ms(samples, 0.95).toFixed(0)} ms, of ${samples.length}\n`);

async function signIn(page: Page, { site, account }: Grid): Promise<void> {
  await page.goto(`${site}/login`);
  await page.getByLabel("User name").fill(account.username);
  await page.getByLabel("Password").fill(account.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { level: 1, name: `Hello, ${account.username}` })).toBeVisible();
}

/** Milliseconds from the request of a page until `ready` of it is there and has been painted. */
async function opening(page: Page, address: string, ready: string): Promise<number> {
  const begin = Date.now();
  await page.goto(address, { waitUntil: "commit" });
  await page.locator(ready).waitFor({ state: "visible" });
  await page.evaluate(() => new Promise((painted) => requestAnimationFrame(() => requestAnimationFrame(painted))));
  return Date.now() - begin;
}

test(`an array of ${ELEMENTS} elements opens`, async ({ page, grid }) => {
  // Nothing can run it: its picture is the same at every opening.
  const submitted = await hivemind(...grid.cli, "--quiet", "submit", "--array", `1-${ELEMENTS}`, "--label", "there=no", "--cpus", "1", "--memory", "16m", "--disk", "16m", "--timeout", "1s", "none:1", "true");
  const task = submitted.trim();
  await signIn(page, grid);
  const samples: number[] = [];
  for (let at = 0; at < OPENINGS; at += 1) samples.push(await opening(page, `${grid.site}/tasks/${task}?tab=elements`, "[role=listbox] canvas"));
  await page.locator("[role=listbox]").press("End");
  await expect(page.getByRole("listitem").filter({ hasText: `Element ${ELEMENTS}:` })).toBeVisible();
  tell("array_open", samples);
});

test(`a log of ${LINES_PER_SECOND} lines a second is followed`, async ({ page, grid }) => {
  test.skip(grid.image === null, "no Docker engine answers");
  await signIn(page, grid);
  const script = `n=0; while [ $n -lt ${LINES / LINES_PER_SECOND} ]; do i=0; while [ $i -lt ${LINES_PER_SECOND} ]; do i=$((i+1)); echo "line $n.$i"; done; n=$((n+1)); sleep 0.5; done; echo the end`;
  const task = (await hivemind(...grid.cli, "--quiet", "submit", "--cpus", "1", "--memory", "64m", "--disk", "64m", "--timeout", "120s", grid.image ?? "", "sh", "-c", script)).trim();
  await page.goto(`${grid.site}/tasks/${task}?tab=log`);
  const frames = page.evaluate(async (end) => {
    const gaps: number[] = [];
    const begin = performance.now();
    let last = begin;
    while (!document.querySelector("main")?.textContent.includes(end) && last - begin < 110_000) {
      await new Promise((next) => requestAnimationFrame(next));
      const now = performance.now();
      gaps.push(now - last);
      last = now;
    }
    return { gaps, took: last - begin };
  }, "the end");
  const { gaps, took } = await frames;
  process.stdout.write(`log_follow: ${LINES} lines within ${(took / 1000).toFixed(1)} s of the page\n`);
  tell("log_frame_gap", gaps);
  await expect(page.getByRole("region", { name: "Lines of the log" })).toContainText("the end");
});
