import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Ban, RotateCw } from "lucide-react";
import { useState } from "react";
import { useNavigate, useParams, useSearchParams } from "react-router";
import { request } from "../../api/client";
import { Problem } from "../../api/problem";
import { taskPart, taskQuery } from "../../api/queries";
import { useSubmission } from "../../api/submission";
import type { Grid, Submitted, TaskDetail } from "../../api/types";
import { PageHeader } from "../../app/PageHeader";
import { Unanswered } from "../../app/Unanswered";
import { eta } from "../../lib/eta";
import { useNow } from "../../lib/now";
import { count, duration } from "../../lib/units";
import { Button, Confirm, Copy, EmptyState, ErrorBox, Name, Progress, Skeleton, StateBar, StatusBadge, Tabs, TimeAgo, useToast } from "../../ui";
import { isOpen, taskName } from "../tasks/name";
import { Elements } from "./Elements";
import { Failures } from "./Failures";
import { LogTab } from "./LogTab";
import { Outputs } from "./Outputs";
import { Overview } from "./Overview";
import { Price } from "./Price";
import { Timeline } from "./Timeline";

function Actions({ detail }: { detail: TaskDetail }) {
  const { task } = detail;
  const [asked, setAsked] = useState<"cancel" | "retry" | null>(null);
  const submission = useSubmission(`retry.${task.task_id}`);
  const client = useQueryClient();
  const navigate = useNavigate();
  const say = useToast();
  const path = `/tasks/${encodeURIComponent(task.task_id)}`;
  const again = { retry: task.task_id };
  const retriable = detail.status === "failed" || detail.status === "cancelled" || (task.elements?.failed ?? 0) + (task.elements?.cancelled ?? 0) > 0;
  const cancel = async () => {
    await request(`${path}/cancel`, { method: "POST", body: {} });
    await client.invalidateQueries({ queryKey: ["task", task.task_id] });
    say("ok", <><Name>{taskName(task)}</Name> is cancelled</>);
  };
  const retry = async () => {
    const answer = await submission.send(again, (key) => request<Submitted>(`${path}/retry`, { method: "POST", body: {}, idempotencyKey: key }));
    say("ok", `Submitted again as ${answer.task_id}`);
    await navigate(`/tasks/${answer.task_id}`);
  };
  return (
    <>
      {isOpen(detail.status)
        ? <Button look="danger" icon={<Ban aria-hidden className="size-4" />} onClick={() => setAsked("cancel")}>Cancel</Button>
        : retriable && <Button icon={<RotateCw aria-hidden className="size-4" />} onClick={() => setAsked("retry")}>Retry what failed</Button>}
      <Confirm open={asked === "cancel"} dangerous title={<>Cancel <Name>{taskName(task)}</Name>?</>} action="Cancel the task" onConfirm={cancel} onClose={() => setAsked(null)}>
        <p>What runs is stopped and paid up to now; what waits is dropped and costs nothing. This cannot be taken back.</p>
      </Confirm>
      <Confirm open={asked === "retry"} title={<>Submit <Name>{taskName(task)}</Name> again?</>} action="Submit again" onConfirm={retry} onClose={() => setAsked(null)}>
        <p>What did not complete is submitted as a new task. Its price cap is held again.</p>
        <Unanswered standing={submission.standing(again)} where="your tasks" onForget={submission.forget} />
      </Confirm>
    </>
  );
}

