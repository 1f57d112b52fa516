// Pictures of every page, light, dark and as wide as a phone, into shots/. Needs `npm run mock` and Debian's Chromium.
// Ends with 1 where a page logs an error, such as a breach of the content policy, where it is wider than the window, and where axe
// finds anything (WCAG 2.2 AA, contrast included).
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const base = process.env.BASE ?? "http://127.0.0.1:8090";
const only = process.argv[2];
const pages = {
  home: "/home", tasks: "/tasks", task: "/tasks/task_1036", waiting: "/tasks/task_1040", failed: "/tasks/task_1037", array: "/tasks/task_1039", elements: "/tasks/task_1039?tab=elements&element=4301",
  log: "/tasks/task_1036?tab=log", outputs: "/tasks/task_1036?tab=outputs", timeline: "/tasks/task_1039?tab=timeline", failures: "/tasks/task_1039?tab=failures", price: "/tasks/task_1036?tab=price", wallet: "/wallet",
  evidence: "/evidence", security: "/security", docs: "/docs", missing: "/nothing",
};
const open = { landing: "/", login: "/login", register: "/register" };
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
mkdirSync("shots", { recursive: true });
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
let bad = 0;
const looks = [["light", 1360], ["dark", 1360], ["phone", 390]];
for (const [look, width] of looks) {
  const context = await browser.newContext({ viewport: { width, height: look === "phone" ? 844 : 900 }, colorScheme: look === "dark" ? "dark" : "light" });
  for (const [name, path] of Object.entries(process.env.ANONYMOUS === "1" ? open : pages)) {
    if (only && !name.startsWith(only)) continue;
    const page = await context.newPage();
    page.on("console", (message) => { if (message.type() === "error" && !/status of 401|status of 404/.test(message.text())) { bad += 1; console.log(`${look} ${name}: ${message.text()}`); } });
    page.on("pageerror", (error) => { bad += 1; console.log(`${look} ${name}: ${error.message}`); });
    await page.goto(base + path);
    await page.waitForSelector("h1");
    await page.waitForTimeout(900);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wide > 0) { bad += 1; console.log(`${look} ${name}: ${wide} px wider than the window`); }
    await page.evaluate(axe);
    const found = await page.evaluate(() => globalThis.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
    for (const rule of found.violations) {
      bad += 1;
      console.log(`${look} ${name}: ${rule.id}: ${rule.nodes.slice(0, 3).map((node) => `${node.target} ${node.any[0]?.message ?? ""}`).join(" | ")}`);
    }
    await page.screenshot({ path: `shots/${name}-${look}.png`, fullPage: true });
    await page.close();
  }
  await context.close();
}
await browser.close();
process.exit(bad > 0 ? 1 : 0);
