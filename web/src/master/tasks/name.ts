import type { TaskSummary } from "../../api/types";

/** What a task is called on pages: its name, or its id where it has none. */
export function taskName(task: Pick<TaskSummary, "task_name" | "task_id">): string {
  return task.task_name === "" ? task.task_id : task.task_name;
}

/** States in which a task is not over. */
export function isOpen(status: string): boolean {
  return status === "pending" || status === "running";
}

/**
 * The tasks of several lists, each once and as the first list has it: while a task goes from one status to the next, the lists of
 * both may tell it.
 */
export function oncePerTask<Task extends Pick<TaskSummary, "task_id">>(...lists: (readonly Task[] | undefined)[]): Task[] {
  const seen = new Map<string, Task>();
  for (const task of lists.flatMap((list) => list ?? [])) if (!seen.has(task.task_id)) seen.set(task.task_id, task);
  return [...seen.values()];
}
