import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useSyncExternalStore } from "react";
import { Live, type LiveStatus, tabsOfBrowser } from "./connection";
import { applyEvent, Refresher } from "./events";
import { useSession } from "./session";
import { listen } from "./stream";

const LiveContext = createContext<Live | null>(null);

type Props = {
  children: ReactNode;
  path: string;
  /** Whose stream it is: tabs of one person share one. */
  who: string;
  enabled: boolean;
};

/** Keeps the caches of everything below at what the server tells; one connection for all tabs of the browser. */
export function LiveProvider({ children, path, who, enabled }: Props) {
  const client = useQueryClient();
  const refresher = useMemo(() => new Refresher(client), [client]);
  const live = useMemo(
    () =>
      new Live({
        name: `hivemind ${path} ${who}`,
        listen: (asked) => listen(path, asked),
        onEvent: (kind, text) => applyEvent(client, refresher, kind, text),
        onBack: () => void client.invalidateQueries(),
        tabs: tabsOfBrowser(),
      }),
    [client, refresher, path, who],
  );
  useEffect(() => {
    if (!enabled) return undefined;
    const start = () => live.start();
    const stop = () => live.stop();
    const back = (event: PageTransitionEvent) => event.persisted && live.start();
    live.start();
    // A page that the browser puts to sleep must not keep the others from their events.
    window.addEventListener("pagehide", stop);
    window.addEventListener("pageshow", back);
    document.addEventListener("freeze", stop);
    document.addEventListener("resume", start);
    return () => {
      window.removeEventListener("pagehide", stop);
      window.removeEventListener("pageshow", back);
      document.removeEventListener("freeze", stop);
      document.removeEventListener("resume", start);
      live.stop();
      refresher.stop();
    };
  }, [live, refresher, enabled]);
  return <LiveContext value={live}>{children}</LiveContext>;
}

/** What happens to whoever is signed in. It stops where the session has ended, and goes on after the next sign-in. */
export function UserLive({ children }: { children: ReactNode }) {
  const { session } = useSession();
  if (session.state !== "signed-in") throw new Error("UserLive without a session");
  return <LiveProvider path="/events" who={session.me.user_id} enabled={!session.ended}>{children}</LiveProvider>;
}

const NOTHING: LiveStatus = { state: "connecting", lastAtMs: null };

/** How the live connection stands, and a way to try at once. */
export function useLive(): LiveStatus & { retry: () => void } {
  const live = useContext(LiveContext);
  const status = useSyncExternalStore(live?.subscribe ?? (() => () => undefined), live?.status ?? (() => NOTHING));
  return { ...status, retry: () => live?.retry() };
}
