/**
 * What an owner's pages ask of the worker, and what they record while they are open.
 *
 * Invariant: no query here polls.
 */
import { queryOptions, skipToken, useQuery, useQueryClient, type QueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { request } from "../api/client";
import { emptySeries, push, type Series } from "../ui/series";
import type { Preferences } from "./model/preferences";
import type { Earnings, MachineNow, Safety, Sample, WorkerNow } from "./model/types";

export const nowQuery = queryOptions({
  queryKey: ["worker", "now"],
  queryFn: ({ signal }) => request<WorkerNow>("/worker/now", { signal }),
});

export const preferencesQuery = queryOptions({
  queryKey: ["worker", "preferences"],
  queryFn: ({ signal }) => request<Preferences>("/worker/preferences", { signal }),
});

export const safetyQuery = queryOptions({
  queryKey: ["worker", "safety"],
  queryFn: ({ signal }) => request<Safety>("/worker/safety", { signal }),
  staleTime: 0,
});

export const earningsQuery = queryOptions({
  queryKey: ["worker", "earnings"],
  queryFn: ({ signal }) => request<Earnings>("/worker/earnings", { signal }),
  staleTime: 10_000,
});

export const historyQuery = (minutes: number) =>
  queryOptions({
    queryKey: ["worker", "history", minutes],
    queryFn: ({ signal }) => request<{ samples: Sample[] }>("/worker/history", { query: { minutes, points: 240 }, signal }),
    staleTime: 10_000,
  });

/** Tells the worker something that changes how things stand; puts its answer where pages read it. */
export async function tell(client: QueryClient, verb: "start" | "finish" | "pause" | "stop-now", choice: { part?: "machine" | "gpu"; for_ms?: number } = {}) {
  const now = await request<WorkerNow>(`/worker/${verb}`, { method: "POST", ...(verb === "stop-now" ? {} : { body: choice }) });
  client.setQueryData(nowQuery.queryKey, now);
}

/** The lines that are kept, in their order. */
export const NOW_LINES = ["processor", "memory", "graphics", "temperature"] as const;
const SERIES_KEY = ["series", "worker"] as const;
const KEPT = 900;
const SEED_MINUTES = 5;
/** Samples of the past come every ten seconds. */
const GAP_SECONDS = 25;

/** Records what events tell of the machine, after what the worker remembers of the last minutes. */
export function useRecordedNow() {
  const client = useQueryClient();
  const { data, dataUpdatedAt } = useQuery(nowQuery);
  const past = useQuery(historyQuery(SEED_MINUTES)).data;
  useEffect(() => {
    if (past) seed(client, past.samples);
  }, [client, past]);
  useEffect(() => {
    if (data) add(client, dataUpdatedAt, ofMachine(data.machine));
  }, [client, data, dataUpdatedAt]);
}

function ofMachine({ cpu_percent, memory_percent, gpus, temperature_celsius }: MachineNow): (number | null)[] {
  const graphics = gpus.length === 0 ? null : gpus.reduce((sum, gpu) => sum + gpu.busy_percent, 0) / gpus.length;
  return [cpu_percent, memory_percent, graphics, temperature_celsius];
}

function add(client: QueryClient, at: number, values: (number | null)[]) {
  client.setQueryData<Series>(SERIES_KEY, (before) => push(before ?? emptySeries(NOW_LINES.length), at, values, KEPT, GAP_SECONDS));
}

/** What was before the first recorded point. */
function seed(client: QueryClient, samples: readonly Sample[]) {
  client.setQueryData<Series>(SERIES_KEY, (before) => {
    const kept = before ?? emptySeries(NOW_LINES.length);
    const first = kept.times[0] ?? Number.POSITIVE_INFINITY;
    const older = samples.filter((sample) => sample.at_unix_ms / 1000 < first);
    const lines = [
      older.map((sample) => sample.cpu_percent),
      older.map((sample) => sample.memory_percent),
      older.map((sample) => sample.gpu_percent),
      older.map((sample) => (sample.temperature_celsius > 0 ? sample.temperature_celsius : null)),
    ];
    return {
      times: [...older.map((sample) => sample.at_unix_ms / 1000), ...kept.times],
      lines: lines.map((line, place) => [...line, ...(kept.lines[place] ?? [])]),
    };
  });
}

/** The recorded lines of those names, in that order. */
export function useNowSeries(...names: (typeof NOW_LINES)[number][]): Series {
  const { data } = useQuery<Series>({ queryKey: SERIES_KEY, queryFn: skipToken, gcTime: Number.POSITIVE_INFINITY });
  const all = data ?? emptySeries(NOW_LINES.length);
  return { times: all.times, lines: names.map((name) => all.lines[NOW_LINES.indexOf(name)] ?? []) };
}
