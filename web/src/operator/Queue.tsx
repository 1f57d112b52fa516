import { useQuery } from "@tanstack/react-query";
import { PageHeader } from "../app/PageHeader";
import { count, duration, plural } from "../lib/units";
import { Card, EmptyState, ErrorBox, Skeleton, Table, type Column } from "../ui";
import { Copy } from "../ui/Copy";
import { Meter } from "../ui/Meter";
import { Tile, Tiles } from "../ui/Tile";
import { sumUp, type Waiting } from "./model/queue";
import { queueQuery } from "./queries";

type Group = Waiting["groups"][number];

const COLUMNS: Column<Group>[] = [
  {
    id: "reason",
    head: "Reason",
    cell: (group) => (
      <div className="flex min-w-48 flex-col gap-1 py-1">
        <span>{group.reason}</span>
        <span aria-hidden className="bg-sunken block h-1 max-w-md overflow-hidden rounded-full">
          <span className="bg-accent block h-full" style={{ width: `${Math.max(1, group.part * 100)}%` }} />
        </span>
      </div>
    ),
  },
  { id: "elements", head: "Elements", numeric: true, cell: (group) => count(group.elements) },
  { id: "tasks", head: "Tasks", numeric: true, cell: (group) => count(group.tasks) },
  { id: "oldest", head: "Oldest", numeric: true, cell: (group) => <span className="whitespace-nowrap">{duration(group.oldest_ms)}</span> },
  {
    id: "example",
    head: "Oldest task",
    wideOnly: true,
    cell: (group) => group.example_task_id === "" ? null : (
      <span className="flex items-center gap-1">
        <span className="max-w-56 truncate font-mono text-[0.93em]" title={group.example_task_id}>{group.example_task_id}</span>
        <Copy text={group.example_task_id} what="the task's id" />
      </span>
    ),
  },
];

/** What waits, why, and since when. */
export default function Queue() {
  const queue = useQuery(queueQuery);
  return (
    <>
      <PageHeader tab="Queue" title="Queue" lead="What waits, why, and for how long" />
      {queue.error ? <ErrorBox error={queue.error} what="The queue could not be read." onRetry={() => void queue.refetch()} /> : null}
      {queue.data ? <Shown waiting={sumUp(queue.data)} /> : queue.error ? null : <Skeleton lines={8} />}
    </>
  );
}

function Shown({ waiting }: { waiting: Waiting }) {
  return (
    <>
      <Tiles label="The queue now">
        <Tile name="Elements waiting" note="a plain task is one element">{count(waiting.elements)}</Tile>
        <Tile name="Tasks with waiting elements">{count(waiting.tasks)}</Tile>
        <Tile name="Oldest of them" note="since it was submitted">{waiting.elements === 0 ? "Nothing" : duration(waiting.oldest_ms)}</Tile>
      </Tiles>
      <Card title="By reason" flush>
        <Table
          caption="Reasons for which elements wait"
          columns={COLUMNS}
          rows={waiting.groups}
          rowKey={(group) => `${group.kind} ${group.reason}`}
          empty={<EmptyState title="Nothing waits">Everything that was submitted runs or has ended.</EmptyState>}
        />
      </Card>
      {waiting.elements === 0 ? null : (
        <Card title="By age">
          <div className="flex max-w-3xl flex-col gap-3">
            {waiting.ages.map((age) => (
              <Meter key={age.age} name={age.age} part={age.part} tone="wait">{plural(age.elements, "element")}</Meter>
            ))}
          </div>
        </Card>
      )}
    </>
  );
}
