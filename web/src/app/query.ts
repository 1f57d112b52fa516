import { QueryClient } from "@tanstack/react-query";
import { Problem } from "../api/problem";

/** Queries stay as they are until an event says otherwise; a refusal is not repeated, an unreachable pool is. */
export function makeQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: Number.POSITIVE_INFINITY,
        gcTime: 5 * 60_000,
        refetchOnWindowFocus: false,
        refetchOnMount: true,
        retry: (failures, error) => failures < 3 && !(error instanceof Problem && error.status < 500 && error.status !== 429),
        retryDelay: (attempt) => Math.min(10_000, 500 * 2 ** attempt),
        networkMode: "always",
      },
      mutations: { retry: false, networkMode: "always" },
    },
  });
}
