/**
 * The queries of pages under the keys that events know: see `events`.
 *
 * Invariant: no query here polls.
 */
import { queryOptions } from "@tanstack/react-query";
import { request } from "./client";
import type { Balance, Explain, Page, PoolInfo, PublicCounters, TaskDetail, TaskSummary } from "./types";

export const walletQuery = queryOptions({ queryKey: ["wallet"], queryFn: ({ signal }) => request<Balance>("/wallet", { signal }) });
export const poolQuery = queryOptions({ queryKey: ["pool"], queryFn: ({ signal }) => request<PoolInfo>("/pool", { signal }) });
export const publicQuery = queryOptions({ queryKey: ["public"], queryFn: ({ signal }) => request<PublicCounters>("/public", { signal }) });

export type TaskFilter = { status: string; q: string; cursor: string | null; limit: number };

export const tasksQuery = (filter: TaskFilter) =>
  queryOptions({
    queryKey: ["tasks", filter],
    queryFn: ({ signal }) => request<Page<TaskSummary>>("/tasks", { query: filter, signal }),
    placeholderData: (before) => before,
  });

export const taskQuery = (id: string) =>
  queryOptions({ queryKey: ["task", id], queryFn: ({ signal }) => request<TaskDetail>(`/tasks/${encodeURIComponent(id)}`, { signal }) });

/** Parts of a task's page hang below its key, so that an event about the task refreshes them, too. */
export const taskPart = <Answer>(id: string, part: string, query: Record<string, string | number | undefined> = {}) =>
  queryOptions({
    queryKey: ["task", id, part, query],
    queryFn: ({ signal }) => request<Answer>(`/tasks/${encodeURIComponent(id)}/${part}`, { query, signal }),
  });

export const explainQuery = (id: string) => taskPart<Explain>(id, "explain");
