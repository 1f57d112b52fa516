/**
 * Sessions and API keys of whoever is signed in.
 *
 * Invariant: a key's secret is in no cache; it is shown from the answer that made it.
 */
import { queryOptions } from "@tanstack/react-query";
import { request } from "../api/client";
import type { Page } from "../api/types";

export type SessionSummary = {
  session_id: string;
  about: string;
  created_at_unix_ms: number;
  used_at_unix_ms: number;
  expires_at_unix_ms: number;
  current: boolean;
};

export type KeySummary = {
  key_id: string;
  name: string;
  scopes: string[];
  created_at_unix_ms: number;
  /** To the hour; 0: never. */
  used_at_unix_ms: number;
  expires_at_unix_ms: number;
};

export type NewKey = { key_id: string; key: string; name: string; scopes: string[]; expires_at_unix_ms: number };

export type Invitation = { invitation: string; expires_at_unix_ms: number };

export const sessionsQuery = queryOptions({
  queryKey: ["account", "sessions"],
  queryFn: async ({ signal }) => (await request<Page<SessionSummary>>("/auth/sessions", { signal })).items,
  staleTime: 0,
});

export const keysQuery = queryOptions({
  queryKey: ["account", "keys"],
  queryFn: async ({ signal }) => (await request<Page<KeySummary>>("/auth/keys", { signal })).items,
  staleTime: 0,
});

export const endSession = (id: string) => request(`/auth/sessions/${encodeURIComponent(id)}`, { method: "DELETE" });
export const revokeKey = (id: string) => request(`/auth/keys/${encodeURIComponent(id)}`, { method: "DELETE" });
export const makeKey = (body: { name: string; scopes: string[]; valid_seconds: number }) => request<NewKey>("/auth/keys", { method: "POST", body });
export const invite = (body: { uses: number; valid_seconds: number }) => request<Invitation>("/auth/invitations", { method: "POST", body });
