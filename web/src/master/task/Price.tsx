import { useQuery } from "@tanstack/react-query";
import { request } from "../../api/client";
import type { StatementLine, TaskDetail } from "../../api/types";
import { Card, EmptyState, ErrorBox, Figure, Moment, Money, Progress, Skeleton, Table } from "../../ui";
import { isOpen } from "../tasks/name";

type Entries = { lines: StatementLine[]; cut: boolean };

/** What a task costs, and every entry of the journal about it. */
export function Price({ detail }: { detail: TaskDetail }) {
  const { task } = detail;
  const entries = useQuery({ queryKey: ["task", task.task_id, "entries"], queryFn: ({ signal }) => request<Entries>(`/tasks/${encodeURIComponent(task.task_id)}/entries`, { signal }) });
  const open = isOpen(detail.status);
  const soFar = BigInt(task.cost_micro) + (open ? BigInt(task.accrued_micro) : 0n);
  const cap = BigInt(task.price_cap_micro);
  const share = cap > 0n ? Number((soFar * 1000n) / cap) / 10 : 0;
  return (
    <div className="flex flex-col gap-4">
      <Card title="Price">
        <dl className="flex flex-wrap gap-x-10 gap-y-3">
          <Figure name={open ? "Cost so far" : "Cost"}><Money micro={soFar} /></Figure>
          <Figure name="At most" note="held when it was submitted"><Money micro={task.price_cap_micro} /></Figure>
          {open ? null : <Figure name="Given back"><Money micro={cap > soFar ? cap - soFar : 0n} /></Figure>}
        </dl>
        <div className="mt-3"><Progress label="Cost, as a part of the most it can be" percent={share} /></div>
      </Card>
      <Card title="Entries in the journal" flush>
        {entries.isPending ? <div className="px-4 pb-4"><Skeleton /></div> : null}
        {entries.isError ? <div className="px-4 pb-4"><ErrorBox error={entries.error} what="The entries could not be read." onRetry={() => void entries.refetch()} /></div> : null}
        {entries.data ? (
          <Table
            caption="journal entries about this task, oldest first"
            rowKey={(row) => `${row.entry} ${row.account} ${row.holder}`}
            rows={entries.data.lines}
            empty={<EmptyState title="No entries yet" />}
            columns={[
              { id: "entry", head: "Entry", numeric: true, cell: (row) => row.entry, className: "w-16" },
              { id: "at", head: "When", cell: (row) => <Moment atMs={row.at_unix_ms} />, wideOnly: true },
              { id: "kind", head: "Kind", cell: (row) => row.kind },
              { id: "account", head: "Account", cell: (row) => `${row.holder || "treasury"}: ${row.account}` },
              { id: "amount", head: "Amount", numeric: true, cell: (row) => <Money micro={row.amount_micro} sign column /> },
              { id: "note", head: "Note", cell: (row) => row.note, wideOnly: true },
            ]}
          />
        ) : null}
        {entries.data?.cut ? <p className="text-ink-3 px-4 py-2">There are more; the first 10,000 are shown.</p> : null}
      </Card>
    </div>
  );
}
