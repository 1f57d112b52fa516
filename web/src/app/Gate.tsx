import { type ReactNode, useEffect } from "react";
import { useSession } from "../api/session";
import { Dialog, ErrorBox, Skeleton } from "../ui";
import { LoginForm } from "./LoginForm";

type Props = { children: ReactNode; anonymous: ReactNode };

const RETRY_MS = 5000;

/** Tries again by itself. */
function Unreachable({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  useEffect(() => {
    const timer = window.setTimeout(onRetry, RETRY_MS);
    return () => window.clearTimeout(timer);
  }, [onRetry]);
  return <div className="mx-auto w-full max-w-xl p-8"><ErrorBox error={error} what="This page could not ask the pool who you are. It tries again by itself." onRetry={onRetry} /></div>;
}

/**
 * What needs a session. A session that ends under an open page asks for the password over it: the page and what was typed there
 * stay.
 */
export function Gate({ children, anonymous }: Props) {
  const { session, reload } = useSession();
  switch (session.state) {
    case "loading":
      return <div className="mx-auto w-full max-w-xl p-8"><Skeleton label="Looking who you are" /></div>;
    case "unreachable":
      return <Unreachable error={session.error} onRetry={reload} />;
    case "anonymous":
      return anonymous;
    case "signed-in":
      return (
        <>
          {children}
          <Dialog open={session.ended} insistent title="Your session has ended" onClose={() => undefined}>
            <p className="text-ink-2">Sign in to go on where you were. What you typed is still there.</p>
            <LoginForm username={session.me.username} />
          </Dialog>
        </>
      );
  }
}
