import { useQuery } from "@tanstack/react-query";
import { Search } from "lucide-react";
import { useEffect, useMemo, useState } from "react";
import { Link, useNavigate } from "react-router";
import { PageHeader } from "../app/PageHeader";
import { useNow } from "../lib/now";
import { count, percent, plural } from "../lib/units";
import { Card, EmptyState, ErrorBox, Field, Name, Select, Skeleton } from "../ui";
import { readPalette } from "./colors";
import { HiveMap } from "./HiveMap";
import { JoinButton } from "./JoinToken";
import { select, standing, STANDING_MEANS, usage, type Measure } from "./model/nodes";
import type { NodeSummary } from "./model/types";
import { NodeActions } from "./NodeActions";
import { nodesQuery } from "./queries";
import { StandingBadge, TrustBadge } from "./StandingBadge";
import { onThemeChange } from "../lib/theme";

const MEASURES: { value: Measure; text: string }[] = [
  { value: "cpu", text: "Processor in use" },
  { value: "memory", text: "Memory in use" },
  { value: "reserved", text: "Cores promised to attempts" },
];

/** Every machine at once. */
export default function Topology() {
  const nodes = useQuery(nodesQuery);
  const navigate = useNavigate();
  const now = useNow();
  const [measure, setMeasure] = useState<Measure>("cpu");
  const [text, setText] = useState("");
  const [selected, setSelected] = useState<string | null>(null);
  const all = nodes.data;
  const shown = useMemo(
    () => (all ? select(all, { text, standing: "all" }, { by: "node", descending: false }, 0) : []),
    [all, text],
  );
  const chosen = all?.find((node) => node.node_id === selected) ?? null;
  const online = all?.filter((node) => standing(node, now) === "online").length ?? 0;
  return (
    <>
      <PageHeader
        tab="Topology"
        title="Topology"
        lead={all ? `${plural(all.length, "node")}, ${count(online)} taking work` : "Every node as a cell, by owner"}
      />
      {nodes.error ? <ErrorBox error={nodes.error} what="The nodes could not be read." onRetry={() => void nodes.refetch()} /> : null}
      {all === undefined ? (nodes.error ? null : <Skeleton lines={10} />) : all.length === 0 ? (
        <EmptyState title="No node has joined yet" action={<JoinButton />}>A node is a machine that runs tasks. It joins with a token that you make here.</EmptyState>
      ) : (
        <div className="grid items-start gap-4 lg:grid-cols-[minmax(0,1fr)_20rem]">
          <section aria-label="Cells" className="card flex min-w-0 flex-col gap-4 p-4">
            <div className="flex flex-wrap items-end gap-3">
              <Select label="Colour shows" options={MEASURES} value={measure} onValue={(value) => setMeasure(value as Measure)} className="w-60" />
              <Field label="Find" type="search" placeholder="Name, owner or label" value={text} onChange={(event) => setText(event.target.value)} className="w-56" />
              <Legend />
            </div>
            {shown.length === 0 ? (
              <EmptyState title="No node fits"><Search aria-hidden className="mx-auto mb-1 size-5" />Names, owners and labels were searched for “{text}”.</EmptyState>
            ) : (
              <HiveMap nodes={shown} measure={measure} selected={selected} onSelect={setSelected} onOpen={(name) => void navigate(`/nodes/${encodeURIComponent(name)}`)} />
            )}
          </section>
          <div className="lg:sticky lg:top-16">{chosen ? <Chosen node={chosen} /> : <Hint />}</div>
        </div>
      )}
    </>
  );
}

function Hint() {
  return (
    <Card title="No node selected">
      <p className="text-ink-2">Choose a cell, or go to the cells with Tab and walk with the arrow keys. Enter opens the node.</p>
    </Card>
  );
}

function Chosen({ node }: { node: NodeSummary }) {
  const now = useNow();
  const use = (measure: Measure) => {
    const value = usage(node, measure);
    return value === null ? "unknown" : percent(Math.round(value * 100));
  };
  return (
    <Card title={node.node_id} aside={<StandingBadge node={node} />}>
      <div className="flex flex-col gap-4">
        <p className="text-ink-2">{STANDING_MEANS[standing(node, now)]}</p>
        <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1.5">
          <dt className="text-ink-2">Owner</dt><dd><Name>{node.owner}</Name></dd>
          <dt className="text-ink-2">Processor</dt><dd>{use("cpu")}</dd>
          <dt className="text-ink-2">Memory</dt><dd>{use("memory")}</dd>
          <dt className="text-ink-2">Cores promised</dt><dd>{use("reserved")}</dd>
          <dt className="text-ink-2">Running</dt><dd>{count(node.active_attempts)}</dd>
          <dt className="text-ink-2">Trust</dt><dd><TrustBadge trust={node.trust} /></dd>
        </dl>
        <Link to={`/nodes/${encodeURIComponent(node.node_id)}`} className="link">All about this node</Link>
        <NodeActions node={node} />
      </div>
    </Card>
  );
}

function Legend() {
  const [steps, setSteps] = useState<readonly string[]>([]);
  useEffect(() => {
    const read = () => setSteps(readPalette(document.body).steps);
    read();
    return onThemeChange(read);
  }, []);
  return (
    <div role="img" aria-label="Pale cells are idle, deep amber cells are full; dashed cells are not linked; hatched ones get no new work; crossed ones are banned" className="text-ink-2 flex items-center gap-2 py-2 text-[0.93em]">
      idle
      <span className="flex">
        {steps.map((color) => <span key={color} className="border-line size-4 border-y first:rounded-l first:border-l last:rounded-r last:border-r" style={{ background: color }} />)}
      </span>
      full
      <span className="border-line-strong ml-2 size-4 rounded border border-dashed" /> not linked
    </div>
  );
}
