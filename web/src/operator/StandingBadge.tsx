import { useNow } from "../lib/now";
import { Badge, type Tone } from "../ui";
import { STANDING_MEANS, standing, type Standing } from "./model/nodes";
import type { NodeSummary } from "./model/types";

const TONES: Record<Standing, Tone> = {
  online: "ok",
  finishing: "run",
  paused: "off",
  cordoned: "wait",
  draining: "wait",
  banned: "bad",
  silent: "wait",
  offline: "off",
  resting: "wait",
};

/** How a node stands, in one word. */
export function StandingBadge({ node }: { node: NodeSummary }) {
  const stands = standing(node, useNow());
  return <span title={STANDING_MEANS[stands]}><Badge tone={TONES[stands]}>{stands}</Badge></span>;
}

const TRUST_TONES: Record<string, Tone> = { new: "off", known: "run", trusted: "ok", proven: "ok" };

/** What a node's verified work has shown. */
export function TrustBadge({ trust }: { trust: string }) {
  return <Badge tone={TRUST_TONES[trust] ?? "off"}>{trust}</Badge>;
}
