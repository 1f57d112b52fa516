/**
 * Who may see a worker's page: whoever was given its address with the secret behind `#`.
 *
 * The secret is exchanged for a cookie once and taken out of the address bar; later visits go by the cookie until it ends.
 *
 * Invariant: the secret is sent to the worker alone, and kept nowhere.
 */
import { createContext, type ReactNode, useContext, useEffect, useState } from "react";
import { onSession, rememberToken, request } from "../api/client";
import { Problem } from "../api/problem";
import type { WorkerSession } from "./model/types";

export type Door =
  | { state: "opening" }
  | { state: "open" }
  /** It was open; what is on the page stays. */
  | { state: "ended" }
  | { state: "closed"; error: Problem | null }
  | { state: "unreachable"; error: unknown };

const DoorContext = createContext<{ door: Door; knock: () => void } | null>(null);

/** How the page stands, and a way to try again. */
export function useDoor() {
  const held = useContext(DoorContext);
  if (!held) throw new Error("useDoor outside of DoorProvider");
  return held;
}

/** The secret behind `#`, taken out of the address bar; null where there is none. */
export function takeToken(place: Location, past: History): string | null {
  const token = new URLSearchParams(place.hash.replace(/^#/, "")).get("token");
  if (token === null || token === "") return null;
  past.replaceState(past.state, "", place.pathname + place.search);
  return token;
}

async function open(signal: AbortSignal): Promise<void> {
  const token = takeToken(window.location, window.history);
  const session =
    token === null
      ? await request<WorkerSession>("/worker/session", { signal })
      : await request<WorkerSession>("/worker/login", { method: "POST", body: { token } });
  rememberToken(session.csrf_token);
}

export function DoorProvider({ children }: { children: ReactNode }) {
  const [door, setDoor] = useState<Door>({ state: "opening" });
  const [tries, setTries] = useState(0);
  useEffect(() => {
    const knock = () => setTries((before) => before + 1);
    window.addEventListener("hashchange", knock);
    onSession({
      ended: () => setDoor((before) => (before.state === "open" ? { state: "ended" } : before)),
      // The page was opened anew in another tab: it is the owner's all the same.
      refused: async () => {
        rememberToken((await request<WorkerSession>("/worker/session")).csrf_token);
        return true;
      },
    });
    return () => window.removeEventListener("hashchange", knock);
  }, []);
  useEffect(() => {
    const stop = new AbortController();
    open(stop.signal).then(
      () => setDoor({ state: "open" }),
      (error: unknown) => {
        if (stop.signal.aborted) return;
        if (!(error instanceof Problem)) setDoor({ state: "unreachable", error });
        // No session yet is no fault; a wrong secret is.
        else setDoor({ state: "closed", error: error.code === "E_UNAUTHENTICATED" ? null : error });
      },
    );
    return () => stop.abort();
  }, [tries]);
  return <DoorContext value={{ door, knock: () => setTries((before) => before + 1) }}>{children}</DoorContext>;
}
