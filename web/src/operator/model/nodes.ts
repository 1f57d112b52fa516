/**
 * What can be said of a node, and done with it.
 *
 * Invariant: pure; the pool decides what is allowed, this only leaves out what it would refuse.
 */
import type { NodeSummary } from "./types";

/** A change of a node's service, as the pool calls it. */
export type NodeChange = "cordon" | "uncordon" | "drain" | "ban" | "unban";

/** How use is measured in a picture. */
export type Measure = "cpu" | "memory" | "reserved";

/** How a node stands, in one word for people. */
export type Standing = "online" | "finishing" | "paused" | "cordoned" | "draining" | "banned" | "silent" | "offline" | "resting";

/** What keeps it from work, the strongest first; `online` where nothing does. */
export function standing(node: NodeSummary, now: number): Standing {
  if (node.service === "banned") return "banned";
  if (node.state === "offline") return "offline";
  if (node.state === "silent") return "silent";
  if (node.service === "draining" || node.state === "draining") return "draining";
  if (node.service === "cordoned") return "cordoned";
  if (node.available === "paused") return "paused";
  if (node.available === "finishing") return "finishing";
  if (node.resting_until_unix_ms > now) return "resting";
  return "online";
}

/** What a standing means, in a sentence. */
export const STANDING_MEANS: Record<Standing, string> = {
  online: "Takes work.",
  finishing: "Its owner wants no new work; what runs goes on.",
  paused: "Its owner or their rules keep it still.",
  cordoned: "Gets no new work; what runs goes on.",
  draining: "Gets no new work; what runs at the deadline is tried elsewhere.",
  banned: "Out for good, by an operator.",
  silent: "No heartbeat for a moment; what runs there waits for it.",
  offline: "Not linked.",
  resting: "Failed too often in a row and rests for a while.",
};

/** How much it is used, 0 to 1; `null` where it is not linked or does not say. */
export function usage(node: NodeSummary, measure: Measure): number | null {
  if (node.state === "offline") return null;
  const value = measured(node, measure);
  return Number.isFinite(value) ? Math.min(1, Math.max(0, value)) : null;
}

function measured(node: NodeSummary, measure: Measure): number {
  switch (measure) {
    case "cpu":
      return node.cpu_usage / 100;
    case "memory":
      return node.memory_usage / 100;
    case "reserved":
      return node.cpu_millicores > 0 ? 1 - node.free_cpu_millicores / node.cpu_millicores : Number.NaN;
  }
}

/** The changes that make sense for `node`, the mildest first. */
export function changesFor(node: NodeSummary, isOperator: boolean): NodeChange[] {
  const changes: NodeChange[] = [];
  switch (node.service) {
    case "cordoned":
      changes.push("uncordon", "drain");
      break;
    case "draining":
      changes.push("uncordon");
      break;
    case "banned":
      return isOperator ? ["unban"] : [];
    default:
      changes.push("cordon", "drain");
  }
  if (isOperator) changes.push("ban");
  return changes;
}

/** What a change does, for the question before it. */
export const CHANGE_WORDS: Record<NodeChange, { verb: string; means: string; isDangerous: boolean }> = {
  cordon: { verb: "Cordon", means: "It gets no new work. What runs there goes on to its end.", isDangerous: false },
  uncordon: { verb: "Put back in service", means: "It takes work again.", isDangerous: false },
  drain: {
    verb: "Drain",
    means: "It gets no new work. What still runs at the deadline is tried elsewhere, from its beginning.",
    isDangerous: true,
  },
  ban: {
    verb: "Ban",
    means: "It is out for good. What runs there is tried elsewhere at once. Its owner reads the reason.",
    isDangerous: true,
  },
  unban: { verb: "Lift the ban", means: "It may join and take work again.", isDangerous: false },
};

/** Deadlines that are offered for a drain. */
export const DRAIN_CHOICES: readonly { seconds: number; label: string }[] = [
  { seconds: 60, label: "1 minute" },
  { seconds: 600, label: "10 minutes" },
  { seconds: 3600, label: "1 hour" },
  { seconds: 21_600, label: "6 hours" },
  { seconds: 86_400, label: "1 day" },
];

/** Longest reason, in bytes of UTF-8. */
export const MAX_REASON_BYTES = 200;

/** What is wrong with a reason; `null` where it can be sent. */
export function reasonFault(reason: string): string | null {
  const text = reason.trim();
  if (text === "") return "Write a reason; the machine's owner reads it.";
  const bytes = new TextEncoder().encode(text).length;
  return bytes > MAX_REASON_BYTES ? `The reason has ${bytes} bytes; at most ${MAX_REASON_BYTES} are stored.` : null;
}

/** Which nodes are shown. */
export interface NodeFilter {
  text: string;
  standing: Standing | "all";
}

/** What a table of nodes can be ordered by. */
export type NodeOrder = "node" | "owner" | "standing" | "trust" | "use" | "seen";

const TRUST = ["new", "known", "trusted", "proven"];
const STANDINGS: Standing[] = ["banned", "offline", "silent", "resting", "draining", "cordoned", "paused", "finishing", "online"];

/** Those that fit, in order; a copy. Text is looked for in names, owners and labels. */
export function select(
  nodes: readonly NodeSummary[],
  filter: NodeFilter,
  order: { by: NodeOrder; descending: boolean },
  now: number,
): NodeSummary[] {
  const wanted = filter.text.trim().toLowerCase();
  const fits = (node: NodeSummary) =>
    (filter.standing === "all" || standing(node, now) === filter.standing) &&
    (wanted === "" || [node.node_id, node.owner, ...node.labels].some((text) => text.toLowerCase().includes(wanted)));
  const sign = order.descending ? -1 : 1;
  return nodes.filter(fits).sort((a, b) => sign * compareBy(a, b, order.by, now) || names.compare(a.node_id, b.node_id));
}

const names = new Intl.Collator("en", { numeric: true });

function compareBy(a: NodeSummary, b: NodeSummary, by: NodeOrder, now: number): number {
  switch (by) {
    case "node":
      return names.compare(a.node_id, b.node_id);
    case "owner":
      return names.compare(a.owner, b.owner);
    case "standing":
      return STANDINGS.indexOf(standing(a, now)) - STANDINGS.indexOf(standing(b, now));
    case "trust":
      return TRUST.indexOf(a.trust) - TRUST.indexOf(b.trust);
    case "use":
      return (usage(a, "cpu") ?? -1) - (usage(b, "cpu") ?? -1);
    case "seen":
      return a.seen_at_unix_ms - b.seen_at_unix_ms;
  }
}

/** `nodes` with each of `changed` in the place of the one of its name, or at the end. */
export function put(nodes: readonly NodeSummary[], changed: Iterable<NodeSummary>): NodeSummary[] {
  const newest = new Map([...changed].map((node) => [node.node_id, node]));
  const next = nodes.map((node) => {
    const found = newest.get(node.node_id);
    newest.delete(node.node_id);
    return found ?? node;
  });
  return [...next, ...newest.values()];
}
