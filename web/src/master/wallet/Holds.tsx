import { useQueries } from "@tanstack/react-query";
import { Link } from "react-router";
import { tasksQuery } from "../../api/queries";
import { Card, EmptyState, ErrorBox, Money, Name, Skeleton, StatusBadge, Table } from "../../ui";
import { oncePerTask, taskName } from "../tasks/name";

const LIMIT = 50;

/** For which tasks money is set aside: what is still held of each one's price cap. */
export function Holds() {
  const [waiting, running] = useQueries({ queries: [tasksQuery({ status: "pending", q: "", cursor: null, limit: LIMIT }), tasksQuery({ status: "running", q: "", cursor: null, limit: LIMIT })] });
  const error = waiting.error ?? running.error;
  const rows = oncePerTask(running.data?.items, waiting.data?.items);
  const more = Boolean(waiting.data?.next_cursor ?? running.data?.next_cursor);
  return (
    <Card title="Held for" flush>
      {error ? <div className="px-4 pb-4"><ErrorBox error={error} what="The open tasks could not be read." onRetry={() => void Promise.all([waiting.refetch(), running.refetch()])} /></div> : null}
      {waiting.isPending || running.isPending ? <div className="px-4 pb-4"><Skeleton /></div> : (
        <Table
          caption="open tasks and their price caps"
          rowKey={(row) => row.task_id}
          rows={rows}
          empty={<EmptyState title="Nothing is held">Money is set aside when a task is submitted, and what is not needed comes back when it ends.</EmptyState>}
          columns={[
            { id: "task", head: "Task", cell: (row) => <Link className="link block max-w-40 truncate" to={`/tasks/${row.task_id}?tab=price`}><Name>{taskName(row)}</Name></Link> },
            { id: "status", head: "Status", cell: (row) => <StatusBadge status={row.status} /> },
            { id: "cap", head: "Price cap", numeric: true, cell: (row) => <Money micro={row.price_cap_micro} column /> },
          ]}
        />
      )}
      {more ? <p className="text-ink-3 px-4 py-2">These are the newest; <Link to="/tasks?status=pending" className="link">all open tasks</Link></p> : null}
    </Card>
  );
}
