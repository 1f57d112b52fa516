/**
 * The browser under which the pages are tested: the distribution's own.
 *
 * Invariant: nothing is downloaded here.
 */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** As the distributions call it. */
const NAMES = ["chromium", "chromium-browser", "google-chrome"];

/** The path of the browser: what HIVEMIND_E2E_CHROMIUM names, else the first that is found on the PATH. */
export function browserPath(): string {
  const named = process.env["HIVEMIND_E2E_CHROMIUM"];
  if (named) return named;
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const found = NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path));
  if (!found) throw new Error("there is no browser: install the package chromium (Debian's name), or name one in HIVEMIND_E2E_CHROMIUM");
  return found;
}
