import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { Link, useLocation } from "react-router";
import { tasksQuery, walletQuery } from "../../api/queries";
import type { Page, TaskSummary } from "../../api/types";
import { useMe } from "../../api/session";
import { PageHeader } from "../../app/PageHeader";
import { useNow } from "../../lib/now";
import { Card, EmptyState, ErrorBox, Figure, Money, Name, Skeleton, StatusBadge, TimeAgo } from "../../ui";
import { RunBox } from "../run/RunBox";
import { oncePerTask, taskName } from "../tasks/name";
import { Demo } from "./Demo";
import { midnight, spentQuery } from "./spent";

const LIMIT = 50;
const list = (status: string) => tasksQuery({ status, q: "", cursor: null, limit: LIMIT });

function many(page: Page<TaskSummary> | undefined): string {
  if (!page) return "\u2013";
  return `${page.items.length}${page.next_cursor === null ? "" : "+"}`;
}

function Numbers() {
  const wallet = useQuery(walletQuery);
  const today = midnight(useNow());
  const spent = useQuery(spentQuery(today));
  const waiting = useQuery(list("pending"));
  const running = useQuery(list("running"));
  if (wallet.isError) return <ErrorBox error={wallet.error} what="Your balance could not be read." onRetry={() => void wallet.refetch()} />;
  return (
    <dl className="card grid grid-cols-2 gap-4 p-4 sm:grid-cols-3 lg:grid-cols-5">
      <Figure name="Available">{wallet.data ? <Money micro={wallet.data.balance_micro} /> : "\u2013"}</Figure>
      <Figure name="Held for open tasks">{wallet.data ? <Money micro={wallet.data.held_micro} /> : "\u2013"}</Figure>
      <Figure name="Spent today" note={spent.data?.cut ? "and more: this counts the newest 5,000 entries" : undefined}>{spent.data ? <Money micro={spent.data.micro} /> : "\u2013"}</Figure>
      <Figure name="Waiting"><Link className="hover:underline" to="/tasks?status=pending">{many(waiting.data)} <span className="text-ink-3 text-base font-normal">tasks</span></Link></Figure>
      <Figure name="Running"><Link className="hover:underline" to="/tasks?status=running">{many(running.data)} <span className="text-ink-3 text-base font-normal">tasks</span></Link></Figure>
    </dl>
  );
}

/** A task that waits longer than this is worth a look. */
const PATIENCE_MS = 60_000;
const WEEK_MS = 7 * 86_400_000;
const SHOWN = 8;

/** What failed lately and what waits for long. */
function worthALook(failed: readonly TaskSummary[] | undefined, waiting: readonly TaskSummary[] | undefined, now: number): TaskSummary[] {
  return oncePerTask(
    failed?.filter((task) => now - task.ended_at_unix_ms < WEEK_MS),
    waiting?.filter((task) => now - task.submitted_at_unix_ms > PATIENCE_MS && task.after.length === 0),
  );
}

function Attention() {
  const now = useNow();
  const waiting = useQuery(list("pending"));
  const failed = useQuery(list("failed"));
  const items = worthALook(failed.data?.items, waiting.data?.items, now).slice(0, SHOWN);
  const error = waiting.error ?? failed.error;
  return (
    <Card title="Needs a look" flush>
      {error ? <div className="p-4 pt-1"><ErrorBox error={error} what="Your tasks could not be read." onRetry={() => void Promise.all([waiting.refetch(), failed.refetch()])} /></div> : null}
      {waiting.isPending || failed.isPending ? <div className="px-4 pb-4"><Skeleton /></div> : null}
      {items.length === 0 && waiting.isSuccess && failed.isSuccess ? <EmptyState title="Nothing waits for you">Tasks that failed in the last week or wait for longer than a minute appear here.</EmptyState> : null}
      <ul>
        {items.map((task) => (
          <li key={task.task_id} className="border-line flex flex-col gap-0.5 border-t px-4 py-2">
            <div className="flex items-center justify-between gap-3">
              <Link to={`/tasks/${task.task_id}`} className="link min-w-0 truncate"><Name>{taskName(task)}</Name></Link>
              <StatusBadge status={task.status} />
            </div>
            <p className="text-ink-2">{task.error_message || task.waiting_reason || "It waits for its turn."} <span className="text-ink-3"><TimeAgo atMs={task.ended_at_unix_ms || task.submitted_at_unix_ms} /></span></p>
          </li>
        ))}
      </ul>
    </Card>
  );
}

export default function Home() {
  const me = useMe();
  const { hash } = useLocation();
  useEffect(() => {
    if (hash === "#run") document.querySelector<HTMLInputElement>("#run input[name=image]")?.focus();
  }, [hash]);
  return (
    <>
      <PageHeader tab="Home" title={<>Hello, <Name>{me.username}</Name></>} />
      <Numbers />
      <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,2fr)_minmax(0,1fr)]">
        <RunBox />
        <div className="flex min-w-0 flex-col gap-4">
          <Demo />
          <Attention />
        </div>
      </div>
    </>
  );
}
