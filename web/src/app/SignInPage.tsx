import type { ReactNode } from "react";
import { LoginForm } from "./LoginForm";
import { Mark } from "./Mark";
import { useTitle } from "./title";

/** The whole page of a server that shows nothing to strangers. */
export function SignInPage({ server, below, onDone }: { server: string; below?: ReactNode; onDone?: () => void }) {
  useTitle("Sign in");
  return (
    <main className="grid min-h-dvh place-items-center p-4">
      <div className="card flex w-full max-w-sm flex-col gap-5 p-6">
        <h1 className="flex items-center gap-2 text-lg font-semibold"><Mark /> HiveMind <span className="text-ink-2 font-normal">{server}</span></h1>
        <LoginForm {...(onDone ? { onDone } : {})} />
        {below}
      </div>
    </main>
  );
}
