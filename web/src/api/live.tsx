import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useSyncExternalStore } from "react";
import { address, renewOrEnd } from "./client";
import { applyEvent, Live, type LiveStatus, Refresher } from "./events";
import { useSession } from "./session";

const LiveContext = createContext<Live | null>(null);

type Props = { children: ReactNode; path?: string; enabled?: boolean; renewSession?: () => Promise<unknown> };

/** Keeps the caches of everything below at what the server tells; one connection for the page. */
export function LiveProvider({ children, path = "/events", enabled = true, renewSession = renewOrEnd }: Props) {
  const client = useQueryClient();
  const refresher = useMemo(() => new Refresher(client), [client]);
  const live = useMemo(
    () =>
      new Live({
        url: address(path),
        onEvent: (kind, text) => applyEvent(client, refresher, kind, text),
        onOpen: () => void client.invalidateQueries(),
        renew: renewSession,
      }),
    [client, refresher, path, renewSession],
  );
  useEffect(() => {
    if (!enabled) return undefined;
    live.start();
    return () => {
      live.stop();
      refresher.stop();
    };
  }, [live, refresher, enabled]);
  return <LiveContext value={live}>{children}</LiveContext>;
}

/** As `LiveProvider`, as long as somebody is signed in: whoever signs in again is told again. */
export function SessionLive({ children }: { children: ReactNode }) {
  const { session } = useSession();
  return <LiveProvider enabled={session.state === "signed-in" && !session.ended}>{children}</LiveProvider>;
}

const NOTHING: LiveStatus = { state: "connecting", lastAtMs: null };

/** How the live connection stands, and a way to try at once. */
export function useLive(): LiveStatus & { retry: () => void } {
  const live = useContext(LiveContext);
  const status = useSyncExternalStore(live?.subscribe ?? (() => () => undefined), live?.status ?? (() => NOTHING));
  return { ...status, retry: () => live?.retry() };
}
