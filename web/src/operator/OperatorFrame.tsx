import { Activity, BookOpenCheck, Hexagon, Hourglass, Scale, Server } from "lucide-react";
import { useMemo } from "react";
import { useNavigate } from "react-router";
import { SessionLive } from "../api/live";
import { useMe } from "../api/session";
import { Shell } from "../app/Shell";
import { useTitle } from "../app/title";
import { useAccountMenu } from "../app/useAccountMenu";
import { EmptyState } from "../ui";
import { SignOutButton } from "./SignOutButton";
import { useLiveNodes, useRecordedHealth } from "./queries";

const PAGES = [
  { to: "/", text: "Health", key: "h", icon: <Activity aria-hidden className="size-4" />, end: true },
  { to: "/topology", text: "Topology", key: "t", icon: <Hexagon aria-hidden className="size-4" /> },
  { to: "/queue", text: "Queue", key: "q", icon: <Hourglass aria-hidden className="size-4" /> },
  { to: "/nodes", text: "Nodes", key: "n", icon: <Server aria-hidden className="size-4" /> },
  { to: "/ledger", text: "Ledger", key: "l", icon: <Scale aria-hidden className="size-4" /> },
  { to: "/audit", text: "Audit", key: "a", icon: <BookOpenCheck aria-hidden className="size-4" /> },
];

/** The frame of an operator's pages; says so to whoever is none. */
export function OperatorFrame() {
  const me = useMe();
  if (me.role !== "operator") return <NotOperator username={me.username} />;
  return <SessionLive><Inside /></SessionLive>;
}

function Inside() {
  const me = useMe();
  const navigate = useNavigate();
  useLiveNodes();
  useRecordedHealth();
  const shortcuts = useMemo(
    () => [
      ...PAGES.map((page) => ({ keys: `g ${page.key}`, what: `Go to ${page.text}`, run: () => void navigate(page.to) })),
      { keys: "/", what: "Search on this page", run: () => document.querySelector<HTMLInputElement>("main input[type=search]")?.focus() },
    ],
    [navigate],
  );
  return <Shell server="pool" nav={PAGES} user={me.username} userItems={useAccountMenu()} shortcuts={shortcuts} />;
}

function NotOperator({ username }: { username: string }) {
  useTitle("For operators");
  return (
    <main className="grid min-h-dvh place-items-center p-4">
      <div className="card max-w-md">
        <h1 className="sr-only">For operators</h1>
        <EmptyState title="These pages are for the operators of the pool" action={<SignOutButton />}>
          You are signed in as {username}, who is none. Sign in as an operator, or use your own pages on the pool&rsquo;s web address.
        </EmptyState>
      </div>
    </main>
  );
}
