import { useQuery } from "@tanstack/react-query";
import { ArrowDown, ArrowUp } from "lucide-react";
import { useMemo, useState } from "react";
import { Link, useNavigate } from "react-router";
import { PageHeader } from "../app/PageHeader";
import { useNow } from "../lib/now";
import { cores, count, mebibytes, percent } from "../lib/units";
import { EmptyState, ErrorBox, Field, Name, Progress, Select, Skeleton, Table, TimeAgo, type Column } from "../ui";
import { JoinButton } from "./JoinToken";
import { select, usage, type NodeFilter, type NodeOrder } from "./model/nodes";
import type { NodeSummary } from "./model/types";
import { nodesQuery } from "./queries";
import { StandingBadge, TrustBadge } from "./StandingBadge";

const PAGE = 50;
const STANDINGS: { value: NodeFilter["standing"]; text: string }[] = [
  { value: "all", text: "All" },
  { value: "online", text: "Online" },
  { value: "finishing", text: "Finishing" },
  { value: "paused", text: "Paused by the owner" },
  { value: "cordoned", text: "Cordoned" },
  { value: "draining", text: "Draining" },
  { value: "resting", text: "Resting" },
  { value: "silent", text: "Silent" },
  { value: "offline", text: "Offline" },
  { value: "banned", text: "Banned" },
];

type Order = { by: NodeOrder; descending: boolean };

function Head({ by, order, onOrder, children }: { by: NodeOrder; order: Order; onOrder: (order: Order) => void; children: string }) {
  const isOn = order.by === by;
  const Arrow = order.descending ? ArrowDown : ArrowUp;
  return (
    <button
      type="button"
      onClick={() => onOrder({ by, descending: isOn ? !order.descending : by === "use" || by === "seen" })}
      className="hover:text-ink inline-flex items-center gap-1 font-medium"
      title={`Order by ${children.toLowerCase()}`}
    >
      {children}
      {isOn ? <Arrow aria-hidden className="size-3.5" /> : null}
      {isOn ? <span className="sr-only">{order.descending ? ", from the highest" : ", from the lowest"}</span> : null}
    </button>
  );
}

function columns(order: Order, onOrder: (order: Order) => void): Column<NodeSummary>[] {
  const head = (by: NodeOrder, text: string) => <Head by={by} order={order} onOrder={onOrder}>{text}</Head>;
  return [
    { id: "node", head: head("node", "Node"), cell: (node) => <Link className="link font-medium" to={`/nodes/${encodeURIComponent(node.node_id)}`}>{node.node_id}</Link> },
    { id: "owner", head: head("owner", "Owner"), wideOnly: true, cell: (node) => <Name>{node.owner}</Name> },
    { id: "standing", head: head("standing", "State"), cell: (node) => <StandingBadge node={node} /> },
    { id: "trust", head: head("trust", "Trust"), wideOnly: true, cell: (node) => <TrustBadge trust={node.trust} /> },
    { id: "use", head: head("use", "Processor"), cell: (node) => <Use node={node} /> },
    { id: "running", head: "Running", numeric: true, cell: (node) => count(node.active_attempts) },
    { id: "size", head: "Offers", wideOnly: true, cell: (node) => <span className="whitespace-nowrap">{cores(node.cpu_millicores)}, {mebibytes(node.memory_mb)}{node.gpus > 0 ? `, ${node.gpus} GPU` : ""}</span> },
    { id: "runtime", head: "Runs with", wideOnly: true, cell: (node) => node.runtime },
    { id: "seen", head: head("seen", "Last beat"), numeric: true, cell: (node) => <TimeAgo atMs={node.seen_at_unix_ms} /> },
  ];
}

function Use({ node }: { node: NodeSummary }) {
  const use = usage(node, "cpu");
  if (use === null) return <span className="text-ink-3">unknown</span>;
  const value = Math.round(use * 100);
  return (
    <span className="flex items-center gap-2">
      <span className="w-20 max-sm:hidden"><Progress percent={value} label={`Processor of ${node.node_id}`} tone={value >= 95 ? "wait" : "run"} /></span>
      <span className="w-11 text-right">{percent(value)}</span>
    </span>
  );
}

/** Every machine, with how it stands. */
export default function Nodes() {
  const nodes = useQuery(nodesQuery);
  const navigate = useNavigate();
  const now = useNow();
  const [filter, setFilter] = useState<NodeFilter>({ text: "", standing: "all" });
  const [order, setOrder] = useState<Order>({ by: "node", descending: false });
  const [page, setPage] = useState(0);
  const all = nodes.data;
  const shown = useMemo(() => (all ? select(all, filter, order, now) : []), [all, filter, order, now]);
  const last = Math.max(0, Math.ceil(shown.length / PAGE) - 1);
  const at = Math.min(page, last);
  const change = (part: Partial<NodeFilter>) => {
    setFilter({ ...filter, ...part });
    setPage(0);
  };
  return (
    <>
      <PageHeader tab="Nodes" title="Nodes" lead={all ? `${count(all.length)} enrolled` : "Every machine of the pool"} aside={<JoinButton />} />
      {nodes.error ? <ErrorBox error={nodes.error} what="The nodes could not be read." onRetry={() => void nodes.refetch()} /> : null}
      {all === undefined ? (nodes.error ? null : <Skeleton lines={10} />) : (
        <section aria-label="Nodes" className="card min-w-0">
          <div className="flex flex-wrap items-end gap-3 p-4 pb-2">
            <Field label="Find" type="search" placeholder="Name, owner or label" value={filter.text} onChange={(event) => change({ text: event.target.value })} className="w-64 max-sm:w-full" />
            <Select label="State" options={STANDINGS} value={filter.standing} onValue={(value) => change({ standing: value as NodeFilter["standing"] })} className="w-52 max-sm:w-full" />
            <p role="status" className="text-ink-2 py-2">{count(shown.length)} shown</p>
          </div>
          <Table
            caption="Nodes"
            columns={columns(order, setOrder)}
            rows={shown.slice(at * PAGE, (at + 1) * PAGE)}
            rowKey={(node) => node.node_id}
            onOpen={(node) => void navigate(`/nodes/${encodeURIComponent(node.node_id)}`)}
            paging={{ page: at, hasNext: at < last, onPrevious: () => setPage(at - 1), onNext: () => setPage(at + 1) }}
            empty={all.length === 0
              ? <EmptyState title="No node has joined yet">Make a token with “Add a machine”, and paste its command there.</EmptyState>
              : <EmptyState title="No node fits">Change what is looked for, or the state.</EmptyState>}
          />
        </section>
      )}
    </>
  );
}
