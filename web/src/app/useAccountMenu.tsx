import { LogOut } from "lucide-react";
import { useMemo } from "react";
import { useSession } from "../api/session";
import { type MenuItem, useToast } from "../ui";

/** The entries of the user's menu that every server has. */
export function useAccountMenu(before: readonly MenuItem[] = []): MenuItem[] {
  const { logout } = useSession();
  const say = useToast();
  return useMemo(
    () => [
      ...before,
      {
        id: "logout",
        label: <><LogOut aria-hidden className="size-4" /> Sign out</>,
        onSelect: () => void logout().catch((error: unknown) => say("bad", "You are still signed in.", error instanceof Error ? error.message : String(error))),
      },
    ],
    [before, logout, say],
  );
}
