/**
 * Real pages in a real browser, against real servers: see `harness/test.ts` for what is started.
 *
 * HIVEMIND_E2E_BINARY: the executable. HIVEMIND_E2E_CHROMIUM: the browser, where it is not one of the PATH.
 * HIVEMIND_E2E_TRACE=1: a trace of what failed. Pictures of every page come to `shots`, what failed to `test-results`.
 *
 * Invariant: nothing here waits for a time; every wait is for a condition, with a deadline.
 */
import { defineConfig } from "@playwright/test";
import { browserPath } from "./harness/browser";

export default defineConfig({
  testDir: "tests",
  outputDir: "test-results",
  // One pool for all: its machine is the one that the browser runs on, too.
  workers: 1,
  fullyParallel: false,
  forbidOnly: process.env["CI"] !== undefined,
  // Only what hangs comes to these ends; a machine that does much else may stand still for long.
  timeout: 600_000,
  expect: { timeout: 120_000 },
  reporter: [["list"]],
  use: {
    browserName: "chromium",
    viewport: { width: 1360, height: 900 },
    actionTimeout: 120_000,
    navigationTimeout: 120_000,
    // A trace of every step takes as long as the steps: only where somebody wants to look into a failure.
    trace: process.env["HIVEMIND_E2E_TRACE"] === "1" ? "retain-on-failure" : "off",
    screenshot: "only-on-failure",
    // Colours that are on their way to another are nobody's; a page looks the same without its movements.
    contextOptions: { reducedMotion: "reduce" },
    launchOptions: {
      executablePath: browserPath(),
      // Containers that run the tests as root have no user namespaces for the browser's own sandbox.
      args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
    },
  },
});
