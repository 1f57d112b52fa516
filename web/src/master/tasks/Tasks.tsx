import { useQuery } from "@tanstack/react-query";
import { Search } from "lucide-react";
import { useEffect, useState } from "react";
import { Link, useNavigate, useSearchParams } from "react-router";
import { tasksQuery } from "../../api/queries";
import type { TaskSummary } from "../../api/types";
import { PageHeader } from "../../app/PageHeader";
import { useNow } from "../../lib/now";
import { count, duration, plural } from "../../lib/units";
import { eta } from "../../lib/eta";
import { Checkbox, type Column, cx, EmptyState, ErrorBox, Field, Money, Name, Progress, Skeleton, StateBar, StatusBadge, Table, TimeAgo } from "../../ui";
import { BulkBar } from "./BulkBar";
import { isOpen, taskName } from "./name";

const STATUSES = [
  ["", "All"], ["pending", "Waiting"], ["running", "Running"], ["completed", "Completed"], ["failed", "Failed"], ["cancelled", "Cancelled"],
] as const;
const LIMIT = 50;

function How({ task }: { task: TaskSummary }) {
  const counts = task.elements;
  if (counts && counts.total > 1) {
    const left = counts.total - counts.completed - counts.failed - counts.cancelled;
    return (
      <div className="min-w-32">
        <StateBar label={`Elements of ${task.task_id}`} parts={[
          { name: "completed", count: counts.completed, tone: "ok" }, { name: "failed", count: counts.failed, tone: "bad" },
          { name: "cancelled", count: counts.cancelled, tone: "off" }, { name: "running", count: Math.min(left, counts.running), tone: "run" }, { name: "waiting", count: Math.max(0, left - counts.running), tone: "wait" },
        ]} />
        <span className="text-ink-3">{count(counts.completed + counts.failed + counts.cancelled)} of {count(counts.total)}{counts.failed > 0 ? <span className="text-bad">, {count(counts.failed)} failed</span> : null}</span>
      </div>
    );
  }
  if (task.status === "running") return <div className="min-w-24"><Progress label={`Progress of ${task.task_id}`} percent={task.progress} /><span className="text-ink-3">{task.progress} %</span></div>;
  return <span className="text-ink-2 line-clamp-2 max-w-72">{task.status === "pending" ? task.waiting_reason : task.error_message}</span>;
}

function Remaining({ task }: { task: TaskSummary }) {
  const now = useNow();
  if (task.status === "running") {
    const left = eta(task, null, now);
    return <span className="whitespace-nowrap">{left === null ? "\u2013" : `about ${duration(left)}`}</span>;
  }
  return <span className="text-ink-3 whitespace-nowrap">{task.ended_at_unix_ms > 0 ? (task.wall_ms > 0 ? `took ${duration(task.wall_ms)}` : "ended") : "\u2013"}</span>;
}

function columns(chosen: ReadonlySet<string>, choose: (id: string) => void): Column<TaskSummary>[] {
  return [
    { id: "choose", head: <span className="sr-only">Chosen</span>, cell: (task) => <Checkbox label={`Choose ${taskName(task)}`} hideLabel checked={chosen.has(task.task_id)} onChange={() => choose(task.task_id)} />, className: "w-8" },
    {
      id: "task", head: "Task", cell: (task) => (
        <div className="max-w-[38vw] min-w-28 md:max-w-80">
          <Link to={`/tasks/${task.task_id}`} className="block truncate font-medium hover:underline" title={taskName(task)}><Name>{taskName(task)}</Name></Link>
          <span className="text-ink-3 block truncate">{task.task_id} · {task.docker_image}</span>
        </div>
      ),
    },
    { id: "status", head: "Status", cell: (task) => <StatusBadge status={task.status} /> },
    { id: "how", head: "Progress", cell: (task) => <How task={task} />, wideOnly: true },
    { id: "eta", head: "Time left", cell: (task) => <Remaining task={task} />, wideOnly: true },
    { id: "cost", head: "Cost so far / cap", numeric: true, cell: (task) => <span className="whitespace-nowrap"><Money micro={(BigInt(task.cost_micro) + (isOpen(task.status) ? BigInt(task.accrued_micro) : 0n)).toString()} column /><span className="text-ink-3 max-md:hidden"> / <Money micro={task.price_cap_micro} /></span></span> },
    { id: "when", head: "Submitted", numeric: true, cell: (task) => <TimeAgo atMs={task.submitted_at_unix_ms} />, wideOnly: true },
  ];
}