function Standing({ detail }: { detail: TaskDetail }) {
  const { task } = detail;
  const now = useNow();
  const note = useQuery<string>({ queryKey: ["note", task.task_id], queryFn: () => "", enabled: false });
  const started = detail.attempts.at(-1)?.started_at_unix_ms || null;
  const left = eta({ ...task, status: detail.status }, started, now);
  const counts = task.elements;
  const ended = counts ? counts.completed + counts.failed + counts.cancelled : 0;
  const running = counts ? Math.min(counts.total - ended, counts.running) : 0;
  const words = [
    note.data,
    detail.status === "running" && left !== null ? `about ${duration(left)} left` : "",
  ].filter(Boolean).join(" \u00b7 ");
  return (
    <div className="flex flex-col gap-1.5">
      {counts && counts.total > 1 ? (
        <StateBar legend label="Elements" parts={[
          { name: "completed", count: counts.completed, tone: "ok" }, { name: "failed", count: counts.failed, tone: "bad" }, { name: "cancelled", count: counts.cancelled, tone: "off" },
          { name: "running", count: running, tone: "run" }, { name: "waiting", count: Math.max(0, counts.total - ended - running), tone: "wait" },
        ]} />
      ) : detail.status === "running" ? <Progress label="Progress" percent={detail.progress} /> : null}
      {counts && counts.total > 1 ? <p className="text-ink-2">{count(ended)} of {count(counts.total)} elements have ended{words ? ` \u00b7 ${words}` : ""}</p>
        : detail.status === "running" ? <p className="text-ink-2">{detail.progress} %{words ? ` \u00b7 ${words}` : ""}</p> : null}
    </div>
  );
}

function Parts({ detail }: { detail: TaskDetail }) {
  const [params, setParams] = useSearchParams();
  const { task } = detail;
  const isArray = task.array !== "";
  const element = Number(params.get("element") ?? Number.NaN);
  const which = isArray ? (Number.isInteger(element) && element >= 0 ? element : null) : 0;
  const go = (tab: string, index?: number) => setParams((before) => {
    const after = new URLSearchParams(before);
    after.set("tab", tab);
    if (index !== undefined) after.set("element", String(index));
    return after;
  }, { replace: true });
  const tabs = [
    { id: "overview", label: "Overview", content: <Overview detail={detail} /> },
    ...(isArray ? [{ id: "elements", label: "Elements", content: <Elements detail={detail} element={which} onElement={(index) => go("elements", index)} onGo={go} /> }] : []),
    { id: "log", label: "Log", content: <LogTab detail={detail} element={which} onElement={(index) => go("log", index)} /> },
    { id: "outputs", label: "Outputs", content: <Outputs detail={detail} element={which} onElement={(index) => go("outputs", index)} /> },
    { id: "timeline", label: "Timeline", content: <Timeline id={task.task_id} isArray={isArray} /> },
    ...(isArray || detail.status === "failed" ? [{ id: "failures", label: "Failures", content: <Failures id={task.task_id} onElement={(index) => go("elements", index)} isArray={isArray} /> }] : []),
    { id: "price", label: "Price", content: <Price detail={detail} /> },
  ];
  const wanted = params.get("tab") ?? "overview";
  return <Tabs label="Parts of the task" tabs={tabs} value={tabs.some((tab) => tab.id === wanted) ? wanted : "overview"} onValue={(tab) => go(tab)} />;
}

export default function Task() {
  const { id = "" } = useParams();
  const [params] = useSearchParams();
  const task = useQuery(taskQuery(id));
  // The largest part of the page need not wait until the rest of it is here.
  useQuery({ ...taskPart<Grid>(id, "grid"), enabled: params.get("tab") === "elements" });
  if (task.isPending) return <><PageHeader tab={id} title={id} /><Skeleton lines={10} /></>;
  if (task.isError && !task.data) {
    const missing = task.error instanceof Problem && task.error.status === 404;
    return (
      <>
        <PageHeader tab={id} title={id} />
        {missing ? <EmptyState title="There is no such task">It never was, or it is somebody else&rsquo;s.</EmptyState> : <ErrorBox error={task.error} what="The task could not be read." onRetry={() => void task.refetch()} />}
      </>
    );
  }
  const { task: summary } = task.data;
  return (
    <>
      <PageHeader
        tab={`${task.data.status} \u00b7 ${taskName(summary)}`}
        title={<Name>{taskName(summary)}</Name>}
        lead={
          <span className="flex flex-wrap items-center gap-x-3 gap-y-1">
            <StatusBadge status={task.data.status} />
            <span className="inline-flex items-center">{summary.task_id}<Copy text={summary.task_id} what={"the task\u2019s id"} /></span>
            <span className="font-mono">{summary.docker_image}</span>
            <span>submitted <TimeAgo atMs={summary.submitted_at_unix_ms} /></span>
          </span>
        }
        aside={<Actions key={id} detail={task.data} />}
      />
      <Standing detail={task.data} />
      <Parts key={id} detail={task.data} />
    </>
  );
}
