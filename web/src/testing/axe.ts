import axe from "axe-core";

/** Violations that axe finds below `root`, one line each; colours are not judged, as jsdom lays nothing out. */
export async function violations(root: Element): Promise<string[]> {
  const found = await axe.run(root, { rules: { "color-contrast": { enabled: false }, region: { enabled: false } } });
  return found.violations.map((rule) => `${rule.id}: ${rule.nodes.map((node) => node.html).join(" | ")}`);
}
