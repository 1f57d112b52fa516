import type { TaskDetail } from "../../api/types";
import { cores, duration, mebibytes } from "../../lib/units";
import { Card, Code, ErrorBox, Facts, Moment } from "../../ui";
import { shellQuote } from "../../lib/words";
import { Problem } from "../../api/problem";
import { Attempts } from "./Attempts";
import { asCli } from "../run/model";
import { Waiting } from "./Waiting";

/** `E_CODE: sentence` as an error of the API. */
export function taskError(message: string): Problem {
  const found = /^(E_[A-Z_]+): ([\s\S]*)$/.exec(message);
  return new Problem(200, found?.[1] ?? "", found?.[2] ?? message, found?.[2] ?? message, null, null);
}

function SameInCli({ detail }: { detail: TaskDetail }) {
  const { task } = detail;
  const again = asCli({
    task_name: task.task_name,
    docker_image: task.docker_image,
    argv: task.argv,
    required_cpu_cores: task.required_cpu_millicores / 1000,
    required_memory: task.required_memory_mb,
    max_runtime: task.max_runtime_seconds,
    array: task.array,
  });
  const lines = [again, `hivemind status ${task.task_id}`, `hivemind explain ${task.task_id}`, `hivemind logs -f ${task.task_id}`, ...(task.has_output ? [`hivemind fetch ${task.task_id}`] : [])];
  return <Card title="The same in a terminal"><Code what="Commands" text={lines.join("\n")} /></Card>;
}

function About({ detail }: { detail: TaskDetail }) {
  const { task } = detail;
  const words = (list: readonly string[]) => (list.length > 0 ? list.join(", ") : null);
  const labels = words(task.labels);
  const network = words(task.network);
  return (
    <Card title="What was asked for">
      <Facts facts={[
        ["Command", <code key="command" className="font-mono">{task.argv.length > 0 ? shellQuote(task.argv) : "the image\u2019s own"}</code>],
        ["Kind", task.kind || "container"],
        ["Processor", cores(task.required_cpu_millicores)],
        ["Memory", mebibytes(task.required_memory_mb)],
        ["Disk", mebibytes(task.required_disk_mb)],
        ["At most", duration(task.max_runtime_seconds * 1000)],
        ["Priority", `${task.priority} of 10`],
        task.array ? ["Elements", task.array] : null,
        task.min_level ? ["Level", `${task.min_level} or higher`] : null,
        labels ? ["Labels", labels] : null,
        ["Network", network ?? "none"],
        task.verification ? ["Verified by", task.verification] : null,
        task.after.length > 0 ? ["Waits for", task.after.map((one) => one.task_id).join(", ")] : null,
        task.reused_from ? ["Result of", task.reused_from] : null,
        ["Submitted", <Moment key="submitted" atMs={task.submitted_at_unix_ms} />],
        task.ended_at_unix_ms > 0 ? ["Ended", <Moment key="ended" atMs={task.ended_at_unix_ms} />] : null,
        task.exit_code !== null ? ["Exit code", String(task.exit_code)] : null,
      ]} />
    </Card>
  );
}

export function Overview({ detail }: { detail: TaskDetail }) {
  const { task } = detail;
  return (
    <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
      <div className="flex min-w-0 flex-col gap-4">
        {detail.status === "failed" && detail.error_message ? <ErrorBox error={taskError(detail.error_message)} what="The task failed." /> : null}
        {detail.status === "pending" || detail.status === "running" ? <Waiting id={task.task_id} status={detail.status} /> : null}
        {task.array === "" ? <Attempts attempts={detail.attempts} /> : null}
        <SameInCli detail={detail} />
      </div>
      <About detail={detail} />
    </div>
  );
}