/** The address holds the filter, so that it can be shared and survives a reload. */
function useFilter() {
  const [params, setParams] = useSearchParams();
  const status = params.get("status") ?? "";
  const q = params.get("q") ?? "";
  const set = (name: string, value: string) => setParams((before) => {
    const after = new URLSearchParams(before);
    if (value === "") after.delete(name);
    else after.set(name, value);
    return after;
  }, { replace: true });
  return { status, q, set };
}

export default function Tasks() {
  const { status, q, set } = useFilter();
  const [typed, setTyped] = useState(q);
  const [cursors, setCursors] = useState<(string | null)[]>([null]);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const navigate = useNavigate();
  const tasks = useQuery(tasksQuery({ status, q, cursor: cursors.at(-1) ?? null, limit: LIMIT }));
  const fresh = () => {
    setCursors([null]);
    setChosen(new Set());
  };
  useEffect(() => {
    if (typed === q) return undefined;
    const timer = window.setTimeout(() => {
      set("q", typed);
      fresh();
    }, 250);
    return () => window.clearTimeout(timer);
    // Only what is typed starts the wait.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [typed]);
  const choose = (id: string) => setChosen((before) => {
    const after = new Set(before);
    if (!after.delete(id)) after.add(id);
    return after;
  });
  const rows = tasks.data?.items ?? [];
  const all = rows.length > 0 && rows.every((task) => chosen.has(task.task_id));
  return (
    <>
      <PageHeader tab="Tasks" title="Tasks" aside={<Link to="/home#run" className="bg-accent text-on-accent hover:bg-accent-hover rounded-md px-3 py-1.5 font-semibold">New task</Link>} />
      <div className="flex flex-wrap items-end justify-between gap-3">
        <div role="group" aria-label="Status" className="flex flex-wrap gap-1">
          {STATUSES.map(([value, text]) => (
            <button key={value} type="button" aria-pressed={status === value} onClick={() => { set("status", value); fresh(); }} className={cx("rounded-md border px-2.5 py-1", status === value ? "border-line-strong bg-off-soft font-medium" : "text-ink-2 border-transparent hover:bg-hover")}>{text}</button>
          ))}
        </div>
        <div className="relative w-full sm:w-72">
          <Field label="Search by name or image" hideLabel type="search" placeholder="Search by name or image ( / )" maxLength={200} value={typed} onChange={(event) => setTyped(event.target.value)} />
          <Search aria-hidden className="text-ink-3 pointer-events-none absolute top-2.5 right-2.5 size-4" />
        </div>
      </div>
      {tasks.isError ? <ErrorBox error={tasks.error} what="Your tasks could not be read." onRetry={() => void tasks.refetch()} /> : null}
      <BulkBar tasks={rows.filter((task) => chosen.has(task.task_id))} onDone={() => setChosen(new Set())} />
      <section aria-label="List of tasks" aria-busy={tasks.isFetching} className="card">
        {tasks.isPending ? <div className="p-4"><Skeleton lines={8} /></div> : null}
        {tasks.isSuccess ? (
          <>
            {rows.length > 0 ? (
              <div className="border-line flex items-center gap-3 border-b px-4 py-2">
                <Checkbox label={`Choose all ${plural(rows.length, "task")} of this page`} checked={all} onChange={() => setChosen(all ? new Set() : new Set(rows.map((task) => task.task_id)))} />
              </div>
            ) : null}
            <Table
              caption="tasks, newest first"
              columns={columns(chosen, choose)}
              rows={rows}
              rowKey={(task) => task.task_id}
              onOpen={(task) => void navigate(`/tasks/${task.task_id}`)}
              paging={{ page: cursors.length - 1, hasNext: tasks.data.next_cursor !== null, busy: tasks.isFetching, onPrevious: () => setCursors((before) => before.slice(0, -1)), onNext: () => setCursors((before) => [...before, tasks.data.next_cursor]) }}
              empty={
                q || status ? <EmptyState title="No task is like that">Try other words, or all states.</EmptyState>
                : <EmptyState title="No tasks yet" action={<Link to="/home" className="link">Run the first one</Link>}>What you run appears here, from this page, the terminal or the API.</EmptyState>
              }
            />
          </>
        ) : null}
      </section>
    </>
  );
}
