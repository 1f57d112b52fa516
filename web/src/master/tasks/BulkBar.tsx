import { useQueryClient } from "@tanstack/react-query";
import { Ban, RotateCw } from "lucide-react";
import { useState } from "react";
import { request } from "../../api/client";
import { explainError } from "../../api/problem";
import { isUnanswered, Submission } from "../../api/submission";
import type { TaskSummary } from "../../api/types";
import { plural } from "../../lib/units";
import { Button, Confirm, useToast } from "../../ui";
import { isOpen, taskName } from "./name";

type Act = { what: "cancel" | "retry"; tasks: readonly TaskSummary[] };

async function one(what: Act["what"], task: TaskSummary) {
  const path = `/tasks/${encodeURIComponent(task.task_id)}/${what}`;
  if (what === "cancel") await request(path, { method: "POST", body: {} });
  // The same name and content as on the task's own page: whichever repeats it, nothing is submitted twice.
  else await new Submission(`retry.${task.task_id}`).send({ retry: task.task_id }, (key) => request(path, { method: "POST", body: {}, idempotencyKey: key }));
}

/** What can be done with the chosen tasks. Each is asked for on its own; those that fail are named. */
export function BulkBar({ tasks, onDone }: { tasks: readonly TaskSummary[]; onDone: () => void }) {
  const [act, setAct] = useState<Act | null>(null);
  const client = useQueryClient();
  const say = useToast();
  const open = tasks.filter((task) => isOpen(task.status));
  const ended = tasks.filter((task) => task.status === "failed" || task.status === "cancelled" || (!isOpen(task.status) && (task.elements?.failed ?? 0) + (task.elements?.cancelled ?? 0) > 0));
  const begin = (what: Act["what"], which: readonly TaskSummary[]) => setAct({ what, tasks: which });
  const run = async () => {
    if (!act) return;
    const failed: string[] = [];
    let unanswered = false;
    for (const task of act.tasks) {
      try {
        await one(act.what, task);
      } catch (error) {
        failed.push(`${taskName(task)}: ${explainError(error).why}`);
        unanswered ||= act.what === "retry" && isUnanswered(error);
      }
    }
    await client.invalidateQueries({ queryKey: ["tasks"] });
    if (failed.length > 0) throw new Error(`${failed.slice(0, 5).join(" ")}${failed.length > 5 ? ` And ${failed.length - 5} more.` : ""}${unanswered ? " What got no answer may have been submitted already; the same again submits nothing twice." : ""}`);
    say("ok", act.what === "cancel" ? `${plural(act.tasks.length, "task")} cancelled` : `${plural(act.tasks.length, "task")} submitted again`);
    onDone();
  };
  return (
    <>
      {tasks.length > 0 ? (
        <div role="region" aria-label="Chosen tasks" className="card bg-raised sticky top-14 z-20 flex flex-wrap items-center gap-2 px-4 py-2 shadow-md">
          <span className="flex-1 font-medium">{plural(tasks.length, "task")} chosen</span>
          <Button small look="danger" disabled={open.length === 0} icon={<Ban aria-hidden className="size-4" />} onClick={() => begin("cancel", open)}>Cancel {open.length}</Button>
          <Button small disabled={ended.length === 0} icon={<RotateCw aria-hidden className="size-4" />} onClick={() => begin("retry", ended)}>Retry {ended.length}</Button>
          <Button small look="quiet" onClick={onDone}>Choose none</Button>
        </div>
      ) : null}
      <Confirm
        open={act !== null}
        dangerous={act?.what === "cancel"}
        title={act?.what === "cancel" ? `Cancel ${plural(act.tasks.length, "task")}?` : `Submit ${plural(act?.tasks.length ?? 0, "task")} again?`}
        action={act?.what === "cancel" ? "Cancel them" : "Submit again"}
        onConfirm={run}
        onClose={() => setAct(null)}
      >
        {act?.what === "cancel"
          ? <p>What runs is stopped and paid up to now; what waits is dropped and costs nothing. This cannot be taken back.</p>
          : <p>Of each task, what did not complete is submitted as a new task, and its price cap is held again.</p>}
      </Confirm>
    </>
  );
}
