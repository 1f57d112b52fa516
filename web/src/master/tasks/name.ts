import type { TaskSummary } from "../../api/types";

/** What a task is called on pages: its name, or its id where it has none. */
export function taskName(task: Pick<TaskSummary, "task_name" | "task_id">): string {
  return task.task_name === "" ? task.task_id : task.task_name;
}

/** States in which a task is not over. */
export function isOpen(status: string): boolean {
  return status === "pending" || status === "running";
}
