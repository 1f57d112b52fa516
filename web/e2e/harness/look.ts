/**
 * How a page looks: what axe-core finds, what hangs over a phone's edge, and a picture of it.
 *
 * Start at [`judge`], which looks at one page in light, in dark and on a phone, without loading it anew.
 *
 * Invariant: nothing here knows whose page it is.
 */
import { AxeBuilder } from "@axe-core/playwright";
import { expect, type Page } from "@playwright/test";

const STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
const WIDE = { width: 1360, height: 900 };
const PHONE = { width: 375, height: 812 };

/** Where the pictures lie, below the folder of these tests. */
const SHOTS = "shots";

/** Waits until a page has what it asked for. */
export async function settled(page: Page): Promise<void> {
  await expect(page.locator("main h1").first()).toBeVisible();
  await expect(page.locator("main").getByRole("status", { name: /^Loading/ })).toHaveCount(0);
}

/** Waits until a page shows live data. */
export async function live(page: Page): Promise<void> {
  await expect(page.getByRole("banner").getByText("Live", { exact: true })).toBeAttached();
}

/** Breaches of WCAG 2.2 AA that axe-core finds on the page as it is. */
async function breaches(page: Page): Promise<string[]> {
  // No page has frames, so there is nothing to put together from several.
  const { violations } = await new AxeBuilder({ page }).withTags(STANDARDS).setLegacyMode(true).analyze();
  return violations.map((rule) => `${rule.id}: ${rule.nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`);
}

/** How many pixels a page is wider than its window. */
function overhang(page: Page): Promise<number> {
  return page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth));
}

/**
 * Looks at what is open: axe-core in both colour schemes, the edge of a phone, and a picture of each. `name` is that of the
 * pictures. What is wrong is noted, and the test goes on to the next page.
 */
export async function judge(page: Page, name: string): Promise<void> {
  const shot = (look: string) => page.screenshot({ path: `${SHOTS}/${name}-${look}.png`, fullPage: true });
  await page.setViewportSize(WIDE);
  for (const look of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme: look });
    await shot(look);
    expect.soft(await breaches(page), `${name} in ${look}`).toEqual([]);
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(PHONE);
  // What is drawn follows the width of its place a frame later.
  await expect.soft(async () => expect(await overhang(page)).toBe(0), `pixels of ${name} beyond a phone's edge`).toPass({ timeout: 60_000 });
  await shot("phone");
  await page.setViewportSize(WIDE);
}
