/**
 * Real pages in a real browser, against real servers: see `harness/servers.ts` for what is started.
 *
 * HIVEMIND_E2E_BINARY: the executable. HIVEMIND_E2E_CHROMIUM: the browser, /usr/bin/chromium where it is not said.
 * Pictures of every page come to `shots`, traces of what failed to `test-results`.
 *
 * Invariant: nothing here waits for a time; every wait is for a condition, with a deadline.
 */
import { defineConfig } from "@playwright/test";

export default defineConfig({
  testDir: "tests",
  outputDir: "test-results",
  // One pool for all: its machine is the one that the browser runs on, too.
  workers: 1,
  fullyParallel: false,
  forbidOnly: process.env["CI"] !== undefined,
  timeout: 120_000,
  expect: { timeout: 30_000 },
  reporter: [["list"]],
  use: {
    browserName: "chromium",
    viewport: { width: 1360, height: 900 },
    actionTimeout: 20_000,
    navigationTimeout: 20_000,
    trace: "retain-on-failure",
    launchOptions: {
      executablePath: process.env["HIVEMIND_E2E_CHROMIUM"] ?? "/usr/bin/chromium",
      // Containers that run the tests as root have no user namespaces for the browser's own sandbox.
      args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
    },
  },
});
