import { useMutation, useQuery } from "@tanstack/react-query";
import { Image as Picture } from "lucide-react";
import { useState } from "react";
import { Link } from "react-router";
import { request, upload } from "../../api/client";
import { taskPart, taskQuery } from "../../api/queries";
import { isUnanswered, useSubmission } from "../../api/submission";
import type { Grid, Submitted } from "../../api/types";
import { Unanswered } from "../../app/Unanswered";
import { gridModel } from "../../lib/grid";
import { keep, kept } from "../../lib/kept";
import { duration } from "../../lib/units";
import { Button, Card, ErrorBox, Money, StateBar } from "../../ui";
import { Mosaic } from "../outputs/Mosaic";
import { isOpen } from "../tasks/name";

const TASK = { task_name: "render mandelbrot", argv: ["tile"], array: "0-11", required_cpu_cores: 1, required_memory: 128, required_disk_mb: 64, max_runtime: 300 };
const KEPT = "demo.task";

/** The renderer goes to the pool once; equal contents are stored once. */
async function sendRenderer(): Promise<string> {
  const answer = await fetch("/demo/mandelbrot.wasm");
  if (!answer.ok) throw new Error(`This server has no renderer to send (it answered ${answer.status}).`);
  const { digest } = await upload<{ digest: string }>("/contents", await answer.blob(), () => undefined);
  return digest;
}

function Result({ id }: { id: string }) {
  const task = useQuery(taskQuery(id));
  const grid = useQuery({ ...taskPart<Grid>(id, "grid"), enabled: task.isSuccess });
  if (task.isError) return <ErrorBox error={task.error} what="The demo's task could not be read." onRetry={() => void task.refetch()} />;
  if (!task.data) return null;
  const { task: summary } = task.data;
  const model = grid.data ? gridModel(grid.data.indices, grid.data.states) : null;
  const counts = model?.counts;
  const took = summary.ended_at_unix_ms - summary.submitted_at_unix_ms;
  return (
    <div className="flex flex-col gap-2">
      <Mosaic id={id} model={model} />
      {counts ? (
        <StateBar
          label="Tiles"
          parts={[
            { name: "done", count: counts.completed, tone: "ok" },
            { name: "failed", count: counts.failed, tone: "bad" },
            { name: "rendering", count: counts.live, tone: "run" },
            { name: "waiting", count: counts.waiting, tone: "wait" },
          ]}
          legend
        />
      ) : null}
      <p className="text-ink-2">
        <Link className="link" to={`/tasks/${id}`}>{id}</Link>{" "}
        {isOpen(summary.status) ? (summary.waiting_reason || "is rendering; each tile is computed on its own and appears when it is done.") : <>took {duration(took)} and cost <Money micro={summary.cost_micro} />.</>}
      </p>
    </div>
  );
}

/** Twelve tiles of one picture on whatever machines are there: the quickest way to see what this is. */
export function Demo() {
  const [id, setId] = useState(() => {
    const before = kept(KEPT);
    return typeof before === "string" ? before : null;
  });
  const submission = useSubmission("demo");
  const start = useMutation({
    mutationFn: async () => {
      const body = { ...TASK, docker_image: await sendRenderer() };
      return submission.send(body, (key) => request<Submitted>("/tasks", { method: "POST", body, idempotencyKey: key }));
    },
    onSuccess: ({ task_id }) => {
      keep(KEPT, task_id);
      setId(task_id);
    },
  });
  return (
    <Card title="See it work">
      <div className="flex flex-col gap-3">
        {id === null ? <p className="text-ink-2">Render a picture in twelve pieces, on whatever machines are free. It costs a small part of your free credit.</p> : <Result key={id} id={id} />}
        {start.isError ? <ErrorBox error={start.error} what={isUnanswered(start.error) ? "No answer came: the demo may have started already." : "The demo did not start."} /> : null}
        <Unanswered standing={submission.standing(null)} where={<Link to="/tasks" className="link">your tasks</Link>} onForget={submission.forget} />
        <Button look={id === null ? "primary" : "plain"} busy={start.isPending} onClick={() => start.mutate()} icon={<Picture aria-hidden className="size-4" />}>{id === null ? "Render the picture" : "Render it again"}</Button>
      </div>
    </Card>
  );
}
