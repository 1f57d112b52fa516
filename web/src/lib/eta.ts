/**
 * When a task will be done, as far as its pace so far tells.
 *
 * Invariant: no clock here.
 */
import type { TaskSummary } from "../api/types";

type Told = Pick<TaskSummary, "status" | "progress" | "submitted_at_unix_ms" | "elements">;

/** Milliseconds left, or null where nothing can be said yet. */
export function eta(task: Told, startedAtMs: number | null, nowMs: number): number | null {
  if (task.status !== "running") return null;
  const since = nowMs - (startedAtMs ?? task.submitted_at_unix_ms);
  const done = doneShare(task);
  if (since < 3000 || done < 0.01 || done >= 1) return null;
  return (since / done) * (1 - done);
}

/** 0 to 1: of an array the ended elements, else what the task says of itself. */
export function doneShare(task: Pick<TaskSummary, "progress" | "elements">): number {
  const counts = task.elements;
  if (counts && counts.total > 1) {
    const ended = (counts.completed + counts.failed + counts.cancelled) / counts.total;
    return Math.max(ended, task.progress / 100);
  }
  return task.progress / 100;
}
