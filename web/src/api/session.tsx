/**
 * Who is signed in, in this tab and in the others of the browser.
 *
 * Tabs tell each other that somebody signed in or out, and ask the server who it is whenever they come to the front or a change is
 * refused for want of this session's word. Where it is somebody else, all that is there of the first is removed, and the pages
 * start anew. One of the tabs renews the session before it ends.
 *
 * Invariant: no page shows, keeps or sends anything of a person who is not signed in any more.
 */
import { useQueryClient } from "@tanstack/react-query";
import { createContext, Fragment, type ReactNode, useCallback, useContext, useEffect, useMemo, useRef, useState } from "react";
import { forgetKept, keepFor } from "../lib/kept";
import { onSession, rememberToken, request } from "./client";
import { Problem } from "./problem";
import { useRenewal } from "./renewal";
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

/** What tabs say on the channel: somebody signed in, or this user signed out. */
type Said = { say: "entered" } | { say: "left"; user_id: string };
const CHANNEL = "hivemind session";

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

/** The session, and what changes it here. `people` grows when another person takes the place of the one before. */
function useWhose() {
  const client = useQueryClient();
  const [session, setSession] = useState<Session>({ state: "loading" });
  const [people, setPeople] = useState(0);
  const whose = useRef<string | null>(null);
  const enter = useCallback((me: Me) => {
    rememberToken(me.csrf_token);
    keepFor(me.user_id);
    if (whose.current !== null && whose.current !== me.user_id) {
      client.clear();
      setPeople((before) => before + 1);
    }
    whose.current = me.user_id;
    setSession({ state: "signed-in", me, ended: false });
    return me;
  }, [client]);
  const leave = useCallback(() => {
    whose.current = null;
    rememberToken("");
    forgetKept();
    client.clear();
    setSession({ state: "anonymous" });
  }, [client]);
  return { session, setSession, people, whose, enter, leave };
}

/** Asks again who is signed in where another tab, or a while without a look, may have changed it. */
function useOtherTabs(whose: { readonly current: string | null }, enter: (me: Me) => Me, leave: () => void) {
  const channel = useRef<BroadcastChannel | null>(null);
  const check = useCallback(async () => enter(await request<Me>("/auth/me")), [enter]);
  useEffect(() => {
    // A refusal has been told by then; a pool that is away says nothing of who it is.
    const look = () => void check().catch(() => undefined);
    const shown = () => {
      if (document.visibilityState === "visible" && whose.current !== null) look();
    };
    document.addEventListener("visibilitychange", shown);
    const held = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(CHANNEL);
    channel.current = held;
    if (held) {
      held.onmessage = (event: MessageEvent) => {
        const said = event.data as Said;
        if (said.say === "entered") look();
        else if (said.user_id === whose.current) leave();
      };
    }
    return () => {
      document.removeEventListener("visibilitychange", shown);
      held?.close();
      channel.current = null;
    };
  }, [check, leave, whose]);
  const tell = useCallback((said: Said) => channel.current?.postMessage(said), []);
  return { check, tell };
}

export function SessionProvider({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const { session, setSession, people, whose, enter, leave } = useWhose();
  const { check, tell } = useOtherTabs(whose, enter, leave);
  const [tries, setTries] = useState(0);
  useRenewal(session.state === "signed-in" && !session.ended ? session.me.token_expires_at_unix_ms : null, enter);

  useEffect(() => {
    onSession({
      ended: () => setSession((before) => (before.state === "signed-in" ? { ...before, ended: true } : { state: "anonymous" })),
      renewed: enter,
      refused: async () => {
        const before = whose.current;
        return (await check()).user_id === before;
      },
    });
    const stop = new AbortController();
    request<Me>("/auth/me", { signal: stop.signal }).then(enter, (error: unknown) => {
      if (stop.signal.aborted) return;
      if (error instanceof Problem && (error.status === 401 || error.status === 403)) setSession({ state: "anonymous" });
      else setSession({ state: "unreachable", error });
    });
    return () => stop.abort();
  }, [enter, check, setSession, whose, tries]);

  const actions = useMemo<Actions>(
    () => ({
      session,
      login: async (username, password) => {
        const me = enter(await request<Me>("/auth/login", { method: "POST", body: { username, password } }));
        tell({ say: "entered" });
        await client.invalidateQueries();
        return me;
      },
      register: async (fields) => {
        const me = enter(await request<Me>("/auth/register", { method: "POST", body: fields }));
        tell({ say: "entered" });
        return me;
      },
      logout: async () => {
        const user_id = whose.current;
        try {
          await request("/auth/logout", { method: "POST" });
        } catch (error) {
          // Whatever the pool says, the server has taken this browser's session away; only what another site may ask for is refused.
          if (!(error instanceof Problem) || error.status === 403) throw error;
        }
        leave();
        if (user_id !== null) tell({ say: "left", user_id });
      },
      reload: () => {
        setSession({ state: "loading" });
        setTries((before) => before + 1);
      },
    }),
    [session, setSession, whose, client, enter, leave, tell],
  );
  return <SessionContext value={actions}><Fragment key={people}>{children}</Fragment></SessionContext>;
}
