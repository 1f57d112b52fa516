import { CloudOff } from "lucide-react";
import { useEffect, useState } from "react";
import { useLive } from "../api/live";
import { clock } from "../lib/units";
import { Button } from "../ui";

/** A blink is not worth a word. */
const PATIENCE_MS = 1500;

/** Says that what is shown is not live, since when, and what happens next. */
export function LostBanner({ who = "the pool" }: { who?: string }) {
  const { state, lastAtMs, retry } = useLive();
  const [shown, setShown] = useState(false);
  const lost = state === "lost";
  useEffect(() => {
    if (!lost) {
      setShown(false);
      return undefined;
    }
    const timer = window.setTimeout(() => setShown(true), PATIENCE_MS);
    return () => window.clearTimeout(timer);
  }, [lost]);
  return (
    <div role="status">
      {shown ? (
        <div className="bg-wait-soft text-ink border-line flex flex-wrap items-center gap-x-3 gap-y-1 border-b px-4 py-2">
          <CloudOff aria-hidden className="text-wait size-4" />
          <p className="min-w-0 flex-1">
            <strong className="font-semibold">No connection to {who}.</strong>{" "}
            {lastAtMs === null ? "Nothing was heard yet." : `Last update ${clock(lastAtMs)}.`} Trying again by itself; what you typed is kept.
          </p>
          <Button small onClick={retry}>Try now</Button>
        </div>
      ) : null}
    </div>
  );
}
