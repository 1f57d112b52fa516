/**
 * What operators' pages ask, and how live events keep it at the present.
 *
 * Nodes come one by one in events (`["node", id]`); {@link useLiveNodes} gathers them into the one list that pages show, so
 * that thousands of nodes are read once and not again with every heartbeat.
 *
 * Invariant: no query here polls.
 */
import { queryOptions, skipToken, useQuery, useQueryClient, type QueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { request } from "../api/client";
import type { Page } from "../api/types";
import { emptySeries, push, type Series } from "../ui/series";
import { part } from "./model/health";
import { put } from "./model/nodes";
import type { Audit, Health, JournalEntry, NodeSample, NodeSummary, Queue, TrialBalance } from "./model/types";

export const healthQuery = queryOptions({
  queryKey: ["pool", "health"],
  queryFn: ({ signal }) => request<Health>("/pool/health", { signal }),
});

export const queueQuery = queryOptions({
  queryKey: ["pool", "queue"],
  queryFn: ({ signal }) => request<Queue>("/pool/queue", { signal }),
});

const NODES_KEY = ["pool", "nodes"] as const;

export const nodesQuery = queryOptions({ queryKey: NODES_KEY, queryFn: ({ signal }) => allNodes(signal) });

const PAGE = 1000;
const MOST_PAGES = 200;

async function allNodes(signal: AbortSignal): Promise<NodeSummary[]> {
  const nodes: NodeSummary[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const answer: Page<NodeSummary> = await request("/nodes", { query: { all: true, limit: PAGE, cursor }, signal });
    nodes.push(...answer.items);
    cursor = answer.next_cursor;
    if (cursor === null) break;
  }
  return nodes;
}

export const historyQuery = (name: string, hours: number) =>
  queryOptions({
    queryKey: ["pool", "history", name, hours],
    queryFn: ({ signal }) => {
      const to = Date.now();
      const query = { from: to - hours * 3_600_000, to, points: 240 };
      return request<{ samples: NodeSample[] }>(`/nodes/${encodeURIComponent(name)}/history`, { query, signal });
    },
    staleTime: 30_000,
  });

export const trialBalanceQuery = queryOptions({
  queryKey: ["pool", "trial-balance"],
  queryFn: ({ signal }) => request<TrialBalance>("/pool/trial-balance", { signal }),
  staleTime: 0,
});

/** Replays the whole journal. */
export const audit = () => request<Audit>("/pool/audit");

export type JournalFilter = { kind: string; username: string; cursor: string | null };

/** A page of the pool can be empty while more follow; so many are looked through for one that is not. */
const MOST_EMPTY = 50;

async function journalPage(filter: JournalFilter, signal: AbortSignal): Promise<Page<JournalEntry>> {
  let page = await request<Page<JournalEntry>>("/pool/journal", { query: { ...filter, limit: 50 }, signal });
  for (let tries = 1; page.items.length === 0 && page.next_cursor !== null && tries < MOST_EMPTY; tries += 1) {
    page = await request<Page<JournalEntry>>("/pool/journal", { query: { ...filter, cursor: page.next_cursor, limit: 50 }, signal });
  }
  return page;
}

export const journalQuery = (filter: JournalFilter) =>
  queryOptions({
    queryKey: ["pool", "journal", filter],
    queryFn: ({ signal }) => journalPage(filter, signal),
    staleTime: 0,
    placeholderData: (before) => before,
  });

/** How long single nodes are gathered before the list is made anew. */
const GATHER_MS = 250;

/** Puts the nodes of events into the list, in batches; for the whole time that the pages are open. */
export function useLiveNodes() {
  const client = useQueryClient();
  useEffect(() => {
    const changed = new Map<string, NodeSummary>();
    let timer: number | undefined;
    const flush = () => {
      timer = undefined;
      const batch = [...changed.values()];
      changed.clear();
      client.setQueryData<NodeSummary[]>(NODES_KEY, (before) => (before ? put(before, batch) : before));
    };
    const end = client.getQueryCache().subscribe((event) => {
      if (event.type !== "updated" || event.action.type !== "success") return;
      const [kind, id, ...rest] = event.query.queryKey;
      if (kind !== "node" || typeof id !== "string" || rest.length > 0) return;
      changed.set(id, event.query.state.data as NodeSummary);
      timer ??= window.setTimeout(flush, GATHER_MS);
    });
    return () => {
      window.clearTimeout(timer);
      end();
    };
  }, [client]);
}

/** The lines that {@link useRecordedHealth} keeps, in their order. */
export const HEALTH_LINES = ["processor", "memory", "running", "waiting", "commits", "p50", "p99"] as const;
const SERIES_KEY = ["series", "health"] as const;
const KEPT = 900;

/** Records what events tell of the pool's health, for the charts, from the moment when a page was opened. */
export function useRecordedHealth() {
  const client = useQueryClient();
  const { data, dataUpdatedAt } = useQuery(healthQuery);
  useEffect(() => {
    if (data) record(client, data, dataUpdatedAt);
  }, [client, data, dataUpdatedAt]);
}

function record(client: QueryClient, health: Health, at: number) {
  const values = [
    100 * part(health.cpu_millicores_used, health.cpu_millicores_total),
    100 * part(health.memory_mb_used, health.memory_mb_total),
    health.attempts_running,
    health.elements_waiting,
    health.commits_per_second,
    health.schedule_latency_p50_ms,
    health.schedule_latency_p99_ms,
  ];
  client.setQueryData<Series>(SERIES_KEY, (before) => push(before ?? emptySeries(values.length), at, values, KEPT, 30));
}

/** The recorded lines of those names, in that order. */
export function useHealthSeries(...names: (typeof HEALTH_LINES)[number][]): Series {
  const { data } = useQuery<Series>({ queryKey: SERIES_KEY, queryFn: skipToken, gcTime: Number.POSITIVE_INFINITY });
  const all = data ?? emptySeries(HEALTH_LINES.length);
  return { times: all.times, lines: names.map((name) => all.lines[HEALTH_LINES.indexOf(name)] ?? []) };
}
