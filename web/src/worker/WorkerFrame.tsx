import { useQueryClient } from "@tanstack/react-query";
import { CalendarClock, Coins, Cpu, Medal, ShieldCheck } from "lucide-react";
import { useEffect, useMemo } from "react";
import { useNavigate } from "react-router";
import { LiveProvider } from "../api/live";
import { Mark } from "../app/Mark";
import { Shell } from "../app/Shell";
import { useTitle } from "../app/title";
import { Button, Code, Dialog, ErrorBox, Skeleton } from "../ui";
import { useRecordedNow } from "./queries";
import { DoorProvider, useDoor } from "./session";

const PAGES = [
  { to: "/", text: "Now", key: "n", icon: <Cpu aria-hidden className="size-4" />, end: true },
  { to: "/when", text: "When to run", key: "w", icon: <CalendarClock aria-hidden className="size-4" /> },
  { to: "/safety", text: "Safety", key: "s", icon: <ShieldCheck aria-hidden className="size-4" /> },
  { to: "/earnings", text: "Earnings", key: "e", icon: <Coins aria-hidden className="size-4" /> },
  { to: "/standing", text: "Standing", key: "t", icon: <Medal aria-hidden className="size-4" /> },
];

/** The frame of an owner's pages, behind the address that the worker gives. */
export function WorkerFrame() {
  return <DoorProvider><Doorway /></DoorProvider>;
}

function Doorway() {
  const { door, knock } = useDoor();
  switch (door.state) {
    case "opening":
      return <div className="mx-auto w-full max-w-xl p-8"><Skeleton label="Opening the worker's page" /></div>;
    case "unreachable":
      return <div className="mx-auto w-full max-w-xl p-8"><ErrorBox error={door.error} what="The worker does not answer." onRetry={knock} /></div>;
    case "closed":
      return <Closed error={door.error} />;
    case "open":
    case "ended":
      return (
        <>
          <LiveProvider path="/worker/events" who="owner" enabled={door.state === "open"}><Inside /></LiveProvider>
          <Dialog open={door.state === "ended"} insistent title="This page was open for long" onClose={() => undefined}>
            <p className="text-ink-2">Open it again with the address that this command shows. What you typed is still here.</p>
            <Code text="hivemind worker status" what="the command" />
            <div className="flex justify-end"><Button onClick={knock}>I have opened it in another tab</Button></div>
          </Dialog>
        </>
      );
  }
}

function Inside() {
  const client = useQueryClient();
  const navigate = useNavigate();
  useRecordedNow();
  // What was refused while the door was closed is asked again.
  useEffect(() => void client.invalidateQueries(), [client]);
  const shortcuts = useMemo(() => PAGES.map((page) => ({ keys: `g ${page.key}`, what: `Go to ${page.text}`, run: () => void navigate(page.to) })), [navigate]);
  return <Shell server="worker" who="the worker" nav={PAGES} userItems={[]} shortcuts={shortcuts} />;
}

function Closed({ error }: { error: unknown }) {
  useTitle("Open this page");
  return (
    <main className="grid min-h-dvh place-items-center p-4">
      <div className="card flex w-full max-w-lg flex-col gap-4 p-6">
        <h1 className="flex items-center gap-2 text-lg font-semibold"><Mark /> HiveMind <span className="text-ink-2 font-normal">worker</span></h1>
        {error === null ? null : <ErrorBox error={error} what="This address does not open the page." />}
        <p>This page is for the owner of this machine. On the machine, run this; it shows the address that opens the page.</p>
        <Code text="hivemind worker status" what="the command" />
        <p className="text-ink-2">The address has a secret behind its #, which only you and the worker know. Treat it like a password.</p>
      </div>
    </main>
  );
}
