import { House, ListChecks, Settings, Wallet } from "lucide-react";
import { useMemo } from "react";
import { useNavigate } from "react-router";
import { useMe } from "../api/session";
import { Shell } from "../app/Shell";
import { useAccountMenu } from "../app/useAccountMenu";
import { BalanceNow } from "./BalanceNow";

const NAV = [
  { to: "/home", text: "Home", icon: <House aria-hidden className="size-4" /> },
  { to: "/tasks", text: "Tasks", icon: <ListChecks aria-hidden className="size-4" /> },
  { to: "/wallet", text: "Wallet", icon: <Wallet aria-hidden className="size-4" /> },
  { to: "/settings", text: "Settings", icon: <Settings aria-hidden className="size-4" /> },
];

/** The frame of a requester's pages. */
export function Frame() {
  const me = useMe();
  const navigate = useNavigate();
  const shortcuts = useMemo(
    () => [
      { keys: "g h", what: "Go to Home", run: () => void navigate("/home") },
      { keys: "g t", what: "Go to Tasks", run: () => void navigate("/tasks") },
      { keys: "g w", what: "Go to Wallet", run: () => void navigate("/wallet") },
      { keys: "g s", what: "Go to Settings", run: () => void navigate("/settings") },
      { keys: "n", what: "New task", run: () => void navigate("/home#run") },
      { keys: "/", what: "Search on this page", run: () => document.querySelector<HTMLInputElement>("main input[type=search]")?.focus() },
    ],
    [navigate],
  );
  return <Shell server="" nav={NAV} user={me.username} userItems={useAccountMenu()} shortcuts={shortcuts} aside={<BalanceNow />} />;
}
