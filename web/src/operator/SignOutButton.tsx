import { useState } from "react";
import { useSession } from "../api/session";
import { Button, useToast } from "../ui";

/** Ends the session, so that somebody else can sign in. */
export function SignOutButton() {
  const { logout } = useSession();
  const say = useToast();
  const [busy, setBusy] = useState(false);
  const leave = async () => {
    setBusy(true);
    try {
      await logout();
    } catch (error) {
      say("bad", "You are still signed in.", error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  return <Button look="primary" busy={busy} onClick={() => void leave()}>Sign in as somebody else</Button>;
}
