import { useQueryClient } from "@tanstack/react-query";
import { Ban, RotateCw } from "lucide-react";
import { useState } from "react";
import { request } from "../../api/client";
import { explainError } from "../../api/problem";
import { newKey } from "../../api/submission";
import type { TaskSummary } from "../../api/types";
import { plural } from "../../lib/units";
import { Button, Confirm, useToast } from "../../ui";
import { isOpen, taskName } from "./name";

type Act = { what: "cancel" | "retry"; tasks: readonly TaskSummary[]; keys: readonly string[] };

async function one(act: Act, at: number) {
  const task = act.tasks[at];
  if (!task) return;
  const options = act.what === "retry" ? { idempotencyKey: act.keys[at] ?? newKey() } : {};
  await request(`/tasks/${encodeURIComponent(task.task_id)}/${act.what}`, { method: "POST", body: {}, ...options });
}

/** What can be done with the chosen tasks. Each is asked for on its own; those that fail are named. */
export function BulkBar({ tasks, onDone }: { tasks: readonly TaskSummary[]; onDone: () => void }) {
  const [act, setAct] = useState<Act | null>(null);
  const client = useQueryClient();
  const say = useToast();
  const open = tasks.filter((task) => isOpen(task.status));
  const ended = tasks.filter((task) => task.status === "failed" || task.status === "cancelled" || (!isOpen(task.status) && (task.elements?.failed ?? 0) + (task.elements?.cancelled ?? 0) > 0));
  const begin = (what: Act["what"], which: readonly TaskSummary[]) => setAct({ what, tasks: which, keys: which.map(newKey) });
  const run = async () => {
    if (!act) return;
    const failed: string[] = [];
    for (let at = 0; at < act.tasks.length; at += 1) {
      try {
        await one(act, at);
      } catch (error) {
        const task = act.tasks[at];
        failed.push(`${task ? taskName(task) : ""}: ${explainError(error).why}`);
      }
    }
    await client.invalidateQueries({ queryKey: ["tasks"] });
    if (failed.length > 0) throw new Error(`${failed.slice(0, 5).join(" ")}${failed.length > 5 ? ` And ${failed.length - 5} more.` : ""}`);
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
