import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";
import { onSession, rememberToken, request } from "./client";
import { Problem } from "./problem";
import type { Me } from "./types";

export type Session =
  | { state: "loading" }
  | { state: "unreachable"; error: unknown }
  | { state: "anonymous" }
  /** `ended`: it was, and has to sign in again; the page stays as it is meanwhile. */
  | { state: "signed-in"; me: Me; ended: boolean };

type Actions = {
  session: Session;
  login: (username: string, password: string) => Promise<Me>;
  register: (fields: { username: string; password: string; email: string; invitation?: string }) => Promise<Me>;
  logout: () => Promise<void>;
  reload: () => void;
};

const SessionContext = createContext<Actions | null>(null);

export function useSession(): Actions {
  const actions = useContext(SessionContext);
  if (!actions) throw new Error("useSession outside of SessionProvider");
  return actions;
}

/** Who is signed in. Only for pages behind the sign-in. */
export function useMe(): Me {
  const { session } = useSession();
  if (session.state !== "signed-in") throw new Error("useMe without a session");
  return session.me;
}

export function SessionProvider({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const [session, setSession] = useState<Session>({ state: "loading" });
  const [tries, setTries] = useState(0);

  const enter = useCallback((me: Me) => {
    rememberToken(me.csrf_token);
    setSession((before) => {
      if (before.state === "signed-in" && before.me.user_id !== me.user_id) client.clear();
      return { state: "signed-in", me, ended: false };
    });
    return me;
  }, [client]);

  useEffect(() => {
    onSession(
      () => setSession((before) => (before.state === "signed-in" ? { ...before, ended: true } : { state: "anonymous" })),
      (me) => setSession({ state: "signed-in", me, ended: false }),
    );
    const stop = new AbortController();
    request<Me>("/auth/me", { signal: stop.signal }).then(enter, (error: unknown) => {
      if (stop.signal.aborted) return;
      if (error instanceof Problem && (error.status === 401 || error.status === 403)) setSession({ state: "anonymous" });
      else setSession({ state: "unreachable", error });
    });
    return () => stop.abort();
  }, [enter, tries]);

  const actions = useMemo<Actions>(
    () => ({
      session,
      login: async (username, password) => {
        const me = enter(await request<Me>("/auth/login", { method: "POST", body: { username, password } }));
        await client.invalidateQueries();
        return me;
      },
      register: async (fields) => enter(await request<Me>("/auth/register", { method: "POST", body: fields })),
      logout: async () => {
        await request("/auth/logout", { method: "POST" });
        rememberToken("");
        client.clear();
        sessionStorage.clear();
        setSession({ state: "anonymous" });
      },
      reload: () => {
        setSession({ state: "loading" });
        setTries((before) => before + 1);
      },
    }),
    [session, client, enter],
  );
  return <SessionContext value={actions}>{children}</SessionContext>;
}
