import type { AttemptSummary } from "../../api/types";
import { bytes, duration } from "../../lib/units";
import { Badge, Card, EmptyState, Money, Since, StatusBadge, Table, TimeAgo } from "../../ui";

function outcome(attempt: AttemptSummary) {
  if (attempt.state !== "ended") return attempt.suspended ? <Badge tone="wait">standing still for the owner</Badge> : <StatusBadge status={attempt.state} />;
  if (attempt.outcome !== "") return <span className="text-bad">{attempt.outcome}</span>;
  return <Badge tone="ok">completed</Badge>;
}

/** Each try on a machine, oldest first. */
export function Attempts({ attempts }: { attempts: readonly AttemptSummary[] }) {
  return (
    <Card title="Attempts" flush>
      <Table
        caption="attempts, oldest first"
        rowKey={(row) => row.attempt_id}
        rows={attempts}
        empty={<EmptyState title="Not tried yet">An attempt appears here when a machine takes it.</EmptyState>}
        columns={[
          { id: "node", head: "Machine", cell: (row) => <><span className="font-medium">{row.node}</span><span className="text-ink-3 block whitespace-nowrap">{row.attempt_id}</span></> },
          { id: "outcome", head: "Outcome", cell: outcome },
          { id: "exit", head: "Exit code", numeric: true, cell: (row) => row.exit_code ?? "\u2013", wideOnly: true },
          { id: "wall", head: "Run time", numeric: true, cell: (row) => (row.state === "ended" ? duration(row.wall_ms) : row.started_at_unix_ms > 0 ? <Since atMs={row.started_at_unix_ms} /> : "\u2013") },
          { id: "cpu", head: "Processor time", numeric: true, cell: (row) => duration(row.cpu_ms), wideOnly: true },
          { id: "memory", head: "Memory", numeric: true, cell: (row) => bytes(row.state === "ended" ? row.peak_memory_bytes : row.memory_bytes), wideOnly: true },
          { id: "cost", head: "Cost", numeric: true, cell: (row) => <Money micro={row.cost_micro} column /> },
          { id: "when", head: "Handed out", numeric: true, cell: (row) => <TimeAgo atMs={row.assigned_at_unix_ms} />, wideOnly: true },
        ]}
      />
    </Card>
  );
}
