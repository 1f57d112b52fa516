import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useSyncExternalStore } from "react";
import { address, renew } from "./client";
import { applyEvent, Live, type LiveStatus, Refresher } from "./events";

const LiveContext = createContext<Live | null>(null);

type Props = { children: ReactNode; path?: string; enabled?: boolean; renewSession?: () => Promise<unknown> };

/** Keeps the caches of everything below at what the server tells; one connection for the page. */
export function LiveProvider({ children, path = "/events", enabled = true, renewSession = renew }: Props) {
  const client = useQueryClient();
  const refresher = useMemo(() => new Refresher(client), [client]);
  const live = useMemo(
    () =>
      new Live({
        url: address(path),
        onEvent: (kind, text) => applyEvent(client, refresher, kind, text),
        onBack: () => void client.invalidateQueries(),
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

const NOTHING: LiveStatus = { state: "connecting", lastAtMs: null };

/** How the live connection stands, and a way to try at once. */
export function useLive(): LiveStatus & { retry: () => void } {
  const live = useContext(LiveContext);
  const status = useSyncExternalStore(live?.subscribe ?? (() => () => undefined), live?.status ?? (() => NOTHING));
  return { ...status, retry: () => live?.retry() };
}
