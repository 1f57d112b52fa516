// What a first visit of each page loads, gzipped: the page's script with everything it imports at once, and its styles.
// Fails above the bound. What is loaded later (other routes, charts) is listed, not counted.
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const BOUND_KIB = 300;
const dist = fileURLToPath(new URL("../dist/", import.meta.url));
const manifest = JSON.parse(readFileSync(`${dist}manifest.json`, "utf8"));
const gzipped = (file) => gzipSync(readFileSync(dist + file), { level: 9 }).length;
const kib = (bytes) => `${(bytes / 1024).toFixed(1)} KiB`;

function filesOf(key, seen = new Set()) {
  const chunk = manifest[key];
  if (!chunk || seen.has(chunk.file)) return seen;
  seen.add(chunk.file);
  for (const style of chunk.css ?? []) seen.add(style);
  for (const next of chunk.imports ?? []) filesOf(next, seen);
  return seen;
}

let failed = false;
for (const [key, chunk] of Object.entries(manifest)) {
  if (!chunk.isEntry) continue;
  const files = [...filesOf(key)];
  const total = files.reduce((sum, file) => sum + gzipped(file), 0);
  // The largest route on top: what a visitor of one page loads, whichever it is.
  const routes = (chunk.dynamicImports ?? []).map((route) => {
    const extra = [...filesOf(route)].filter((file) => !files.includes(file));
    return { route, bytes: extra.reduce((sum, file) => sum + gzipped(file), 0) };
  });
  const largest = routes.reduce((most, next) => (next.bytes > most.bytes ? next : most), { route: "-", bytes: 0 });
  const first = total + largest.bytes;
  console.log(`${key}: ${kib(total)} at once, ${kib(first)} with its largest route (${largest.route}), bound ${BOUND_KIB} KiB`);
  if (first > BOUND_KIB * 1024) failed = true;
}
const all = readdirSync(`${dist}assets`).reduce((sum, file) => sum + gzipped(`assets/${file}`), 0);
console.log(`everything together: ${kib(all)}`);
if (failed) {
  console.error(`A first visit loads more than ${BOUND_KIB} KiB gzipped. Load what it does not need at once with import().`);
  process.exit(1);
}
